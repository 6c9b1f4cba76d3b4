//! `harness simulate`: its exit codes, its words, and that a seed fixes every byte.

use crate::command::Place;
use serde_json::Value;

#[test]
fn a_correct_cluster_is_valid_and_a_seed_fixes_every_byte() {
    let place = Place::new();
    for flags in ["", " --json"] {
        let words = format!("simulate --seed 1 --nodes 3 --seconds 600{flags}");
        let first = place.harness(&words);
        assert_eq!((first.code, first.stderr.as_str()), (0, ""), "{}", first.stdout);
        assert_eq!(first.stdout, place.harness(&words).stdout);
    }
    let text = place.harness("simulate --seed 1 --nodes 3 --seconds 600").stdout;
    for part in ["VALID", "linearizable", "promises", "coverage", "changes of leader", "snapshots"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = place.harness("simulate --seed 1 --nodes 3 --seconds 600 --json").stdout;
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["seconds"]["run"], 0.0);
    assert_eq!(document["checks"].as_array().unwrap().len(), 3);
}

#[test]
fn a_broken_promise_is_invalid_and_shrinks_to_a_few_actions() {
    let words = "simulate --seed 1 --nodes 3 --seconds 60 --bug quorum-minus-one";
    let left = Place::new().harness(words);
    assert_eq!(left.code, 1, "{}", left.stdout);
    for part in ["INVALID", "durable quorum", "actions are needed", "Its last steps:", words] {
        assert!(left.stdout.contains(part), "{part}: {}", left.stdout);
    }
}

/// Ten seconds of one cluster are not enough for everything to happen that must have.
#[test]
fn a_run_without_all_its_witnesses_is_unknown() {
    let left = Place::new().harness("simulate --seed 1 --nodes 3 --seconds 10");
    assert_eq!(left.code, 2, "{}", left.stdout);
    for part in ["UNKNOWN", "coverage", "there were no", "a longer `--seconds`"] {
        assert!(left.stdout.contains(part), "{part}: {}", left.stdout);
    }
}

/// The two bugs that only clients can see.
#[test]
fn a_history_that_is_not_linearizable_is_invalid() {
    for bug in ["cas-at-leader", "retry-double-apply"] {
        let left = Place::new()
            .harness(&format!("simulate --seed 1 --nodes 3 --seconds 600 --bug {bug} --json"));
        let document: Value = serde_json::from_str(&left.stdout).unwrap();
        assert_eq!((left.code, &document["checks"][0]["verdict"]), (1, &"invalid".into()), "{bug}");
    }
}

#[test]
fn nothing_is_simulated_that_makes_no_sense() {
    let place = Place::new();
    for (words, said) in [
        ("--seed 1 --bug doble-vote", "did you mean `double-vote`"),
        ("--seed 1 --nodes 2", "3 to 7"),
        ("--seed 1 --nodes 8", "3 to 7"),
        ("--seed 1 --seconds 9", "at least 10"),
        ("--seed 1 --bug fsync-retry", "harness run --faults disk-error,kill --bug fsync-retry"),
        ("--seed 1 --bug enospc-ack", "which no simulated node has: nothing would be found"),
        ("--seed 1 --bug snapshot-in-place", "--snapshot-every 50 --bug snapshot-in-place"),
        ("", "--seed"),
    ] {
        let left = place.harness(&format!("simulate {words}"));
        assert_eq!((left.code, left.stdout.as_str()), (254, ""), "{words}");
        assert!(left.stderr.contains(said), "{words}: {}", left.stderr);
    }
}
