//! Runs whose nodes live on disks that fail: short, on real processes, and nothing of them left afterwards.

use crate::command::Place;
use faults::disk::namespace::{Entry, probe};
use nix::mount::{MsFlags, mount};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Whether disks can be mounted here; says so if not.
fn there_are_disks() -> bool {
    let probed = probe();
    if let Err(why) = &probed {
        writeln!(std::io::stderr().lock(), "skipped: {why}").unwrap();
    }
    probed.is_ok()
}

fn entry(id: u64, class: &str, at: u64, target: &str, how: Value) -> Value {
    json!({ "id": id, "fault": class, "trigger": { "at": { "ms": at } }, "duration_ms": 500,
        "target": target, "how": how, "seed": id })
}

fn schedule(entries: &[Value]) -> String {
    json!({ "entries": entries }).to_string()
}

#[test]
fn a_cluster_that_loses_power_and_syncs_loses_nothing() {
    if !there_are_disks() {
        return;
    }
    let place = Place::new();
    let loss = json!({ "slow_ms": 150, "torn": "subset" });
    let entries = [
        entry(1, "power-loss", 500, "all", loss),
        entry(2, "disk-error", 3500, "one", Value::Null),
        entry(3, "bit-flip", 6500, "one", Value::Null),
    ];
    place.file("schedule.json", schedule(&entries));
    let left = place.harness(
        // So many writes, and so few snapshots, that there are files at rest by the time of the flip.
        "run --nodes 3 --rate 900 --time 10s --seed 5 --schedule schedule.json",
    );
    // A machine that is busy with other things may make it unknown, and nothing more.
    assert!(matches!(left.code, 0 | 2), "{} {}", left.stdout, left.stderr);
    let receipts = place.read("results/latest/faults.jsonl");
    let receipts: Vec<Value> =
        receipts.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let [loss, error, flip] = &receipts[..] else { panic!("{receipts:?}") };
    assert_eq!(loss["effective"], json!(true), "{loss}");
    for told in loss["evidence"]["lost"].as_array().unwrap() {
        let answer = &told["answer"];
        assert!(answer["digest"].is_u64() && answer["digest"] == answer["read_back"], "{answer}");
    }
    assert_eq!(error["effective"], json!(true), "{error}");
    assert_eq!(flip["effective"], json!(true), "{flip}");
    let verdict: Value = serde_json::from_str(&place.read("results/latest/verdict.json")).unwrap();
    let crashes = verdict["checks"].as_array().unwrap().iter().find(|c| c["name"] == "crashes");
    let permitted = &crashes.unwrap()["permitted"];
    // The sync that failed, and the bit that was noticed.
    assert!(permitted.as_array().is_some_and(|exits| !exits.is_empty()), "{crashes:?}");
    assert!(!std::fs::read_to_string("/proc/self/mounts").unwrap().contains("nodes/n1/data"));
}

/// Its predecessor's files lie on a disk that only the guardian and the nodes see, and must be gone there.
#[test]
fn a_node_is_replaced_on_a_disk_of_ours_and_finds_nothing_of_its_predecessor() {
    if !there_are_disks() {
        return;
    }
    let place = Place::new();
    let entries = [
        entry(1, "disk-slow", 500, "one", json!({ "ms": 20 })),
        entry(2, "membership", 1500, "follower", Value::Null),
    ];
    place.file("schedule.json", schedule(&entries));
    let left =
        place.harness("run --nodes 3 --rate 200 --time 6s --seed 5 --schedule schedule.json");
    assert!(matches!(left.code, 0 | 2), "{} {}", left.stdout, left.stderr);
    let receipts = place.read("results/latest/faults.jsonl");
    let last: Value = serde_json::from_str(receipts.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["fault"], &last["effective"]),
        (&json!("membership"), &json!(true)),
        "{last}"
    );
}

#[test]
fn a_harness_that_is_killed_leaves_no_disk() {
    if !there_are_disks() {
        return;
    }
    let place = Place::new();
    let mut hang = entry(1, "disk-hang", 200, "one", Value::Null);
    hang["duration_ms"] = json!(20_000);
    place.file("schedule.json", schedule(&[hang]));
    let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args("run --nodes 3 --time 30s --seed 5 --schedule schedule.json --quiet".split(' '))
        .current_dir(place.directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let results = place.directory.path().join("results/latest");
    // In the middle of a hang, so that a node waits for its disk when everything ends.
    let start = |text: String| text.contains("\"phase\":\"start\"");
    await_that(|| std::fs::read_to_string(results.join("history.jsonl")).is_ok_and(start));
    let record = std::fs::read(results.join("deployment.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let guardian = record["guardian_pid"].as_u64().unwrap();
    let root = place.directory.path().display().to_string();
    let mounts = std::fs::read_to_string(format!("/proc/{guardian}/mounts")).unwrap();
    assert_eq!(mounts.lines().filter(|line| line.contains(&root)).count(), 3, "{mounts}");
    assert!(who_sees(&root) >= 5, "guardian, disks and nodes");
    harness.kill().unwrap();
    harness.wait().unwrap();
    await_that(|| who_sees(&root) == 0 && !Path::new(&format!("/proc/{guardian}")).exists());
}

/// How many processes have a mount below this folder.
fn who_sees(folder: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mounts = processes.map(|entry| std::fs::read_to_string(entry.path().join("mounts")));
    mounts.filter(|text| text.as_ref().is_ok_and(|text| text.contains(folder))).count()
}

fn await_that(mut happens: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !happens() {
        assert!(Instant::now() < deadline, "it does not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn without_fuse_the_run_is_refused_with_a_hint() {
    if !there_are_disks() || !nix::unistd::geteuid().is_root() {
        return;
    }
    let refused = std::thread::spawn(|| {
        Entry::new().enter().unwrap();
        let (from, none) = (Some("/dev/null"), None::<&str>);
        mount(from, "/dev/fuse", none, MsFlags::MS_BIND, none).unwrap();
        Place::new().harness("run --faults disk-slow --time 5s")
    });
    let left = refused.join().unwrap();
    assert_eq!(left.code, 254, "{left:?}");
    assert!(left.stderr.contains("FUSE cannot be mounted here"), "{left:?}");
    assert!(left.stderr.contains("/dev/fuse"), "{left:?}");
}
