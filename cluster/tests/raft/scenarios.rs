//! The shortest story of each bug that luck does not always find, told by hand and without a clock.
//!
//! Each story is told twice: the correct core must not do what the buggy one does.

use crate::network::Network;
use cluster::bug::{Bug, Bugs, Mark};
use cluster::raft::{
    Body, Effect, Entry, Event, HardState, Lease, Message, NodeId, Payload, Position, Recovered,
    Role, Term, Timer,
};

/// Asserts that something wrong happens with the bug, marked, and does not without it.
fn only_with(bug: Bug, story: impl Fn(Bugs) -> (Network, bool)) {
    let (correct, wrong) = story(Bugs::NONE);
    assert!(!wrong, "{bug}: the correct core does it too");
    let marks = |network: &Network| {
        let mut effects = network.effects.iter().map(|(_, effect)| effect);
        effects.any(|effect| matches!(effect, Effect::Mark(_, Mark::Triggered)))
    };
    assert!(!marks(&correct));
    let (buggy, wrong) = story(bug.into());
    assert!(wrong && marks(&buggy), "{bug}: {:#?}", buggy.lines);
}

/// A leader with a lease of an election timeout of 300 ms, by clocks that may differ by a twentieth, which a
/// quorum confirms as of 10 s by its steady clock and its wall clock. Then it is cut off.
fn leased(bugs: Bugs, answered_at: u64) -> Network {
    let mut network = Network::new(3, |config| {
        config.bugs = bugs;
        config.lease = Some(Lease { election_us: 300_000, drift_ppm: 50_000 });
    });
    network.elect(1);
    network.clock(1, 10_000, 10_000);
    network.timeout(1, Timer::Heartbeat);
    network.deliver_if(|message| message.to != 1);
    network.clock(1, answered_at, answered_at);
    network.deliver();
    network.isolate(1);
    network
}

/// Another node leads and commits; whether n1 answers a read by its lease nevertheless.
fn replaced_and_asked(network: &mut Network, now: (u64, u64)) -> bool {
    network.elect(2);
    network.propose(2, &["a"]);
    network.settle();
    assert_eq!((network.role(1), network.commit(2)), (Role::Leader, 3));
    network.clock(1, now.0, now.1);
    network.event(1, Event::ReadByLease(vec![7]));
    let is_by_lease = |effect: &Effect| matches!(effect, Effect::LeaseReady { .. }).then_some(());
    !network.seen(1, is_by_lease).is_empty()
}

/// n1 stood still for 310 ms with the answers in its queue, and counts from when it takes them up.
#[test]
fn lease_no_margin_answers_after_a_pause() {
    only_with(Bug::LeaseNoMargin, |bugs| {
        let mut network = leased(bugs, 10_310);
        let stale = replaced_and_asked(&mut network, (10_320, 10_320));
        (network, stale)
    });
}

/// n1's clock is slow: at 290 ms by its own, 300 ms have passed for those who keep still for it.
#[test]
fn lease_no_margin_answers_by_a_slow_clock() {
    only_with(Bug::LeaseNoMargin, |bugs| {
        let mut network = leased(bugs, 10_001);
        let stale = replaced_and_asked(&mut network, (10_290, 10_290));
        (network, stale)
    });
}

#[test]
fn lease_wall_clock_answers_once_the_clock_was_set_back() {
    only_with(Bug::LeaseWallClock, |bugs| {
        let mut network = leased(bugs, 10_001);
        let stale = replaced_and_asked(&mut network, (12_000, 5_000));
        (network, stale)
    });
}

/// A cluster whose nodes find these logs, written as terms, on their disks.
pub(crate) fn cluster_with(bugs: Bugs, logs: &[&[Term]], term: Term) -> Network {
    let mut network = Network::new(logs.len() as u64, |config| {
        config.bugs = bugs;
        config.limits.append_entries = 1;
    });
    for (id, log) in (1..).zip(logs) {
        let payload = |index| Payload::Command(format!("{index}").into_bytes().into());
        let entry = |(index, term)| Entry { term, index, payload: payload(index) };
        network.crash(id);
        network.machine(id).disk = Recovered {
            hard_state: HardState { term, vote: None },
            log: (1..).zip(log.iter().copied()).map(entry).collect(),
            ..Recovered::default()
        };
        network.restart(id);
    }
    network
}

