//! The rules that are the same for every format.

use super::{all_said, named, options, read, refused, refused_with};
use history::{ForeignOptions, Format, Nanos, read_foreign};
use serde_json::json;

fn indexes(text: &str) -> (Vec<u64>, Vec<String>) {
    let history = read_foreign(text.as_bytes(), &named(Format::Edn, "register")).unwrap();
    (history.operations.iter().map(|operation| operation.index).collect(), history.warnings)
}

#[test]
fn the_order_of_the_lines_decides() {
    let text = "{:process 0, :type :invoke, :f :w, :value 1, :time 900, :index 5}\n\
                {:process 1, :type :invoke, :f :r, :value nil, :time 100, :index 9}\n\
                {:process 0, :type :ok, :f :w, :value 1, :time -1, :index 12}\n";
    let history = read(Format::Edn, text);
    assert_eq!(all_said(&history), ["0 write - 1 → ok 1", "1 read - null → open"]);
    let first = &history.operations[0];
    assert_eq!((first.index, first.start, first.end, first.invoked), (5, 0, Some(2), Nanos(900)));
    assert!(history.warnings.is_empty());
}

#[test]
fn indexes_are_kept_only_where_all_are_there_and_increase() {
    let text = "{:process 0, :type :invoke, :f :w, :value 1, :index 5}\n\
                {:process 1, :type :invoke, :f :w, :value 2, :index 9}\n";
    assert_eq!(indexes(text), (vec![5, 9], vec![]));
    assert_eq!(indexes(&text.replace(", :index 5", "").replace(", :index 9", "")).0, [0, 1]);
    for odd in [
        text.replace(":index 9", ":index 5"),
        text.replace(":index 9", ":index 2"),
        text.replace(", :index 9", ""),
        text.replace(", :index 5", ""),
    ] {
        let (found, warnings) = indexes(&odd);
        assert_eq!(found, [0, 1], "{odd}");
        assert!(warnings[0].starts_with("line 2: :index is missing or does not"), "{warnings:?}");
    }
}

#[test]
fn a_process_that_goes_on_after_info_gets_a_fresh_number() {
    let text = "{:process 0, :type :invoke, :f :write, :value 1}\n\
                {:process 7, :type :invoke, :f :write, :value 2}\n\
                {:process 0, :type :info, :f :write, :value :oops, :error [:timeout 3]}\n\
                {:process 0, :type :invoke, :f :write, :value 3}\n\
                {:process 0, :type :info, :f :write, :value nil}\n\
                {:process 0, :type :invoke, :f :write, :value 4}\n\
                {:process 0, :type :ok, :f :write, :value 4}\n";
    let history = read(Format::Edn, text);
    assert_eq!(
        all_said(&history),
        [
            "0 write - 1 → info [\"timeout\",3]",
            "7 write - 2 → open",
            "8 write - 3 → info -",
            "9 write - 4 → ok 4",
        ]
    );
    assert_eq!(history.warnings.len(), 1);
    assert!(history.warnings[0].starts_with("2 operations"), "{}", history.warnings[0]);
}

#[test]
fn what_cannot_have_happened_is_refused_with_its_line() {
    let invoke = "{:process 0, :type :invoke, :f :write, :value 1}\n";
    let ok = "{:process 0, :type :ok, :f :write, :value 1}\n";
    for (text, said) in [
        (format!("\n{invoke}\n{invoke}"), "line 4: process 0 invokes again while"),
        (format!("{invoke}{ok}{ok}"), "line 3: ok of process 0, which has nothing open"),
        (format!("{invoke}{}", ok.replace("write", "cas")), "line 2: ok of `cas`"),
        (
            format!("{invoke}{}{ok}", ok.replace(":ok", ":info")),
            "line 3: ok of process 0, which has nothing open",
        ),
    ] {
        let found = refused(Format::Edn, &text);
        assert!(found.starts_with(said), "{text}: {found}");
    }
}

#[test]
fn whatever_has_a_name_is_the_nemesis() {
    let text = "{:process :nemesis, :type :info, :f :start, :value {\"n1\" #{\"n2\"}}}\n\
                {:process :nemesis-2, :type :invoke, :value :x}\n\
                {:process :nemesis-2, :type :ok, :f :r, :value :y}\n\
                {:process 0, :type :invoke, :f :w, :value 1}\n";
    let history = read(Format::Edn, text);
    let said: Vec<String> =
        history.nemesis.iter().map(|event| format!("{} {}", event.f, event.value)).collect();
    assert_eq!(said, ["start {\"n1\":[\"n2\"]}", "nemesis \"x\"", "r \"y\""]);
    assert_eq!(all_said(&history), ["0 write - 1 → open"]);
}

