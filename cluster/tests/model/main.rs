//! Every order of events of a small cluster: the same core as in a real process, checked exhaustively by stateright.
//!
//! Three nodes, at most two terms, one command, one crash, and a network that delays and reorders at will as long
//! as few messages are out at once: a step that would put out one more is not taken. Each distinct message is out at
//! most once; one that is never delivered is a lost one. A crash comes at any moment, forgets what was not synced,
//! and restarts from the disk. Pre-votes are left out (any node may campaign at any time), and so is every timer:
//! what follows holds for all timings.
//!
//! Exhaustive means nothing when the bounds leave nothing to check, so what must be reachable is asked for too
//! (`sometimes`), every planted bug that the bounds have room for must be found, and a search that was cut short by
//! its limit fails.

mod clients;
#[allow(dead_code, reason = "shared with the tests of the core, which use more of it")]
#[path = "../raft/machine.rs"]
mod machine;
mod properties;
mod world;

use cluster::bug::{Bug, Bugs};
use stateright::{Checker, HasDiscoveries, Model};
use std::io::Write;
use std::sync::atomic::Ordering;
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
fn check(name: &str, model: &Small) {
    let started = Instant::now();
    let checker = model.clone().checker().threads(2).target_state_count(LIMIT).spawn_dfs().join();
    let (states, unique) = (checker.state_count(), checker.unique_state_count());
    let (seconds, memory) = (started.elapsed().as_secs_f64(), peak_memory());
    let truncations = model.truncations.load(Ordering::Relaxed);
    say(&format!(
        "{name}: {states} states, {unique} distinct, {truncations} truncate, {seconds:.1} s, {memory} MB"
    ));
    assert!(states < LIMIT, "the search was cut short");
    checker.assert_properties();
}

#[test]
#[ignore = "probe"]
fn probe() {
    let number = |name: &str, usual: u64| {
        std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
    };
    let model = Small {
        nodes: number("NODES", 3),
        terms: number("TERMS", 2),
        messages: number("CAP", 3) as usize,
        commands: number("COMMANDS", 1),
        reads: number("READS", 0),
        crashes: number("CRASHES", 1) as u8,
        crasher: number("CRASHER", 1),
        loss: number("LOSS", 0) > 0,
        ..Small::default()
    };
    check(&format!("{model:?}"), &model);
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
    let is_promise = |name: &&str| properties::PROMISES.contains(name);
    let mut broken: Vec<&str> = checker.discoveries().into_keys().filter(is_promise).collect();
    broken.sort_unstable();
    say(&format!("{bug}: {broken:?} after {} states", checker.unique_state_count()));
    broken
}

#[test]
#[ignore = "probe"]
fn probe_bugs() {
    for bug in [Bug::DoubleVote, Bug::VoteLostOnRestart, Bug::VoteBeforeFsync, Bug::AckBeforeFsync, Bug::QuorumMinusOne,
        Bug::NoElectionRestriction, Bug::ElectByIndex, Bug::AeTruncatesTail, Bug::NoTruncateOnConflict, Bug::NoPrevTermCheck, Bug::StaleVote, Bug::StaleAeReply, Bug::Fig8] {
        found(bug, Small { crashes: 1, ..Small::default() });
    }
    for bug in [Bug::LocalRead, Bug::ReadIndexNoTerm, Bug::AckOnAppend, Bug::ReadIndexEarlyAck] {
        for messages in [2, 3] {
            found(bug, Small { reads: 1, loss: true, messages, ..Small::default() });
        }
    }
}
