//! Tasks that wait for their outcome.
//!
//! Each has a tag, which Raft hands back, and a deadline. A proposal that was appended also has a position in
//! the log: what is applied at its index decides it. The table is bounded by [`PENDING_MAX`]; beyond it the
//! node is overloaded.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::time::Instant;

use super::reply::{Task, Work};
use crate::raft::{Index, Position, Term};

/// Tasks that may wait at once.
pub(super) const PENDING_MAX: usize = 4096;

/// All tasks that wait.
#[derive(Debug, Default)]
pub(super) struct Pending {
    last_tag: u64,
    waiting: HashMap<u64, Waiting>,
    by_index: BTreeMap<Index, Vec<u64>>,
    deadlines: BTreeSet<(Instant, u64)>,
}

#[derive(Debug)]
struct Waiting {
    work: Work,
    position: Option<Position>,
}

impl Pending {
    /// Takes a task in and names it.
    pub(super) fn add(&mut self, work: Work) -> u64 {
        self.last_tag += 1;
        self.deadlines.insert((work.deadline, self.last_tag));
        self.waiting.insert(self.last_tag, Waiting { work, position: None });
        self.last_tag
    }

    /// The proposal is in the log.
    pub(super) fn appended(&mut self, tag: u64, position: Position) {
        if let Some(waiting) = self.waiting.get_mut(&tag) {
            waiting.position = Some(position);
            self.by_index.entry(position.index).or_default().push(tag);
        }
    }

    /// Looks at a task.
    pub(super) fn get(&self, tag: u64) -> Option<&Task> {
        self.waiting.get(&tag).map(|waiting| &waiting.work.task)
    }

    /// Takes a task out.
    pub(super) fn take(&mut self, tag: u64) -> Option<Work> {
        let Waiting { work, position } = self.waiting.remove(&tag)?;
        self.deadlines.remove(&(work.deadline, tag));
        if let Some(index) = position.map(|position| position.index)
            && let Some(tags) = self.by_index.get_mut(&index)
        {
            tags.retain(|other| *other != tag);
            if tags.is_empty() {
                self.by_index.remove(&index);
            }
        }
        Some(work)
    }

    /// Takes out the proposals whose fate is sealed by an entry applied at `index`, each with its term.
    pub(super) fn take_applied(&mut self, index: Index) -> Vec<(Term, Work)> {
        let tags = self.by_index.remove(&index).unwrap_or_default();
        let decided = tags.into_iter().filter_map(|tag| {
            let term = self.waiting.get(&tag)?.position?.term;
            self.take(tag).map(|work| (term, work))
        });
        decided.collect()
    }

    /// Takes out what should have been answered by `now`.
    pub(super) fn take_expired(&mut self, now: Instant) -> Vec<Work> {
        let mut expired = Vec::new();
        while let Some((deadline, tag)) = self.deadlines.first().copied()
            && deadline <= now
        {
            expired.extend(self.take(tag));
            self.deadlines.remove(&(deadline, tag));
        }
        expired
    }

    /// Takes out all proposals, changes of the cluster among them.
    pub(super) fn take_proposals(&mut self) -> Vec<Work> {
        let is_command =
            |waiting: &Waiting| matches!(waiting.work.task, Task::Command(_) | Task::Change(_));
        let tags: Vec<u64> =
            self.waiting.iter().filter(|(_, w)| is_command(w)).map(|(tag, _)| *tag).collect();
        tags.into_iter().filter_map(|tag| self.take(tag)).collect()
    }

    /// Takes out everything.
    pub(super) fn take_all(&mut self) -> Vec<Work> {
        self.by_index.clear();
        self.deadlines.clear();
        self.waiting.drain().map(|(_, waiting)| waiting.work).collect()
    }

    /// The first deadline.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// How many tasks wait.
    pub(super) fn count(&self) -> usize {
        self.waiting.len()
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
        assert_eq!(pending.take_applied(4).len(), 0);
        let terms: Vec<_> = pending.take_applied(5).iter().map(|(term, _)| *term).collect();
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
        assert_eq!(pending.take_applied(1).len(), 0);
        assert_eq!(pending.take_all().len(), 1);
    }
}