const PAIRS: &str = "{:process 0, :type :invoke, :f :write, :value [1 5]}\n\
    {:process 1, :type :invoke, :f :read, :value [:a nil]}\n\
    {:process 2, :type :invoke, :f :cas, :value [[2 3] [5 6]]}\n\
    {:process 0, :type :ok, :f :write, :value [1 5]}\n\
    {:process 1, :type :ok, :f :read, :value [:a 7]}\n\
    {:process :nemesis, :type :info, :f :start, :value nil}\n\
    {:process 2, :type :fail, :f :cas, :value nil, :error :mismatch}\n";

#[test]
fn pairs_are_keys_only_where_the_caller_says_so() {
    let independent = ForeignOptions { independent: true, ..options(Format::Edn) };
    let history = read_foreign(PAIRS.as_bytes(), &independent).unwrap();
    assert_eq!(
        all_said(&history),
        [
            "0 write 1 5 → ok 5",
            "1 read a null → ok 7",
            // Elsewhere the word may mean anything: it is not our observation.
            "2 cas [2,3] [5,6] → fail :mismatch",
        ]
    );
    // Without it, the two keys would be one register, and a correct history would look wrong.
    let said = refused_with(&named(Format::Edn, "register"), PAIRS);
    assert!(said.starts_with("line 2, column 1: this read asks with a pair"), "{said}");

    for (text, said) in [
        (PAIRS.replace("[1 5]", "5"), "line 1, column 1: with --independent a value is a pair"),
        (PAIRS.replace("[:a 7]", "[:b 7]"), "line 5: ok with key `b`, but process 1 had invoked"),
        (PAIRS.replace("[:a 7]", "7"), "line 5, column 1: with --independent a value is a pair"),
        (PAIRS.replace(":value [1 5]", ":key 3, :value 5"), "line 1, column 1: this operation has"),
    ] {
        let found = refused_with(&independent, &text);
        assert!(found.starts_with(said), "{text}: {found}");
    }
}

/// A key that is written down is never dropped: without it two keys would be one.
#[test]
fn a_key_field_is_kept_in_every_format() {
    let text = "{:process 0, :type :invoke, :f :write, :key 3, :value 1}\n\
                {:process 0, :type :ok, :f :write, :value 1}\n\
                {:process 0, :type :invoke, :f :write, :value 1}\n";
    assert_eq!(all_said(&read(Format::Edn, text)), ["0 write 3 1 → ok 1", "0 write - 1 → open"]);
}

fn deduced(lines: &[(&str, &str, &str)]) -> Result<String, String> {
    let text: String = (0..)
        .zip(lines)
        .flat_map(|(process, (f, input, output))| {
            let line = |kind, value| {
                format!("{{:process {process}, :type :{kind}, :f :{f}, :value {value}}}\n")
            };
            [line("invoke", input), line("ok", output)]
        })
        .collect();
    read_foreign(text.as_bytes(), &options(Format::Edn))
        .map(|history| history.header.workload)
        .map_err(|error| error.to_string())
}

