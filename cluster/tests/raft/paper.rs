//! Tests named after the sections and figures of "In Search of an Understandable Consensus
//! Algorithm (Extended Version)", to be read side by side with it.

use crate::network::Network;
use cluster::raft::{
    Body, Effect, Entry, Event, HardState, Message, NodeId, Payload, Position, Recovered,
    Rejection, Role, Snapshot, Term, Timer,
};
use std::sync::Arc;

/// A cluster whose nodes find these logs, written as terms, on their disks.
fn cluster_with(logs: &[&[Term]], term: Term, append_entries: usize) -> Network {
    let mut network = Network::new(logs.len() as u64, |config| {
        config.limits.append_entries = append_entries;
    });
    for (id, log) in (1..).zip(logs) {
        let entry = |(index, term): (u64, &Term)| Entry {
            term: *term,
            index,
            payload: Payload::Command(format!("{index}@{term}").into_bytes().into()),
        };
        network.crash(id);
        network.machine(id).disk = Recovered {
            hard_state: HardState { term, vote: None },
            log: (1..).zip(*log).map(entry).collect(),
            ..Recovered::default()
        };
        network.restart(id);
    }
    network
}

fn receive(network: &mut Network, from: NodeId, to: NodeId, term: Term, body: Body) {
    network.event(to, Event::Receive(Message { from, to, term, body }));
    network.sync(to);
}

fn answers(network: &Network, id: NodeId) -> Vec<Message> {
    network.seen(id, |effect| match effect {
        Effect::Send(message) => Some(message.clone()),
        _ => None,
    })
}

#[test]
fn section_5_1_a_higher_term_makes_any_node_a_follower() {
    for body in [
        Body::VoteAnswer { granted: true },
        Body::AppendAccepted { matched: 7 },
        Body::HeartbeatAnswer { round: 0 },
        Body::Heartbeat { commit: 0, round: 0 },
    ] {
        let mut network = Network::new(3, |_| {});
        network.elect(1);
        assert_eq!(network.role(1), Role::Leader);
        receive(&mut network, 2, 1, 9, body);
        assert_eq!((network.role(1), network.machines[&1].core().term()), (Role::Follower, 9));
        assert_eq!(network.machines[&1].disk.hard_state, HardState { term: 9, vote: None });
    }
}

#[test]
fn section_5_1_a_stale_request_is_refused_with_the_newer_term() {
    let base = Position::default();
    for body in [
        Body::Vote { last: Position { term: 9, index: 9 }, forced: false },
        Body::Append { base, entries: vec![], commit: 0 },
        Body::Heartbeat { commit: 0, round: 3 },
    ] {
        let mut network = cluster_with(&[&[1], &[1], &[1]], 5, 100);
        receive(&mut network, 2, 1, 4, body);
        let answers = answers(&network, 1);
        assert_eq!(answers.len(), 1);
        assert_eq!((answers[0].to, answers[0].term), (2, 5));
        assert!(!matches!(
            answers[0].body,
            Body::VoteAnswer { granted: true } | Body::AppendAccepted { .. }
        ));
    }
}

#[test]
fn section_5_1_an_answer_of_an_earlier_term_counts_for_nothing() {
    let mut network = Network::new(3, |_| {});
    network.elect(1);
    network.elect(2);
    network.elect(1);
    network.isolate(1);
    network.propose(1, &["a"]);
    network.sync(1);
    let (term, last) = (network.machines[&1].core().term(), network.machines[&1].core().last());
    assert_eq!((term, network.role(1)), (3, Role::Leader));
    receive(&mut network, 2, 1, 1, Body::AppendAccepted { matched: last.index });
    receive(&mut network, 2, 1, 1, Body::HeartbeatAnswer { round: 1 });
    assert_eq!(network.commit(1), last.index - 1);

    let mut network = Network::new(3, |_| {});
    network.isolate(1);
    for term in 1..=2 {
        network.timeout(1, Timer::Election);
        receive(&mut network, 2, 1, term - 1, Body::PreVoteAnswer { term, granted: true });
    }
    assert_eq!((network.role(1), network.machines[&1].core().term()), (Role::Candidate, 2));
    receive(&mut network, 2, 1, 1, Body::VoteAnswer { granted: true });
    assert_eq!(network.role(1), Role::Candidate);
    receive(&mut network, 2, 1, 2, Body::VoteAnswer { granted: true });
    assert_eq!(network.role(1), Role::Leader);
}

