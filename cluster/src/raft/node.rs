//! One node: its state, and the dispatch of events to the parts of the algorithm.
//!
//! The parts are in `election`, `replication` and `reads`, each an `impl Raft`. What all of them
//! share is here: terms, following a leader, committing, and the checks that run after every step.

use super::config::Config;
use super::event::{Effect, Event, HardState, Now, Recovered, Snapshot, Timer};
use super::gate::{Gate, Promise};
use super::log::Log;
use super::membership::Membership;
use super::message::{Body, Index, Message, NodeId, Term};
use super::progress::Leadership;
use crate::bug::{Bug, Mark};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One node of a cluster. See the [module](super) for how to drive it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Raft {
    pub(super) config: Config,
    /// Term and vote, as last handed to the disk.
    pub(super) hard_state: HardState,
    pub(super) log: Log,
    pub(super) membership: Membership,
    /// What is durable, and the promises that wait for it.
    pub(super) gate: Gate,
    /// The highest index known to be committed.
    pub(super) commit: Index,
    /// The highest index handed out to be applied, or restored; at most `commit` unless a deliberate bug
    /// took committed entries back.
    pub(super) applied: Index,
    /// The newest durable snapshot.
    pub(super) snapshot: Option<Snapshot>,
    /// The leader of this term, if known.
    pub(super) leader: Option<NodeId>,
    /// Whether that leader was heard within a minimum election timeout; with leases, whether any leader was, or
    /// may have been before a restart.
    pub(super) contact: bool,
    /// The time, as the driver last told it; stays at zero without leases.
    pub(super) now: Now,
    /// What the disk had done at the last election timeout, if it owed anything then.
    pub(super) owed_at_last_timeout: Option<u64>,
    /// For a leader: what its disk had done at the last heartbeat, if it owed anything then, and for
    /// how many heartbeats it has done nothing since.
    pub(super) owed_at_last_beat: (Option<u64>, u8),
    /// A transfer whose target has taken the term; it ends when a leader is heard.
    pub(super) handed_over: Option<u64>,
    pub(super) standing: Standing,
}

/// The role, with what only that role has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Standing {
    Follower,
    /// The answers to its pre-votes so far.
    PreCandidate(BTreeMap<NodeId, bool>),
    /// The votes so far, its own among them once that is durable.
    Candidate(BTreeMap<NodeId, bool>),
    Leader(Box<Leadership>),
}

impl Raft {
    /// A node with what it read back from its disk. It does nothing before [`Raft::start`].
    ///
    /// # Panics
    /// If the recovered entries have gaps, or the snapshot does not cover what is before them.
    pub fn new(config: Config, recovered: Recovered) -> Raft {
        let Recovered { hard_state, snapshot, base, log } = recovered;
        let covered = snapshot.as_ref().map(|snapshot| snapshot.last).unwrap_or_default();
        assert!(base.index <= covered.index, "n{}: {base} is not in the snapshot", config.id);
        let membership = Membership::recovered(&config, snapshot.as_ref(), &log);
        let log = Log::recovered(base, log);
        let mut raft = Raft {
            gate: Gate::new(log.last().index),
            config,
            hard_state,
            log,
            membership,
            commit: covered.index,
            applied: covered.index,
            snapshot: None,
            leader: None,
            contact: false,
            now: Now::default(),
            owed_at_last_timeout: None,
            owed_at_last_beat: (None, 0),
            handed_over: None,
            standing: Standing::Follower,
        };
        if let Some(snapshot) = snapshot {
            raft.recover(snapshot);
        }
        raft
    }

    /// Goes on from a snapshot. If the log ends before it or is at odds with it, the node crashed after the
    /// snapshot had arrived and before the log was replaced: it is replaced now.
    fn recover(&mut self, snapshot: Snapshot) {
        if snapshot.last.term > self.hard_state.term {
            self.set_hard_state(HardState { term: snapshot.last.term, vote: None });
        }
        if !self.log.has(snapshot.last) {
            self.log = Log::after(snapshot.last);
            self.membership = Membership::as_of(&snapshot, self.config.bugs);
            self.gate.write_reset(snapshot.clone());
        }
        self.snapshot = Some(snapshot);
    }

