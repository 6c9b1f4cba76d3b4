//! Every order of events of a small cluster: the same core as in a real process, checked exhaustively by stateright.
//!
//! Three nodes, at most two terms, one command, one crash, and a network that loses, repeats and reorders at will as long as
//! few messages are out at once: each distinct message is out at most once, and one that finds no room is lost.
//! A crash comes at any moment, forgets what was not synced, and restarts from the disk. Pre-votes are left out
//! (any node may campaign at any time), and so is every timer: what follows holds for all timings.
//!
//! Exhaustive means nothing when the bounds leave nothing to check, so what must be reachable is asked for too
//! (`sometimes`), every planted bug that two terms have room for must be found, and a search that was cut short by
//! its limit fails.

#[allow(dead_code, reason = "shared with the tests of the core, which use more of it")]
#[path = "../raft/machine.rs"]
mod machine;
mod world;

use cluster::bug::{Bug, Bugs};
use stateright::{Checker, HasDiscoveries, Model};
use std::io::Write;
use std::time::Instant;
use world::Small;

/// More states than this are taken for a mistake in the bounds.
const LIMIT: usize = 60_000_000;

/// Says it past the capture of test output.
fn say(text: &str) {
    let mut output = std::io::stderr().lock();
    writeln!(output, "{text}").expect("stderr takes a line");
}

/// The most memory that this process has held, in MB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1024
}

/// Checks everything and prints what it took.
fn check(name: &str, model: Small) {
    let started = Instant::now();
    let checker = model.checker().threads(2).target_state_count(LIMIT).spawn_dfs().join();
    let (states, unique) = (checker.state_count(), checker.unique_state_count());
    let (seconds, memory) = (started.elapsed().as_secs_f64(), peak_memory());
    say(&format!("{name}: {states} states, {unique} distinct, {seconds:.1} s, {memory} MB"));
    assert!(states < LIMIT, "the search was cut short");
    checker.assert_properties();
}

#[test]
fn two_terms_and_a_crash() {
    let model = Small { terms: 2, messages: 1, crashes: 1, ..Small::default() };
    check("2 terms, 1 crash, 1 message out", model);
}

/// The promise that a planted bug is found by.
fn found(bug: Bug, model: Small) -> Vec<&'static str> {
    let model = Small { bugs: Bugs::from(bug), ..model };
    let checker = model
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(3_000_000)
        .spawn_bfs()
        .join();
    let mut broken: Vec<&str> =
        checker.discoveries().into_keys().filter(|name| world::PROMISES.contains(name)).collect();
    broken.sort_unstable();
    say(&format!("{bug}: {broken:?} after {} states", checker.unique_state_count()));
    broken
}

#[test]
fn planted_bugs_are_found() {
    let model = || Small { terms: 2, messages: 2, ..Small::default() };
    let crash = || Small { crashes: 1, ..model() };
    for (bug, model) in [
        (Bug::DoubleVote, model()),
        (Bug::VoteLostOnRestart, crash()),
        (Bug::VoteBeforeFsync, crash()),
        (Bug::AckBeforeFsync, model()),
        (Bug::QuorumMinusOne, model()),
    ] {
        assert!(!found(bug, model).is_empty(), "{bug} is not found");
    }
}
