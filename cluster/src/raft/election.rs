//! Elections: how a term gets its leader, and how a leader finds out that it is none (§5.2, §5.4.1).
//!
//! A follower that hears nothing for an election timeout first asks whether it *could* win
//! (pre-vote, thesis §9.6), so that a node returning from a partition does not depose a leader that
//! everybody else is content with. Only if a quorum would vote for it does it raise its term.
//!
//! A node is *content* while it leads, or hears the leader. A content node refuses pre-votes and
//! ignores requests to vote. Only the leader's own messages make a node content: an answer to a
//! pre-vote never does (hashicorp/raft#609). And the node that is thought to lead may always ask,
//! because by asking it says that it no longer leads (hashicorp/raft#606).
//!
//! The leader's own election timer serves *check-quorum*: a leader that a quorum has not answered
//! since the last time it fired steps down, so that its clients look elsewhere. Answers to heartbeats
//! are not enough: at every heartbeat a leader also counts for how long its own disk (etcd#13527) and
//! its followers' have owed something and done nothing. Once that is longer than the shortest election
//! timeout, for itself or for so many that no quorum is left, it steps down: it could only hold up the
//! cluster. Nor does a node with such a disk campaign.

use super::event::{Effect, HardState, Timer};
use super::gate::Promise;
use super::lease::Tenure;
use super::message::{Body, NodeId, Payload, Position, Term};
use super::node::{Raft, Standing};
use super::progress::{Leadership, Progress};
use super::quorum::Tally;
use super::reads::Reads;
use crate::bug::{Bug, Mark};
use std::collections::BTreeMap;

impl Raft {
    /// The election timer fired.
    pub(super) fn election_timeout(&mut self, effects: &mut Vec<Effect>) {
        effects.push(Effect::SetTimer(Timer::Election));
        let owed = self.gate.owed_since();
        let stalled = owed.is_some() && owed == self.owed_at_last_timeout;
        self.owed_at_last_timeout = owed;
        match &self.standing {
            Standing::Leader(_) => self.check_quorum(effects),
            // Its vote could not become durable either; a higher term would only disturb others.
            _ if stalled => {}
            // Nobody counts the votes of who is no voter: a joining or removed node waits to be told.
            _ if !self.membership.may_campaign(self.config.id) && !self.disrupts() => {
                self.contact = false;
                self.follow(self.hard_state.term, None, effects);
            }
            _ if self.disrupts() => {
                effects.push(Effect::Mark(Bug::RemovedDisrupts, Mark::Reached));
                effects.push(Effect::Mark(Bug::RemovedDisrupts, Mark::Triggered));
                self.leader = None;
                self.contact = false;
                self.campaign(false, effects);
            }
            _ => self.ask_for_pre_votes(effects),
        }
    }

    fn ask_for_pre_votes(&mut self, effects: &mut Vec<Effect>) {
        self.leader = None;
        self.contact = false;
        self.standing = Standing::PreCandidate(BTreeMap::new());
        let body = Body::PreVote { term: self.hard_state.term + 1, last: self.log.last() };
        for peer in self.peers() {
            effects.push(self.send(peer, body.clone()));
        }
        self.count_pre_vote(self.config.id, self.hard_state.term + 1, true, effects);
    }

    /// Somebody asks whether this node would vote for it in `term`.
    pub(super) fn answer_pre_vote(
        &mut self,
        from: NodeId,
        term: Term,
        last: Position,
        effects: &mut Vec<Effect>,
    ) {
        let granted = term > self.hard_state.term
            && !self.is_content_without(from)
            && self.may_elect(last, effects);
        effects.push(self.send(from, Body::PreVoteAnswer { term, granted }));
    }

    /// Counts an answer to a pre-vote for `term`.
    pub(super) fn count_pre_vote(
        &mut self,
        from: NodeId,
        term: Term,
        granted: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Standing::PreCandidate(votes) = &mut self.standing else { return };
        if term != self.hard_state.term + 1 {
            return;
        }
        votes.insert(from, granted);
        match self.membership.quorum.tally(votes) {
            Tally::Won => self.campaign(false, effects),
            Tally::Lost => self.standing = Standing::Follower,
            Tally::Pending => {}
        }
    }

    /// Raises the term and asks for votes. The requests leave, and the node's own vote counts, when
    /// term, vote and log are durable.
    pub(super) fn campaign(&mut self, forced: bool, effects: &mut Vec<Effect>) {
        self.gate.forget_promises();
        let (id, term) = (self.config.id, self.hard_state.term + 1);
        self.set_hard_state(HardState { term, vote: Some(id) });
        self.standing = Standing::Candidate(BTreeMap::new());
        effects.push(Effect::SetTimer(Timer::Election));
        let last = self.log.last();
        for peer in self.peers() {
            let request = self.message(peer, Body::Vote { last, forced });
            self.promise(Promise::Send(request), effects);
        }
        self.promise(Promise::OwnVote, effects);
    }

