//! Each deliberate bug, and the promise by which the simulator finds it.
//!
//! The same simulator and oracle that find nothing in a correct cluster must find a bug by a promise it breaks,
//! and a buggy node must keep running: it lies, it does not crash. Nothing here is made for a bug: every hunt plays
//! the episodes that everybody plays, one after the other, until one fails or a budget of simulated seconds is
//! over. That a bug was triggered is asserted of the very episode that fails.
//! Bugs that no promise of the core can show are named with the test that does show them. `docs/track-record.md`
//! has the times.

use cluster::bug::Bug;
use cluster::simulator::Promise::{
    DurableQuorum, ElectionSafety, LeaderCompleteness, LinearizableRead, LogMatching, OneVote,
    PersistedBeforePromised, Progress, StateMachineSafety,
};
use cluster::simulator::{Plan, Promise, SECOND, Violation, episodes, simulate};
use std::collections::BTreeSet;

/// A bug, the simulated seconds in which it must be found among so many nodes, and the promises it may break.
struct Row(Bug, u64, u64, &'static [Promise]);

const READS: &[Row] = &[
    Row(Bug::LocalRead, 5, 600, &[LinearizableRead]),
    Row(Bug::FollowerRead, 5, 600, &[LinearizableRead]),
    Row(Bug::ReadIndexNoTerm, 5, 4_000, &[LinearizableRead]),
    Row(Bug::ReadIndexEarlyAck, 5, 4_000, &[LinearizableRead]),
];

const LEASES: &[Row] = &[
    Row(Bug::LeaseNoMargin, 5, 4_000, &[LinearizableRead]),
    Row(Bug::LeaseWallClock, 5, 4_000, &[LinearizableRead]),
];

const PROMISES: &[Row] = &[
    Row(Bug::AckOnAppend, 5, 600, &[Promise::AcknowledgedWriteKept, LinearizableRead]),
    Row(Bug::QuorumMinusOne, 5, 600, &[DurableQuorum]),
    Row(Bug::VoteBeforeFsync, 5, 600, &[PersistedBeforePromised]),
    Row(Bug::AckBeforeFsync, 5, 600, &[PersistedBeforePromised]),
];

const ELECTIONS: &[Row] = &[
    Row(Bug::NoElectionRestriction, 5, 1_200, LACKS),
    Row(Bug::ElectByIndex, 5, 20_000, LACKS),
    Row(Bug::DoubleVote, 5, 4_000, &[OneVote, ElectionSafety]),
    Row(Bug::VoteLostOnRestart, 5, 20_000, &[OneVote]),
    Row(Bug::StaleVote, 5, 20_000, &[ElectionSafety]),
];

const LACKS: &[Promise] = &[LeaderCompleteness, DurableQuorum];

const LOGS: &[Row] = &[
    Row(Bug::AeTruncatesTail, 5, 600, DIFFER),
    Row(Bug::NoTruncateOnConflict, 5, 1_200, DIFFER),
    Row(Bug::NoPrevTermCheck, 5, 4_000, DIFFER),
    Row(Bug::FollowerCommitMax, 5, 1_200, DIFFER),
    Row(Bug::BacktrackStuck, 5, 1_200, &[Progress]),
];

const DIFFER: &[Promise] =
    &[LogMatching, StateMachineSafety, DurableQuorum, PersistedBeforePromised];

const SNAPSHOTS: &[Row] = &[
    Row(Bug::SnapshotDropsSessions, 5, 4_000, &[StateMachineSafety]),
    Row(Bug::SnapshotOffByOne, 5, 4_000, &[StateMachineSafety]),
    Row(Bug::SnapshotRegress, 5, 20_000, &[StateMachineSafety]),
];

const MEMBERS: &[Row] = &[
    Row(Bug::JointNewOnly, 5, 20_000, PARTED),
    Row(Bug::JointStuck, 5, 20_000, &[Progress]),
    Row(Bug::LearnerCounts, 5, 20_000, LEARNERS),
    Row(Bug::RemovedDisrupts, 5, 20_000, &[Progress]),
    Row(Bug::SingleChangeNoCommit, 5, 20_000, PARTED),
];

const PARTED: &[Promise] =
    &[LeaderCompleteness, StateMachineSafety, DurableQuorum, ElectionSafety, LogMatching];
/// An election that learners must win may also have no winner.
const LEARNERS: &[Promise] = &[LeaderCompleteness, StateMachineSafety, DurableQuorum, Progress];

/// What several rare things in a row must come together for, so that it takes too long for every day. Each day
/// `scenarios` tells their stories, and the model finds the second.
const FIGURE_8: &[Row] = &[Row(Bug::Fig8, 5, 60_000, LACKS)];
const LATE: &[Row] =
    &[Row(Bug::StaleAeReply, 5, 60_000, &[LeaderCompleteness, DurableQuorum, StateMachineSafety])];

/// The bugs that break no promise of the core, and the test that finds each.
const ELSEWHERE: [(Bug, &str); 5] = [
    (Bug::RetryDoubleApply, "harness/tests/it/simulate.rs: by what clients see"),
    (Bug::CasAtLeader, "harness/tests/it/simulate.rs: by what clients see"),
    (Bug::SnapshotInPlace, "src/snapshot/tests.rs: simulated files are whole or not there"),
    (Bug::FsyncRetry, "src/wal/full_tests.rs: a node whose simulated sync fails stops"),
    (Bug::EnospcAck, "src/wal/full_tests.rs: simulated disks are never full"),
];

/// Plays until the bug is found, and asserts how.
fn hunt(Row(bug, nodes, budget, expected): &Row) {
    let mut simulated = 0;
    for plan in episodes(1, *nodes, *budget, (*bug).into()) {
        let outcome = simulate(&plan);
        simulated += outcome.simulated;
        let Some(Violation { promise, text, .. }) = outcome.violation else { continue };
        assert!(outcome.triggered > 0, "{bug}: no effect without a cause: {promise}: {text}");
        assert!(expected.contains(&promise), "{bug} breaks {promise}: {text}");
        return;
    }
    panic!("{bug} is not found in {} simulated seconds", simulated / SECOND);
}

#[test]
fn bugs_of_reads_are_found_by_stale_reads() {
    READS.iter().for_each(hunt);
}

#[test]
fn bugs_of_leases_are_found_by_stale_reads() {
    LEASES.iter().for_each(hunt);
}

#[test]
fn bugs_of_acknowledgements_are_found_by_what_is_lost_or_not_there() {
    PROMISES.iter().for_each(hunt);
}

#[test]
fn bugs_of_elections_are_found_by_two_votes_or_a_leader_that_lacks_something() {
    ELECTIONS.iter().for_each(hunt);
}

#[test]
fn bugs_of_logs_are_found_by_logs_that_differ() {
    LOGS.iter().for_each(hunt);
}

#[test]
fn bugs_of_snapshots_are_found_by_states_that_differ() {
    SNAPSHOTS.iter().for_each(hunt);
}

#[test]
fn bugs_of_membership_are_found_by_quorums_that_miss_each_other() {
    MEMBERS.iter().for_each(hunt);
}

#[test]
#[ignore = "takes minutes: for the night"]
fn figure_8_is_found_by_a_leader_that_lacks_what_was_committed() {
    FIGURE_8.iter().for_each(hunt);
}

#[test]
#[ignore = "takes minutes: for the night"]
fn a_late_acknowledgement_is_found_by_a_commit_that_is_on_no_majority() {
    LATE.iter().for_each(hunt);
}

#[test]
fn every_bug_is_hunted_here_or_has_its_test_named() {
    let tables = [READS, LEASES, PROMISES, ELECTIONS, LOGS, SNAPSHOTS, MEMBERS, FIGURE_8, LATE];
    let hunted = tables.into_iter().flatten().map(|Row(bug, ..)| *bug);
    let named: Vec<Bug> = hunted.chain(ELSEWHERE.map(|(bug, _)| bug)).collect();
    let once: BTreeSet<Bug> = named.iter().copied().collect();
    assert_eq!((named.len(), once), (Bug::ALL.len(), Bug::ALL.into_iter().collect()));
}

/// A bug that luck must find often: in at least so many of the first [`SEEDS`] seeds among so many nodes.
struct Rate(Bug, u64, usize, &'static [Promise]);

const SEEDS: u64 = 12;

const RATES: &[Rate] = &[
    Rate(Bug::LocalRead, 3, 6, &[LinearizableRead]),
    Rate(Bug::FollowerRead, 3, 10, &[LinearizableRead]),
    Rate(Bug::ReadIndexEarlyAck, 3, 1, &[LinearizableRead]),
    Rate(Bug::ReadIndexNoTerm, 5, 1, &[LinearizableRead]),
    Rate(Bug::AckOnAppend, 3, 10, &[Promise::AcknowledgedWriteKept, LinearizableRead]),
    Rate(Bug::QuorumMinusOne, 3, 10, &[DurableQuorum]),
    Rate(Bug::QuorumMinusOne, 5, 10, &[DurableQuorum]),
    Rate(Bug::VoteBeforeFsync, 3, 10, &[PersistedBeforePromised]),
    Rate(Bug::AckBeforeFsync, 3, 10, &[PersistedBeforePromised]),
    Rate(Bug::NoElectionRestriction, 3, 5, LACKS),
    Rate(Bug::AeTruncatesTail, 3, 4, DIFFER),
    Rate(Bug::NoTruncateOnConflict, 3, 4, DIFFER),
    Rate(Bug::NoPrevTermCheck, 3, 4, DIFFER),
    Rate(Bug::FollowerCommitMax, 3, 4, DIFFER),
    Rate(Bug::BacktrackStuck, 3, 2, &[Progress]),
    Rate(Bug::LeaseNoMargin, 3, 2, &[LinearizableRead]),
    Rate(Bug::LeaseNoMargin, 5, 2, &[LinearizableRead]),
    Rate(Bug::LeaseWallClock, 3, 4, &[LinearizableRead]),
    Rate(Bug::LeaseWallClock, 5, 4, &[LinearizableRead]),
];

#[test]
fn what_is_easily_found_is_found_often() {
    let mut rare = Vec::new();
    for Rate(bug, nodes, least, expected) in RATES {
        let mut found = 0;
        for seed in 0..SEEDS {
            let length = 30 * SECOND;
            let plan = Plan { bugs: (*bug).into(), length, ..Plan::new(seed, *nodes) };
            let outcome = simulate(&plan);
            let Some(Violation { promise, text, .. }) = outcome.violation else { continue };
            assert!(outcome.reached > 0, "{bug}, seed {seed}: no effect without a cause: {text}");
            assert!(expected.contains(&promise), "{bug}, seed {seed}, breaks {promise}: {text}");
            found += 1;
        }
        eprintln!("{bug}, {nodes} nodes: {found} of {SEEDS} seeds, at least {least} are asked for");
        if found < *least {
            rare.push(format!("{bug}, {nodes} nodes: {found} of {least}"));
        }
    }
    assert!(rare.is_empty(), "{rare:?}");
}

/// The bugs that are not of the core change nothing in it.
#[test]
fn bugs_of_the_state_machine_and_the_server_break_no_promise_of_the_core() {
    for bug in [Bug::RetryDoubleApply, Bug::CasAtLeader] {
        let outcome = simulate(&Plan { bugs: bug.into(), ..Plan::new(5, 3) });
        assert_eq!(outcome.violation, None, "{bug}");
        assert!(outcome.triggered > 0, "{bug}");
    }
}

/// How many runs of the long table a bug gets, and how many simulated seconds each has.
const RUNS: u64 = 5;
const LONGEST: u64 = 100_000;

/// Simulated seconds until a bug is found, in each of some runs; the table of `docs/track-record.md`.
/// `BUGS=fig8,stale-vote` asks for some of them, `NODES=3` for another size.
#[test]
#[ignore = "takes minutes: the long table"]
fn how_long_until_each_bug_is_found() {
    let asked = std::env::var("BUGS").unwrap_or_default();
    let nodes = std::env::var("NODES").map_or(5, |nodes| nodes.parse().expect("a number"));
    for bug in Bug::ALL {
        let elsewhere = ELSEWHERE.iter().any(|(other, _)| *other == bug);
        if elsewhere || !asked.is_empty() && !asked.split(',').any(|name| name == bug.name()) {
            continue;
        }
        let (mut times, mut promises, mut marks) = (Vec::new(), BTreeSet::new(), (0, 0));
        for seed in 0..RUNS {
            let mut simulated = 0;
            for plan in episodes(seed, nodes, LONGEST, bug.into()) {
                let outcome = simulate(&plan);
                simulated += outcome.simulated;
                marks.0 += outcome.reached;
                marks.1 += outcome.triggered;
                if let Some(violation) = outcome.violation {
                    assert!(
                        outcome.reached > 0,
                        "{bug}, seed {seed}: a false alarm: {violation:?}"
                    );
                    times.push(simulated / SECOND);
                    promises.insert(violation.promise.to_string());
                    break;
                }
            }
        }
        times.sort_unstable();
        eprintln!("{bug}: found after {times:?} s, by {promises:?}; marks {marks:?}");
    }
}
