//! Replication: how followers' logs become the leader's, and when an entry is committed (§5.3, §5.4.2).
//!
//! A leader appends to its own log and sends at once, in parallel with its own disk (thesis §10.2.1):
//! its own copy counts when it is durable, like any follower's. An append names the position before
//! its entries; a follower that has that position has, by induction, everything before it.
//!
//! Heartbeats are separate and empty. They carry the commit index, but only as far as the leader
//! knows the follower's log to match: a follower cannot tell from an empty message whether its own
//! tail is the leader's, and committing up to it would commit entries nobody agreed on.

use super::event::{Effect, Proposal, Rejection, Timer};
use super::gate::Promise;
use super::message::{Body, Entry, Hint, Index, NodeId, Payload, Position};
use super::node::{Raft, Standing};
use crate::bug::{Bug, Mark};

/// The leader's side.
impl Raft {
    /// Clients want these commands replicated.
    pub(super) fn propose(&mut self, proposals: Vec<Proposal>, effects: &mut Vec<Effect>) {
        let leader = self.leader;
        for Proposal { tag, command } in proposals {
            let Standing::Leader(leadership) = &mut self.standing else {
                effects.push(Effect::Rejected { tag, reason: Rejection::NotLeader { leader } });
                continue;
            };
            if leadership.transfer.is_some() {
                effects.push(Effect::Rejected { tag, reason: Rejection::Transferring });
                continue;
            }
            let waiting = leadership.uncommitted_bytes;
            if waiting > 0 && waiting + command.len() > self.config.limits.uncommitted_bytes {
                effects.push(Effect::Rejected { tag, reason: Rejection::Overloaded });
                continue;
            }
            leadership.uncommitted_bytes += command.len();
            let Position { term, index } = self.append_own(Payload::Command(command));
            effects.push(Effect::Appended { tag, term, index });
            if self.config.bugs.has(Bug::AckOnAppend) {
                effects.push(Effect::Mark(Bug::AckOnAppend, Mark::Reached));
                if index > self.commit {
                    effects.push(Effect::Mark(Bug::AckOnAppend, Mark::Triggered));
                }
                effects.push(Effect::AckEarly { tag });
            }
        }
        for peer in self.peers() {
            self.replicate(peer, effects);
        }
    }

    /// Appends an entry of this leader's term to its own log.
    pub(super) fn append_own(&mut self, payload: Payload) -> Position {
        let index = self.log.last().index + 1;
        let entry = Entry { term: self.hard_state.term, index, payload };
        let position = entry.position();
        self.gate.write_entry(entry.clone());
        self.log.append(entry);
        position
    }

    /// Sends a follower what it lacks, as far as its pace allows.
    pub(super) fn replicate(&mut self, to: NodeId, effects: &mut Vec<Effect>) {
        let (id, term, commit) = (self.config.id, self.hard_state.term, self.commit);
        let Standing::Leader(leadership) = &mut self.standing else { return };
        let Some(follower) = leadership.followers.get_mut(&to) else { return };
        let (limits, last) = (&self.config.limits, self.log.last().index);
        while follower.ready(last, limits) {
            let before = follower.next - 1;
            let Some(base_term) = self.log.term_at(before) else {
                return self.send_snapshot(to, effects);
            };
            let entries = self.log.batch(follower.next, limits);
            follower.sent(before + entries.len() as Index);
            let base = Position { term: base_term, index: before };
            let body = Body::Append { base, entries, commit };
            effects.push(Effect::Send(super::Message { from: id, to, term, body }));
        }
    }

    /// A follower's durable log agrees up to `matched`.
    pub(super) fn append_accepted(
        &mut self,
        from: NodeId,
        matched: Index,
        effects: &mut Vec<Effect>,
    ) {
        let Standing::Leader(leadership) = &mut self.standing else { return };
        let Some(follower) = leadership.followers.get_mut(&from) else { return };
        follower.answered = true;
        follower.accepted(matched.min(self.log.last().index));
        self.advance_commit(effects);
        self.replicate(from, effects);
        self.advance_transfer(effects);
    }

