//! Linearizable reads without writing to the log (§8, thesis §6.4: ReadIndex).
//!
//! A leader may be deposed without knowing it, and then others commit what it has not seen. So a
//! read must prove that this node still led *after* the read arrived. Heartbeats carry the number of
//! a *round*. A read that arrives while round 7 is out waits for round 8, which starts when 7 is
//! confirmed: an answer to 7 may have been on its way before the read came, and proves nothing for
//! it (etcd#20418). When a quorum has answered round 8, no leader of a later term can have committed
//! anything before the read arrived, and the read may see the state as of the commit index that the
//! leader had then.
//!
//! A new leader does not know how far the log was committed before its election; all it knows is that
//! its own no-op comes after (§5.4.2). So the index to wait for is at least the no-op's.
//!
//! Reads that arrive together share a round, and at most one round is out: under load rounds get
//! larger, not more frequent. Behind a partition no round is confirmed, so their number has a bound.

use super::event::{Effect, Rejection, Role};
use super::message::{Index, NodeId};
use super::node::{Raft, Standing};
use crate::bug::{Bug, Mark};
use std::collections::VecDeque;

/// The reads that a leader has not answered yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Reads {
    /// The newest round that was started.
    pub(super) started: u64,
    /// The newest round that a quorum has answered.
    pub(super) confirmed: u64,
    /// In order of arrival; rounds and indexes never decrease.
    pub(super) waiting: VecDeque<Waiting>,
}

/// A read that waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Waiting {
    tag: u64,
    /// The round that confirms it: one that had not started when it arrived.
    round: u64,
    /// The index that must be applied before it is answered.
    index: Index,
}

impl Reads {
    fn wants_round(&self) -> bool {
        self.started == self.confirmed
            && self.waiting.back().is_some_and(|read| read.round > self.started)
    }

    /// Gives up every read: this node leads no more.
    pub(super) fn abandon(self, leader: Option<NodeId>) -> impl Iterator<Item = Effect> {
        let reason = Rejection::NotLeader { leader };
        self.waiting.into_iter().map(move |read| Effect::ReadFailed { tag: read.tag, reason })
    }
}

impl Raft {
    /// Clients want to read.
    pub(super) fn read(&mut self, tags: &[u64], effects: &mut Vec<Effect>) {
        if let Some((bug, triggered)) = self.unconfirmed_read() {
            for tag in tags {
                effects.push(Effect::Mark(bug, Mark::Reached));
                if triggered {
                    effects.push(Effect::Mark(bug, Mark::Triggered));
                }
                effects.push(Effect::ReadReady { tag: *tag, index: self.commit.min(self.applied) });
            }
            return;
        }
        let (commit, leader) = (self.commit, self.leader);
        let Standing::Leader(leadership) = &self.standing else {
            let reason = Rejection::NotLeader { leader };
            effects.extend(tags.iter().map(|tag| Effect::ReadFailed { tag: *tag, reason }));
            return;
        };
        let index = commit.max(leadership.first);
        let round = leadership.reads.started + 1;
        let index = self.with_bug(Bug::ReadIndexNoTerm, index, |_| commit, effects);
        let round = self.with_bug(Bug::ReadIndexEarlyAck, round, |next| next - 1, effects);
        let Standing::Leader(leadership) = &mut self.standing else { return };
        let room = self.config.limits.reads_waiting.saturating_sub(leadership.reads.waiting.len());
        let (taken, refused) = tags.split_at(room.min(tags.len()));
        leadership.reads.waiting.extend(taken.iter().map(|tag| Waiting {
            tag: *tag,
            round,
            index,
        }));
        let reason = Rejection::Overloaded;
        effects.extend(refused.iter().map(|tag| Effect::ReadFailed { tag: *tag, reason }));
        self.advance_reads(effects);
    }

    /// The bugs that answer a read at once, if one applies here, and whether the answer may be
    /// wrong as far as this node can tell.
    fn unconfirmed_read(&self) -> Option<(Bug, bool)> {
        let doubtful = match &self.standing {
            Standing::Leader(leadership) => {
                self.commit < leadership.first || !self.heard_from_quorum(leadership)
            }
            _ => true,
        };
        if self.config.bugs.has(Bug::FollowerRead) {
            return Some((Bug::FollowerRead, doubtful));
        }
        (self.config.bugs.has(Bug::LocalRead) && self.role() == Role::Leader)
            .then_some((Bug::LocalRead, doubtful))
    }

    /// Counts the answers to read rounds, answers what they confirm, and starts the next round if
    /// one is wanted. Called whenever an answer, a commit or a read may have changed something.
    pub(super) fn advance_reads(&mut self, effects: &mut Vec<Effect>) {
        self.answer_confirmed_reads(effects);
        let Standing::Leader(leadership) = &self.standing else { return };
        if leadership.reads.wants_round() {
            self.start_round();
            self.send_heartbeats(effects);
            // A leader alone is its own quorum.
            self.answer_confirmed_reads(effects);
        }
    }

    fn answer_confirmed_reads(&mut self, effects: &mut Vec<Effect>) {
        let Standing::Leader(leadership) = &mut self.standing else { return };
        let (id, started) = (self.config.id, leadership.reads.started);
        let round = |voter: NodeId| match leadership.followers.get(&voter) {
            _ if voter == id => started,
            Some(follower) => follower.round,
            None => 0,
        };
        // Another configuration may ask for more than the last one did; what is confirmed stays so.
        let confirmed = self.membership.quorum.reached(0, round);
        leadership.reads.confirmed = leadership.reads.confirmed.max(confirmed);
        self.round_confirmed();
        let Standing::Leader(leadership) = &mut self.standing else { return };
        let (confirmed, applied) = (leadership.reads.confirmed, self.commit.min(self.applied));
        let waiting = &mut leadership.reads.waiting;
        let ready = waiting.partition_point(|r| r.round <= confirmed && r.index <= applied);
        for read in waiting.drain(..ready) {
            effects.push(Effect::ReadReady { tag: read.tag, index: read.index });
        }
    }
}
