//! `harness check` on run folders, such as a killed harness leaves.

use crate::check::{history, read_after_two_writes};
use crate::command::{Left, Place};
use harness::check::error_document;
use harness::cli::RunArgs;
use harness::exit::Failure;
use harness::plan::Plan;
use harness::seed::Seed;
use harness::verdict::VerdictDocument;

const RUN: &str = "results/20261120-152419-register-7";

#[derive(clap::Parser)]
struct Words {
    #[command(flatten)]
    run: RunArgs,
}

fn plan(faults: &str) -> String {
    use clap::Parser;
    let words = ["run", "--workload", "register", "--faults", faults, "--nodes", "3"];
    let args = Words::try_parse_from(words).unwrap().run;
    serde_json::to_string_pretty(&Plan::resolve(&args, Seed(7)).unwrap()).unwrap()
}

/// A folder as it stands when its harness is killed in the middle of the work.
fn killed(history: &str) -> Place {
    let place = Place::new();
    let provisional = VerdictDocument::provisional("20261120-152419-register-7");
    let file = |name: &str, content: &str| place.file(&format!("{RUN}/{name}"), content);
    file("plan.json", &plan("kill"));
    file("verdict.json", &serde_json::to_string(&provisional).unwrap());
    file("history.jsonl", history);
    file(
        "cluster.jsonl",
        "{\"cluster\":1}\n{\"time\":1,\"type\":\"ready\",\"node\":\"n1\"}\n{\"ti",
    );
    file("faults.jsonl", "{\"faults\":1}\n");
    place
}

