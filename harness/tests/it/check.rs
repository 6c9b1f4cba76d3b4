//! `harness check` on small histories written by hand.

use crate::command::Place;
use std::fmt::Write;

/// A history of key `a`: each operation is process, f, input, how it ended, output, from, to.
pub(crate) fn history(operations: &[(u64, &str, &str, &str, &str, u64, u64)]) -> String {
    let mut events = Vec::new();
    for (process, f, input, end, output, from, to) in operations {
        let who = format!(r#""process":{process},"key":"a","node":"n{}","f":"{f}""#, process + 1);
        events.push((*from, format!(r#"{who},"type":"invoke","value":{input}"#)));
        let error = if *end == "fail" { r#","error":"mismatch""# } else { "" };
        if *end != "open" {
            events.push((*to, format!(r#"{who},"type":"{end}","value":{output}{error}"#)));
        }
    }
    events.sort_by_key(|(time, _)| *time);
    let mut text = "{\"history\":1,\"workload\":\"register\",\"initial\":null}\n".to_owned();
    for (index, (time, event)) in events.iter().enumerate() {
        let millis = time * 1_000_000;
        writeln!(text, r#"{{"index":{index},"time":{millis},{event}}}"#).unwrap();
    }
    text
}

/// Write 3, write 7, then read what `output` says.
pub(crate) fn read_after_two_writes(output: &str) -> String {
    history(&[
        (0, "write", "3", "ok", "3", 0, 14),
        (1, "write", "7", "ok", "7", 20, 34),
        (2, "read", "null", "ok", output, 42, 50),
    ])
}

#[test]
fn a_valid_history() {
    let place = Place::new();
    place.file("h.jsonl", read_after_two_writes("7"));
    let left = place.harness("check h.jsonl");
    assert_eq!(left.code, 0, "{left:?}");
    assert!(left.stdout.contains("       VALID register"), "{}", left.stdout);
    assert!(left.stdout.contains("linearizable  valid"), "{}", left.stdout);
    assert_eq!(left.stderr, "");
}

#[test]
fn an_invalid_history_shows_its_proof() {
    let place = Place::new();
    place.file("h.jsonl", read_after_two_writes("3"));
    let left = place.harness("check h.jsonl");
    assert_eq!(left.code, 1, "{left:?}");
    for part in ["     INVALID register", "Counterexample: ", "c2 → n3", "read → 3", "✗"] {
        assert!(left.stdout.contains(part), "{part}: {}", left.stdout);
    }
    let dumb = place.harness("check h.jsonl --workload kv");
    assert_eq!(dumb.code, 1, "a register is one key of kv: {dumb:?}");
}

/// A killed writer and an editor both leave a last line without newline. It is not judged, so what it
/// says must not pass either.
#[test]
fn what_was_left_out_or_shows_nothing_does_not_pass() {
    let place = Place::new();
    let whole = read_after_two_writes("3");
    place.file("h.jsonl", whole.trim_end());
    let left = place.harness("check h.jsonl");
    assert_eq!(left.code, 2, "{left:?}");
    assert!(left.stdout.contains("the last line was not judged"), "{}", left.stdout);
    place.file("torn.jsonl", &whole[..whole.len() - 9]);
    assert_eq!(place.harness("check torn.jsonl").code, 0, "a read that never ended is legal");
    place.file("open.jsonl", history(&[(0, "write", "3", "open", "", 0, 0)]));
    let left = place.harness("check open.jsonl");
    assert_eq!(left.code, 2, "{left:?}");
    assert!(left.stdout.contains("no operation was answered"), "{}", left.stdout);
}

#[test]
fn the_document_is_all_that_json_prints() {
    let place = Place::new();
    for (output, verdict, code) in [("7", "valid", 0), ("3", "invalid", 1)] {
        place.file("h.jsonl", read_after_two_writes(output));
        let left = place.harness("check h.jsonl --json");
        assert_eq!(left.code, code);
        let document: serde_json::Value = serde_json::from_str(&left.stdout).unwrap();
        assert_eq!(document["verdict"], verdict);
        assert_eq!(document["format"], 1);
        assert_eq!(document["checks"][0]["name"], "linearizable");
        assert_eq!(document["counts"]["write"]["ok"], 2);
        assert_eq!(document["run"], "h.jsonl");
    }
}

#[test]
fn too_little_is_unknown() {
    let place = Place::new();
    place.file("header.jsonl", "{\"history\":1,\"workload\":\"kv\"}\n");
    let left = place.harness("check header.jsonl");
    assert_eq!(left.code, 2, "{left:?}");
    assert!(left.stdout.contains("UNKNOWN kv"), "{}", left.stdout);
}

#[test]
fn a_torn_last_line_is_dropped_with_a_warning() {
    let place = Place::new();
    let whole = read_after_two_writes("7");
    place.file("h.jsonl", &whole[..whole.len() - 9]);
    let left = place.harness("check h.jsonl");
    assert_eq!(left.code, 0, "{left:?}");
    assert!(left.stdout.contains("warning: "), "{}", left.stdout);
}

#[test]
fn a_failed_compare_and_set_observes_only_when_told() {
    let place = Place::new();
    let text = history(&[
        (0, "write", "3", "ok", "3", 0, 10),
        (1, "cas", "[3,4]", "fail", "[3,4]", 20, 30),
    ]);
    place.file("ours.jsonl", &text);
    place.file("foreign.jsonl", text.replace(",\"error\":\"mismatch\"", ""));
    assert_eq!(place.harness("check ours.jsonl").code, 1);
    assert_eq!(place.harness("check foreign.jsonl").code, 0);
    assert_eq!(place.harness("check foreign.jsonl --cas-fail-observes").code, 1);
}

#[test]
fn the_initial_value_can_be_given() {
    let place = Place::new();
    place.file("h.jsonl", history(&[(0, "read", "null", "ok", "0", 0, 10)]));
    assert_eq!(place.harness("check h.jsonl").code, 1);
    assert_eq!(place.harness("check h.jsonl --initial 0").code, 0);
}