    /// A follower lacks `base`. The hint skips all of a term that both logs cannot share.
    pub(super) fn append_rejected(
        &mut self,
        from: NodeId,
        base: Index,
        hint: Hint,
        effects: &mut Vec<Effect>,
    ) {
        let Standing::Leader(leadership) = &mut self.standing else { return };
        let Some(follower) = leadership.followers.get_mut(&from) else { return };
        follower.answered = true;
        follower.refused();
        let is_news = follower.is_news(base);
        if !self.with_bug(Bug::BacktrackStuck, is_news, |_| false, effects) {
            return;
        }
        let before_term = hint.first.saturating_sub(1);
        let retry = match hint.term {
            None => before_term,
            Some(term) => {
                // The last place where our log could still agree with one that has `term` there.
                let candidate = self.log.last_not_after(term, base.saturating_sub(1));
                if self.log.term_at(candidate) == Some(term) {
                    candidate
                } else {
                    candidate.min(before_term)
                }
            }
        };
        let Standing::Leader(leadership) = &mut self.standing else { return };
        let Some(follower) = leadership.followers.get_mut(&from) else { return };
        follower.probe_after(retry.min(base.saturating_sub(1)));
        self.replicate(from, effects);
    }

    /// Commits what a quorum holds, if it is of this leader's own term. An entry of an earlier term
    /// is not safe however many hold it: a later leader may still overwrite it (Figure 8). It is
    /// committed together with the first entry of this term that follows it.
    pub(super) fn advance_commit(&mut self, effects: &mut Vec<Effect>) {
        let Standing::Leader(leadership) = &self.standing else { return };
        let (id, durable) = (self.config.id, self.gate.durable());
        let quorum = &self.membership.quorum;
        let held = |voter: NodeId| match leadership.followers.get(&voter) {
            _ if voter == id => durable,
            Some(follower) => follower.matched,
            None => 0,
        };
        let mut index = quorum.reached(0, held);
        if self.config.bugs.has(Bug::QuorumMinusOne) {
            let early = quorum.reached(1, held);
            effects.push(Effect::Mark(Bug::QuorumMinusOne, Mark::Reached));
            if early > index.max(self.commit)
                && self.log.term_at(early) == Some(self.hard_state.term)
            {
                effects.push(Effect::Mark(Bug::QuorumMinusOne, Mark::Triggered));
            }
            index = early;
        }
        if index > self.commit && self.may_commit(index, effects) {
            let newly = self.log.between(self.commit, index);
            let bytes: usize = newly.iter().map(|entry| entry.payload.size()).sum();
            self.commit_up_to(index, effects);
            let Standing::Leader(leadership) = &mut self.standing else { return };
            leadership.uncommitted_bytes = leadership.uncommitted_bytes.saturating_sub(bytes);
            self.configuration_committed(effects);
            self.advance_reads(effects);
        }
    }

    /// Whether what a quorum holds up to `index` is safe (§5.4.2).
    fn may_commit(&self, index: Index, effects: &mut Vec<Effect>) -> bool {
        let own = self.log.term_at(index) == Some(self.hard_state.term);
        self.with_bug(Bug::Fig8, own, |_| true, effects)
    }

    /// The heartbeat timer fired.
    pub(super) fn heartbeat_timeout(&mut self, effects: &mut Vec<Effect>) {
        let Standing::Leader(leadership) = &mut self.standing else { return };
        leadership.followers.values_mut().for_each(super::progress::Progress::beat);
        if self.gets_nothing_stored() {
            return self.follow(self.hard_state.term, None, effects);
        }
        effects.push(Effect::SetTimer(Timer::Heartbeat));
        if self.keeps_leases() {
            self.start_round();
        }
        self.send_heartbeats(effects);
    }

    /// Tells every follower that this node leads, with the newest read round.
    pub(super) fn send_heartbeats(&self, effects: &mut Vec<Effect>) {
        let Standing::Leader(leadership) = &self.standing else { return };
        let round = leadership.reads.started;
        for (peer, follower) in &leadership.followers {
            let commit = self.commit.min(follower.matched);
            let commit = self.with_bug(Bug::FollowerCommitMax, commit, |_| self.commit, effects);
            effects.push(self.send(*peer, Body::Heartbeat { commit, round }));
        }
    }

    /// A follower answered a heartbeat.
    pub(super) fn heartbeat_answered(
        &mut self,
        from: NodeId,
        round: u64,
        effects: &mut Vec<Effect>,
    ) {
        let Standing::Leader(leadership) = &mut self.standing else { return };
        let started = leadership.reads.started;
        let Some(follower) = leadership.followers.get_mut(&from) else { return };
        follower.answered = true;
        // A round that was never started was not answered either.
        if round <= started {
            follower.round = follower.round.max(round);
        }
        follower.alive();
        self.replicate(from, effects);
        self.advance_reads(effects);
    }
}