#[test]
fn section_5_2_a_node_votes_once_a_term_and_repeats_itself_when_asked_again() {
    let mut network = Network::new(5, |_| {});
    let last = Position::default();
    receive(&mut network, 2, 1, 1, Body::Vote { last, forced: false });
    receive(&mut network, 3, 1, 1, Body::Vote { last, forced: false });
    network.crash(1);
    network.restart(1);
    receive(&mut network, 4, 1, 1, Body::Vote { last, forced: false });
    receive(&mut network, 2, 1, 1, Body::Vote { last, forced: false });
    let votes: Vec<_> = answers(&network, 1).into_iter().map(|vote| (vote.to, vote.body)).collect();
    let vote = |granted| Body::VoteAnswer { granted };
    assert_eq!(votes, [(2, vote(true)), (3, vote(false)), (4, vote(false)), (2, vote(true))]);
}

#[test]
fn section_5_2_a_candidate_that_hears_the_leader_of_its_term_follows_it() {
    let mut network = Network::new(3, |_| {});
    network.timeout(1, Timer::Election);
    network.deliver_if(|_| true);
    network.deliver_if(|_| true);
    assert_eq!(network.role(1), Role::Candidate);
    receive(&mut network, 2, 1, 1, Body::Heartbeat { commit: 0, round: 0 });
    assert_eq!((network.role(1), network.machines[&1].core().leader()), (Role::Follower, Some(2)));
}

#[test]
fn section_5_2_a_split_vote_is_resolved_in_the_next_term() {
    let mut network = Network::new(4, |_| {});
    network.timeout(1, Timer::Election);
    network.timeout(2, Timer::Election);
    // Each gets the other followers' pre-votes and one vote.
    network.cut.extend([(1, 4), (2, 3), (1, 2), (2, 1)]);
    network.settle();
    assert_eq!([1, 2].map(|id| network.role(id)), [Role::Candidate; 2]);
    network.cut.clear();
    network.timeout(2, Timer::Election);
    network.settle();
    assert_eq!((network.role(2), network.machines[&2].core().term()), (Role::Leader, 2));
}

#[test]
fn section_5_3_an_append_without_its_base_is_refused_and_changes_nothing() {
    let mut network = cluster_with(&[&[1, 1, 2], &[], &[]], 3, 100);
    let entries = vec![Entry { term: 3, index: 4, payload: Payload::Noop }];
    let base = Position { term: 3, index: 3 };
    receive(&mut network, 2, 1, 3, Body::Append { base, entries, commit: 4 });
    assert_eq!((network.terms(1), network.commit(1)), (vec![1, 1, 2], 0));
    assert!(matches!(answers(&network, 1)[0].body, Body::AppendRejected { base: 3, .. }));
}

#[test]
fn section_5_3_an_old_append_erases_nothing() {
    let mut network = cluster_with(&[&[1, 1, 1, 1], &[], &[]], 1, 100);
    let entry = |index| Entry {
        term: 1,
        index,
        payload: Payload::Command(format!("{index}@1").into_bytes().into()),
    };
    let body = Body::Append { base: Position::default(), entries: vec![entry(1)], commit: 3 };
    receive(&mut network, 2, 1, 1, body);
    assert_eq!(network.terms(1), [1, 1, 1, 1]);
    assert_eq!(network.commit(1), 1, "only what this append has shown to match");
}