#[test]
fn the_workload_is_deduced_only_where_one_is_possible() {
    for (lines, workload) in [
        (&[("r", "nil", "1"), ("w", "1", "1")][..], Some("register")),
        (&[("read", "nil", "1"), ("cas", "[1 2]", "[1 2]")], Some("register")),
        (&[("get", "nil", "1"), ("put", "1", "1")], Some("register")),
        (&[("add", "1", "1"), ("read", "nil", "[1]")], Some("set")),
        (&[("add", "1", "1"), ("read", "nil", "#{1}"), ("read", "nil", "[]")], Some("set")),
        (&[("add", "1", "1"), ("read", "nil", "1")], Some("counter")),
        (&[("enqueue", "1", "1"), ("dequeue", "nil", "1")], Some("queue")),
        (&[("acquire", "nil", "1"), ("release", "nil", "nil")], Some("lock")),
        (&[("txn", "[[:append 1 2] [:r 1 nil]]", "[]")], Some("append")),
        (&[("append", "\"a\"", "\"a\""), ("get", "nil", "\"a\"")], Some("porcupine-kv")),
        (&[("read", "nil", "1")], None),
        (&[("add", "1", "1")], None),
        (&[("add", "1", "1"), ("read", "nil", "[1]"), ("read", "nil", "1")], None),
        (&[("append", "1", "1"), ("read", "nil", "[1]")], None),
        (&[("txn", "[[:w 1 2]]", "[]")], None),
        (&[("read", "nil", "1"), ("write", "1", "1"), ("jump", "1", "1")], None),
        (&[("transfer", "{:from 1}", "nil")], None),
    ] {
        match (deduced(lines), workload) {
            (Ok(found), Some(workload)) => assert_eq!(found, workload, "{lines:?}"),
            (Err(said), None) => assert!(
                said.starts_with("line 1: cannot tell the workload: ")
                    && said.ends_with("; name it with --workload")
                    && said.contains(why_not(lines)),
                "{lines:?}: {said}"
            ),
            (found, _) => panic!("{lines:?}: {found:?}, expected {workload:?}"),
        }
    }
    let nemesis = "{:process :nemesis, :type :info, :f :kill}\n";
    assert!(refused(Format::Edn, nemesis).contains("no client invokes anything"));
}

/// What is said of functions of which the workload cannot be told.
fn why_not(lines: &[(&str, &str, &str)]) -> &'static str {
    let has = |f: &str| lines.iter().any(|line| line.0 == f);
    match (has("jump"), has("transfer")) {
        (true, _) => "no workload has the function `jump`",
        (_, true) => "no workload has the function `transfer`",
        _ => "which fit several workloads or none",
    }
}

#[test]
fn without_functions_only_lists_of_micro_operations_are_transactions() {
    let text = "{:process 0, :type :invoke, :value [[:append 1 2] [:r 1 nil]]}\n\
                {:process 0, :type :fail, :value nil}\n\
                {:process 1, :type :invoke, :value []}\n\
                {:process 1, :type :ok, :value []}\n";
    let history = read(Format::Edn, text);
    assert_eq!(
        all_said(&history),
        ["0 txn - [[\"append\",1,2],[\"r\",1,null]] → fail -", "1 txn - [] → ok []"]
    );
    assert_eq!(history.header.workload, "append");
    let named_elsewhere =
        text.replace(":process 0, :type :invoke", ":process 0, :type :invoke, :f :txn");
    assert!(refused(Format::Edn, &named_elsewhere).starts_with("line 2, column 1: an operation"));
    for (from, to) in
        [("[:r 1 nil]", "[:r 1]"), ("[:r 1 nil]", "[:inc 1 nil]"), (":ok, :value []", ":ok")]
    {
        let said = refused(Format::Edn, &text.replace(from, to));
        assert!(said.ends_with(", column 1: an operation needs :f"), "{said}");
    }
}

#[test]
fn options_replace_what_the_bytes_do_not_say() {
    let given = ForeignOptions { initial: Some(json!(0)), ..named(Format::Edn, "kv") };
    let text = "{:process 0, :type :invoke, :f :read, :value nil}\n";
    let history = read_foreign(text.as_bytes(), &given).unwrap();
    assert_eq!((&*history.header.workload, &history.header.initial), ("kv", &json!(0)));
    assert_eq!(read(Format::Edn, &text.replace("read", "write")).header.initial, json!(null));

    let ours = "\u{feff}{\"history\":1,\"workload\":\"kv\",\"initial\":3}\n\
        {\"index\":0,\"time\":1,\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\"key\":\"a\",\"value\":null}\n";
    let history = read(Format::Jsonl, ours);
    assert_eq!((&*history.header.workload, &history.header.initial), ("kv", &json!(3)));
    assert_eq!(all_said(&history), ["0 read a null → open"]);
    let given = ForeignOptions { format: Format::Jsonl, workload: Some("set".to_owned()), ..given };
    let history = read_foreign(ours.as_bytes(), &given).unwrap();
    assert_eq!((&*history.header.workload, &history.header.initial), ("set", &json!(0)));
    let given = ForeignOptions { independent: true, ..options(Format::Jsonl) };
    assert!(refused_with(&given, ours).contains("its keys are in its `key` fields"));
}
