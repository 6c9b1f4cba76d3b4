//! The durability gate: no promise leaves before the disk holds what it promises.
//!
//! A vote says "I will not vote for another in this term" and an acknowledgement says "I have these
//! entries". A node that says either and then forgets it in a crash breaks Raft. So what a step
//! changes is gathered into one [`Batch`] with a ticket, and every promise made in that step or later
//! waits here until that ticket is reported durable. Batches become durable in the order of tickets,
//! so waiting for the newest one covers everything before it: also an empty append, which writes
//! nothing itself, may acknowledge entries that are still on their way to the disk.
//!
//! A request for votes is held too. It tells others how long the candidate's log is; were that log
//! lost after the votes were cast, they would elect a leader shorter than the one they voted for.
//!
//! What is not a promise (refusals, heartbeats and their answers, a leader's appends) does not wait.

use super::event::{Batch, Effect, HardState, Snapshot};
use super::message::{Entry, Index, Message, Position};
use std::collections::VecDeque;

/// Something that may happen once all that was written so far is durable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Promise {
    /// Send this.
    Send(Message),
    /// Count the candidate's vote for itself.
    OwnVote,
}

/// What is on its way to the disk, and what waits for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Gate {
    /// The newest ticket handed out.
    issued: u64,
    /// The newest ticket reported durable.
    reported: u64,
    /// What the current step has changed so far; its ticket will be `issued + 1`.
    open: Option<Batch>,
    /// For each ticket on its way: how far the present log will be durable once it is.
    pending: VecDeque<(u64, Index)>,
    /// The last index of the present log that is durable.
    durable: Index,
    /// Promises, each with the ticket it waits for.
    held: VecDeque<(u64, Promise)>,
}

impl Gate {
    /// A gate in front of a disk that holds a log up to `durable`.
    pub(super) fn new(durable: Index) -> Gate {
        Gate { durable, ..Gate::default() }
    }

    /// The last index of the present log that would survive a crash.
    pub(super) fn durable(&self) -> Index {
        self.durable
    }

    /// The newest durable ticket, if the disk still owes any; none if it is idle.
    pub(super) fn owed_since(&self) -> Option<u64> {
        (self.reported < self.issued).then_some(self.reported)
    }

    /// Counts tickets from the newest durable one on; returns by how much they become smaller.
    pub(super) fn rebase(&mut self) -> u64 {
        let by = std::mem::take(&mut self.reported);
        self.issued -= by;
        self.pending.iter_mut().for_each(|(ticket, _)| *ticket -= by);
        self.held.iter_mut().for_each(|(ticket, _)| *ticket -= by);
        by
    }

    /// Notes a new hard state.
    pub(super) fn write_hard_state(&mut self, hard_state: HardState) {
        self.open.get_or_insert_default().hard_state = Some(hard_state);
    }

    /// Notes an entry at the end of the log.
    pub(super) fn write_entry(&mut self, entry: Entry) {
        self.open.get_or_insert_default().entries.push(entry);
    }

    /// Notes that the log now ends before `from`. What is on its way to the disk from `from` on is
    /// no part of the present log any more.
    pub(super) fn write_truncation(&mut self, from: Index) {
        let end = from.saturating_sub(1);
        self.durable = self.durable.min(end);
        self.pending.iter_mut().for_each(|(_, index)| *index = (*index).min(end));
        let batch = self.open.get_or_insert_default();
        batch.entries.retain(|entry| entry.index < from);
        batch.truncate_from = Some(batch.truncate_from.map_or(from, |earlier| earlier.min(from)));
    }

    /// Notes that the log is replaced by a snapshot. Nothing that was on its way is part of the present
    /// log, and none of it counts as durable before the disk knows of the replacement.
    pub(super) fn write_reset(&mut self, snapshot: Snapshot) {
        self.durable = 0;
        self.pending.iter_mut().for_each(|(_, index)| *index = 0);
        let batch = self.open.get_or_insert_default();
        batch.entries.clear();
        (batch.truncate_from, batch.compact) = (None, None);
        batch.reset = Some(snapshot);
    }

    /// Notes that entries up to `base` may be forgotten.
    pub(super) fn write_compaction(&mut self, base: Position) {
        self.open.get_or_insert_default().compact = Some(base);
    }

    /// Whether a promise made now would have to wait.
    pub(super) fn must_wait(&self) -> bool {
        self.open.is_some() || self.reported < self.issued
    }

    /// Makes a promise: kept at once if nothing is owed, else when all that was written is durable.
    pub(super) fn promise(&mut self, promise: Promise) -> Option<Promise> {
        let needed = self.issued + u64::from(self.open.is_some());
        if needed <= self.reported {
            return Some(promise);
        }
        if !self.held.iter().any(|(_, held)| *held == promise) {
            self.held.push_back((needed, promise));
        }
        None
    }

