//! The invariants of absence in `docs/architecture.md`, held by reading the source.
//!
//! Each rule names what must not appear where, and what to use instead. The tests read Rust sources
//! only and prove nothing about behaviour; a rule that matched no file at all fails too, so that a
//! moved folder cannot turn a rule into nothing.

use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 6] = ["history", "checker", "workloads", "faults", "cluster", "harness"];
const IO: [&str; 7] =
    ["std::fs", "std::net", "std::process", "tokio", "File::", "stdout()", "stderr()"];
const CLOCK: [&str; 5] = ["Instant::now", "SystemTime", "clock_gettime", "thread_rng", "getrandom"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").into()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Every `.rs` file under a folder of the workspace, as (path relative to the workspace, text).
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = root();
    let mut paths = Vec::new();
    walk(&root.join(folder), &mut paths);
    assert!(!paths.is_empty(), "no source under {folder}: the rule would hold nothing");
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source file is readable UTF-8");
            (path.strip_prefix(&root).expect("under the root").display().to_string(), text)
        })
        .collect()
}

/// The code before the unit tests of a file (tests may do what shipped code may not), without
/// comments, each line with its number.
fn shipped_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    shipped.lines().enumerate().map(|(n, line)| (n + 1, line.split("//").next().unwrap_or("")))
}

/// Fails, naming every place, if one of `words` stands in shipped code under `folder`.
fn forbid(folder: &str, words: &[&str], except: &[&str], why: &str) {
    let mut found = Vec::new();
    for (path, text) in sources(folder) {
        if except.iter().any(|prefix| path.starts_with(prefix)) || path.contains("/tests") {
            continue;
        }
        for (number, line) in shipped_lines(&text) {
            for word in words.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{path}:{number}: `{word}`"));
            }
        }
    }
    assert!(found.is_empty(), "{why}\n{}", found.join("\n"));
}

#[test]
fn history_and_checker_do_no_io_and_read_no_clock() {
    for folder in ["history/src", "checker/src"] {
        let why = "history and checker work on values they are handed; the caller opens and times";
        forbid(folder, &IO, &[], why);
        forbid(folder, &CLOCK, &[], why);
    }
}

#[test]
fn the_raft_core_is_pure() {
    let why = "the Raft core is step(event) → effects; the driver does I/O, time and randomness";
    forbid("cluster/src/raft", &IO, &[], why);
    forbid("cluster/src/raft", &CLOCK, &[], why);
    forbid("cluster/src/raft", &["rand", "HashMap", "HashSet", "unsafe {"], &[], why);
    let why =
        "the simulator is a function of its seed: no I/O, no clock, no map whose order may differ";
    forbid("cluster/src/simulator", &IO, &[], why);
    forbid("cluster/src/simulator", &CLOCK, &[], why);
    forbid("cluster/src/simulator", &["HashMap", "HashSet", "thread::", "unsafe {"], &[], why);
}

#[test]
fn only_the_reference_system_and_the_node_verb_name_the_cluster() {
    forbid(
        "harness/src",
        &["cluster::"],
        &["harness/src/system/reference", "harness/src/node"],
        "the harness knows its cluster as bytes on a socket; go through harness::system",
    );
    for folder in ["history", "checker", "workloads", "faults"] {
        let path = root().join(folder).join("Cargo.toml");
        let manifest = fs::read_to_string(path).expect("a crate has a manifest");
        for name in ["cluster", "harness"] {
            let named = manifest.lines().any(|line| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ']))
                    && !line.starts_with("harness = false")
            });
            assert!(!named, "{folder} must not depend on {name}");
        }
    }
}

#[test]
fn the_shipped_cluster_does_not_link_the_checker() {
    let path = root().join("cluster/Cargo.toml");
    let manifest = fs::read_to_string(path).expect("cluster has a manifest");
    let normal = manifest
        .split("[dependencies]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .expect("cluster has a table of normal dependencies");
    for name in ["stateright", "checker", "history", "workloads", "faults"] {
        assert!(!normal.contains(name), "cluster is an island; `{name}` is a normal dependency");
    }
}

#[test]
fn only_terminal_prints() {
    forbid(
        "harness/src",
        &["println!", "eprintln!", " print!(", " eprint!("],
        &["harness/src/terminal"],
        "only terminal prints; send an event or return an error",
    );
}

#[test]
fn only_results_names_the_files_of_a_run_folder() {
    let files =
        ["history.jsonl\"", "plan.json\"", "verdict.json\"", "faults.jsonl\"", "cluster.jsonl\""];
    forbid(
        "harness/src",
        &files,
        &["harness/src/results"],
        "only results builds paths of a run folder; ask RunFolder",
    );
}

#[test]
fn libraries_never_exit() {
    for folder in ["history/src", "checker/src", "workloads/src", "faults/src", "cluster/src"] {
        forbid(folder, &["process::exit"], &[], "a library returns an error; main maps it");
    }
}

#[test]
fn only_the_recorder_stamps_time() {
    forbid(
        "harness/src",
        &["CLOCK_MONOTONIC"],
        &["harness/src/recorder"],
        "the recorder's clock is the only one that a history knows",
    );
}

#[test]
fn every_module_opens_with_an_essay() {
    for folder in CRATES {
        for (path, text) in sources(&format!("{folder}/src")) {
            assert!(text.starts_with("//!"), "{path} does not say what it is for (`//!` first)");
        }
    }
}

#[test]
fn files_stay_readable() {
    for folder in CRATES {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 600, "{path} has {lines} lines; split it (limit 600)");
        }
    }
}

#[test]
fn no_catch_all_modules() {
    for folder in CRATES {
        for (path, _) in sources(&format!("{folder}/src")) {
            let parts: Vec<_> = path.split(['/', '.']).collect();
            for name in ["util", "utils", "common", "helpers", "misc"] {
                assert!(!parts.contains(&name), "{path}: name the module after what it holds");
            }
        }
    }
}
