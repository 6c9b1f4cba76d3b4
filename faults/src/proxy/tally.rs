//! Counts what happens on one direction. Written by the hub's thread alone, read by anyone.

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
        }
    }
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// This many bytes more.
pub(super) fn add(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(bytes as u64, Relaxed);
}

/// This many bytes fewer.
pub(super) fn subtract(counter: &AtomicU64, bytes: usize) {
    counter.fetch_sub(bytes as u64, Relaxed);
}
