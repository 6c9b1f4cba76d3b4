//! Changes of membership and transfers of leadership: tests named after the paper's §6, the thesis's
//! §3.10 and §4, and the deliberate bugs of both, each in the shortest scenario that shows it.
//!
//! Each bug comes with the same scenario without the bug, which must end well.

use crate::network::Network;
use cluster::bug::{Bug, Bugs, Mark};
use cluster::raft::{
    Body, Change, Effect, Entry, Event, Message, NodeId, Payload, Position, Rejection, Role, Timer,
};

/// A cluster of voters 1 to `voters` led by n1, with learners that have caught up.
fn cluster(voters: u64, learners: &[NodeId], bugs: Bugs) -> Network {
    let mut network = Network::new(voters, |config| config.bugs = bugs);
    network.elect(1);
    for id in learners {
        network.join(*id, |config| config.bugs = bugs);
        network.change(1, Change::AddLearner { id: *id, address: "somewhere".into() });
        calm(&mut network, 1);
    }
    network
}

/// A few heartbeats of a leader, with all that follows from them.
fn calm(network: &mut Network, leader: NodeId) {
    network.settle();
    for _ in 0..4 {
        network.timeout(leader, Timer::Heartbeat);
        network.settle();
    }
}

fn voters(network: &Network, id: NodeId) -> Vec<NodeId> {
    network.machines[&id].core().configuration().voters.iter().copied().collect()
}

fn rejections(network: &Network, id: NodeId) -> Vec<Rejection> {
    network.seen(id, |effect| match effect {
        Effect::Rejected { reason, .. } => Some(*reason),
        _ => None,
    })
}

fn triggered(network: &Network, bug: Bug) -> bool {
    network.effects.iter().any(|(_, effect)| *effect == Effect::Mark(bug, Mark::Triggered))
}

/// Cuts every link between the two groups.
fn part(network: &mut Network, left: &[NodeId], right: &[NodeId]) {
    let pairs = left.iter().flat_map(|l| right.iter().flat_map(|r| [(*l, *r), (*r, *l)]));
    network.cut.extend(pairs);
}

/// The entries that both have applied, and whether they are the same.
fn agree(network: &Network, left: NodeId, right: NodeId) -> bool {
    let [left, right] = [left, right].map(|id| &network.machines[&id].applied);
    left.iter().zip(right).all(|(left, right)| left == right)
}

#[test]
fn section_6_a_node_takes_requests_from_leaders_and_candidates_it_does_not_know() {
    let mut network = Network::new(3, |_| {});
    let receive = |network: &mut Network, from, term, body| {
        network.event(1, Event::Receive(Message { from, to: 1, term, body }));
        network.sync(1);
    };
    let last = Position::default();
    receive(&mut network, 9, 1, Body::Vote { last, forced: false });
    assert_eq!(network.machines[&1].disk.hard_state.vote, Some(9));
    let entries = vec![Entry { term: 1, index: 1, payload: Payload::Noop }];
    receive(&mut network, 9, 1, Body::Append { base: last, entries, commit: 0 });
    assert_eq!((network.terms(1), network.machines[&1].core().leader()), (vec![1], Some(9)));
}

#[test]
fn section_6_a_node_without_a_configuration_waits_and_never_campaigns() {
    let mut network = Network::new(1, |_| {});
    network.join(2, |_| {});
    for _ in 0..3 {
        network.timeout(2, Timer::Election);
        network.settle();
    }
    assert_eq!((network.role(2), network.machines[&2].core().term()), (Role::Follower, 0));
    network.event(2, Event::Receive(Message { from: 1, to: 2, term: 0, body: Body::TimeoutNow }));
    assert_eq!(network.role(2), Role::Follower);
}