    /// The first effects: sets the election timer, reports the configuration and the role. Call once.
    pub fn start(&mut self, effects: &mut Vec<Effect>) {
        self.hard_state.vote =
            self.with_bug(Bug::VoteLostOnRestart, self.hard_state.vote, |_| None, effects);
        effects.push(Effect::SetTimer(Timer::Election));
        if self.keeps_leases() {
            // It may have confirmed a lease just before it stopped.
            self.contact = true;
            effects.push(Effect::SetTimer(Timer::Contact));
        }
        effects.push(Effect::Membership(Arc::clone(self.membership.newest().1)));
        effects.push(self.describe());
        self.gate.finish(self.log.last().index, effects);
    }

    /// Takes one event and adds what follows from it to `effects`.
    ///
    /// # Panics
    /// If an invariant of Raft is broken, which a correct cluster on honest disks cannot do. With a
    /// deliberate bug switched on it never panics.
    pub fn step(&mut self, event: Event, effects: &mut Vec<Effect>) {
        let (before, hard_state) = (self.describe(), self.hard_state);
        match event {
            Event::Timeout(Timer::Contact) => self.contact = false,
            Event::Timeout(Timer::Election) => self.election_timeout(effects),
            Event::Timeout(Timer::Heartbeat) => self.heartbeat_timeout(effects),
            Event::Receive(message) => self.receive(message, effects),
            Event::Propose(proposals) => self.propose(proposals, effects),
            Event::Read(tags) => self.read(&tags, effects),
            Event::ReadByLease(tags) => self.read_by_lease(&tags, effects),
            Event::Change { tag, change } => self.change(tag, &change, effects),
            Event::Transfer { tag, to } => self.transfer(tag, to, effects),
            Event::Durable { ticket } => self.durable_up_to(ticket, effects),
            Event::ApplyMore => {
                self.hand_out(effects);
                self.advance_reads(effects);
            }
            Event::SnapshotTaken(snapshot) => self.snapshot_taken(snapshot, effects),
            Event::SnapshotArrived { from, term, snapshot } => {
                self.snapshot_arrived(from, term, snapshot, effects);
            }
            Event::SnapshotSent { to, index, arrived } => {
                self.snapshot_sent(to, index, arrived, effects);
            }
        }
        self.gate.finish(self.log.last().index, effects);
        let after = self.describe();
        if after != before {
            effects.push(after);
        }
        debug_assert!(
            !self.config.bugs.is_empty() || self.check(hard_state) == Ok(()),
            "{:?}: {self:#?}",
            self.check(hard_state)
        );
    }

    /// What the correct code says; or with `bug` switched on, what the buggy code makes of it, marked.
    pub(super) fn with_bug<T: PartialEq>(
        &self,
        bug: Bug,
        correct: T,
        wrong: impl FnOnce(&T) -> T,
        effects: &mut Vec<Effect>,
    ) -> T {
        if !self.config.bugs.has(bug) {
            return correct;
        }
        let wrong = wrong(&correct);
        effects.push(Effect::Mark(bug, Mark::Reached));
        if wrong != correct {
            effects.push(Effect::Mark(bug, Mark::Triggered));
        }
        wrong
    }

    fn durable_up_to(&mut self, ticket: u64, effects: &mut Vec<Effect>) {
        for promise in self.gate.reported(ticket) {
            self.keep(promise, effects);
        }
        self.advance_commit(effects);
    }

    /// Makes a promise that must not leave before what this step and earlier ones wrote.
    pub(super) fn promise(&mut self, promise: Promise, effects: &mut Vec<Effect>) {
        if let Some(bug) = self.breaks(&promise) {
            let waits = self.gate.must_wait();
            if !self.with_bug(bug, waits, |_| false, effects) {
                return self.keep(promise, effects);
            }
        }
        if let Some(promise) = self.gate.promise(promise) {
            self.keep(promise, effects);
        }
    }

