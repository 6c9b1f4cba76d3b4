//! `harness check` on histories in every form, whole and damaged: what it judges it judges the same however it was
//! written, and what is no history is refused with a sentence.

use crate::check::read_after_two_writes;
use crate::command::{Left, Place};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::Write;

/// Process, type, function and value.
type Step<'a> = (u64, &'a str, &'a str, &'a str);

/// Write 3, write 7, read what `output` says, in each form, under the name of the form.
fn forms(output: &str) -> [(&'static str, String); 6] {
    let steps = [
        (0, "invoke", "write", "3"),
        (0, "ok", "write", "3"),
        (1, "invoke", "write", "7"),
        (1, "ok", "write", "7"),
        (2, "invoke", "read", "nil"),
        (2, "ok", "read", output),
    ];
    let each = |line: &dyn Fn(&Step) -> String| -> String {
        steps.iter().map(|step| line(step) + "\n").collect()
    };
    [
        ("jsonl", read_after_two_writes(output)),
        ("edn", each(&|(p, t, f, v)| format!("{{:process {p}, :type :{t}, :f :{f}, :value {v}}}"))),
        ("txt", each(&|(p, t, f, v)| format!("{p}\t:{t}\t:{f}\t{v}"))),
        ("log", each(&|(p, t, f, v)| format!("INFO  jepsen.util - {p}\t:{t}\t:{f}\t{v}"))),
        (
            "porcupine",
            each(&|(p, t, f, v)| {
                let f = if *f == "read" { "get" } else { "put" };
                let v = if *v == "nil" { "nil".to_owned() } else { format!("\"{v}\"") };
                format!("{{:process {p}, :type :{t}, :f :{f}, :key \"a\", :value {v}}}")
            }),
        ),
        (
            "elle",
            each(&|(p, t, f, v)| {
                let v = v.replace("nil", "null");
                format!("{{\"process\":{p},\"type\":\"{t}\",\"f\":\"{f}\",\"value\":{v}}}")
            }),
        ),
    ]
}

fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// One sentence with these words, 254, nothing on stdout.
fn refused(left: &Left, says: &str) {
    assert_eq!((left.code, left.stdout.as_str()), (254, ""), "{left:?}");
    let first = left.stderr.lines().next().unwrap_or_default();
    assert!(first.starts_with("error: ") && first.contains(says), "`{says}` is not in {left:?}");
    assert!(!left.stderr.contains("internal error"), "{left:?}");
}

#[test]
fn every_form_is_known_by_its_content_and_by_its_name() {
    let place = Place::new();
    for (output, code) in [("7", 0), ("3", 1)] {
        for (format, text) in forms(output) {
            // The name of a file says nothing.
            place.file("history", &text);
            let left = place.harness("check history");
            assert_eq!(left.code, code, "{format}: {left:?}");
            let named = place.harness(&format!("check history --format {format}"));
            assert_eq!((named.code, named.stdout), (code, left.stdout), "{format}");
            place.file("history", gzip(&text));
            assert_eq!(place.harness("check history").code, code, "{format} compressed");
            let piped = place.harness_reading("check -", text.as_bytes());
            assert_eq!(piped.code, code, "{format} from standard input: {piped:?}");
            let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
            let marked = place.harness_reading("check -", &marked);
            assert_eq!(marked.code, code, "{format} after a byte order mark: {marked:?}");
        }
    }
}

#[test]
fn a_form_that_it_is_not_is_refused_where_that_shows() {
    let place = Place::new();
    let all = forms("7");
    for (name, text) in &all {
        place.file("history", text);
        for (format, _) in all.iter().filter(|(format, _)| format != name) {
            // Those of Porcupine are Jepsen's maps, and a log may have anything between its lines.
            let left = place.harness(&format!("check history --format {format}"));
            if (*name, *format) == ("porcupine", "edn") {
                assert_eq!(left.code, 0, "{left:?}");
            } else {
                refused(&left, "history is not a history: ");
            }
        }
    }
    refused(&place.harness("check history --format csv"), "`csv` is not a format");
}

#[test]
fn compressed_standard_input_is_read_too() {
    let place = Place::new();
    let left = place.harness_reading("check - --json", &gzip(read_after_two_writes("3")));
    assert_eq!(left.code, 1, "{left:?}");
    let document: serde_json::Value = serde_json::from_str(&left.stdout).unwrap();
    assert_eq!(document["run"], "standard input");
    refused(&place.harness_reading("check -", b""), "standard input is not a history: the history");
    refused(
        &place.harness_reading("check -", b"?"),
        "standard input does not begin like a history",
    );
}

#[test]
fn keys_within_values_are_taken_apart_when_told() {
    let place = Place::new();
    let text = "{:process 0, :type :invoke, :f :write, :value [1 5]}
{:process 0, :type :ok, :f :write, :value [1 5]}
{:process 0, :type :invoke, :f :read, :value [2 nil]}
{:process 0, :type :ok, :f :read, :value [2 nil]}
";
    place.file("h.edn", text);
    refused(&place.harness("check h.edn"), "say --independent");
    let left = place.harness("check h.edn --independent --json");
    assert_eq!(left.code, 0, "{left:?}");
    let document: serde_json::Value = serde_json::from_str(&left.stdout).unwrap();
    assert_eq!(document["checks"][0]["keys"], 2, "{left:?}");
    place.file("h.jsonl", read_after_two_writes("7"));
    let left = place.harness("check h.jsonl --independent");
    refused(&left, "h.jsonl has its keys in `key` fields");
}

#[test]
fn what_the_caller_says_is_believed() {
    let place = Place::new();
    let read = |f: &str, value: &str| {
        format!(
            "{{:process 0, :type :invoke, :f :{f}, :value nil}}\n\
             {{:process 0, :type :ok, :f :{f}, :value {value}}}\n"
        )
    };
    place.file("h.edn", read("read", "0"));
    refused(&place.harness("check h.edn"), "cannot tell the workload");
    assert_eq!(place.harness("check h.edn --workload register").code, 1, "it was null");
    assert_eq!(place.harness("check h.edn --workload register --initial 0").code, 0);
    assert_eq!(place.harness("check h.edn --workload counter").code, 0, "it counts from 0");
    refused(&place.harness("check h.edn --workload kw"), "unknown workload `kw` in `--workload`");
    refused(&place.harness("check h.edn --workload counter --initial []"), "the initial value []");
    refused(&place.harness("check h.edn --workload queue"), "h.edn: operation 0 (index of its ");
}

#[test]
fn what_is_no_history_is_refused() {
    let place = Place::new();
    let noise: Vec<u8> =
        (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    place.file("empty", "");
    place.file("empty.gz", gzip(""));
    place.file("blank", "\n\n  \n");
    place.file("noise", &noise);
    place.file("prose", "It was the best of times.\nIt was the worst of times.\n");
    place.file("noise.gz", [&[0x1f, 0x8b][..], &noise].concat());
    place.file("header-only.gz", [0x1f, 0x8b]);
    place.file(
        "trailing.gz",
        [gzip(read_after_two_writes("7")), b"something that follows".to_vec()].concat(),
    );
    place.file("folder/readme", "");
    for (name, says) in [
        ("empty", "empty is not a history: the history is empty"),
        ("empty.gz", "empty.gz is not a history: the history is empty"),
        ("blank", "blank does not begin like a history"),
        ("noise", "noise does not begin like a history"),
        ("prose", "prose does not begin like a history"),
        ("noise.gz", "its compressed data is damaged"),
        ("header-only.gz", "its compressed data ends too early"),
        ("trailing.gz", "its compressed data is damaged"),
        ("folder", "folder is not a run folder"),
        ("nowhere", "cannot read nowhere"),
    ] {
        refused(&place.harness(&format!("check {name}")), says);
    }
}

/// Whatever is missing of a compressed file, nothing of it is judged.
#[test]
fn a_compressed_history_that_was_cut_is_refused() {
    let place = Place::new();
    for (format, text) in
        forms("7").into_iter().filter(|(format, _)| ["jsonl", "edn"].contains(format))
    {
        let whole = gzip(&text);
        for kept in (2..whole.len()).step_by(9).chain([whole.len() - 1]) {
            place.file("cut.gz", &whole[..kept]);
            let left = place.harness("check cut.gz");
            refused(&left, "its compressed data ends too early");
            let left = place.harness(&format!("check cut.gz --format {format}"));
            refused(&left, "its compressed data ends too early");
        }
    }
}

/// Amounts added at once, of which no sum is what is read meanwhile: as many sums as there are subsets.
fn hard() -> String {
    let mut events = vec![
        (500, json!({"process": 40, "type": "invoke", "f": "read", "value": null})),
        (600, json!({"process": 40, "type": "ok", "f": "read", "value": 430_000_001_u64})),
    ];
    for process in 0..40_u64 {
        let amount = 2 * 3_u64.pow(process as u32 % 18) + 2 * process;
        for (time, kind) in [(process, "invoke"), (1000 + process, "ok")] {
            let event = json!({"process": process, "type": kind, "f": "add", "value": amount});
            events.push((time, event));
        }
    }
    events.sort_by_key(|(time, _)| *time);
    let mut text = "{\"history\":1,\"workload\":\"counter\"}\n".to_owned();
    for (index, (time, mut event)) in events.into_iter().enumerate() {
        event["index"] = json!(index);
        event["time"] = json!(time);
        text.push_str(&format!("{event}\n"));
    }
    text
}

#[test]
fn a_budget_that_ends_says_which_and_how_far_it_came() {
    let place = Place::new();
    place.file("h.jsonl", hard());
    let left = place.harness("check h.jsonl --budget 0s");
    refused(&left, "`0s` decides nothing");
    let left = place.harness("check h.jsonl --budget 1ms");
    assert_eq!(left.code, 2, "{left:?}");
    for part in [
        "Undecided: the history: its budget of 1ms is spent (no faster algorithm: ",
        "answered operations were put in order; ",
        "looked at",
        "hint: search longer",
    ] {
        assert!(left.stdout.contains(part), "{part}: {}", left.stdout);
    }
    let left = place.harness("check h.jsonl --memory 1KiB");
    assert_eq!(left.code, 2, "{left:?}");
    for part in ["more than its 1 KiB of memory", "hint: search with more memory"] {
        assert!(left.stdout.contains(part), "{part}: {}", left.stdout);
    }
    assert!(!left.stdout.contains("search longer"), "time would not help: {}", left.stdout);
}

#[test]
fn a_verdict_that_cannot_be_written_is_no_success() {
    let place = Place::new();
    for (output, code) in [("7", 255), ("3", 1)] {
        place.file("h.jsonl", read_after_two_writes(output));
        for words in ["check h.jsonl --json", "check h.jsonl"] {
            let left = place.harness_writing_to(words, "/dev/full");
            assert_eq!(left.code, code, "a violation stays one: {left:?}");
            assert!(left.stderr.contains("cannot write to standard output"), "{left:?}");
        }
    }
}