#[test]
fn section_6_a_learner_does_not_count_for_commitment_or_elections() {
    let mut network = cluster(3, &[4, 5], Bugs::NONE);
    let before = network.commit(1);
    part(&mut network, &[1, 4, 5], &[2, 3]);
    network.propose(1, &["a"]);
    network.settle();
    assert_eq!(network.machines[&1].core().matched()[&4], before + 1, "the learner has it");
    assert_eq!(network.commit(1), before);
    network.elect(4);
    assert_eq!(network.role(4), Role::Follower);
}

/// n1 removes itself and crashes when only its own log has the final configuration. The log of n2 is
/// shorter, so n1 does not vote for it, and by its own log n1 is no voter. It must campaign all the same,
/// or nobody ever leads again.
#[test]
fn thesis_4_2_2_a_leader_that_removed_itself_may_be_needed_once_more() {
    let mut network = cluster(2, &[], Bugs::NONE);
    network.change(1, Change::Remove { id: 1 });
    network.deliver();
    network.sync(2);
    network.sync(1);
    network.deliver_if(|message| message.to == 1);
    network.sync(1);
    assert_eq!((voters(&network, 1), network.terms(1).len()), (vec![2], 3));
    assert!(network.machines[&2].core().configuration().is_joint());
    network.in_flight.clear();
    network.crash(1);
    network.restart(1);
    network.elect(2);
    assert_eq!(network.role(2), Role::Follower, "n1 has more than n2");
    network.elect(1);
    calm(&mut network, 1);
    assert_eq!((network.role(1), network.role(2)), (Role::Follower, Role::Leader));
    assert_eq!(voters(&network, 2), [2]);
}

/// Thesis §3.10: whoever hears the leader refuses a candidate, except one that the leader asked for.
#[test]
fn thesis_3_10_only_a_forced_vote_passes_contact_with_the_leader() {
    for forced in [false, true] {
        let mut network = Network::new(3, |_| {});
        network.elect(1);
        network.timeout(1, Timer::Heartbeat);
        network.settle();
        let last = network.machines[&3].core().last();
        let body = Body::Vote { last, forced };
        network.event(2, Event::Receive(Message { from: 3, to: 2, term: 2, body }));
        network.sync(2);
        assert_eq!(network.machines[&2].disk.hard_state.vote == Some(3), forced);
    }
}

#[test]
fn thesis_3_10_what_was_proposed_before_a_transfer_is_committed_by_either_leader() {
    let mut network = Network::new(3, |_| {});
    network.elect(1);
    network.propose(1, &["a", "b"]);
    network.event(1, Event::Transfer { tag: 900, to: Some(2) });
    network.propose(1, &["c"]);
    network.settle();
    assert_eq!((network.role(1), network.role(2)), (Role::Follower, Role::Leader));
    assert_eq!((network.commit(2), network.terms(2)), (4, vec![1, 1, 1, 2]));
    assert_eq!(rejections(&network, 1), [Rejection::Transferring]);
    let ended = network.seen(1, |effect| match effect {
        Effect::TransferEnded { moved, .. } => Some(*moved),
        _ => None,
    });
    assert_eq!(ended, [true]);
}

/// Ongaro's scenario of 2015. n1 adds n5, and only n5 hears of it. n2 leads, removes n1 before it has
/// committed anything of its term, and commits that with n3, two of three. Then n1, by whose
/// configuration n1, n4 and n5 are three of five, leads again and overwrites it.
#[test]
fn raft_dev_2015_single_server_changes() {
    for bugs in [Bugs::NONE, Bug::SingleChangeNoCommit.into()] {
        let buggy = !bugs.is_empty();
        let mut network = cluster(4, &[5], bugs);
        part(&mut network, &[1, 5], &[2, 3, 4]);
        network.change(1, Change::Promote { id: 5 });
        network.settle();
        // n2 is elected, but nobody gets its no-op.
        [3, 4].iter().for_each(|id| network.timeout(*id, Timer::Contact));
        network.timeout(2, Timer::Election);
        for _ in 0..8 {
            network.deliver_if(|message| !matches!(message.body, Body::Append { .. }));
            [2, 3, 4].iter().for_each(|id| network.sync(*id));
        }
        assert_eq!(network.role(2), Role::Leader);
        network.in_flight.retain(|message| message.to != 4);
        part(&mut network, &[4], &[2, 3]);
        network.change(2, Change::Remove { id: 1 });
        let refused = rejections(&network, 2).contains(&Rejection::ChangePending);
        assert_eq!((refused, triggered(&network, Bug::SingleChangeNoCommit)), (!buggy, buggy));
        network.settle();
        network.cut.clear();
        part(&mut network, &[1, 4, 5], &[2, 3]);
        [1, 1].iter().for_each(|id| network.timeout(*id, Timer::Election));
        network.elect(1);
        network.elect(1);
        network.propose(1, &["x"]);
        network.settle();
        assert_eq!(agree(&network, 1, 2), !buggy, "{bugs:?}");
        assert_eq!(network.role(1) == Role::Leader, buggy);
    }
}