    /// The bug, if it is switched on, that makes a promise before the disk holds it.
    fn breaks(&self, promise: &Promise) -> Option<Bug> {
        let bug = match promise {
            Promise::OwnVote => Bug::VoteBeforeFsync,
            Promise::Send(message) => match message.body {
                Body::VoteAnswer { .. } => Bug::VoteBeforeFsync,
                Body::AppendAccepted { .. } => Bug::AckBeforeFsync,
                _ => return None,
            },
        };
        self.config.bugs.has(bug).then_some(bug)
    }

    fn keep(&mut self, promise: Promise, effects: &mut Vec<Effect>) {
        match promise {
            Promise::Send(message) => effects.push(Effect::Send(message)),
            Promise::OwnVote => self.count_vote(self.config.id, true, effects),
        }
    }

    fn receive(&mut self, message: Message, effects: &mut Vec<Effect>) {
        let Message { from, to, term, body } = message;
        // Who sends is not looked at: a node may lag behind the configuration that made its sender a
        // leader or a candidate (§6). Only who counts, and who campaigns, depends on it.
        if to != self.config.id || from == to {
            return;
        }
        // A pre-vote is a question: whatever its term, it changes nothing here.
        if let Body::PreVote { term, last } = body {
            return self.answer_pre_vote(from, term, last, effects);
        }
        // With leases a node may still be content in a term that it has only just entered.
        let newer =
            term > self.hard_state.term || (term == self.hard_state.term && self.keeps_leases());
        let asks = matches!(body, Body::Vote { forced: false, .. });
        if newer && asks && self.is_content_without(from) {
            return;
        }
        if term > self.hard_state.term {
            let leads = matches!(body, Body::Append { .. } | Body::Heartbeat { .. });
            self.follow(term, leads.then_some(from), effects);
        }
        // Granted by a node that has not caught up with our term, so before the next test.
        if let Body::PreVoteAnswer { term, granted } = body {
            return self.count_pre_vote(from, term, granted, effects);
        }
        if term < self.hard_state.term && !self.takes_for_new(&body, effects) {
            return self.answer_old(from, body, effects);
        }
        match body {
            Body::PreVote { .. } | Body::PreVoteAnswer { .. } => {}
            Body::Vote { last, .. } => self.answer_vote(from, last, effects),
            Body::VoteAnswer { granted } => self.count_vote(from, granted, effects),
            Body::Append { base, entries, commit } => {
                self.append(from, base, entries, commit, effects);
            }
            Body::AppendAccepted { matched } => self.append_accepted(from, matched, effects),
            Body::AppendRejected { base, hint } => self.append_rejected(from, base, hint, effects),
            Body::Heartbeat { commit, round } => self.heartbeat(from, commit, round, effects),
            Body::HeartbeatAnswer { round } => self.heartbeat_answered(from, round, effects),
            Body::TimeoutNow => self.timeout_now(effects),
        }
    }

    /// The bugs that count an answer of an earlier term as one of this term.
    fn takes_for_new(&self, body: &Body, effects: &mut Vec<Effect>) -> bool {
        let bug = match (body, &self.standing) {
            (Body::AppendAccepted { .. }, Standing::Leader(_)) => Bug::StaleAeReply,
            (Body::VoteAnswer { granted: true }, Standing::Candidate(_)) => Bug::StaleVote,
            _ => return false,
        };
        self.with_bug(bug, false, |_| true, effects)
    }