    /// Forgets promises of an earlier term: nobody waits for them.
    pub(super) fn forget_promises(&mut self) {
        self.held.clear();
    }

    /// Ends a step: hands what changed to the driver. The log now ends at `last`.
    pub(super) fn finish(&mut self, last: Index, effects: &mut Vec<Effect>) {
        if let Some(mut batch) = self.open.take() {
            self.issued += 1;
            batch.ticket = self.issued;
            self.pending.push_back((self.issued, last));
            effects.push(Effect::Persist(batch));
        }
    }

    /// The disk holds everything up to `ticket`: returns the promises that may now be kept.
    pub(super) fn reported(&mut self, ticket: u64) -> Vec<Promise> {
        assert!(ticket <= self.issued, "ticket {ticket} is durable but only {} exist", self.issued);
        self.reported = self.reported.max(ticket);
        let durable = self.pending.partition_point(|(owed, _)| *owed <= ticket);
        for (_, index) in self.pending.drain(..durable) {
            self.durable = self.durable.max(index);
        }
        let kept = self.held.partition_point(|(needed, _)| *needed <= ticket);
        self.held.drain(..kept).map(|(_, promise)| promise).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Payload;
    use super::*;

    fn entry(index: Index) -> Entry {
        Entry { term: 1, index, payload: Payload::Noop }
    }

    #[test]
    fn a_promise_waits_for_everything_written_before_it() {
        let mut gate = Gate::new(0);
        assert_eq!(gate.promise(Promise::OwnVote), Some(Promise::OwnVote), "nothing is owed");
        gate.write_entry(entry(1));
        gate.finish(1, &mut Vec::new());
        assert_eq!(
            gate.promise(Promise::OwnVote),
            None,
            "nothing was written since, but 1 is owed"
        );
        assert_eq!((gate.durable(), gate.owed_since()), (0, Some(0)));
        assert_eq!(gate.reported(1), [Promise::OwnVote]);
        assert_eq!((gate.durable(), gate.owed_since()), (1, None));
    }

    #[test]
    fn a_batch_overtaken_by_a_truncation_does_not_make_its_successors_durable() {
        let mut gate = Gate::new(0);
        let mut effects = Vec::new();
        (1..=3).for_each(|index| gate.write_entry(entry(index)));
        gate.finish(3, &mut effects);
        gate.write_truncation(2);
        (2..=5).for_each(|index| gate.write_entry(entry(index)));
        gate.finish(5, &mut effects);
        gate.reported(1);
        assert_eq!(gate.durable(), 1, "2 and 3 on the disk are the old ones");
        gate.reported(2);
        assert_eq!(gate.durable(), 5);
    }

    #[test]
    fn after_a_reset_nothing_older_counts_as_durable() {
        let mut gate = Gate::new(2);
        (3..=9).for_each(|index| gate.write_entry(entry(index)));
        gate.finish(9, &mut Vec::new());
        let configuration = std::sync::Arc::default();
        gate.write_reset(Snapshot { last: Position { term: 2, index: 7 }, configuration });
        gate.finish(7, &mut Vec::new());
        assert_eq!(gate.durable(), 0);
        gate.reported(1);
        assert_eq!(gate.durable(), 0, "3 to 9 on the disk are the old ones");
        gate.reported(2);
        assert_eq!(gate.durable(), 7);
    }

    #[test]
    fn rebased_tickets_mean_what_they_meant() {
        let mut gate = Gate::new(0);
        for index in 1..=3 {
            gate.write_entry(entry(index));
            gate.finish(index, &mut Vec::new());
        }
        gate.reported(2);
        assert_eq!(gate.promise(Promise::OwnVote), None);
        let mut rebased = gate.clone();
        assert_eq!((rebased.rebase(), rebased.owed_since(), rebased.rebase()), (2, Some(0), 0));
        assert_eq!(rebased.reported(1), gate.reported(3), "the promise is kept");
        assert_eq!((rebased.durable(), gate.durable()), (3, 3));
        let batch = |gate: &mut Gate| {
            let mut effects = Vec::new();
            gate.write_entry(entry(4));
            gate.finish(4, &mut effects);
            match effects.pop() {
                Some(Effect::Persist(batch)) => batch.ticket,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((batch(&mut rebased), batch(&mut gate)), (2, 4), "and go on from there");
    }

    #[test]
    fn one_report_covers_all_earlier_tickets() {
        let mut gate = Gate::new(0);
        for index in 1..=3 {
            gate.write_entry(entry(index));
            gate.finish(index, &mut Vec::new());
        }
        gate.reported(2);
        assert_eq!(gate.durable(), 2);
        gate.reported(1);
        assert_eq!(gate.durable(), 2, "an old report takes nothing back");
    }
}