/// The voters change from 1, 2, 3 to 1, 4, 5 while only the new ones can be reached.
#[test]
fn joint_new_only_lets_two_majorities_decide_apart() {
    for bugs in [Bugs::NONE, Bug::JointNewOnly.into()] {
        let mut network = cluster(3, &[4, 5], bugs);
        part(&mut network, &[1, 4, 5], &[2, 3]);
        network.change(1, Change::Voters([1, 4, 5].into()));
        network.settle();
        network.propose(1, &["new"]);
        network.settle();
        network.elect(2);
        network.propose(2, &["old"]);
        network.settle();
        assert_eq!(agree(&network, 1, 2), bugs.is_empty(), "{bugs:?}");
        assert_eq!(triggered(&network, Bug::JointNewOnly), !bugs.is_empty());
    }
}

#[test]
fn joint_stuck_never_ends_after_a_change_of_leader() {
    for bugs in [Bugs::NONE, Bug::JointStuck.into()] {
        let mut network = cluster(3, &[], bugs);
        network.change(1, Change::Remove { id: 3 });
        network.deliver();
        network.sync(2);
        network.crash(1);
        network.in_flight.clear();
        network.restart(1);
        network.elect(2);
        calm(&mut network, 2);
        let stuck = network.machines[&2].core().configuration().is_joint();
        assert_eq!(
            (stuck, triggered(&network, Bug::JointStuck)),
            (!bugs.is_empty(), !bugs.is_empty())
        );
        network.change(2, Change::Remove { id: 1 });
        calm(&mut network, 2);
        assert_eq!(voters(&network, 2).len(), if stuck { 2 } else { 1 });
    }
}

/// With two learners that count, n1 and they commit what no majority of voters has.
#[test]
fn learner_counts_commits_without_a_majority_of_voters() {
    for bugs in [Bugs::NONE, Bug::LearnerCounts.into()] {
        let mut network = cluster(3, &[4, 5], bugs);
        let before = network.commit(1);
        part(&mut network, &[1, 4, 5], &[2, 3]);
        network.propose(1, &["a"]);
        network.settle();
        assert_eq!(network.commit(1) > before, !bugs.is_empty(), "{bugs:?}");
        assert_eq!(triggered(&network, Bug::LearnerCounts), !bugs.is_empty());
    }
}

#[test]
fn removed_disrupts_deposes_leader_after_leader() {
    for bugs in [Bugs::NONE, Bug::RemovedDisrupts.into()] {
        let mut network = cluster(3, &[], bugs);
        network.change(1, Change::Remove { id: 3 });
        calm(&mut network, 1);
        assert_eq!(voters(&network, 3), [1, 2], "it has heard of its removal");
        let term = network.machines[&1].core().term();
        for _ in 0..3 {
            network.timeout(3, Timer::Election);
            network.settle();
        }
        let now = network.machines[&1].core().term();
        assert_eq!(now > term, !bugs.is_empty(), "{bugs:?}");
        assert_eq!(network.role(1) == Role::Leader, bugs.is_empty());
    }
}
