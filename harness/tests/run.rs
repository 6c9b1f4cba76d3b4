//! Whole runs of the real command: five processes, proxies, faults, verdict. Each test has a results folder of its own,
//! and at its end no process that names that folder may be left. They take turns: the machine is what they measure.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test itself")]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static TURN: Mutex<()> = Mutex::new(());

/// A results folder, and the turn to use the machine.
struct Place {
    results: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Place {
    fn new() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Self { results: tempfile::tempdir().unwrap(), _turn: turn }
    }

    fn start(&self, words: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_harness"))
            .arg("run")
            .args(words.split_whitespace())
            .arg("--results")
            .arg(self.results.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn run(&self, words: &str) -> i32 {
        wait(&mut self.start(words), Duration::from_secs(120))
    }

    fn folder(&self) -> PathBuf {
        fs::canonicalize(self.results.path().join("latest")).unwrap()
    }

    fn verdict(&self) -> Value {
        serde_json::from_slice(&fs::read(self.folder().join("verdict.json")).unwrap()).unwrap()
    }

    fn ruling(&self, check: &str) -> String {
        let verdict = self.verdict();
        let found = verdict["checks"].as_array().unwrap().iter().find(|c| c["name"] == check);
        found.map_or("missing", |c| c["verdict"].as_str().unwrap()).to_owned()
    }

    /// How often it was looked for ways around the proxies; each time nodes had sockets to look at.
    fn audits(&self) -> usize {
        let observed = fs::read_to_string(self.folder().join("cluster.jsonl")).unwrap();
        let looks: Vec<&str> =
            observed.lines().filter(|line| line.contains(r#""type":"audit""#)).collect();
        assert!(!looks.iter().any(|line| line.contains(r#""sockets":0"#)), "{looks:?}");
        looks.len()
    }

    /// Waits until the history holds `text`.
    fn await_history(&self, text: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        while !fs::read_to_string(self.results.path().join("latest/history.jsonl"))
            .is_ok_and(|history| history.contains(text))
        {
            assert!(Instant::now() < end, "the history never held {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The command lines of processes that name the results folder, after a moment to end.
    fn left_behind(&self) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(2);
        loop {
            let left = processes_of(self.results.path());
            if left.is_empty() || Instant::now() >= end {
                return left;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_string_lossy().into_owned();
    let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(&folder)).collect()
}

fn wait(child: &mut Child, limit: Duration) -> i32 {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        if Instant::now() >= end {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the run did not end in {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
}

#[test]
fn without_faults_a_small_cluster_is_valid_and_says_so() {
    let place = Place::new();
    assert_eq!(place.run("--faults none --nodes 3 --clients 4 --time 2s"), 0);
    let verdict = place.verdict();
    assert_eq!(verdict["verdict"], "valid");
    let coverage = &verdict["checks"][3];
    assert_eq!(coverage["message"], "no faults were asked for");
    assert!(place.folder().join("report.html").is_file());
    assert_eq!(place.audits(), 2, "once there is a leader, and before the end");
    assert!(!place.folder().join("nodes/n1/data").exists(), "data of a valid run is not kept");
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

#[test]
fn one_client_does_everything() {
    let place = Place::new();
    assert_eq!(place.run("--faults none --nodes 1 --clients 1 --time 2s"), 0);
    assert_eq!(place.ruling("power"), "valid");
}

/// Faults on a loaded machine may leave something unknown, but a correct cluster is never accused.
#[test]
fn a_correct_cluster_survives_every_fault() {
    let place = Place::new();
    let code = place.run("--faults partition,kill,pause --time 10s --seed 11");
    assert!(code == 0 || code == 2, "exit code {code}: {:#}", place.verdict());
    assert_eq!(place.ruling("linearizable"), "valid");
    assert_eq!(place.ruling("crashes"), "valid");
    let receipts = fs::read_to_string(place.folder().join("faults.jsonl")).unwrap();
    assert!(receipts.lines().count() >= 4, "{receipts}");
    assert!(place.audits() >= 3, "also after heals");
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

/// Bad links are no excuse and no accusation; each class leaves receipts, and what the machine's load cannot prevent bites.
#[test]
fn a_correct_cluster_survives_bad_links() {
    let place = Place::new();
    let classes = ["slow", "flap", "unreachable", "client-cut"];
    let words = format!("--faults {} --nodes 3 --time 8s --seed 5", classes.join(","));
    let code = place.run(&words);
    assert!(code == 0 || code == 2, "exit code {code}: {:#}", place.verdict());
    assert_eq!(place.ruling("linearizable"), "valid");
    assert_eq!(place.ruling("crashes"), "valid");
    let receipts = fs::read_to_string(place.folder().join("faults.jsonl")).unwrap();
    let lines = receipts.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let bit: Vec<String> = lines
        .filter(|receipt| receipt["healed"].is_u64() && receipt["effective"] == true)
        .map(|receipt| receipt["fault"].as_str().unwrap().to_owned())
        .collect();
    assert!(classes.iter().all(|class| receipts.contains(class)), "{receipts}");
    assert!(["slow", "flap"].iter().all(|class| bit.iter().any(|one| one == class)), "{receipts}");
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

#[test]
fn a_seeded_bug_is_found_at_once_and_its_proof_stands_alone() {
    let place = Place::new();
    let words = "--bug follower-read --faults partition,pause --time 60s --seed 3 --fail-fast";
    assert_eq!(place.run(words), 1);
    assert_eq!(place.ruling("linearizable"), "invalid");
    assert!(place.verdict()["coverage"]["marks"]["follower-read"]["triggered"].as_u64() > Some(0));
    assert!(place.folder().join("nodes/n1/data").is_dir(), "data of an invalid run is kept");
    let proof = place.folder().join("counterexample.jsonl");
    let mut check = Command::new(env!("CARGO_BIN_EXE_harness"));
    let again = check.arg("check").arg(proof).stdout(Stdio::null()).status().unwrap();
    assert_eq!(again.code(), Some(1));
}

#[test]
fn the_first_signal_heals_stops_and_judges() {
    for sent in [nix::sys::signal::SIGINT, nix::sys::signal::SIGTERM] {
        let place = Place::new();
        let mut run = place.start("--faults pause --time 60s --seed 5");
        place.await_history("\"phase\":\"start\"");
        signal(&run, sent);
        assert_eq!(wait(&mut run, Duration::from_secs(15)), 130);
        assert_eq!(place.ruling("linearizable"), "valid");
        let history = fs::read_to_string(place.folder().join("history.jsonl")).unwrap();
        assert!(history.contains("\"phase\":\"end\""), "the fault was healed");
        assert_eq!(place.left_behind(), Vec::<String>::new());
    }
}

#[test]
fn the_second_signal_leaves_at_once() {
    let place = Place::new();
    let mut run = place.start("--faults pause --time 60s --seed 5");
    place.await_history("\"phase\":\"start\"");
    signal(&run, nix::sys::signal::SIGINT);
    std::thread::sleep(Duration::from_millis(30));
    signal(&run, nix::sys::signal::SIGINT);
    assert_eq!(wait(&mut run, Duration::from_secs(5)), 130);
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

/// From the moment that there is a folder, whatever has been started by then.
#[test]
fn a_signal_before_anything_runs_interrupts() {
    let place = Place::new();
    let mut run = place.start("--faults none --nodes 1 --clients 1 --time 60s");
    let end = Instant::now() + Duration::from_secs(10);
    while !place.results.path().join("latest").exists() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(&run, nix::sys::signal::SIGTERM);
    assert_eq!(wait(&mut run, Duration::from_secs(10)), 130);
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

/// Whether it comes while the files are judged, while the report is written or between two runs.
#[test]
fn a_signal_after_the_work_ends_a_series() {
    let place = Place::new();
    let mut run = place.start("--faults none --nodes 1 --clients 1 --time 1s --count 3");
    let end = Instant::now() + Duration::from_secs(20);
    let cluster = place.results.path().join("latest/cluster.jsonl");
    while !fs::read_to_string(&cluster).is_ok_and(|text| text.contains("\"phase\":\"check\"")) {
        assert!(Instant::now() < end, "the check never began");
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(&run, nix::sys::signal::SIGINT);
    assert_eq!(wait(&mut run, Duration::from_secs(10)), 130);
    let runs = fs::read_dir(place.results.path()).unwrap().flatten();
    let runs = runs.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count();
    assert!(runs < 3, "{runs} runs");
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

#[test]
fn a_killed_harness_leaves_no_process_and_a_folder_that_can_be_judged() {
    let place = Place::new();
    let mut run = place.start("--faults pause --time 60s --seed 5");
    place.await_history("\"phase\":\"start\"");
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(place.left_behind(), Vec::<String>::new());
    let mut check = Command::new(env!("CARGO_BIN_EXE_harness"));
    let judged = check.arg("check").arg(place.folder()).stdout(Stdio::null()).status().unwrap();
    assert_eq!(judged.code(), Some(2), "nothing wrong was seen, and too little was");
    assert_eq!(place.ruling("linearizable"), "valid");
}

/// What gives nodes their own clocks is there only while a run goes on.
fn clock_files(place: &Place) -> Vec<String> {
    let folder = place.folder().join("nodes");
    let mut files = vec![folder.join("clock.so")];
    files.extend((1..=5).map(|node| folder.join(format!("n{node}/clock"))));
    files.iter().filter(|file| file.exists()).map(|file| file.display().to_string()).collect()
}

#[test]
fn clocks_and_crashes_bite_and_a_correct_cluster_survives_them() {
    let place = Place::new();
    let words = "--faults clock,crash --nodes 3 --clients 6 --time 8s --seed 5 --lease-drift 50000";
    let code = place.run(words);
    assert!(code == 0 || code == 2, "exit code {code}: {:#}", place.verdict());
    assert_eq!(place.ruling("linearizable"), "valid");
    assert_eq!(place.ruling("crashes"), "valid");
    for class in ["clock", "crash"] {
        let seen = &place.verdict()["coverage"]["faults"][class];
        assert!(seen["effective"].as_u64() > Some(0), "{class}: {seen:#}");
    }
    assert_eq!(clock_files(&place), Vec::<String>::new());
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

#[test]
fn a_killed_harness_leaves_no_clocks_and_no_starved_node() {
    let place = Place::new();
    let mut run = place.start("--faults clock,starve --nodes 3 --time 60s --seed 5");
    place.await_history("\"f\":\"clock\"");
    place.await_history("\"f\":\"starve\"");
    assert_eq!(clock_files(&place).len(), 4, "a library, and a page for each node");
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(place.left_behind(), Vec::<String>::new());
    let end = Instant::now() + Duration::from_secs(2);
    while !clock_files(&place).is_empty() {
        assert!(Instant::now() < end, "{:?}", clock_files(&place));
        std::thread::sleep(Duration::from_millis(20));
    }
}
