//! Each deliberate bug of the core, and the layer that catches it.
//!
//! The same simulator and oracle that find nothing in a correct cluster must find a bug by a promise it breaks,
//! and a buggy node must keep running: it lies, it does not crash. What luck does not find within the seeds
//! here has a story of its own in `scenarios`; `docs/track-record.md` says which that is. The two bugs that are
//! not of the core are found by the judge of the clients' histories, in the tests of `harness`.

use cluster::bug::Bug;
use cluster::simulator::{Plan, Promise, SECOND, simulate};
use std::collections::BTreeSet;

/// How many of so many seeds find the bug, and by which promises.
fn hunt(bug: Bug, nodes: u64, seeds: u64) -> (usize, BTreeSet<Promise>) {
    let mut found = Vec::new();
    let (mut reached, mut triggered) = (0, 0);
    for seed in 0..seeds {
        let plan = Plan { bugs: bug.into(), length: 30 * SECOND, ..Plan::new(seed, nodes) };
        let outcome = simulate(&plan);
        reached += outcome.reached;
        triggered += outcome.triggered;
        if let Some(violation) = outcome.violation {
            let text = format!("{bug}, seed {seed}: no effect without a cause: {violation:?}");
            assert!(outcome.reached > 0, "{text}");
            found.push(violation.promise);
        }
    }
    assert!(reached > 0, "{bug}: the buggy line runs");
    // Not asked of each seed: a leader that stood still cannot know that its answer is wrong.
    assert!(triggered > 0 || found.is_empty(), "{bug}: it made a difference");
    (found.len(), found.into_iter().collect())
}

/// Asserts that at least `least` of `seeds` seeds find it, and only by these promises.
fn found_by(bug: Bug, nodes: u64, seeds: u64, least: usize, expected: &[Promise]) {
    let (found, promises) = hunt(bug, nodes, seeds);
    let only = promises.iter().all(|promise| expected.contains(promise));
    assert!(found >= least && only, "{bug}: {found} of {seeds} seeds, by {promises:?}");
}

#[test]
fn bugs_of_reads_are_found_by_stale_reads() {
    let stale = [Promise::LinearizableRead];
    found_by(Bug::LocalRead, 3, 12, 6, &stale);
    found_by(Bug::FollowerRead, 3, 12, 10, &stale);
    for nodes in [3, 5] {
        found_by(Bug::ReadIndexEarlyAck, nodes, 12, 4, &stale);
        found_by(Bug::ReadIndexNoTerm, nodes, 12, 8, &stale);
    }
}

#[test]
fn bugs_of_leases_are_found_by_stale_reads() {
    let stale = [Promise::LinearizableRead];
    for nodes in [3, 5] {
        found_by(Bug::LeaseNoMargin, nodes, 12, 2, &stale);
        found_by(Bug::LeaseWallClock, nodes, 12, 4, &stale);
    }
}

#[test]
fn bugs_of_acknowledgements_are_found_by_what_is_lost_or_not_there() {
    let lost = [Promise::AcknowledgedWriteKept, Promise::LinearizableRead];
    found_by(Bug::AckOnAppend, 3, 12, 10, &lost);
    for nodes in [3, 5] {
        found_by(Bug::QuorumMinusOne, nodes, 12, 10, &[Promise::DurableQuorum]);
    }
    let unkept = [Promise::PersistedBeforePromised];
    found_by(Bug::VoteBeforeFsync, 3, 12, 10, &unkept);
    found_by(Bug::AckBeforeFsync, 3, 12, 10, &unkept);
}

#[test]
fn bugs_of_elections_are_found_by_two_votes_or_a_leader_that_lacks_something() {
    let lacks = [Promise::LeaderCompleteness, Promise::DurableQuorum];
    found_by(Bug::NoElectionRestriction, 3, 12, 5, &lacks);
    found_by(Bug::DoubleVote, 5, 40, 1, &[Promise::OneVote, Promise::ElectionSafety]);
}

#[test]
fn bugs_of_logs_are_found_by_logs_that_differ() {
    let differ = [
        Promise::LogMatching,
        Promise::StateMachineSafety,
        Promise::DurableQuorum,
        Promise::PersistedBeforePromised,
    ];
    for bug in [
        Bug::AeTruncatesTail,
        Bug::NoTruncateOnConflict,
        Bug::NoPrevTermCheck,
        Bug::FollowerCommitMax,
    ] {
        found_by(bug, 3, 12, 4, &differ);
    }
    found_by(Bug::BacktrackStuck, 3, 12, 6, &[Promise::Progress]);
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
