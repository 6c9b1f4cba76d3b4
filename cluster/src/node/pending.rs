//! Tasks that wait for their outcome.
//!
//! Each has a tag, which Raft hands back, and a deadline. A proposal that was appended also has a position in
//! the log: what is applied at its index decides it. The table is bounded by [`PENDING_MAX`]; beyond it the
//! node is overloaded.
//!
//! Every task of every client passes through here, so the table is built to be cheap: a tag says in which slot
//! its task is, proposals are kept in the order of the log, which is nearly always the order in which they come
//! and go, and deadlines of tasks that are over stay until there are more of them than of others.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use tokio::time::Instant;

use super::reply::{Task, Work};
use crate::raft::{Index, Position, Term};

/// Tasks that may wait at once.
pub(super) const PENDING_MAX: usize = 4096;
/// Low bits of a tag, which say in which slot its task is; the others make it unique.
const SLOT_BITS: u32 = 16;
/// Deadlines of tasks that are over are left alone up to so many.
const LEFT_OVER: usize = 1024;

/// All tasks that wait.
#[derive(Debug, Default)]
pub(super) struct Pending {
    added: u64,
    slots: Vec<Option<Waiting>>,
    free: Vec<usize>,
    /// Proposals that were appended, by index.
    appended: VecDeque<(Index, u64)>,
    /// Every task's, and some of tasks that are over.
    deadlines: BinaryHeap<Reverse<(Instant, u64)>>,
}

#[derive(Debug)]
struct Waiting {
    tag: u64,
    work: Work,
    position: Option<Position>,
}

impl Pending {
    /// Takes a task in and names it; never 0.
    pub(super) fn add(&mut self, work: Work) -> u64 {
        self.forget_deadlines();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.added += 1;
        let tag = self.added << SLOT_BITS | slot as u64;
        self.deadlines.push(Reverse((work.deadline, tag)));
        self.slots[slot] = Some(Waiting { tag, work, position: None });
        tag
    }

    /// Drops the deadlines of tasks that are over when they are most of all.
    fn forget_deadlines(&mut self) {
        if self.deadlines.len() > 2 * self.count() + LEFT_OVER {
            let mut deadlines = std::mem::take(&mut self.deadlines);
            deadlines.retain(|Reverse((_, tag))| self.waiting(*tag).is_some());
            self.deadlines = deadlines;
        }
    }

    fn slot(tag: u64) -> usize {
        (tag & ((1 << SLOT_BITS) - 1)) as usize
    }

    fn waiting(&self, tag: u64) -> Option<&Waiting> {
        let waiting = self.slots.get(Pending::slot(tag))?.as_ref();
        waiting.filter(|waiting| waiting.tag == tag)
    }

    /// The proposal is in the log.
    pub(super) fn appended(&mut self, tag: u64, position: Position) {
        let Some(Some(waiting)) = self.slots.get_mut(Pending::slot(tag)) else { return };
        if waiting.tag == tag {
            waiting.position = Some(position);
            let place = self.appended.partition_point(|(index, _)| *index <= position.index);
            self.appended.insert(place, (position.index, tag));
        }
    }

    /// Looks at a task.
    pub(super) fn get(&self, tag: u64) -> Option<&Task> {
        self.waiting(tag).map(|waiting| &waiting.work.task)
    }

    /// Takes a task out.
    pub(super) fn take(&mut self, tag: u64) -> Option<Work> {
        self.waiting(tag)?;
        let slot = Pending::slot(tag);
        let Waiting { work, position, .. } = self.slots[slot].take()?;
        self.free.push(slot);
        if let Some(Position { index, .. }) = position {
            let first = self.appended.partition_point(|(other, _)| *other < index);
            let mut same = self.appended.range(first..).take_while(|(other, _)| *other == index);
            if let Some(place) = same.position(|(_, other)| *other == tag) {
                self.appended.remove(first + place);
            }
        }
        Some(work)
    }

    /// Takes out a proposal whose fate is sealed by an entry applied at `index`, with its term; until there
    /// is none left.
    pub(super) fn take_applied(&mut self, index: Index) -> Option<(Term, Work)> {
        let first = self.appended.partition_point(|(other, _)| *other < index);
        let (_, tag) = self.appended.get(first).copied().filter(|(other, _)| *other == index)?;
        let term = self.waiting(tag)?.position?.term;
        self.take(tag).map(|work| (term, work))
    }

