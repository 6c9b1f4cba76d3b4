//! Every order of what a small cluster can do within these bounds: the same core as in a real process, checked
//! exhaustively by stateright.
//!
//! Three nodes, at most two terms, one command, one crash, and a network that delays and reorders at will as long
//! as few messages are out at once: a step that would put out one more is not taken. Each distinct message is out at
//! most once; one that is never delivered is a lost one. A crash comes at any moment, forgets what was not synced,
//! and restarts from the disk. Pre-votes are left out: whoever does not lead may campaign at any time, and has no
//! contact with a leader that would keep it from voting.
//!
//! No timer of a leader fires. So no heartbeat goes out but for a read, and no leader steps down because a majority is
//! silent; and since a leader ignores who asks for votes unforced, it leads until it crashes or hears of a newer term
//! in another way. What follows holds for all timings but those in which a leader steps down by itself or beats.
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

/// Three messages out at once: as many as an election among three nodes needs at the least.
fn crashing(messages: usize) -> Small {
    Small { messages, crashes: 1, ..Small::default() }
}

#[test]
fn two_terms_and_a_crash() {
    let model = crashing(3);
    check("2 terms, 1 command, 1 crash, 3 messages out", &model);
    assert!(model.truncations.load(Ordering::Relaxed) > 0, "some log is truncated");
}

#[test]
#[ignore = "takes minutes: for the night"]
fn two_terms_and_a_crash_with_four_messages() {
    check("2 terms, 1 command, 1 crash, 4 messages out", &crashing(4));
}

/// The states that there are when each of the nodes in turn is the one that crashes.
#[test]
fn it_does_not_matter_who_crashes() {
    let states = |crasher| {
        let model = Small { crasher, ..crashing(2) };
        let checker = model.checker().threads(2).target_state_count(LIMIT).spawn_dfs().join();
        (checker.state_count(), checker.unique_state_count())
    };
    let [first, second, third] = [1, 2, 3].map(states);
    assert!(
        first == second && second == third && first.1 > 10_000,
        "{first:?} {second:?} {third:?}"
    );
}

/// One register, one write, some reads. Messages are lost at will, so two out at once are enough.
fn reading(reads: u64) -> Small {
    Small { messages: 2, reads, loss: true, ..Small::default() }
}

#[test]
fn a_read_among_two_leaders_is_linearizable() {
    check("2 terms, 1 write, 1 read, 2 messages out, loss", &reading(1));
}

#[test]
#[ignore = "takes minutes: for the night"]
fn two_reads_among_two_leaders_are_linearizable() {
    check("2 terms, 1 write, 2 reads, 2 messages out, loss", &reading(2));
}

/// Looks for a planted bug: the promises that it is found to break.
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
fn planted_bugs_of_votes_and_disks_are_found() {
    for (bug, promise) in [
        (Bug::DoubleVote, "one vote a term"),
        (Bug::VoteLostOnRestart, "one vote a term"),
        (Bug::VoteBeforeFsync, "persisted before promised"),
        (Bug::AckBeforeFsync, "persisted before promised"),
        (Bug::QuorumMinusOne, "durable quorum"),
        (Bug::NoElectionRestriction, "leader completeness"),
        (Bug::StaleVote, "election safety"),
        (Bug::StaleAeReply, "durable quorum"),
    ] {
        assert_eq!(found(bug, crashing(3)), [promise], "{bug}");
    }
}

#[test]
fn planted_bugs_of_reads_are_found() {
    let bugs = [Bug::LocalRead, Bug::ReadIndexNoTerm, Bug::ReadIndexEarlyAck, Bug::AckOnAppend];
    for bug in bugs {
        assert_eq!(found(bug, reading(1)), ["linearizability"], "{bug}");
    }
}
