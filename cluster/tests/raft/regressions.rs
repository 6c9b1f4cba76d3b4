//! What went wrong in other implementations of Raft, told again here: one story for each issue, named after it.
//!
//! A story is short, fails if this core does what that one did, and says in a line what that was. Two issues are
//! about a disk and are held by tests next to the log, whose names are asserted here.
//!
//! These have no story, because they are not about what a node does: raft-rs #335 and #449 (versions of a
//! dependency that exclude each other), qdrant #385 (raft-rs is hard to set up without examples), openraft #1494
//! (how it gets to a stable interface). What toydb lists as missing is a list of features; this cluster has them.

use crate::network::Network;
use crate::scenarios::{cluster_with, receive};
use cluster::bug::{Bug, Bugs};
use cluster::raft::{
    Body, Change, Configuration, Effect, Entry, Event, HardState, Index, Message, NodeId, Payload,
    Position, Raft, Recovered, Role, Timer,
};

/// These nodes lose patience one after another, a few times over, until one of them leads.
fn leader_in_the_end(network: &mut Network, order: &[NodeId]) -> Option<NodeId> {
    for id in order.iter().cycle().take(4 * order.len()) {
        lose_patience(network, *id);
        network.settle();
        let leader = order.iter().find(|id| network.role(**id) == Role::Leader);
        if leader.is_some() {
            return leader.copied();
        }
    }
    None
}

fn lose_patience(network: &mut Network, id: NodeId) {
    network.timeout(id, Timer::Contact);
    network.timeout(id, Timer::Election);
}

/// What a node has sent, newest last.
fn sent(network: &Network, id: NodeId) -> Vec<Message> {
    network.seen(id, |effect| match effect {
        Effect::Send(message) => Some(message.clone()),
        _ => None,
    })
}

fn beat(network: &mut Network, leader: NodeId) {
    network.timeout(leader, Timer::Heartbeat);
    network.settle();
}

/// A leader whose log is forgotten as soon as it is applied, and n3, which has none of it.
fn far_behind() -> Network {
    let mut network = Network::new(3, |config| config.limits.tail_entries = 0);
    network.elect(1);
    network.isolate(3);
    network.propose(1, &["a", "b", "c"]);
    network.settle();
    network.snapshot(1);
    network.settle();
    network.cut.clear();
    // What was sent into the void counts as lost after two beats.
    (0..3).for_each(|_| beat(&mut network, 1));
    network
}

/// A test that is elsewhere still is.
fn is_tested_in(file: &str, name: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(path).expect("the file is there");
    let place = text.find(&format!("fn {name}(")).expect("the test is there");
    assert!(text[..place].trim_end().ends_with("#[test]"), "{name} is run");
}

/// Pre-votes of a node that had missed terms were ignored, and so were its answers: nobody could win.
#[test]
fn etcd_8243_a_node_of_a_lower_term_takes_part_in_elections() {
    for order in [[2, 3], [3, 2]] {
        let mut network = Network::new(3, |_| {});
        network.elect(1);
        network.isolate(3);
        for (leader, next) in [(1, 2), (2, 1), (1, 2), (2, 1)] {
            network.crash(leader);
            network.restart(leader);
            network.elect(next);
        }
        network.crash(1);
        network.cut.clear();
        let terms = [2, 3].map(|id| network.machines[&id].core().term());
        assert_eq!(terms, [5, 1]);
        assert_eq!(leader_in_the_end(&mut network, &order), Some(2), "it has the longer log");
    }
}

/// One node had the higher term and the other the longer log, and each turned the other down for ever.
#[test]
fn etcd_8501_a_higher_term_and_a_longer_log_do_not_block_each_other() {
    for order in [[1, 2], [2, 1]] {
        let mut network = cluster_with(Bugs::NONE, &[&[1], &[1, 2], &[1]], 2);
        network.crash(3);
        network.crash(1);
        network.machine(1).disk.hard_state = HardState { term: 7, vote: None };
        network.restart(1);
        assert_eq!(leader_in_the_end(&mut network, &order), Some(2));
    }
}

/// A node that had lost patience with its leader still counted as having one, and refused everybody.
#[test]
fn etcd_9586_who_has_lost_patience_refuses_nobody() {
    let mut network = Network::new(3, |_| {});
    network.elect(1);
    beat(&mut network, 1);
    network.isolate(1);
    // n3 has heard n1 a moment ago and refuses n2.
    lose_patience(&mut network, 2);
    network.settle();
    assert_ne!(network.role(2), Role::Leader);
    // n3's turn: n2 does not hear anybody in between.
    lose_patience(&mut network, 3);
    network.settle();
    assert_eq!(network.role(3), Role::Leader);
}

