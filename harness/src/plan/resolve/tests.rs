//! What is typed and what plan comes of it.

use crate::cli::RunArgs;
use crate::plan::Plan;
use crate::seed::Seed;
use clap::Parser;
use serde_json::json;

#[derive(Parser)]
struct Words {
    #[command(flatten)]
    run: RunArgs,
}

fn resolve(words: &str) -> Result<Plan, String> {
    let all = std::iter::once("run").chain(words.split_whitespace());
    let args = Words::try_parse_from(all).unwrap().run;
    let seed = args.seed.unwrap_or(Seed(7));
    Plan::resolve(&args, seed).map_err(|failure| {
        std::iter::once(failure.message).chain(failure.hints).collect::<Vec<_>>().join(" | ")
    })
}

#[test]
fn one_seed_gives_one_plan() {
    let words = "--faults partition,kill,pause --time 60s --seed 5eed-a0b3-9d44";
    let (first, second) = (resolve(words).unwrap(), resolve(words).unwrap());
    let text = serde_json::to_string_pretty(&first).unwrap();
    assert_eq!(text, serde_json::to_string_pretty(&second).unwrap());
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), first);
    assert_ne!(first.schedule, resolve("--faults all --time 60s --seed 8").unwrap().schedule);
}

#[test]
fn the_order_of_names_does_not_matter() {
    let one = resolve("--faults pause,kill").unwrap();
    assert_eq!(one, resolve("--faults kill,pause,kill").unwrap());
    assert_eq!(one.faults, ["kill", "pause"]);
}

#[test]
fn none_and_all() {
    let none = resolve("--faults none --nodes 1 --clients 1").unwrap();
    assert!(none.schedule.entries.is_empty() && none.faults.is_empty());
    let all = resolve("--faults all --nodes 1").unwrap();
    assert!(!all.faults.contains(&"partition".to_owned()));
    assert!(all.omitted.iter().any(|one| one.fault == "partition" && !one.reason.is_empty()));
}

#[test]
fn every_class_is_in_the_schedule() {
    let plan = resolve("--faults all --time 20s").unwrap();
    let mut classes = plan.schedule.classes();
    classes.sort_unstable();
    assert_eq!(classes, plan.faults);
}

#[test]
fn a_replayed_seed_changes_only_what_a_seed_decides() {
    let plan = resolve("--faults all --seed 7").unwrap();
    let next = plan.with_seed(Seed(8), false).unwrap();
    assert_eq!(next, resolve("--faults all --seed 8").unwrap());
}

/// A node that keeps large files asks for no space while its disk is full, and has no file at rest to be damaged.
#[test]
fn nodes_turn_to_new_files_every_second_or_so_under_faults_of_the_disk() {
    let segment = |words: &str| resolve(words).unwrap().segment_bytes;
    assert_eq!(segment("--faults kill"), 4 << 20);
    for class in ["disk-full", "disk-error", "bit-flip", "kill,power-loss"] {
        assert_eq!(segment(&format!("--faults {class}")), 8 << 10, "{class}");
    }
}

/// A bug of leases shows only where clients read by lease, so whoever asks for it gets those.
#[test]
fn leases_are_declared_by_a_flag_or_by_a_bug_that_needs_them() {
    let drift = |words: &str| {
        let plan = resolve(words).unwrap();
        (plan.lease_drift_ppm, plan.fault_budget.drift_ppm)
    };
    assert_eq!(drift("--faults clock"), (None, 50_000));
    assert_eq!(drift("--faults clock --lease-drift 200"), (Some(200), 200));
    assert_eq!(drift("--lease-drift 400000"), (Some(400_000), 50_000), "it claims no more");
    assert_eq!(drift("--bug lease-wall-clock"), (Some(50_000), 50_000));
    assert_eq!(drift("--bug lease-wall-clock --lease-drift 300"), (Some(300), 300));
    assert_eq!(drift("--bug local-read"), (None, 50_000));
}