    /// Answers a request of an earlier term with our own, so that its sender catches up (etcd#8243).
    /// An answer of an earlier term is of no use to anyone. It must not confirm anything either: rounds
    /// of reads are counted anew in each term, so the round of an old heartbeat is not repeated.
    fn answer_old(&mut self, from: NodeId, body: Body, effects: &mut Vec<Effect>) {
        let answer = match body {
            Body::Vote { .. } => Body::VoteAnswer { granted: false },
            Body::Append { base, .. } => self.refusal(base.index),
            Body::Heartbeat { .. } => Body::HeartbeatAnswer { round: 0 },
            _ => return,
        };
        effects.push(self.send(from, answer));
    }

    /// Becomes a follower, in `term`, of `leader` if that is known.
    pub(super) fn follow(&mut self, term: Term, leader: Option<NodeId>, effects: &mut Vec<Effect>) {
        let rises = term > self.hard_state.term;
        if rises {
            self.set_hard_state(HardState { term, vote: None });
            self.gate.forget_promises();
            // Whoever has confirmed a lease keeps still until its time is over, whatever the term.
            self.contact &= self.keeps_leases();
        }
        self.leader = leader;
        match std::mem::replace(&mut self.standing, Standing::Follower) {
            Standing::Leader(leadership) => {
                effects.extend(leadership.reads.abandon(leader));
                self.leave_transfer(leadership.transfer, rises, effects);
                effects.push(Effect::StopTimer(Timer::Heartbeat));
                effects.push(Effect::SetTimer(Timer::Election));
            }
            // Its requests for votes tell of a log that the leader may be about to change.
            Standing::Candidate(_) => self.gate.forget_promises(),
            Standing::Follower | Standing::PreCandidate(_) => {}
        }
    }

    /// The leader of this term was heard.
    pub(super) fn heard_leader(&mut self, leader: NodeId, effects: &mut Vec<Effect>) {
        assert!(
            !matches!(self.standing, Standing::Leader(_)) || !self.config.bugs.is_empty(),
            "n{leader} and n{} both lead term {}",
            self.config.id,
            self.hard_state.term
        );
        self.follow(self.hard_state.term, Some(leader), effects);
        self.contact = true;
        self.end_transfer(true, effects);
        effects.push(Effect::SetTimer(Timer::Election));
        effects.push(Effect::SetTimer(Timer::Contact));
    }

    pub(super) fn set_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
        self.gate.write_hard_state(hard_state);
    }

    /// Raises the commit index and hands out what that commits.
    pub(super) fn commit_up_to(&mut self, index: Index, effects: &mut Vec<Effect>) {
        if index <= self.commit {
            return;
        }
        self.commit = index;
        self.hand_out(effects);
    }

    /// Whether more is committed than was handed out: the driver is to say [`Event::ApplyMore`] when it has
    /// a moment.
    pub fn more_to_apply(&self) -> bool {
        self.applied < self.commit
    }

    /// Hands out the next committed entries, not all at once if they are many.
    fn hand_out(&mut self, effects: &mut Vec<Effect>) {
        let most = self.config.limits.apply_entries.max(1) as Index;
        let to = self.commit.min(self.applied.saturating_add(most));
        if to > self.applied {
            let entries = self.log.between(self.applied, to).to_vec();
            self.applied = to;
            self.membership.applied(to);
            effects.push(Effect::Apply(entries));
        }
    }

    /// A message of this node, in its term.
    pub(super) fn message(&self, to: NodeId, body: Body) -> Message {
        Message { from: self.config.id, to, term: self.hard_state.term, body }
    }

    /// The effect of sending one now.
    pub(super) fn send(&self, to: NodeId, body: Body) -> Effect {
        Effect::Send(self.message(to, body))
    }

    /// Every other voter; for a leader, everyone it sends to.
    pub(super) fn peers(&self) -> Vec<NodeId> {
        match &self.standing {
            Standing::Leader(leadership) => leadership.followers.keys().copied().collect(),
            _ => {
                let current = self.configuration();
                let others = current.voters.union(&current.outgoing).copied();
                others.filter(|voter| *voter != self.config.id).collect()
            }
        }
    }

    fn describe(&self) -> Effect {
        Effect::Role { role: self.role(), term: self.term(), leader: self.leader }
    }
}
