//! Everything that may have become of one key by now: a set of configurations.
//!
//! A configuration is a state, the open calls that are *done* (linearized), those that are
//! *hidden*, and the calls of unknown outcome that were *used*. Hidden calls are blind ones that
//! may or may not have come right before a blind call that was linearized, unseen; so one
//! configuration stands for one with each part of its hidden calls done. It *covers* another of the
//! same state if whatever leads on from the other leads on from it:
//!
//! - what the other has done or hidden, it has done or hidden;
//! - what it has done besides is pure, and nobody misses the chance to do nothing;
//! - it used no unknown call that the other did not: fewer used are more left.
//!
//! No configuration here covers another. Configurations lie in two flat arrays, so that going on
//! takes no allocation.

use super::masks::{clear, has, words};

/// A set of configurations.
pub(super) struct Frontier<S> {
    /// Words of a set of answered calls, and of unknown ones.
    words: usize,
    used: usize,
    states: Vec<S>,
    /// For each configuration the done, the hidden and the used.
    masks: Vec<u64>,
}

/// What is kept of the room of a set that has become small.
const ROOM: usize = 16;

impl<S: Clone + PartialEq> Frontier<S> {
    pub(super) fn new() -> Self {
        Self { words: 0, used: 0, states: Vec::new(), masks: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    fn width(&self) -> usize {
        2 * self.words + self.used
    }

    /// Words of a set of answered calls.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    pub(super) fn state(&self, place: usize) -> &S {
        &self.states[place]
    }

    pub(super) fn masks(&self, place: usize) -> &[u64] {
        let width = self.width();
        &self.masks[place * width..(place + 1) * width]
    }

    /// Starts with nothing done.
    pub(super) fn begin(&mut self, state: S) {
        self.states.push(state);
        self.masks.resize(self.masks.len() + self.width(), 0);
    }

    /// Makes room for more calls.
    pub(super) fn widen(&mut self, (words, used): (usize, usize)) {
        let (words, used) = (words.max(self.words), used.max(self.used));
        if (words, used) == (self.words, self.used) {
            return;
        }
        let mut masks = Vec::with_capacity(self.states.len() * (2 * words + used));
        for place in 0..self.states.len() {
            let (answered, unknown) = self.masks(place).split_at(2 * self.words);
            let (done, hidden) = answered.split_at(self.words);
            for (old, new) in [(done, words), (hidden, words), (unknown, used)] {
                masks.extend_from_slice(old);
                masks.resize(masks.len() + new - old.len(), 0);
            }
        }
        (self.words, self.used, self.masks) = (words, used, masks);
    }

    /// Makes it empty, with the shape of another.
    pub(super) fn restart(&mut self, like: &Self) {
        self.states.clear();
        self.masks.clear();
        (self.words, self.used) = (like.words, like.used);
    }

    /// Replaces what is here by what is there, which becomes empty.
    pub(super) fn replace(&mut self, by: &mut Self) {
        self.states.clear();
        self.masks.clear();
        self.states.append(&mut by.states);
        self.masks.append(&mut by.masks);
        let (most, width) = (ROOM + 2 * self.states.len(), self.width());
        if self.states.capacity() > 2 * most {
            self.states.shrink_to(most);
            self.masks.shrink_to(most * width);
        }
    }

    /// Adds a configuration unless one that is here covers it, and removes those from place `from`
    /// on that it covers. Says how many it was compared with.
    pub(super) fn add(&mut self, state: S, masks: &[u64], pure: &[u64], from: usize) -> u64 {
        let mut place = 0;
        let mut compared = 1;
        while place < self.states.len() {
            compared += 1;
            let here = self.masks(place);
            if self.covers(here, masks, pure) && self.states[place] == state {
                return compared;
            }
            if place >= from && self.covers(masks, here, pure) && self.states[place] == state {
                self.remove(place);
            } else {
                place += 1;
            }
        }
        self.states.push(state);
        self.masks.extend_from_slice(masks);
        compared
    }

    fn remove(&mut self, place: usize) {
        self.states.swap_remove(place);
        let (width, last) = (self.width(), self.states.len());
        self.masks.copy_within(last * width.., place * width);
        self.masks.truncate(last * width);
    }

    /// Whether the first masks cover the second, the state being the same.
    fn covers(&self, a: &[u64], b: &[u64], pure: &[u64]) -> bool {
        (0..self.words).all(|word| {
            let (done, hidden) = (a[word], a[self.words + word]);
            let (others_done, others_hidden) = (b[word], b[self.words + word]);
            (others_done | others_hidden) & !(done | hidden) == 0
                && others_hidden & !hidden == 0
                && done & !others_done & !pure[word] == 0
        }) && a[2 * self.words..].iter().zip(&b[2 * self.words..]).all(|(a, b)| a & !b == 0)
    }

    /// Whether a call is done everywhere.
    pub(super) fn all_done(&self, bit: u32) -> bool {
        (0..self.states.len()).all(|place| has(self.masks(place), bit))
    }

    /// Frees the bit of a call that is done everywhere.
    pub(super) fn forget(&mut self, bit: u32) {
        let width = self.width();
        for masks in self.masks.chunks_exact_mut(width) {
            clear(masks, bit);
        }
    }

    /// Changes what is done, configuration by configuration.
    pub(super) fn settle(&mut self, settle: impl Fn(&S, &mut [u64])) {
        let width = self.width();
        for (state, masks) in self.states.iter().zip(self.masks.chunks_exact_mut(width)) {
            settle(state, &mut masks[..self.words]);
        }
    }

    /// Frees the bits of the unknown calls that were used everywhere, of so many, and says which
    /// they were.
    pub(super) fn forget_used(&mut self, unknown: usize) -> Vec<u64> {
        let (start, width) = (2 * self.words, self.width());
        let mut everywhere = vec![u64::MAX; self.used];
        for masks in self.masks.chunks_exact(width) {
            for (all, used) in everywhere.iter_mut().zip(&masks[start..]) {
                *all &= used;
            }
        }
        if self.states.is_empty() || everywhere.iter().all(|word| *word == 0) {
            return Vec::new();
        }
        let kept = (0..unknown as u32).filter(|bit| !has(&everywhere, *bit)).count();
        let mut masks = Vec::with_capacity(self.states.len() * (start + words(kept)));
        for old in self.masks.chunks_exact(width) {
            masks.extend_from_slice(&old[..start]);
            let at = masks.len();
            masks.resize(at + words(kept), 0);
            let left = (0..unknown as u32).filter(|bit| !has(&everywhere, *bit));
            for (new, bit) in (0..).zip(left) {
                if has(&old[start..], bit) {
                    super::masks::set(&mut masks[at..], new);
                }
            }
        }
        (self.used, self.masks) = (words(kept), masks);
        everywhere
    }

    /// Bytes it takes, but for what states hold elsewhere.
    pub(super) fn bytes(&self) -> u64 {
        (self.states.capacity() * size_of::<S>() + 8 * self.masks.capacity()) as u64
    }
}