#[test]
fn figure_7_a_leader_makes_every_log_its_own() {
    const LEADER: &[Term] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let followers: [&[Term]; 6] = [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    for append_entries in [1, 3, 100] {
        let logs: Vec<&[Term]> = [LEADER].into_iter().chain(followers).collect();
        let mut network = cluster_with(&logs, 7, append_entries);
        network.elect(1);
        assert_eq!(network.role(1), Role::Leader, "a, b, e and f vote for it; c and d do not");
        for id in 1..=7 {
            assert_eq!(network.terms(id), [LEADER, &[8]].concat(), "n{id}");
        }
        assert_eq!(network.commit(1), 11);
    }
}

#[test]
fn section_5_4_1_a_vote_goes_only_to_a_log_at_least_as_up_to_date() {
    let cases: [(&[Term], Position, bool); 6] = [
        (&[1, 1, 2], Position { term: 2, index: 3 }, true),
        (&[1, 1, 2], Position { term: 2, index: 4 }, true),
        (&[1, 1, 2], Position { term: 3, index: 1 }, true),
        (&[1, 1, 2], Position { term: 2, index: 2 }, false),
        (&[1, 1, 2], Position { term: 1, index: 9 }, false),
        (&[], Position { term: 0, index: 0 }, true),
    ];
    for (log, last, granted) in cases {
        let mut network = cluster_with(&[log, &[], &[]], 3, 100);
        receive(&mut network, 2, 1, 3, Body::PreVote { term: 4, last });
        receive(&mut network, 2, 1, 4, Body::Vote { last, forced: false });
        let bodies: Vec<Body> = answers(&network, 1).into_iter().map(|vote| vote.body).collect();
        let expected = [Body::PreVoteAnswer { term: 4, granted }, Body::VoteAnswer { granted }];
        assert_eq!(bodies, expected, "{last} asks {log:?}");
    }
}

/// Figure 8 up to (c): S1 leads term 4 and has brought its entry of term 2 to S3, a majority.
fn figure_8_c() -> Network {
    let mut network = cluster_with(&[&[1, 2], &[1, 2], &[1], &[1], &[1, 3]], 3, 1);
    network.crash(5);
    network.timeout(1, Timer::Election);
    // The election, without the no-op: appends are kept back.
    for _ in 0..8 {
        network.deliver_if(|message| !matches!(message.body, Body::Append { .. }));
        for id in 1..=4 {
            network.sync(id);
        }
    }
    assert_eq!((network.role(1), network.machines[&1].core().term()), (Role::Leader, 4));
    // S4 hears nothing for now. S2 has the no-op's base and takes it; S3 refuses, and gets 2@2 alone.
    network.in_flight.retain(|message| message.to != 4);
    network.deliver_if(|_| true);
    network.sync(2);
    network.deliver_if(|_| true);
    network.deliver_if(|_| true);
    network.sync(3);
    network.deliver_if(|message| message.from == 3);
    let matched = network.machines[&1].core().matched();
    assert_eq!(matched, [(2, 3), (3, 2), (4, 0), (5, 0)].into());
    assert_eq!(network.terms(3), [1, 2]);
    network
}

#[test]
fn section_5_4_2_figure_8_d_an_entry_of_an_earlier_term_on_a_majority_is_still_overwritten() {
    let mut network = figure_8_c();
    assert_eq!(network.commit(1), 0, "2@2 is on S1, S2 and S3, and not committed");
    network.crash(1);
    network.in_flight.clear();
    network.restart(5);
    network.elect(5);
    network.timeout(5, Timer::Election);
    network.elect(5);
    assert_eq!(network.role(5), Role::Leader);
    for id in 2..=5 {
        assert_eq!(network.terms(id)[..2], [1, 3], "n{id}");
    }
}

#[test]
fn section_5_4_2_figure_8_e_an_entry_of_the_leaders_term_commits_all_before_it() {
    let mut network = figure_8_c();
    network.settle();
    assert_eq!((network.terms(3), network.commit(1)), (vec![1, 2, 4], 3));
    network.crash(1);
    network.restart(5);
    for _ in 0..3 {
        network.elect(5);
        assert_ne!(network.role(5), Role::Leader, "S2 and S3 do not vote for 2@3");
    }
    network.elect(2);
    assert_eq!(network.terms(5)[..3], [1, 2, 4]);
}

#[test]
fn section_5_5_a_repeated_append_changes_nothing() {
    let mut network = Network::new(3, |_| {});
    network.elect(1);
    network.propose(1, &["a", "b"]);
    let copies: Vec<_> = network.in_flight.iter().cloned().collect();
    network.settle();
    let before = network.machines[&2].disk.clone();
    network.in_flight.extend(copies);
    network.settle();
    assert_eq!(network.machines[&2].disk, before);
    assert_eq!(network.commit(1), 3);
}

#[test]
fn section_8_a_deposed_leader_answers_no_read_and_its_successor_sees_all() {
    let mut network = Network::new(3, |_| {});
    network.elect(1);
    network.isolate(1);
    network.elect(2);
    network.propose(2, &["new"]);
    network.settle();
    network.event(1, Event::Read(vec![1]));
    network.event(2, Event::Read(vec![2]));
    network.settle();
    let ready = |effect: &Effect| match effect {
        Effect::ReadReady { tag, index } => Some((*tag, *index)),
        _ => None,
    };
    assert_eq!((network.seen(1, ready), network.seen(2, ready)), (vec![], vec![(2, 3)]));
    network.cut.clear();
    network.timeout(2, Timer::Heartbeat);
    network.settle();
    let failed = |effect: &Effect| match effect {
        Effect::ReadFailed { tag, reason } => Some((*tag, *reason)),
        _ => None,
    };
    assert_eq!(network.seen(1, failed), [(1, Rejection::NotLeader { leader: Some(2) })]);
}

/// Rounds are counted anew in each term. Were the round of an old heartbeat repeated in an answer of
/// the new term, it would confirm every read to come.
#[test]
fn section_8_a_heartbeat_of_an_earlier_term_confirms_no_read_of_a_later_one() {
    let mut network = Network::new(3, |_| {});
    network.elect(1);
    network.elect(2);
    network.elect(1);
    receive(&mut network, 1, 2, 1, Body::Heartbeat { commit: 0, round: 5000 });
    let answer = answers(&network, 2).pop().unwrap();
    assert_eq!((answer.term, answer.body), (3, Body::HeartbeatAnswer { round: 0 }));

    network.isolate(1);
    receive(&mut network, 2, 1, 3, Body::HeartbeatAnswer { round: 5000 });
    network.event(1, Event::Read(vec![1]));
    let ready = network.seen(1, |effect| match effect {
        Effect::ReadReady { tag, .. } => Some(*tag),
        _ => None,
    });
    assert!(ready.is_empty(), "a round that was never started confirms nothing: {ready:?}");
}

/// A follower whose log is `log`, committed up to `commit`, and the snapshot of a leader of term 3 that ends
/// at entry 3 of term 2.
fn figure_13(log: &[Term], commit: u64, sender_term: Term) -> Network {
    let mut network = cluster_with(&[&[1, 2, 2, 3], log, &[1, 2, 2, 3]], 3, 64);
    receive(&mut network, 3, 2, 3, Body::Heartbeat { commit, round: 0 });
    let entry = |index, term| Entry { term, index, payload: Payload::Noop };
    let state = vec![entry(1, 1), entry(2, 2), entry(3, 2)];
    let configuration = Arc::new(network.machines[&2].core().configuration().clone());
    let snapshot = Snapshot { last: Position { term: 2, index: 3 }, configuration };
    network.receive_snapshot(1, 2, sender_term, &(snapshot, state));
    network.sync(2);
    network
}

fn restored(network: &Network) -> bool {
    network.seen(2, |effect| matches!(effect, Effect::Restore(_)).then_some(())).len() == 1
}

#[test]
fn figure_13_1_a_snapshot_of_an_earlier_term_is_answered_with_the_present_one() {
    let network = figure_13(&[1], 0, 2);
    let answer = answers(&network, 2).pop().unwrap();
    assert_eq!((answer.to, answer.term), (1, 3));
    assert!(matches!(answer.body, Body::AppendRejected { .. }) && !restored(&network));
    assert_eq!((network.terms(2), network.commit(2)), (vec![1], 0));
}

#[test]
fn figure_13_6_what_follows_the_last_included_entry_is_retained() {
    let network = figure_13(&[1, 2, 2, 3, 3], 0, 3);
    assert_eq!((network.terms(2), network.commit(2)), (vec![1, 2, 2, 3, 3], 3));
    assert!(!restored(&network), "the log itself says what is to be applied");
    assert_eq!(network.machines[&2].applied.len(), 3);
}

#[test]
fn figure_13_7_a_log_without_the_last_included_entry_is_discarded() {
    for log in [&[1][..], &[1, 2], &[1, 1, 1, 1, 1]] {
        let network = figure_13(log, 0, 3);
        let core = network.machines[&2].core();
        assert_eq!((core.first(), core.last()), (4, Position { term: 2, index: 3 }), "{log:?}");
        assert_eq!(network.machines[&2].disk.base, core.last());
        assert!(network.machines[&2].disk.log.is_empty());
    }
}

#[test]
fn figure_13_8_the_state_machine_is_reset_to_the_snapshot() {
    let network = figure_13(&[1, 1], 0, 3);
    assert!(restored(&network));
    let applied: Vec<Term> = network.machines[&2].applied.iter().map(|entry| entry.term).collect();
    assert_eq!((applied, network.commit(2)), (vec![1, 2, 2], 3));
    let answer = answers(&network, 2).pop().unwrap();
    assert_eq!(answer.body, Body::AppendAccepted { matched: 3 });
}

#[test]
fn section_7_each_server_takes_snapshots_on_its_own_and_only_of_what_is_committed() {
    let mut network = Network::new(3, |config| config.limits.tail_entries = 0);
    network.elect(1);
    network.propose(1, &["a", "b"]);
    network.settle();
    network.timeout(1, Timer::Heartbeat);
    network.settle();
    network.propose(1, &["c"]);
    network.snapshot(2);
    network.settle();
    let first = |id| network.machines[&id].core().first();
    assert_eq!([first(1), first(2), first(3)], [1, 4, 1], "nobody else compacts, and c stays");
    assert_eq!(network.machines[&2].core().snapshot().unwrap().last.index, 3);
}

#[test]
fn section_7_a_snapshot_that_is_older_than_the_state_is_ignored() {
    let network = figure_13(&[1, 2, 2, 3], 4, 3);
    assert_eq!((network.commit(2), network.terms(2)), (4, vec![1, 2, 2, 3]));
    let answer = answers(&network, 2).pop().unwrap();
    assert_eq!((answer.body, restored(&network)), (Body::AppendAccepted { matched: 4 }, false));
}

#[test]
fn section_7_a_compacted_log_still_refuses_votes_to_shorter_ones() {
    let mut network = Network::new(3, |config| config.limits.tail_entries = 0);
    network.elect(1);
    network.isolate(3);
    network.propose(1, &["a"]);
    network.settle();
    network.timeout(1, Timer::Heartbeat);
    network.settle();
    network.snapshot(1);
    network.snapshot(2);
    network.settle();
    network.cut.clear();
    network.elect(3);
    assert_ne!(network.role(3), Role::Leader);
    network.elect(2);
    assert_eq!(network.role(2), Role::Leader);
}
