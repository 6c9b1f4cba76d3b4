//! Each format: how its operations are found, and how what is not one is refused.

use super::{all_said, read, refused};
use history::{Format, Order};
use serde_json::json;

#[test]
fn edn_is_one_map_a_line_or_one_vector_or_list() {
    let lines = "{:process 0, :type :invoke, :f :write, :value 1}\r\n\
                 ; a comment\r\n\
                 #jepsen.history.Op{:process 0, :type :ok, :f :write, :value 1, :extra {:a [1]}}\r\n";
    let expected = ["0 write - 1 → ok 1"];
    for text in [
        lines.to_owned(),
        format!("[{lines}]"),
        format!("({lines})"),
        format!("; before\n#_ [1]\n[{lines}] ; after\n"),
        format!("\u{feff}{lines}"),
        lines.replace("\r\n", "\n").replace(":process", "\"process\""),
    ] {
        let history = read(Format::Edn, &text);
        assert_eq!(all_said(&history), expected, "{text}");
        assert_eq!(history.order, Order::Position);
        assert!(history.warnings.is_empty() && !history.left_out);
    }
}

#[test]
fn edn_refuses_what_is_no_operation() {
    let op = "{:process 0, :type :invoke, :f :write, :value 1}";
    for (text, place, problem) in [
        (format!("{op}\n[{op}]"), "line 2, column 1: ", "one operation after another"),
        (format!("[{op}]\n{op}"), "line 2, column 1: ", "something follows"),
        (format!("[{op}]\n[{op}]"), "line 2, column 1: ", "one vector or list"),
        (format!("[{op} 3]"), "line 1, column 51: ", "expected an operation"),
        (format!("{op} ]"), "line 1, column 50: ", "`]` where a value"),
        ("{:type :invoke, :f :read}".to_owned(), "line 1, column 1: ", "needs :process"),
        (op.replace("0", "nil"), "line 1, column 1: ", "needs :process"),
        (op.replace("0", "-1"), "line 1, column 1: ", ":process is -1"),
        (op.replace("0", "1.0"), "line 1, column 1: ", ":process is 1.0"),
        (op.replace("0", "\"3\""), "line 1, column 1: ", ":process is \"3\""),
        (op.replace("0", "9223372036854775808"), "line 1, column 1: ", "from 0 to 2^63"),
        (op.replace(":invoke", ":invok"), "line 1, column 1: ", ":type is :invok"),
        (op.replace(":type :invoke,", ""), "line 1, column 1: ", "needs :type"),
        (op.replace(":write", "3"), "line 1, column 1: ", ":f is 3"),
        (format!("{op}\n{}", op.replace(":f :write,", "")), "line 2, column 1: ", "needs :f"),
        (String::new(), "line 1, column 1: ", "no operation"),
        ("; nothing\n[]\n".to_owned(), "line 3, column 1: ", "no operation"),
    ] {
        let said = refused(Format::Edn, &text);
        assert!(said.starts_with(place) && said.contains(problem), "{text}: {said}");
    }
}

/// A misspelt :value would otherwise be a nil that accuses somebody.
#[test]
fn an_ok_read_needs_its_value() {
    let edn = "{:process 0, :type :invoke, :f :r}\n{:process 0, :type :ok, :f :r, :valeu 3}\n";
    assert!(refused(Format::Edn, edn).starts_with("line 2, column 1: an ok read needs the :value"));
    let json = r#"[{"process":0,"type":"ok","f":"read"}]"#;
    assert!(refused(Format::Elle, json).starts_with("line 1, column 2: an ok read needs"));
}