/// The follower's side.
impl Raft {
    /// The leader of this term sends entries that follow `base`.
    pub(super) fn append(
        &mut self,
        from: NodeId,
        base: Position,
        entries: Vec<Entry>,
        commit: Index,
        effects: &mut Vec<Effect>,
    ) {
        self.heard_leader(from, effects);
        let (base, entries) = self.after_our_base(base, entries);
        let known = |_: &bool| self.log.term_at(base.index).is_some();
        if !self.with_bug(Bug::NoPrevTermCheck, self.log.has(base), known, effects) {
            effects.push(self.send(from, self.refusal(base.index)));
            return;
        }
        let matched = base.index + entries.len() as Index;
        // Entries that are here already stay, with all that follows them: this append may be an old
        // one, and what follows may be acknowledged (§5.3, receiver rule 3).
        let end = self.log.last().index;
        let mut conflict = None;
        for entry in entries {
            if self.log.has(entry.position()) {
                continue;
            }
            if entry.index <= self.log.last().index {
                conflict = Some(self.log.between(matched, end).to_vec());
                self.truncate_from(entry.index, effects);
            }
            let rises = entry.term >= self.log.last().term;
            assert!(rises || !self.config.bugs.is_empty(), "terms decrease at {}", entry.index);
            self.gate.write_entry(entry.clone());
            self.log.append(entry.clone());
            if let Payload::Configuration(configuration) = &entry.payload {
                self.configuration_appended(entry.index, configuration, effects);
            }
        }
        self.mistreat_tail(matched, conflict, effects);
        self.commit_up_to(commit.min(matched), effects);
        let answer = self.message(from, Body::AppendAccepted { matched });
        self.promise(Promise::Send(answer), effects);
    }

    /// What of an append follows our base. All before that is committed and forgotten, so the leader has
    /// it too: it is accepted unseen, never refused, for a refusal would send the leader back without end.
    fn after_our_base(&self, base: Position, mut entries: Vec<Entry>) -> (Position, Vec<Entry>) {
        let ours = self.log.base();
        if base.index >= ours.index {
            return (base, entries);
        }
        entries.retain(|entry| entry.index > ours.index);
        (ours, entries)
    }

    /// The bugs about what follows the entries of an append: `conflict` is what followed them before a
    /// truncation, if there was one.
    fn mistreat_tail(
        &mut self,
        matched: Index,
        conflict: Option<Vec<Entry>>,
        effects: &mut Vec<Effect>,
    ) {
        let end = self.log.last().index;
        let cut = self.with_bug(Bug::AeTruncatesTail, end, |_| matched, effects);
        if cut < end {
            self.truncate_from(cut + 1, effects);
        }
        let Some(tail) = conflict else { return };
        let kept = self.with_bug(Bug::NoTruncateOnConflict, Vec::new(), |_| tail, effects);
        for entry in kept {
            self.gate.write_entry(entry.clone());
            self.log.append(entry);
        }
    }

    /// Forgets what conflicts with the leader's log.
    fn truncate_from(&mut self, index: Index, effects: &mut Vec<Effect>) {
        if index <= self.commit {
            assert!(
                !self.config.bugs.is_empty(),
                "n{}: the leader of term {} lacks entry {index}, committed up to {}",
                self.config.id,
                self.hard_state.term,
                self.commit
            );
            // What was applied stays applied: this node's state is wrong from here on, as it would be.
            self.commit = index - 1;
        }
        self.gate.write_truncation(index);
        self.log.truncate_from(index);
        if self.membership.truncated(index) {
            self.configuration_in_force(effects);
        }
    }

    /// The refusal of an append after `base`.
    pub(super) fn refusal(&self, base: Index) -> Body {
        let hint = match self.log.term_at(base) {
            None => Hint { term: None, first: self.log.last().index + 1 },
            Some(term) => Hint { term: Some(term), first: self.log.first_of_term_at(base) },
        };
        Body::AppendRejected { base, hint }
    }

    /// The leader of this term is alive.
    pub(super) fn heartbeat(
        &mut self,
        from: NodeId,
        commit: Index,
        round: u64,
        effects: &mut Vec<Effect>,
    ) {
        self.heard_leader(from, effects);
        self.commit_up_to(commit.min(self.log.last().index), effects);
        effects.push(self.send(from, Body::HeartbeatAnswer { round }));
    }
}