/// Two nodes that asked for pre-votes over and over never elected one of them.
#[test]
fn etcd_10355_two_that_ask_at_once_elect_one() {
    let mut network = Network::new(3, |_| {});
    network.elect(1);
    network.crash(1);
    for id in [2, 3] {
        lose_patience(&mut network, id);
    }
    network.settle();
    assert!(leader_in_the_end(&mut network, &[2, 3]).is_some());
}

/// A leader whose disk stood still went on leading, because what would have ended that waited for the disk.
#[test]
fn etcd_13527_a_leader_with_a_stalled_disk_beats_on_and_then_steps_down() {
    let mut network = Network::new(3, |config| config.election_beats = 3);
    network.elect(1);
    network.propose(1, &["a"]);
    let mut beats = 0;
    while network.role(1) == Role::Leader {
        beats += 1;
        assert!(beats < 10, "it leads for ever");
        network.timeout(1, Timer::Heartbeat);
        network.deliver();
    }
    let heartbeats = sent(&network, 1).into_iter();
    let heartbeats = heartbeats.filter(|m| matches!(m.body, Body::Heartbeat { .. })).count();
    assert!(beats > 3 && heartbeats >= 2 * 3, "{beats} {heartbeats}");
    // Nor does it ask to lead again before its disk moves.
    let before = network.effects.len();
    for _ in 0..3 {
        network.timeout(1, Timer::Election);
    }
    let asks = |(_, effect): &(NodeId, Effect)| match effect {
        Effect::Send(message) => matches!(message.body, Body::PreVote { .. } | Body::Vote { .. }),
        _ => false,
    };
    let asked = network.effects[before..].iter().filter(|effect| asks(effect)).count();
    assert!(asked <= 2, "at most before it can know: {asked}");
}

/// A follower that had an entry did not learn that it was committed as long as nothing new was written.
#[test]
fn etcd_14143_a_heartbeat_tells_what_is_committed() {
    let mut network = Network::new(3, |_| {});
    network.elect(1);
    beat(&mut network, 1);
    network.propose(1, &["a"]);
    network.settle();
    assert_eq!((network.commit(1), network.commit(2), network.commit(3)), (2, 1, 1));
    beat(&mut network, 1);
    assert_eq!((network.commit(2), network.commit(3)), (2, 2));
}

/// A large snapshot held up heartbeats to whom it was sent, and to the others.
#[test]
fn etcd_13913_heartbeats_do_not_wait_for_a_snapshot() {
    let mut network = far_behind();
    assert_eq!(network.sending.len(), 1, "a snapshot is on its way, and stays there");
    for _ in 0..20 {
        let before = sent(&network, 1).len();
        beat(&mut network, 1);
        let news = sent(&network, 1).split_off(before);
        for to in [2, 3] {
            let to_it: Vec<_> = news.iter().filter(|message| message.to == to).collect();
            assert!(matches!(to_it[..], [Message { body: Body::Heartbeat { .. }, .. }]));
        }
    }
    network.propose(1, &["d"]);
    network.settle();
    assert_eq!((network.role(1), network.commit(1)), (Role::Leader, 5));
}

/// The checksum of a snapshot was computed where heartbeats are answered. Here a core hears of one only when that
/// is done; until then its node answers, and nobody loses patience.
#[test]
fn camunda_6269_a_node_answers_while_it_receives_a_snapshot() {
    let mut network = far_behind();
    let before = sent(&network, 3).len();
    for _ in 0..5 {
        beat(&mut network, 1);
    }
    let answers = sent(&network, 3).split_off(before);
    assert_eq!(answers.len(), 5);
    assert!(answers.iter().all(|m| matches!(m.body, Body::HeartbeatAnswer { .. })));
    assert!(network.end_transfer(1, 3, true));
    network.settle();
    assert_eq!(network.machines[&3].applied, network.machines[&1].applied);
}

