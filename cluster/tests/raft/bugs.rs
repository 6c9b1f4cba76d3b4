//! Each deliberate bug of the core, and what catches it.
//!
//! The same simulator and oracle that find nothing in a correct cluster must find every bug, by the
//! promise it breaks, and a buggy node must keep running: it lies, it does not crash.

use crate::network::Network;
use crate::oracle::Promise;
use crate::simulator::{Plan, simulate};
use cluster::bug::{Bug, Bugs};
use cluster::raft::{Effect, Event};
use std::collections::BTreeSet;

/// How many of [`SEEDS`] seeds find the bug, and by which promises.
fn hunt(bug: Bug, nodes: u64) -> (usize, BTreeSet<Promise>) {
    let mut found = Vec::new();
    for seed in 0..SEEDS {
        let outcome = simulate(Plan { bugs: Bugs::from(bug), ..Plan::new(seed, nodes) });
        assert!(outcome.reached > 0, "{bug}, seed {seed}: the buggy line runs");
        if let Some(violation) = outcome.violation {
            assert!(outcome.triggered > 0, "{bug}, seed {seed}: no effect without a cause");
            found.push(violation.promise);
        }
    }
    (found.len(), found.into_iter().collect())
}

const SEEDS: u64 = 12;

#[test]
fn local_read_is_found_by_stale_reads() {
    let (found, promises) = hunt(Bug::LocalRead, 3);
    assert!(found >= 3 && promises == [Promise::LinearizableRead].into(), "{found}: {promises:?}");
}

#[test]
fn follower_read_is_found_by_stale_reads() {
    let (found, promises) = hunt(Bug::FollowerRead, 3);
    assert!(found >= 10 && promises == [Promise::LinearizableRead].into(), "{found}: {promises:?}");
}

#[test]
fn ack_on_append_is_found_by_writes_that_are_lost_or_not_seen() {
    let (found, promises) = hunt(Bug::AckOnAppend, 3);
    let expected = [Promise::AcknowledgedWriteKept, Promise::LinearizableRead].into();
    assert!(found >= 10 && promises.is_subset(&expected), "{found}: {promises:?}");
}

#[test]
fn quorum_minus_one_is_found_by_entries_without_a_quorum() {
    for nodes in [3, 5] {
        let (found, promises) = hunt(Bug::QuorumMinusOne, nodes);
        assert!(found >= 10 && promises.contains(&Promise::DurableQuorum), "{found}: {promises:?}");
    }
}

#[test]
fn no_election_restriction_is_found_by_leaders_without_committed_entries() {
    let (found, promises) = hunt(Bug::NoElectionRestriction, 3);
    assert!(found >= 3 && promises.contains(&Promise::LeaderCompleteness), "{found}: {promises:?}");
}

/// The bugs that are not of the core change nothing in it.
#[test]
fn bugs_of_the_state_machine_and_the_server_leave_the_core_alone() {
    for bug in [Bug::RetryDoubleApply, Bug::CasAtLeader] {
        let plan = Plan::new(5, 3);
        let buggy = simulate(Plan { bugs: Bugs::from(bug), ..plan.clone() });
        assert_eq!(buggy, simulate(plan));
    }
}

/// The shortest story of a bug that takes committed entries back: nodes go on, apply nothing twice,
/// and each keeps what it applied.
#[test]
fn a_node_survives_losing_what_it_had_committed() {
    let mut network = Network::new(3, |config| {
        config.bugs = Bug::NoElectionRestriction.into();
    });
    network.elect(1);
    network.isolate(3);
    network.propose(1, &["a", "b"]);
    network.settle();
    assert_eq!((network.commit(1), network.commit(3)), (3, 0));
    // n3 has only the first entry, and wins.
    network.cut.clear();
    network.isolate(1);
    network.elect(3);
    network.propose(3, &["x", "y", "z"]);
    network.settle();
    network.cut.clear();
    network.propose(3, &["!"]);
    for _ in 0..3 {
        network.timeout(3, cluster::raft::Timer::Heartbeat);
        network.settle();
    }
    network.event(1, Event::Read(vec![7]));
    let applied: Vec<u64> = network.machines[&1].applied.iter().map(|entry| entry.index).collect();
    assert_eq!(applied, [1, 2, 3, 4, 5, 6], "each index once");
    assert_eq!(network.terms(1), network.terms(3));
    let marks = network.seen(2, |effect| match effect {
        Effect::Mark(bug, mark) => Some((*bug, *mark)),
        _ => None,
    });
    assert!(marks.contains(&(Bug::NoElectionRestriction, cluster::bug::Mark::Triggered)));
}
