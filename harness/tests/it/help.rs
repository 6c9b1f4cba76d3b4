//! Help: one screen with examples first, and a long form with exit codes and files.

use crate::command::Place;

#[test]
fn short_help_is_one_screen_with_examples_first() {
    let place = Place::new();
    for verb in ["", "run", "check", "simulate"] {
        let left = place.harness(&format!("{verb} -h"));
        assert_eq!((left.code, left.stderr.as_str()), (0, ""));
        assert!(left.stdout.lines().count() <= 48, "{verb}: {}", left.stdout.lines().count());
        let examples = left.stdout.find("Examples:").unwrap();
        assert!(examples < left.stdout.find("Usage:").unwrap(), "{}", left.stdout);
    }
}

#[test]
fn long_help_has_exit_codes_and_files() {
    let left = Place::new().harness("run --help");
    for part in
        ["Exit codes", "  0  valid", "254  bad arguments", "130  interrupted", "history.jsonl"]
    {
        assert!(left.stdout.contains(part), "{part}: {}", left.stdout);
    }
}

#[test]
fn lists_have_a_sentence_for_each_name() {
    let place = Place::new();
    for (what, name) in [
        ("workloads", "kv"),
        ("faults", "partition"),
        ("systems", "reference"),
        ("bugs", "ack-on-append"),
    ] {
        let left = place.harness(&format!("list {what}"));
        assert_eq!(left.code, 0);
        assert!(left.stdout.lines().any(|line| line.starts_with(name)), "{}", left.stdout);
        assert!(left.stdout.lines().all(|line| line.split_whitespace().count() > 3));
    }
    assert_eq!(place.harness("list runs").stdout, "");
}

#[test]
fn the_hidden_verb_stays_hidden() {
    let left = Place::new().harness("--help");
    assert!(!left.stdout.contains("guardian"), "{}", left.stdout);
}