    /// A candidate of this term asks for a vote. A node votes once a term, and only for a candidate
    /// whose log has all that this node's log has.
    pub(super) fn answer_vote(&mut self, from: NodeId, last: Position, effects: &mut Vec<Effect>) {
        let free = self.hard_state.vote.is_none_or(|vote| vote == from);
        let may_vote = self.with_bug(Bug::DoubleVote, free, |_| true, effects);
        if !(may_vote && self.may_elect(last, effects)) {
            effects.push(self.send(from, Body::VoteAnswer { granted: false }));
            return;
        }
        if self.hard_state.vote != Some(from) {
            self.set_hard_state(HardState { vote: Some(from), ..self.hard_state });
        }
        effects.push(Effect::SetTimer(Timer::Election));
        let answer = self.message(from, Body::VoteAnswer { granted: true });
        self.promise(Promise::Send(answer), effects);
    }

    /// Counts a vote of this term.
    pub(super) fn count_vote(&mut self, from: NodeId, granted: bool, effects: &mut Vec<Effect>) {
        let Standing::Candidate(votes) = &mut self.standing else { return };
        votes.insert(from, granted);
        match self.membership.quorum.tally(votes) {
            Tally::Won => self.lead(effects),
            Tally::Lost => self.standing = Standing::Follower,
            Tally::Pending => {}
        }
    }

    /// The bug `removed-disrupts`: a node that is no voter campaigns all the same, without asking first.
    fn disrupts(&self) -> bool {
        self.config.bugs.has(Bug::RemovedDisrupts)
            && !self.log.is_empty()
            && !self.configuration().voters.contains(&self.config.id)
    }

    /// Whether this node leads or hears a leader other than `from`.
    pub(super) fn is_content_without(&self, from: NodeId) -> bool {
        // The other half of the bug `removed-disrupts`.
        if self.config.bugs.has(Bug::RemovedDisrupts) && !self.configuration().contains(from) {
            return false;
        }
        match self.standing {
            Standing::Leader(_) => true,
            _ => self.contact && self.leader != Some(from),
        }
    }

    /// The election restriction (§5.4.1): a candidate's log must be at least as up to date as the
    /// voter's. The later last term wins, then the longer log; positions compare in that order.
    /// A committed entry is on a quorum, so every candidate that a quorum votes for has it.
    fn may_elect(&self, last: Position, effects: &mut Vec<Effect>) -> bool {
        let own = self.log.last();
        let up_to_date = last >= own;
        let up_to_date =
            self.with_bug(Bug::ElectByIndex, up_to_date, |_| last.index >= own.index, effects);
        self.with_bug(Bug::NoElectionRestriction, up_to_date, |_| true, effects)
    }

    /// A quorum voted: leads this term, and opens it with a no-op.
    fn lead(&mut self, effects: &mut Vec<Effect>) {
        let last = self.log.last().index;
        let peers: Vec<NodeId> =
            self.configuration().members().into_iter().filter(|id| *id != self.config.id).collect();
        let followers = peers.iter().map(|peer| (*peer, Progress::new(last + 1))).collect();
        self.leader = Some(self.config.id);
        self.owed_at_last_beat = (None, 0);
        self.end_transfer(false, effects);
        let uncommitted = self.log.between(self.commit, last);
        self.standing = Standing::Leader(Box::new(Leadership {
            followers,
            first: last + 1,
            uncommitted_bytes: uncommitted.iter().map(|entry| entry.payload.size()).sum(),
            reads: Reads::default(),
            tenure: Tenure::default(),
            transfer: None,
            change: None,
        }));
        effects.push(Effect::SetTimer(Timer::Election));
        effects.push(Effect::SetTimer(Timer::Heartbeat));
        self.append_own(Payload::Noop);
        for peer in peers {
            self.replicate(peer, effects);
        }
    }

    /// Once per election timeout: is this node still a leader that gets anything done?
    fn check_quorum(&mut self, effects: &mut Vec<Effect>) {
        let Standing::Leader(leadership) = &self.standing else { return };
        if !self.heard_from_quorum(leadership) {
            return self.follow(self.hard_state.term, None, effects);
        }
        self.give_up_transfer(effects);
        let Standing::Leader(leadership) = &mut self.standing else { return };
        leadership.followers.values_mut().for_each(|follower| follower.answered = false);
    }

    /// At each heartbeat: whether this leader's disk, or too many of its followers, have stored nothing
    /// for an election timeout although there was something to store.
    pub(super) fn gets_nothing_stored(&mut self) -> bool {
        let (owed, beats) = (self.gate.owed_since(), self.config.election_beats);
        let (before, idle) = self.owed_at_last_beat;
        let idle = if owed.is_some() && owed == before { idle.saturating_add(1) } else { 0 };
        self.owed_at_last_beat = (owed, idle);
        let Standing::Leader(leadership) = &self.standing else { return false };
        let followers = &leadership.followers;
        let works = |id: NodeId| followers.get(&id).is_some_and(|f| !f.stores_nothing(beats));
        idle >= beats || !self.membership.quorum.holds(|id| id == self.config.id || works(id))
    }

    /// Whether a quorum, this leader included, has answered since the last election timeout.
    pub(super) fn heard_from_quorum(&self, leadership: &Leadership) -> bool {
        let followers = &leadership.followers;
        let answered = |id: NodeId| followers.get(&id).is_some_and(|follower| follower.answered);
        self.membership.quorum.holds(|id| id == self.config.id || answered(id))
    }
}
