//! The shortest story of each bug that luck does not find, told by hand and without a clock.
//!
//! Each story is told twice: the correct core refuses the step that the buggy one takes.

use crate::network::Network;
use cluster::bug::Bug;
use cluster::raft::{Effect, Event};

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