pub(crate) fn receive(network: &mut Network, from: NodeId, to: NodeId, term: Term, body: Body) {
    network.event(to, Event::Receive(Message { from, to, term, body }));
    network.sync(to);
}

/// To whom a node gave its vote.
fn granted(network: &Network, id: NodeId) -> Vec<NodeId> {
    network.seen(id, |effect| match effect {
        Effect::Send(Message { to, body: Body::VoteAnswer { granted: true }, .. }) => Some(*to),
        _ => None,
    })
}

fn reads(network: &Network, id: NodeId) -> Vec<u64> {
    network.seen(id, |effect| match effect {
        Effect::ReadReady { index, .. } => Some(*index),
        _ => None,
    })
}

const NOTHING: Position = Position { term: 0, index: 0 };

#[test]
fn double_vote_gives_one_term_two_votes() {
    only_with(Bug::DoubleVote, |bugs| {
        let mut network = cluster_with(bugs, &[&[], &[], &[]], 0);
        receive(&mut network, 1, 3, 1, Body::Vote { last: NOTHING, forced: false });
        receive(&mut network, 2, 3, 1, Body::Vote { last: NOTHING, forced: false });
        let both = granted(&network, 3) == [1, 2];
        (network, both)
    });
}

#[test]
fn vote_lost_on_restart_gives_one_term_two_votes() {
    only_with(Bug::VoteLostOnRestart, |bugs| {
        let mut network = cluster_with(bugs, &[&[], &[], &[]], 0);
        receive(&mut network, 1, 3, 1, Body::Vote { last: NOTHING, forced: false });
        network.crash(3);
        network.restart(3);
        receive(&mut network, 2, 3, 1, Body::Vote { last: NOTHING, forced: false });
        let both = granted(&network, 3) == [1, 2];
        (network, both)
    });
}

#[test]
fn elect_by_index_elects_a_longer_log_of_an_earlier_term() {
    only_with(Bug::ElectByIndex, |bugs| {
        let mut network = cluster_with(bugs, &[&[1, 1], &[2], &[2]], 2);
        network.elect(1);
        let leads = network.role(1) == Role::Leader;
        (network, leads)
    });
}

/// Figure 8: the entry of term 2 is on a majority, and n3 may still overwrite it.
#[test]
fn fig8_commits_an_entry_of_an_earlier_term_by_itself() {
    only_with(Bug::Fig8, |bugs| {
        let mut network = cluster_with(bugs, &[&[1, 2], &[1], &[1, 3]], 3);
        network.isolate(3);
        network.elect(1);
        let commits = network.seen(1, |effect| match effect {
            Effect::Apply(entries) => entries.last().map(|entry| entry.term),
            _ => None,
        });
        (network, commits[0] < 4)
    });
}

#[test]
fn stale_vote_elects_by_a_vote_of_an_earlier_term() {
    only_with(Bug::StaleVote, |bugs| {
        let mut network = cluster_with(bugs, &[&[], &[], &[]], 0);
        network.isolate(1);
        for term in 1..=2 {
            network.timeout(1, Timer::Election);
            receive(&mut network, 2, 1, term - 1, Body::PreVoteAnswer { term, granted: true });
        }
        receive(&mut network, 2, 1, 1, Body::VoteAnswer { granted: true });
        let leads = network.role(1) == Role::Leader;
        (network, leads)
    });
}

#[test]
fn stale_ae_reply_commits_what_no_majority_has() {
    only_with(Bug::StaleAeReply, |bugs| {
        let mut network = cluster_with(bugs, &[&[], &[], &[]], 0);
        [1, 2, 1].into_iter().for_each(|id| network.elect(id));
        network.isolate(1);
        network.propose(1, &["a"]);
        network.sync(1);
        let last = network.machines[&1].core().last().index;
        receive(&mut network, 2, 1, 1, Body::AppendAccepted { matched: last });
        let commits = network.commit(1) == last;
        (network, commits)
    });
}