#[test]
fn txt_is_cells_between_tabs() {
    let text = "0\t:invoke\t:cas\t[1 2]\n\n\
                :nemesis\t:info\t:start\tCut off {:n1 \"\n\
                0\t:fail\t:cas\t[1 2]\tclojure.lang.ExceptionInfo: no\tleader\r\n\
                1\t:invoke\t:read\tnil\n\
                1\t:ok\t:read\t\"a b\"\n";
    let history = read(Format::Txt, text);
    assert_eq!(
        all_said(&history),
        [
            "0 cas - [1,2] → fail clojure.lang.ExceptionInfo: no\tleader",
            "1 read - null → ok \"a b\""
        ]
    );
    assert_eq!(history.nemesis[0].value, json!("Cut off {:n1 \""));
    for (text, said) in [
        ("0\t:invoke\t:read\n", "line 1, column 1: expected process, type, function and value"),
        ("0\t:invok\t:read\tnil\n", "line 1, column 3: :type is :invok"),
        ("0\tinvoke\t:read\tnil\n", "line 1, column 3: `invoke` is not a type"),
        ("\n0\t:invoke\tread\tnil\n", "line 2, column 11: `read` is not a function"),
        ("0\t:invoke\t:write\t1 2\n", "line 1, column 20: something follows the value"),
        ("0\t:invoke\t:write\t[1 (]\n", "line 1, column 22: `]` where a value"),
        ("0\t:invoke\t:write\t\n", "line 1, column 18: the input ends where a value"),
        ("a b\t:invoke\t:write\t1\n", "line 1, column 1: `a b` is not a process"),
        ("1.5\t:invoke\t:write\t1\n", "line 1, column 1: `1.5` is not a process"),
    ] {
        let found = refused(Format::Txt, text);
        assert!(found.starts_with(said), "{text}: {found}");
    }
}

/// `3` may be the start of `34`.
#[test]
fn a_last_line_without_newline_is_left_out_where_values_do_not_end_themselves() {
    let txt = "0\t:invoke\t:write\t34\n0\t:ok\t:write\t3";
    let log = "INFO  jepsen.util - 0\t:invoke\t:write\t34\nINFO  jepsen.util - 0\t:ok\t:write\t3";
    for (format, text) in [(Format::Txt, txt), (Format::Log, log)] {
        let history = read(format, text);
        assert_eq!(all_said(&history), ["0 write - 34 → open"]);
        assert!(history.left_out && history.warnings[0].contains("no newline"));
        let history = read(format, &format!("{}4\n", text));
        assert_eq!(all_said(&history), ["0 write - 34 → ok 34"]);
        assert!(!history.left_out && history.warnings.is_empty());
    }
}

const LOG: &str = "INFO  jepsen.core - starting 3 workers\n\
    INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\n\
    INFO  jepsen.util - 1   :invoke :read   nil\n\
    WARN  something else entirely: jepsen.util\n\
    INFO  jepsen.util - 0\t:fail\t:cas\t[1 2]\n\
    INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n\
    INFO  jepsen.util - 1   :fail   :read   :timed-out\n\
    INFO  jepsen.util - 1   :invoke :write  3\n\
    INFO  jepsen.util - 1   :info   :write  :timed-out\n\
    INFO  jepsen.util - 2   :invoke :cas    [0 1]\n\
    INFO  jepsen.util - 2   :fail   :cas    [0 1]\tno-leader\n\
    INFO  jepsen.util - 3   :invoke :cas    [0 1]\n\
    INFO  jepsen.util - 4   :invoke :cas    [0 1]\n\
    INFO  jepsen.util - 4   :info   :cas    [0 1]\n";

#[test]
fn log_keeps_operations_and_skips_the_rest() {
    let history = read(Format::Log, LOG);
    assert_eq!(
        all_said(&history),
        [
            "0 cas - [1,2] → fail mismatch",
            "1 read - null → fail timed-out",
            "1 write - 3 → info timed-out",
            "2 cas - [0,1] → fail no-leader",
            "3 cas - [0,1] → open",
            "4 cas - [0,1] → info -",
        ]
    );
    assert_eq!((history.nemesis.len(), &*history.header.workload), (1, "register"));
}

#[test]
fn log_refuses_what_looks_like_an_operation_and_is_none() {
    for (line, said) in [
        ("INFO  jepsen.util - 3", "line 2, column 21: expected process"),
        ("INFO  jepsen.util - 3 :inv", "line 2, column 21: expected process"),
        ("INFO  jepsen.util - 3 :inv :read nil", "line 2, column 23: :type is :inv"),
        ("INFO  jepsen.util - 3 :ok :read", "line 2, column 21: expected process"),
        ("INFO  jepsen.util - 3 :ok :read [1", "line 2, column 33: this `[` is never closed"),
    ] {
        let text = format!("INFO  jepsen.util - 3 :invoke :read nil\n{line}\n");
        let found = refused(Format::Log, &text);
        assert!(found.starts_with(said), "{line}: {found}");
    }
    let none = refused(Format::Log, "INFO  jepsen.util: 3 :invoke :read nil\nnothing\n");
    assert!(none.starts_with("line 3, column 1: there is no operation"), "{none}");
}

