//! Compaction: forgetting what a snapshot covers, and sending the snapshot to whom that leaves behind (§7).
//!
//! The core never sees a snapshot's bytes. The driver writes them and says [`SnapshotTaken`] once the file is
//! durable; only then are entries forgotten, in memory and, by the next [`Batch`](super::Batch), on disk. A
//! tail of the log stays, so that a follower that is a little behind is served from it.
//!
//! A leader that needs an entry which it has forgotten sends its snapshot. While one is under way, nothing
//! else is sent but heartbeats, and the log keeps everything after it: what comes next must still be there
//! when the follower has restored. A snapshot that did not arrive is sent again to a follower that answers
//! heartbeats, at most once a beat.
//!
//! A receiver distinguishes three cases. It has committed as much already: the snapshot is old, nothing
//! changes. Its log contains the snapshot's last entry: then that entry is committed, its log was right all
//! along, and what follows stays (§7, "retain the log entries following it"). Otherwise the whole log goes,
//! and the state machine is replaced. In each case it acknowledges as it does an append, through the gate.
//!
//! After a crash between the durable file and the record in the log, the file is ahead of the log or at odds
//! with it. [`Raft::new`](super::Raft::new) draws the same conclusion then: the log is replaced.
//!
//! The members are part of a snapshot because the entries that made them may be forgotten: who restores one
//! is in the configuration that it holds, until the log after it says otherwise.
//!
//! [`SnapshotTaken`]: super::Event::SnapshotTaken

use super::event::{Effect, Snapshot};
use super::gate::Promise;
use super::membership::Membership;
use super::message::{Body, Index, NodeId, Position, Term};
use super::node::{Raft, Standing};
use crate::bug::{Bug, Mark};
use std::sync::Arc;

impl Raft {
    /// What a snapshot of the state machine would stand for now: everything handed out has been applied.
    pub fn snapshot_at_applied(&self) -> Snapshot {
        let term = self.log.term_at(self.applied).unwrap_or_default();
        let off_by = u64::from(self.config.bugs.has(Bug::SnapshotOffByOne));
        Snapshot {
            last: Position { term, index: self.applied + off_by },
            configuration: Arc::clone(self.membership.at(self.applied)),
        }
    }

    /// The newest snapshot that is durable on this node.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// This node's own snapshot is durable.
    pub(super) fn snapshot_taken(&mut self, snapshot: Snapshot, effects: &mut Vec<Effect>) {
        if self.snapshot.as_ref().is_some_and(|known| known.last >= snapshot.last) {
            return;
        }
        let last = snapshot.last.index;
        self.snapshot = Some(snapshot);
        let limits = &self.config.limits;
        let spare = self.log.before_tail(last, limits.tail_entries, limits.tail_bytes);
        let index = spare.min(self.applied).min(self.least_under_way());
        if index > self.log.base().index {
            effects.push(Effect::Forgotten(self.log.forget_up_to(index)));
            self.gate.write_compaction(self.log.base());
        }
    }

    /// The end of the oldest snapshot that is being sent: what follows it will be wanted.
    fn least_under_way(&self) -> Index {
        let Standing::Leader(leadership) = &self.standing else { return Index::MAX };
        let under_way = leadership.followers.values().filter_map(super::progress::Progress::awaits);
        under_way.min().unwrap_or(Index::MAX)
    }

    /// A follower needs what this leader has forgotten.
    pub(super) fn send_snapshot(&mut self, to: NodeId, effects: &mut Vec<Effect>) {
        let (Standing::Leader(leadership), Some(snapshot)) = (&mut self.standing, &self.snapshot)
        else {
            return;
        };
        let Some(follower) = leadership.followers.get_mut(&to) else { return };
        follower.await_snapshot(snapshot.last.index);
        effects.push(Effect::SendSnapshot { to, snapshot: snapshot.clone() });
    }

    /// The sending of a snapshot has ended, well or not.
    pub(super) fn snapshot_sent(
        &mut self,
        to: NodeId,
        index: Index,
        arrived: bool,
        effects: &mut Vec<Effect>,
    ) {
        let last = self.log.last().index;
        let Standing::Leader(leadership) = &mut self.standing else { return };
        let Some(follower) = leadership.followers.get_mut(&to) else { return };
        if follower.awaits().is_none() {
            return;
        }
        if arrived {
            // Its acknowledgement may get lost, so ask: an append after the snapshot's end.
            follower.probe_after(index.min(last));
            self.replicate(to, effects);
        } else {
            follower.snapshot_failed();
        }
    }

    /// A snapshot from a leader is in this node's file.
    pub(super) fn snapshot_arrived(
        &mut self,
        from: NodeId,
        term: Term,
        snapshot: Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        let last = snapshot.last;
        if from == self.config.id {
            return;
        }
        if term < self.hard_state.term {
            effects.push(self.send(from, self.refusal(last.index)));
            return;
        }
        if term > self.hard_state.term {
            self.follow(term, Some(from), effects);
        }
        self.heard_leader(from, effects);
        let matched = if last.index <= self.commit && !self.takes_old(last, effects) {
            self.commit
        } else if self.log.has(last) && last.index > self.commit {
            self.commit_up_to(last.index, effects);
            last.index
        } else {
            self.restore(snapshot, effects);
            last.index
        };
        let answer = self.message(from, Body::AppendAccepted { matched });
        self.promise(Promise::Send(answer), effects);
    }

    /// The bug `snapshot-regress`: a snapshot is taken although more is committed here.
    fn takes_old(&self, last: Position, effects: &mut Vec<Effect>) -> bool {
        if !self.config.bugs.has(Bug::SnapshotRegress) {
            return false;
        }
        effects.push(Effect::Mark(Bug::SnapshotRegress, Mark::Reached));
        if last.index < self.commit {
            effects.push(Effect::Mark(Bug::SnapshotRegress, Mark::Triggered));
        }
        last.index < self.commit
    }

    /// Everything is replaced by the snapshot: log, commit index, state machine.
    fn restore(&mut self, snapshot: Snapshot, effects: &mut Vec<Effect>) {
        self.log = super::log::Log::after(snapshot.last);
        self.commit = snapshot.last.index;
        self.applied = snapshot.last.index;
        self.gate.write_reset(snapshot.clone());
        effects.push(Effect::Restore(snapshot.clone()));
        self.membership = Membership::as_of(&snapshot, self.config.bugs);
        self.configuration_in_force(effects);
        self.snapshot = Some(snapshot);
    }
}