fn verdicts(left: &Left) -> Vec<(String, String)> {
    let document: serde_json::Value = serde_json::from_str(&left.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let checks = document["checks"].as_array().unwrap();
    checks.iter().map(|check| (text(&check["name"]), text(&check["verdict"]))).collect()
}

#[test]
fn what_a_killed_harness_recorded_is_judged() {
    let place = killed(&read_after_two_writes("7"));
    let left = place.harness(&format!("check {RUN} --json"));
    assert_eq!(left.code, 2, "no kill was injected: {left:?}");
    let expected = [
        ("linearizable", "valid"),
        ("crashes", "valid"),
        ("recovery", "valid"),
        ("coverage", "unknown"),
        ("power", "unknown"),
    ];
    let expected = expected.map(|(name, verdict)| (name.to_owned(), verdict.to_owned()));
    let found = verdicts(&left);
    assert_eq!(found[..4], expected[..4]);
    assert_eq!(found.len(), 5);
    let stored: VerdictDocument =
        serde_json::from_str(&place.read(&format!("{RUN}/verdict.json"))).unwrap();
    assert!(!stored.provisional, "the verdict took the place of the provisional one");
}

#[test]
fn a_violation_in_a_killed_run_gets_its_counterexample() {
    let place = killed(&read_after_two_writes("3"));
    let left = place.harness("check 20261120-152419-register-7");
    assert_eq!(left.code, 1, "a run is found by its name alone: {left:?}");
    let again = place.harness(&format!("check {RUN}/counterexample.jsonl"));
    assert_eq!(again.code, 1, "{again:?}");
    assert!(left.stdout.contains("Recheck harness check"), "{}", left.stdout);
}

#[test]
fn the_verdict_of_a_finished_run_stays() {
    let place = killed(&read_after_two_writes("3"));
    assert_eq!(place.harness(&format!("check {RUN}")).code, 1);
    let before = place.read(&format!("{RUN}/verdict.json"));
    assert_eq!(place.harness(&format!("check {RUN} --initial 9 --workload kv")).code, 1);
    assert_eq!(place.read(&format!("{RUN}/verdict.json")), before);
}

/// What a run says of itself when something other than the system failed.
fn failed(history: &str) -> Place {
    let place = killed(history);
    let failure = Failure::environment("no word of the guardian");
    let document = error_document("20261120-152419-register-7", &failure);
    place.file(&format!("{RUN}/verdict.json"), serde_json::to_string(&document).unwrap());
    place
}

#[test]
fn a_violation_in_a_failed_run_gets_its_counterexample() {
    let place = failed(&read_after_two_writes("3"));
    for _ in 0..2 {
        let left = place.harness(&format!("check {RUN} --json"));
        assert_eq!(left.code, 1, "{left:?}");
        let run = ("run".to_owned(), "error".to_owned());
        assert_eq!(verdicts(&left).last(), Some(&run), "it still says that the run failed");
    }
    assert_eq!(place.harness(&format!("check {RUN}/counterexample.jsonl")).code, 1);
}

#[test]
fn a_failed_run_does_not_become_valid() {
    let place = failed(&read_after_two_writes("7"));
    for _ in 0..2 {
        let left = place.harness(&format!("check {RUN}"));
        assert_eq!(left.code, 255, "{left:?}");
        assert!(left.stdout.contains("no word of the guardian"), "{}", left.stdout);
    }
}

#[test]
fn a_harness_killed_before_the_first_operation() {
    let place = killed("");
    std::fs::remove_file(place.directory.path().join(RUN).join("faults.jsonl")).unwrap();
    let left = place.harness(&format!("check {RUN}"));
    assert_eq!(left.code, 2, "{left:?}");
    std::fs::remove_file(place.directory.path().join(RUN).join("history.jsonl")).unwrap();
    assert_eq!(place.harness(&format!("check {RUN}")).code, 2);
    assert!(place.harness("list runs").stdout.contains("20261120-152419-register-7"));
}

#[test]
fn a_plan_of_another_version_is_refused() {
    let place = killed("");
    place.file(&format!("{RUN}/plan.json"), "{\"plan\":9}");
    let left = place.harness(&format!("check {RUN}"));
    assert_eq!(left.code, 254, "{left:?}");
    assert!(left.stderr.contains("its format version is 9, known are 1 to 2"), "{left:?}");
}

/// A counterexample is judged by whoever gets it, without the flags of the one who found it.
#[test]
fn a_counterexample_needs_no_flags() {
    let null_first = history(&[(0, "read", "null", "ok", "null", 0, 10)]);
    let failed = history(&[
        (0, "write", "3", "ok", "3", 0, 10),
        (1, "cas", "[3,4]", "fail", "[3,4]", 20, 30),
    ])
    .replace(",\"error\":\"mismatch\"", "");
    for (text, flag) in [(null_first, "--initial 9"), (failed, "--cas-fail-observes")] {
        let place = killed(&text);
        assert_eq!(place.harness(&format!("check {RUN}/history.jsonl")).code, 0, "{flag}");
        let left = place.harness(&format!("check {RUN} {flag}"));
        assert_eq!(left.code, 1, "{flag}: {left:?}");
        let again = place.harness(&format!("check {RUN}/counterexample.jsonl"));
        assert_eq!(again.code, 1, "{flag}: {again:?}");
    }
}

#[test]
fn the_proof_of_an_earlier_verdict_does_not_stay() {
    let place = failed(&read_after_two_writes("7"));
    place.file(&format!("{RUN}/counterexample.jsonl"), read_after_two_writes("3"));
    let left = place.harness(&format!("check {RUN}"));
    assert_eq!(left.code, 255, "{left:?}");
    assert!(!left.stdout.contains("Recheck"), "{}", left.stdout);
    assert!(!place.directory.path().join(RUN).join("counterexample.jsonl").exists());
}

#[test]
fn of_a_file_nothing_is_written() {
    let place = Place::new();
    place.file("h.jsonl", read_after_two_writes("3"));
    let left = place.harness("check h.jsonl");
    assert_eq!(left.code, 1, "{left:?}");
    assert!(!left.stdout.contains("Recheck") && !left.stdout.contains("Replay"), "{left:?}");
    assert_eq!(std::fs::read_dir(place.directory.path()).unwrap().count(), 1);
}

/// What was recorded can still be judged; what is left open in an old plan cannot be played.
#[test]
fn a_run_with_a_plan_of_another_version_is_judged_and_not_played() {
    let place = killed(&read_after_two_writes("7"));
    let mut old: serde_json::Value = serde_json::from_str(&plan("kill")).unwrap();
    old["plan"] = 1.into();
    old["fault_budget"] = 1.into();
    place.file(&format!("{RUN}/plan.json"), old.to_string());
    let left = place.harness(&format!("check {RUN} --json"));
    assert_eq!(left.code, 2, "{left:?}");
    assert_eq!(verdicts(&left)[0], ("linearizable".to_owned(), "valid".to_owned()));
    let left = place.harness(&format!("run --replay {RUN}"));
    assert_eq!(left.code, 254, "{left:?}");
    let said = "its format version is 1, and this version of harness plays version 2";
    assert!(left.stderr.contains(said) && left.stderr.contains("harness check RUN"), "{left:?}");
}
