//! The disk of a node: what a crash leaves, and what is on its way there.
//!
//! Batches become durable in order. A crash keeps some first few of those that were not synced: the operating
//! system may have written them by itself. A batch that was torn is gone whole, as recovery makes it.

use crate::raft::{Batch, Entry, HardState, Index, Recovered, Term};
use std::collections::VecDeque;

/// A disk that forgets what was not synced.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) hard_state: HardState,
    pub(super) log: Vec<Entry>,
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
        if let Some(from) = batch.truncate_from {
            self.log.truncate(from as usize - 1);
        }
        self.log.extend(batch.entries);
        Some(batch.truncate_from)
    }

    /// What was not synced is gone.
    pub(super) fn forget(&mut self) {
        self.pending.clear();
        self.syncing = None;
    }

    /// What a start finds.
    pub(super) fn recovered(&self) -> Recovered {
        let log = self.log.clone();
        Recovered { hard_state: self.hard_state, log, ..Recovered::default() }
    }

    /// The term of the durable entry at `index`; 0 before the log.
    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        match index.checked_sub(1) {
            None => Some(0),
            Some(place) => self.log.get(place as usize).map(|entry| entry.term),
        }
    }
}