#[test]
fn backtrack_stuck_leaves_a_follower_behind() {
    only_with(Bug::BacktrackStuck, |bugs| {
        let mut network = cluster_with(bugs, &[&[1, 1, 1], &[1], &[1, 1, 1]], 1);
        network.elect(1);
        for _ in 0..10 {
            network.timeout(1, Timer::Heartbeat);
            network.settle();
        }
        let behind = network.terms(2) == [1];
        (network, behind)
    });
}

/// n1 acknowledged "a" at 2; n2 has it, and leads, but does not know that it is committed.
#[test]
fn readindex_no_term_misses_what_the_last_leader_acknowledged() {
    only_with(Bug::ReadIndexNoTerm, |bugs| {
        let mut network = cluster_with(bugs, &[&[], &[], &[]], 0);
        network.elect(1);
        network.propose(1, &["a"]);
        network.sync(1);
        for id in [2, 3] {
            network.deliver();
            network.sync(id);
        }
        network.deliver_if(|message| message.to == 1);
        assert_eq!((network.commit(1), network.commit(2)), (2, 1));
        network.in_flight.clear();
        [1, 2, 3].into_iter().for_each(|id| network.timeout(id, Timer::Contact));
        network.timeout(2, Timer::Election);
        for id in [2, 3] {
            network.deliver();
            network.sync(id);
        }
        network.deliver();
        assert_eq!(network.role(2), Role::Leader);
        network.event(2, Event::Read(vec![7]));
        network.deliver();
        let missed = reads(&network, 2).first().is_some_and(|index| *index < 2);
        (network, missed)
    });
}

#[test]
fn readindex_early_ack_answers_at_a_deposed_leader() {
    only_with(Bug::ReadIndexEarlyAck, |bugs| {
        let mut network = cluster_with(bugs, &[&[], &[], &[]], 0);
        network.elect(1);
        network.isolate(1);
        network.elect(2);
        network.propose(2, &["a"]);
        network.settle();
        network.event(1, Event::Read(vec![7]));
        let answered = !reads(&network, 1).is_empty();
        (network, answered)
    });
}

#[test]
fn ae_truncates_tail_erases_what_was_acknowledged() {
    only_with(Bug::AeTruncatesTail, |bugs| {
        let mut network = cluster_with(bugs, &[&[1, 1, 1], &[1, 1, 1], &[1]], 1);
        let base = Position { term: 1, index: 1 };
        receive(&mut network, 1, 2, 1, Body::Append { base, entries: vec![], commit: 0 });
        let erased = network.terms(2) == [1];
        (network, erased)
    });
}

#[test]
fn no_prev_term_check_takes_entries_after_another_leaders() {
    only_with(Bug::NoPrevTermCheck, |bugs| {
        let mut network = cluster_with(bugs, &[&[1, 2], &[1, 1], &[1, 2]], 2);
        network.elect(1);
        let kept = network.terms(2)[1] == 1;
        (network, kept)
    });
}

#[test]
fn no_truncate_on_conflict_keeps_a_tail_that_no_leader_has() {
    only_with(Bug::NoTruncateOnConflict, |bugs| {
        let mut network = cluster_with(bugs, &[&[1, 2], &[1, 1, 1, 1], &[1, 2]], 2);
        network.elect(1);
        let kept = network.terms(2).len() > 3;
        (network, kept)
    });
}

#[test]
fn follower_commit_max_applies_what_nobody_agreed_on() {
    only_with(Bug::FollowerCommitMax, |bugs| {
        let mut network = cluster_with(bugs, &[&[1, 2], &[1, 1], &[1, 2]], 2);
        network.cut.insert((2, 1));
        network.elect(1);
        network.in_flight.clear();
        network.timeout(1, Timer::Heartbeat);
        network.deliver();
        let applied = network.machines[&2].applied.iter().any(|entry| entry.index == 2);
        (network, applied)
    });
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
        network.timeout(3, Timer::Heartbeat);
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
    assert!(marks.contains(&(Bug::NoElectionRestriction, Mark::Triggered)));
}
