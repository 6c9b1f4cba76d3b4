//! The disk of a node: what a crash leaves, and what is on its way there.
//!
//! Batches become durable in order. A crash keeps some first few of those that were not synced: the operating
//! system may have written them by itself. A batch that was torn is gone whole, as recovery makes it. Beside the
//! log is the snapshot file, replaced at once and whole, or not at all; a crash between that and the batch that
//! makes the log begin there leaves a file that is ahead of the log.

use crate::kv::Store;
use crate::raft::{Batch, Entry, HardState, Index, Position, Recovered, Snapshot, Term};
use std::collections::VecDeque;

/// A snapshot with its content.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) snapshot: Snapshot,
    pub(super) store: Store,
    /// What the oracle knows the state by.
    pub(super) chain: u64,
}

/// A disk that forgets what was not synced.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) hard_state: HardState,
    /// What stands before the first entry of `log`.
    pub(super) base: Position,
    pub(super) log: Vec<Entry>,
    pub(super) file: Option<File>,
    pending: VecDeque<Batch>,
    /// The ticket that the sync under way will have made durable.
    pub(super) syncing: Option<u64>,
}

impl Disk {
    pub(super) fn write(&mut self, batch: Batch) {
        self.pending.push_back(batch);
    }

    /// How many batches a crash now could lose.
    pub(super) fn at_risk(&self) -> usize {
        self.pending.len()
    }

    /// The newest ticket that is not durable.
    pub(super) fn newest(&self) -> Option<u64> {
        self.pending.back().map(|batch| batch.ticket)
    }

    /// Makes the oldest batch durable if its ticket is at most `ticket`; returns from where it truncated the log,
    /// if it did.
    pub(super) fn sync_one(&mut self, ticket: u64) -> Option<Option<Index>> {
        if self.pending.front()?.ticket > ticket {
            return None;
        }
        let batch = self.pending.pop_front()?;
        if let Some(hard_state) = batch.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(snapshot) = batch.reset {
            self.base = snapshot.last;
            self.log.clear();
        }
        if let Some(from) = batch.truncate_from {
            self.log.truncate(self.count_up_to(from.saturating_sub(1)));
        }
        self.log.extend(batch.entries);
        if let Some(base) = batch.compact {
            self.log.drain(..self.count_up_to(base.index));
            self.base = base;
        }
        Some(batch.truncate_from)
    }

    /// How many entries of the log are at `index` or before.
    fn count_up_to(&self, index: Index) -> usize {
        (index.saturating_sub(self.base.index) as usize).min(self.log.len())
    }

    /// Keeps a snapshot that is whole, unless there is a newer one.
    pub(super) fn keep(&mut self, file: File) {
        if self.file.as_ref().is_none_or(|known| known.snapshot.last < file.snapshot.last) {
            self.file = Some(file);
        }
    }

    /// What was not synced is gone.
    pub(super) fn forget(&mut self) {
        self.pending.clear();
        self.syncing = None;
    }

    /// What a start finds.
    pub(super) fn recovered(&self) -> Recovered {
        let snapshot = self.file.as_ref().map(|file| file.snapshot.clone());
        let Disk { hard_state, base, .. } = *self;
        Recovered { hard_state, snapshot, base, log: self.log.clone() }
    }

    /// The term of the durable entry at `index`, as far as the log tells.
    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        let place = index.checked_sub(self.base.index + 1)?;
        self.log.get(place as usize).map(|entry| entry.term)
    }

    /// Whether a start would find this position, or a snapshot that covers it.
    pub(super) fn holds(&self, position: Position) -> bool {
        let covered = self.file.as_ref().map_or(0, |file| file.snapshot.last.index);
        position.index <= covered || self.term_at(position.index) == Some(position.term)
    }
}