const PORCUPINE: &str = "{:process 3, :type :invoke, :f :get, :key \"0\", :value nil}\n\
    {:process 1, :type :invoke, :f :put, :key \"0\", :value \"x\"}\n\
    {:process 3, :type :ok, :f :get, :key \"0\", :value \"\"}\n\
    {:process 1, :type :ok, :f :put, :key \"0\", :value \"x\"}\n\
    {:process 1, :type :invoke, :f :append, :key \"0\", :value \"y\"}\n";

#[test]
fn porcupine_has_a_key_and_starts_with_the_empty_string() {
    let history = read(Format::Porcupine, PORCUPINE);
    assert_eq!(
        all_said(&history),
        ["3 read 0 null → ok \"\"", "1 write 0 \"x\" → ok \"x\"", "1 append 0 \"y\" → open"]
    );
    assert_eq!(history.header.workload, "porcupine-kv");
    assert_eq!(history.header.initial, json!(""));
    let keyless = PORCUPINE.replace(":append, :key \"0\"", ":append");
    let said = refused(Format::Porcupine, &keyless);
    assert!(said.starts_with("line 5, column 1: an operation of this format needs :key"), "{said}");
}

#[test]
fn elle_is_an_array_or_one_object_a_line() {
    let ops = [
        r#"{"process":0,"type":"invoke","value":[["append",1,2],["r",1,null]],"index":4}"#,
        r#"{"process":"nemesis","type":"info","f":"kill"}"#,
        r#"{"process":0,"type":"ok","value":[["append",1,2],["r",1,[2]]],"index":7}"#,
    ];
    for text in [
        format!("[{}]", ops.join(",")),
        format!("\u{feff} [\r\n{}\r\n]\n", ops.join(",\r\n")),
        format!("{}\n", ops.join("\n")),
    ] {
        let history = read(Format::Elle, &text);
        let expected = r#"0 txn - [["append",1,2],["r",1,null]] → ok [["append",1,2],["r",1,[2]]]"#;
        assert_eq!(all_said(&history), [expected], "{text}");
        assert_eq!((history.nemesis.len(), &*history.header.workload), (1, "append"));
    }
}

#[test]
fn elle_refuses_what_json_readers_forgive() {
    let op = r#"{"process":0,"type":"invoke","f":"write","value":1}"#;
    for (text, said) in [
        (op.replace("1}", "1,\"value\":2}"), "line 1, column 58: the field `value` is there twice"),
        (op.replace(":1}", ":{\"a\":1,\n\"a\":2}}"), "line 2, column 3: the field `a` is there"),
        (op.replace("1}", "18446744073709551616}"), "line 1, column 69: this number is too large"),
        (op.replace("1}", "-9223372036854775809}"), "line 1, column 69: this number is too large"),
        (op.replace("1}", "1e999}"), "line 1, column 54: number out of range"),
        (format!("[{op},\n{op} {op}]"), "line 2, column 53: expected `,` or `]`"),
        (format!("[{op},\n"), "line 2, column 1: the input ends within its array"),
        (format!("[{op}"), "line 1, column 53: expected `,` or `]`"),
        (format!("[{op}] x"), "line 1, column 55: something follows the array"),
        (format!("[{op}, 3]"), "line 1, column 55: expected an operation"),
        (op.replace("1}", "[1}"), "line 1, column 52: expected `,` or `]`"),
        (op.replace("1}", "tru}"), "line 1, column 53: expected ident"),
        ("[]".to_owned(), "line 1, column 3: there is no operation"),
    ] {
        let found = refused(Format::Elle, &text);
        assert!(found.starts_with(said), "{text}: {found}");
    }
    let deep = op.replace("1}", &format!("{}{}}}", "[".repeat(9999), "]".repeat(9999)));
    assert!(refused(Format::Elle, &deep).contains("recursion limit"));
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_stand() {
    for format in [Format::Edn, Format::Txt, Format::Log, Format::Porcupine, Format::Elle] {
        let bytes = b"\xef\xbb\xbf; ab\n; \xff\n";
        let error = history::read_foreign(bytes, &super::options(format)).unwrap_err();
        assert_eq!(error.to_string(), "line 2, column 3: this is not UTF-8 text");
    }
}