#[test]
fn a_clock_that_drifts_more_than_was_declared_is_refused() {
    let written = |rate_ppm: i32| {
        let entry = serde_json::json!({"id": 1, "fault": "clock", "trigger": {"at": {"ms": 1000}},
            "duration_ms": 2000, "target": "leader", "how": {"rate_ppm": rate_ppm}, "seed": 1});
        let file = tempfile::NamedTempFile::new().unwrap();
        serde_json::to_writer(file.as_file(), &serde_json::json!({"entries": [entry]})).unwrap();
        let path = file.path().display();
        resolve(&format!("--time 20s --lease-drift 200 --schedule {path}"))
    };
    let plan = written(-200).unwrap();
    assert!(plan.has_clock_faults());
    assert!(!resolve("--faults kill").unwrap().has_clock_faults());
    let error = written(201).unwrap_err();
    assert!(error.contains("a `rate_ppm` of 201; the system claims to survive 200"), "{error}");
}

#[test]
fn what_is_wrong_is_said() {
    for (words, said) in [
        ("--nodes 0", "`--nodes 0` is out of range: 1 to 9"),
        ("--nodes 10", "`--nodes 10` is out of range: 1 to 9"),
        ("--clients 0", "`--clients 0` is out of range: 1 to 1000"),
        ("--rate 0", "`--rate 0` is out of range"),
        ("--keys 0", "`--keys 0` is out of range"),
        ("--time 0s", "`--time 0s` is out of range: 1s to 24h"),
        ("--attempt 0s", "`--attempt 0s` is out of range"),
        ("--lease-drift 400001", "`--lease-drift 400001` is out of range: 0 to 400000"),
        ("--slow-node n6", "`--slow-node n6`: the nodes are n1 to n5"),
        (
            "--system etdc",
            "unknown system `etdc` in `--system` | did you mean `etcd`? | known: reference, etcd",
        ),
        ("--workload kw", "unknown workload `kw` in `--workload` | did you mean `kv`?"),
        (
            "--faults kill,partitoin",
            "unknown fault `partitoin` in `--faults` | did you mean `partition`?",
        ),
        ("--faults none,kill", "`none` in `--faults` cannot stand beside other names"),
        ("--bug local-raed", "unknown bug `local-raed` in `--bug` | did you mean `local-read`?"),
        ("--nodes 1 --faults partition", "`--faults partition` cannot bite: "),
        ("--schedule /nowhere", "cannot use the schedule /nowhere: "),
    ] {
        let error = resolve(words).unwrap_err();
        assert!(error.starts_with(said), "{words}: {error}");
    }
}

#[test]
fn a_schedule_comes_back_from_a_file() {
    let drawn = resolve("--faults kill --time 20s").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    serde_json::to_writer(file.as_file(), &drawn.schedule).unwrap();
    let path = file.path().display();
    let taken = resolve(&format!("--time 20s --schedule {path}")).unwrap();
    assert_eq!(taken, drawn);
    let short = resolve(&format!("--time 2s --schedule {path}")).unwrap_err();
    assert!(short.contains("ends after the work does"), "{short}");
    let mut more = drawn.clone();
    for entry in &mut more.schedule.entries {
        entry.target = faults::Target::Majority;
    }
    assert!(more.check().is_err(), "a plan that was edited");
    let file = tempfile::NamedTempFile::new().unwrap();
    serde_json::to_writer(file.as_file(), &more.schedule).unwrap();
    let path = file.path().display();
    let much = resolve(&format!("--time 20s --schedule {path}")).unwrap_err();
    assert!(much.contains("3 of 5 nodes may be lost at once"), "{much}");
}

/// What a program wrote is looked at as closely as what a person wrote.
#[test]
fn entries_that_mean_nothing_or_dodge_the_budget_are_refused() {
    let late = json!({"on-leader-change": {"armed_ms": 5000, "after_ms": 0, "latest_ms": 100}});
    let at = json!({"at": {"ms": 1000}});
    let cases = [
        (json!({"trigger": late, "duration_ms": 500}), "strikes at the latest before"),
        (json!({"trigger": at, "duration_ms": 0}), "it lasts no time"),
        (json!({"trigger": at, "duration_ms": 500, "shape": "bridge"}), "a kill has no `shape`"),
        (json!({"trigger": at, "duration_ms": 500, "heal": "cut"}), "a kill has no `heal`"),
        (json!({"trigger": at, "duration_ms": 60_000}), "it ends after the work does"),
    ];
    for (words, wrong) in cases {
        let mut entry = json!({"id": 1, "fault": "kill", "target": "one", "seed": 1});
        entry.as_object_mut().unwrap().append(&mut words.as_object().unwrap().clone());
        let file = tempfile::NamedTempFile::new().unwrap();
        serde_json::to_writer(file.as_file(), &json!({ "entries": [entry] })).unwrap();
        let words = format!("--time 20s --schedule {}", file.path().display());
        let refused = resolve(&words).unwrap_err();
        assert!(refused.contains(wrong), "{wrong}: {refused}");
    }
}

