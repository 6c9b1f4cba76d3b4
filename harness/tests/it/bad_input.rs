//! Bad input gets one clear sentence, a hint where there is one, 254, and never a backtrace.

use crate::command::{Left, Place};

/// `error: ` and one line, then at most hints.
fn refused(left: &Left, code: i32, says: &str, hint: &str) {
    assert_eq!(left.code, code, "{left:?}");
    assert_eq!(left.stdout, "", "{left:?}");
    let mut lines = left.stderr.lines();
    let first = lines.next().unwrap_or_default();
    let sentence = first.strip_prefix("error: ").unwrap_or_else(|| panic!("{left:?}"));
    assert!(sentence.contains(says), "`{says}` is not in: {sentence}");
    assert!(!sentence.ends_with('.'), "{sentence}");
    let hints: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    assert!(hints.iter().all(|line| line.starts_with("  hint: ")), "{left:?}");
    assert!(hints.iter().any(|line| line.contains(hint)) || hint.is_empty(), "{hint}: {left:?}");
    assert!(!left.stderr.contains("stack backtrace"), "{left:?}");
}

#[test]
fn arguments() {
    let place = Place::new();
    for (words, says, hint) in [
        ("", "say what to do", "verbs: run, check, list"),
        ("rnu", "unknown verb `rnu`", "did you mean `run`?"),
        ("run --workload kw", "unknown workload `kw` in `--workload`", "did you mean `kv`?"),
        ("run --faults kill,partitoin", "unknown fault `partitoin`", "did you mean `partition`?"),
        (
            "run --faults disk",
            "unknown fault `disk` in `--faults`",
            "known: partition, kill, pause, slow, ",
        ),
        ("run --bug local-raed", "unknown bug `local-raed`", "did you mean `local-read`?"),
        ("run --system etdc", "unknown system `etdc`", "did you mean `etcd`?"),
        ("run --nodes 0", "`--nodes 0` is out of range: 1 to 9", ""),
        ("run --nodes 70000", "bad value for `--nodes`: `70000`", ""),
        ("run --clients 0", "`--clients 0` is out of range", ""),
        ("run --time abc", "bad value for `--time`: `abc` is not a duration", ""),
        ("run --time 0s", "`--time 0s` is out of range", ""),
        ("run --seed x", "bad value for `--seed`: `x` is not a seed", ""),
        ("run --slow-node 3", "bad value for `--slow-node`: `3` is not a node name", ""),
        ("run --nodes 1 --faults partition", "`--faults partition` cannot bite: ", "--faults none"),
        ("run --time", "`--time` needs a value", ""),
        ("run --tmie 3s", "unknown argument `--tmie`", "did you mean `--time`?"),
        ("run --replay nowhere", "cannot open nowhere", "harness list runs"),
        ("run --replay x --seed 3", "cannot be used together", ""),
        ("run --schedule x --faults kill", "cannot be used together", ""),
        ("run --schedule nowhere.json", "cannot use the schedule nowhere.json", "a run's plan"),
        ("list everything", "bad value `everything` for", "possible: workloads, faults"),
        ("check", "is missing", ""),
        ("check x --memory 2GB", "`2GB` is not a size", ""),
        ("check x --initial nul", "`nul` is not JSON", "did you mean"),
        ("check x --format csv", "`csv` is not a format", ""),
    ] {
        let hint = if words.contains("nul") { "" } else { hint };
        refused(&place.harness(words), 254, says, hint);
    }
    assert!(!place.directory.path().join("results").exists(), "nothing ran");
}

#[test]
fn a_results_folder_that_cannot_be_written() {
    let place = Place::new();
    place.file("occupied", "a file");
    let left = place.harness("run --quiet --time 1s --results occupied");
    refused(&left, 255, "cannot create occupied", "--results DIR");
    for (words, lines) in [("--count 2", 2), ("", 1)] {
        let words = format!("run --quiet --json {words} --time 1s --results occupied");
        let left = place.harness(&words);
        assert_eq!(left.code, 255, "{left:?}");
        let documents = serde_json::Deserializer::from_str(&left.stdout);
        let documents: Vec<serde_json::Value> = documents.into_iter().map(Result::unwrap).collect();
        assert_eq!(documents.len(), lines, "{left:?}");
        assert!(documents.iter().all(|document| document["verdict"] == "error"), "{left:?}");
        assert_eq!(left.stdout.lines().count() == lines, lines == 2, "a line each: {left:?}");
    }
}

#[test]
fn histories() {
    let place = Place::new();
    let header = "{\"history\":1,\"workload\":\"kv\"}\n";
    let invoke =
        r#"{"index":0,"time":1,"process":0,"type":"invoke","f":"read","key":"a","value":null}"#;
    place.file("empty", "");
    place.file("binary", [0_u8, 159, 146, 150, 10, 255, 254, 0]);
    place.file("truncated", format!("{header}{}\n{invoke}\n", &invoke[..40]));
    place.file("text", "hello\nworld\n");
    place.file("future", "{\"history\":2,\"workload\":\"kv\"}\n");
    place.file("foreign", format!("{}{invoke}\n", header.replace("kv", "tree")));
    place.file("alien", format!("{header}{}\n", invoke.replace("read", "enqueue")));
    place.file("folder/other", "");
    for (name, says) in [
        ("missing", "cannot read missing"),
        ("empty", "empty is not a history: "),
        ("binary", "binary does not begin like a history"),
        ("truncated", "truncated is not a history: line 2, column "),
        ("text", "text does not begin like a history"),
        ("future", "future is not a history: line 1: this history has format version 2"),
        ("foreign", "unknown workload `tree`"),
        (
            "alien",
            "alien: operation 0 (index of its invocation; by c0): unknown function `enqueue`",
        ),
        ("folder", "folder is not a run folder"),
    ] {
        refused(&place.harness(&format!("check {name}")), 254, says, "");
    }
}