/// Entries were handed out twice, out of order, when more was committed before the last were applied.
#[test]
fn raft_rs_392_what_is_committed_while_applying_is_applied_once_and_in_order() {
    let mut config = cluster::raft::Config::new(2, Configuration::of(1..=3));
    config.limits.apply_entries = 2;
    let mut raft = Raft::new(config, Recovered::default());
    let mut effects = Vec::new();
    raft.start(&mut effects);
    let payload = Payload::Noop;
    let entry = |index| Entry { term: 1, index, payload: payload.clone() };
    let append = |first: Index, last: Index| {
        let base = Position { term: u64::from(first > 1), index: first - 1 };
        let body =
            Body::Append { base, entries: (first..=last).map(entry).collect(), commit: last };
        Event::Receive(Message { from: 1, to: 2, term: 1, body })
    };
    // Slices of two, while appends commit more, an old one comes again, and the disk reports late.
    for event in [append(1, 5), append(6, 6), append(1, 3), Event::ApplyMore, append(7, 9)] {
        raft.step(event, &mut effects);
    }
    raft.step(Event::Durable { ticket: 1 }, &mut effects);
    while raft.more_to_apply() {
        raft.step(Event::ApplyMore, &mut effects);
    }
    let slices = effects.iter().filter_map(|effect| match effect {
        Effect::Apply(entries) => Some(entries.iter().map(|entry| entry.index)),
        _ => None,
    });
    assert!(slices.clone().all(|slice| slice.len() <= 2));
    assert_eq!(slices.flatten().collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
}

/// A leader that could not read its log sent entries as if they were the first of all.
#[test]
fn openraft_1795_entries_follow_the_base_they_are_sent_with() {
    let mut network = far_behind();
    assert!(network.end_transfer(1, 3, false), "and again, with more in the log by then");
    network.propose(1, &["d", "e"]);
    network.settle();
    beat(&mut network, 1);
    assert!(network.end_transfer(1, 3, true));
    network.settle();
    let mut appends = 0;
    for message in sent(&network, 1) {
        if let Body::Append { base, entries, .. } = message.body {
            appends += 1;
            let indexes = entries.iter().map(|entry| entry.index);
            assert!(indexes.eq((base.index + 1..).take(entries.len())), "{base} {entries:?}");
        }
    }
    assert!(appends > 5);
    assert_eq!(network.terms(3).last(), network.terms(1).last());
}

/// Without pre-vote a node that came back from a partition deposed a leader that all others were content with.
#[test]
fn openraft_1770_a_returning_node_deposes_nobody() {
    let mut network = Network::new(3, |_| {});
    network.elect(1);
    network.isolate(3);
    for _ in 0..5 {
        lose_patience(&mut network, 3);
    }
    network.in_flight.clear();
    network.cut.clear();
    network.timeout(3, Timer::Election);
    network.settle();
    beat(&mut network, 1);
    assert_eq!((network.role(1), network.machines[&3].core().term()), (Role::Leader, 1));
    assert_eq!(network.machines[&3].core().leader(), Some(1));
}

/// A follower that had lost its disk made the leader panic. Here the leader goes on, asks it for nothing over
/// and over, and does not count it; the next leader, which knows nothing of it, fills its log.
#[test]
fn openraft_898_a_wiped_follower_harms_nobody() {
    let mut network = Network::new(3, |_| {});
    network.elect(1);
    network.propose(1, &["a", "b"]);
    network.settle();
    network.crash(3);
    network.machine(3).disk = Recovered::default();
    network.restart(3);
    for _ in 0..10 {
        beat(&mut network, 1);
    }
    network.propose(1, &["c"]);
    network.settle();
    beat(&mut network, 1);
    assert_eq!((network.role(1), network.commit(1), network.commit(2)), (Role::Leader, 4, 4));
    network.elect(2);
    beat(&mut network, 2);
    assert_eq!(network.terms(3), network.terms(2));
}

/// A follower that had forgotten the entry before an append took that for a conflict, and erased what it had.
#[test]
fn openraft_511_an_append_from_before_the_base_erases_nothing() {
    let mut network = Network::new(3, |config| config.limits.tail_entries = 0);
    network.elect(1);
    network.propose(1, &["a", "b"]);
    network.settle();
    beat(&mut network, 1);
    network.snapshot(2);
    network.propose(1, &["c"]);
    network.settle();
    let core = network.machines[&2].core();
    assert_eq!((core.first(), core.last().index), (4, 4));
    let base = Position { term: 1, index: 1 };
    receive(&mut network, 1, 2, 1, Body::Append { base, entries: Vec::new(), commit: 0 });
    assert_eq!(network.machines[&2].core().last().index, 4);
    let answer = sent(&network, 2).pop().map(|message| message.body);
    assert!(matches!(answer, Some(Body::AppendAccepted { .. })), "{answer:?}");
}

/// A node that was removed, whether or not it heard of that, called elections that deposed leader after leader.
#[test]
fn hashicorp_524_a_removed_node_disrupts_nobody() {
    let undisturbed = |bugs: Bugs, hears: bool| {
        let mut network = Network::new(3, |config| config.bugs = bugs);
        network.elect(1);
        if !hears {
            network.isolate(3);
        }
        network.change(1, Change::Remove { id: 3 });
        network.settle();
        beat(&mut network, 1);
        network.cut.clear();
        assert_eq!(network.machines[&1].core().configuration().voters, [1, 2].into());
        let term = network.machines[&1].core().term();
        for _ in 0..5 {
            lose_patience(&mut network, 3);
            network.settle();
            beat(&mut network, 1);
        }
        (network.role(1), network.machines[&1].core().term()) == (Role::Leader, term)
    };
    assert!(undisturbed(Bugs::NONE, true) && undisturbed(Bugs::NONE, false));
    assert!(!undisturbed(Bug::RemovedDisrupts.into(), true));
}

/// Pre-votes of a node that had led were refused by those who still took it for their leader: nobody led.
#[test]
fn hashicorp_606_a_former_leader_may_be_elected_again() {
    let mut network = Network::new(3, |_| {});
    network.elect(1);
    beat(&mut network, 1);
    // Nobody answers it for two timeouts, but the others have just heard it.
    network.cut.extend([(2, 1), (3, 1)]);
    network.timeout(1, Timer::Heartbeat);
    network.deliver();
    network.timeout(1, Timer::Election);
    network.timeout(1, Timer::Election);
    assert_eq!(network.role(1), Role::Follower);
    network.cut.clear();
    network.timeout(1, Timer::Election);
    network.settle();
    assert_eq!((network.role(1), network.machines[&1].core().term()), (Role::Leader, 2));
}

/// Answers to pre-votes counted as news of a leader, and kept a cluster without one from electing one.
#[test]
fn hashicorp_609_an_answer_to_a_pre_vote_is_no_contact() {
    let mut network = Network::new(3, |_| {});
    network.elect(1);
    beat(&mut network, 1);
    network.isolate(1);
    network.timeout(2, Timer::Contact);
    let before = network.effects.len();
    network.timeout(2, Timer::Election);
    network.settle();
    let contacts = network.effects[before..].iter();
    let contacts = contacts.filter(|(_, effect)| *effect == Effect::SetTimer(Timer::Contact));
    assert_eq!(contacts.count(), 0, "n3 refused, which proves nothing");
    assert_eq!(leader_in_the_end(&mut network, &[3, 2]), Some(3));
}

/// The file of the log never became smaller.
#[test]
fn consul_866_what_a_snapshot_covers_leaves_the_disk() {
    let mut network = Network::new(1, |config| config.limits.tail_entries = 2);
    network.elect(1);
    for _ in 0..20 {
        network.propose(1, &["a"; 50]);
        network.settle();
        network.snapshot(1);
        network.settle();
        assert_eq!(network.machines[&1].disk.log.len(), 2);
    }
    let name = "a_compacted_log_keeps_what_follows_and_the_vote_and_loses_its_old_segments";
    is_tested_in("src/wal/compaction_tests.rs", name);
}

/// An append without entries was answered at once, although entries that it vouched for were not yet durable.
#[test]
fn yugabyte_32875_an_empty_append_acknowledges_nothing_before_it_is_durable() {
    let mut network = Network::new(3, |_| {});
    let append = |base: Position, entries| {
        let body = Body::Append { base, entries, commit: 0 };
        Event::Receive(Message { from: 1, to: 2, term: 1, body })
    };
    let entry = Entry { term: 1, index: 1, payload: Payload::Noop };
    network.event(2, append(Position::default(), vec![entry.clone()]));
    network.event(2, append(entry.position(), Vec::new()));
    assert_eq!(sent(&network, 2), []);
    network.crash(2);
    network.restart(2);
    network.event(2, append(Position::default(), vec![entry.clone()]));
    network.event(2, append(entry.position(), Vec::new()));
    network.sync(2);
    let answers = sent(&network, 2).into_iter().map(|message| message.body);
    assert_eq!(answers.last(), Some(Body::AppendAccepted { matched: 1 }));
}

/// A sync that had failed was tried again, and its success taken for that of the first.
#[test]
fn cockroach_37102_a_failed_sync_is_final() {
    is_tested_in("src/wal/tests.rs", "an_error_of_sync_stays");
}