#[test]
fn what_a_system_does_not_claim_is_left_out_of_all_and_what_it_does_not_have_is_refused() {
    let nodes = "--system maelstrom --bin /bin/sh --workload register --time 60s";
    let all = resolve(&format!("{nodes} --faults all")).unwrap();
    for (fault, why) in [("kill", "memory"), ("crash", "does not claim"), ("clock", "clocks")] {
        assert!(!all.faults.contains(&fault.to_owned()), "{fault}");
        let told = all.omitted.iter().find(|one| one.fault == fault).unwrap();
        assert!(told.reason.contains(why), "{told:?}");
    }
    assert_eq!(resolve(&format!("{nodes} --faults kill")).unwrap().faults, ["kill"]);
    for flag in ["--heartbeat", "--election"] {
        let refused = resolve(&format!("{nodes} {flag} 1s")).unwrap_err();
        assert!(
            refused.starts_with(&format!("`{flag}`: system `maelstrom` does not take it")),
            "{refused}"
        );
    }
}

#[test]
fn the_five_classic_scenarios_are_schedules() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/schedules");
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        for nodes in [3, 5] {
            let words = format!("--time 10s --nodes {nodes} --schedule {}", path.display());
            assert_eq!(resolve(&words).map(|plan| plan.time.as_secs()), Ok(10), "{words}");
        }
        names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    names.sort_unstable();
    let classic = [
        "follower-down",
        "leader-down",
        "minimum-quorum",
        "normal-operation",
        "partition-and-heal",
    ];
    assert_eq!(names, classic);
}

#[test]
fn what_is_wrong_with_a_written_schedule_is_said_with_its_place() {
    let refused = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let words = format!("--time 10s --schedule {}", file.path().display());
        resolve(&words).unwrap_err().replace(&file.path().display().to_string(), "FILE")
    };
    let entry = |rest: &str| format!("[[entry]]\nat = \"1s\"\nfor = \"2s\"\n{rest}\n");
    let wrong = refused(&entry("fault = \"kil\""));
    assert!(wrong.starts_with("cannot use the schedule FILE: line 1, entry 1: unknown"), "{wrong}");
    assert!(wrong.ends_with(
        "docs/schedules.md shows how one is written; a run's plan holds one under `schedule`"
    ));
    let much = refused(&entry("fault = \"kill\"\ntarget = \"majority\""));
    assert!(much.contains("3 of 5 nodes may be lost at once"), "{much}");
    let two = entry("fault = \"membership\"");
    let two = refused(&format!("{two}{two}"));
    assert!(two.contains("only one membership may be in effect at a time (entries 1, 2)"), "{two}");
    let many = refused(&entry("fault = \"membership\"\ntarget = \"minority\""));
    assert!(many.contains("entry 1: members change one at a time, and `minority` are 2"), "{many}");
    let nobody = refused(&entry("fault = \"transfer\"\ntarget = \"leader\""));
    assert!(nobody.contains("needs one node that does not lead"), "{nobody}");
}

#[test]
fn a_swarm_is_some_of_all_by_the_seed() {
    let all = resolve("--faults all --time 60s").unwrap();
    let mut sizes = std::collections::BTreeSet::new();
    let mut intensities = std::collections::BTreeSet::new();
    for seed in 1..60 {
        let plan = resolve(&format!("--faults swarm --time 60s --seed {seed}")).unwrap();
        assert_eq!(plan.swarm, all.faults);
        assert!(!plan.faults.is_empty() && plan.faults.iter().all(|one| all.faults.contains(one)));
        let classes = plan.schedule.classes();
        assert!(plan.faults.iter().all(|class| classes.contains(&class.as_str())));
        assert!(plan.intensities.keys().all(|class| plan.faults.contains(class)));
        sizes.insert(plan.faults.len());
        intensities.extend(plan.intensities.values().copied());
        let next = plan.with_seed(Seed(seed + 1), false).unwrap();
        assert_eq!(
            next,
            resolve(&format!("--faults swarm --time 60s --seed {}", seed + 1)).unwrap()
        );
    }
    assert!(sizes.len() > 2, "{sizes:?}");
    assert_eq!(intensities.len(), 2, "rare and dense; as usual is not written down");
}