    /// Takes out what should have been answered by `now`.
    pub(super) fn take_expired(&mut self, now: Instant) -> Vec<Work> {
        let mut expired = Vec::new();
        while let Some(Reverse((deadline, tag))) = self.deadlines.peek().copied()
            && deadline <= now
        {
            expired.extend(self.take(tag));
            self.deadlines.pop();
        }
        expired
    }

    /// Takes out all proposals, changes of the cluster among them.
    pub(super) fn take_proposals(&mut self) -> Vec<Work> {
        let is_command =
            |waiting: &&Waiting| matches!(waiting.work.task, Task::Command(_) | Task::Change(_));
        let proposals = self.slots.iter().flatten().filter(is_command);
        let tags: Vec<u64> = proposals.map(|waiting| waiting.tag).collect();
        tags.into_iter().filter_map(|tag| self.take(tag)).collect()
    }

    /// Takes out everything.
    pub(super) fn take_all(&mut self) -> Vec<Work> {
        let all = std::mem::take(self);
        self.added = all.added;
        all.slots.into_iter().flatten().map(|waiting| waiting.work).collect()
    }

    /// When to look for tasks that are late: not after the first deadline.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let next = self.deadlines.peek().map(|Reverse((deadline, _))| *deadline);
        next.filter(|_| self.count() > 0)
    }

    /// How many tasks wait.
    pub(super) fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::sync::oneshot;

    use super::*;
    use crate::kv::{Action, Command};

    fn work(task: Task, deadline: Instant) -> Work {
        Work { task, deadline, reply: oneshot::channel().0.into() }
    }

    fn command() -> Task {
        let action = Action::OpenSession;
        Task::Command(Command { session: 0, sequence: 0, acknowledged: 0, action })
    }

    #[test]
    fn each_task_is_taken_once_whoever_comes_first() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut pending = Pending::default();
        let read = pending.add(work(Task::Read(Bytes::new()), now));
        let first = pending.add(work(command(), later));
        let second = pending.add(work(command(), later));
        pending.appended(first, Position { term: 1, index: 5 });
        pending.appended(second, Position { term: 2, index: 5 });
        assert_eq!(pending.next_deadline(), Some(now));
        assert_eq!(pending.take_expired(now).len(), 1);
        assert!(pending.take(read).is_none());
        assert!(pending.take_applied(4).is_none());
        let terms: Vec<_> =
            std::iter::from_fn(|| pending.take_applied(5)).map(|(term, _)| term).collect();
        assert_eq!(terms, [1, 2]);
        assert_eq!((pending.count(), pending.next_deadline()), (0, None));
    }

    #[test]
    fn proposals_are_taken_without_reads() {
        let now = Instant::now();
        let mut pending = Pending::default();
        pending.add(work(Task::Read(Bytes::new()), now));
        let tag = pending.add(work(command(), now));
        pending.appended(tag, Position { term: 1, index: 1 });
        assert_eq!(pending.take_proposals().len(), 1);
        assert!(pending.take_applied(1).is_none());
        assert_eq!(pending.take_all().len(), 1);
    }

    #[test]
    fn a_tag_of_a_task_that_is_over_names_no_other() {
        let now = Instant::now();
        let mut pending = Pending::default();
        let old = pending.add(work(command(), now));
        assert!(pending.take(old).is_some());
        let new = pending.add(work(command(), now + Duration::from_secs(1)));
        assert_eq!(Pending::slot(old), Pending::slot(new), "the slot is used again");
        pending.appended(old, Position { term: 1, index: 1 });
        assert!(pending.take_applied(1).is_none() && pending.take(old).is_none());
        assert_eq!(pending.take_expired(now).len(), 0, "the old deadline is nobody's");
        assert_eq!(pending.count(), 1);
    }

    #[test]
    fn what_is_kept_is_bounded_by_what_waits() {
        let deadline = Instant::now() + Duration::from_secs(9);
        let mut pending = Pending::default();
        let stays = pending.add(work(command(), deadline));
        pending.appended(stays, Position { term: 1, index: 1 });
        for index in 2..10_000 {
            let tag = pending.add(work(command(), deadline));
            pending.appended(tag, Position { term: 1, index });
            assert!(pending.take(tag).is_some());
        }
        assert_eq!((pending.slots.len(), pending.appended.len()), (2, 1));
        assert!(pending.deadlines.len() <= LEFT_OVER + 4, "{}", pending.deadlines.len());
        assert_eq!(
            pending.take_expired(deadline).len(),
            1,
            "the deadline of the one that waits is kept"
        );
    }
}
