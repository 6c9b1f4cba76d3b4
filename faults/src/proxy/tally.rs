//! Counts what happens on one direction. Written by the hub's thread alone, read by anyone: so one more is a load
//! and a store, without a lock on the memory bus.

use crate::link::Counters;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of [`Counters`], as the hub keeps them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) read: AtomicU64,
    pub(super) forwarded: AtomicU64,
    pub(super) waiting: AtomicU64,
    pub(super) held: AtomicU64,
    pub(super) ends: AtomicU64,
    pub(super) dialled: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) hung: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) reset: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) closed: AtomicU64,
    pub(super) taken: AtomicU64,
    pub(super) slowed: AtomicU64,
    pub(super) prompt: AtomicU64,
    pub(super) flaps: AtomicU64,
    pub(super) leaked: AtomicU64,
}

impl Tally {
    /// All of them. On the hub's thread this is one exact moment.
    pub(super) fn read(&self) -> Counters {
        Counters {
            read_bytes: self.read.load(Relaxed),
            forwarded_bytes: self.forwarded.load(Relaxed),
            waiting_bytes: self.waiting.load(Relaxed),
            held_bytes: self.held.load(Relaxed),
            ends: self.ends.load(Relaxed),
            dialled: self.dialled.load(Relaxed),
            opened: self.opened.load(Relaxed),
            hung: self.hung.load(Relaxed),
            refused: self.refused.load(Relaxed),
            reset: self.reset.load(Relaxed),
            unanswered: self.unanswered.load(Relaxed),
            closed: self.closed.load(Relaxed),
            taken: self.taken.load(Relaxed),
            slowed: self.slowed.load(Relaxed),
            prompt: self.prompt.load(Relaxed),
            flaps: self.flaps.load(Relaxed),
            leaked_bytes: self.leaked.load(Relaxed),
        }
    }
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// This many bytes more.
pub(super) fn add(counter: &AtomicU64, bytes: usize) {
    counter.store(counter.load(Relaxed).wrapping_add(bytes as u64), Relaxed);
}

/// This many bytes fewer.
pub(super) fn subtract(counter: &AtomicU64, bytes: usize) {
    counter.store(counter.load(Relaxed).wrapping_sub(bytes as u64), Relaxed);
}
