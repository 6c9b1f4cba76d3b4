//! A fixed, fast hash for tables of states and numbers.
//!
//! Fixed, so that a check takes the same steps every time. It does not resist somebody who chooses
//! values to collide; budgets do.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A table with the fixed hash.
pub(crate) type Table<K, V> = HashMap<K, V, BuildHasherDefault<Mixer>>;

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// See the module.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word) ^ (chunk.len() as u64) << 56);
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_i64(&mut self, number: i64) {
        self.mix(number as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.mix(number as u64);
    }

    fn finish(&self) -> u64 {
        // Tables take the place from the low bits and a tag from the high ones.
        self.0 ^ self.0 >> 32
    }
}

/// The hash of a value, for a table that has it elsewhere. Values that differ in the last four bits of a number are
/// neighbours there: clients count up, and what was written about the same time is then in the same lines of memory.
pub(crate) fn hash_of(value: &impl Hash) -> u64 {
    let mut near = Near::default();
    value.hash(&mut near);
    near.finish()
}

/// How many bits of a number make neighbours.
const NEAR_BITS: u32 = 4;

/// See [`hash_of`].
#[derive(Default)]
struct Near {
    far: Mixer,
    /// The last bits of the last word.
    last: u64,
}

impl Hasher for Near {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // A multiple of the factor, so that what was last is told from what is next.
        self.far.0 ^= self.last.wrapping_mul(MULTIPLIER);
        self.far.mix(word >> NEAR_BITS);
        self.last = word & ((1 << NEAR_BITS) - 1);
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        // The place and the tag both tell neighbours apart.
        self.far.finish() ^ self.last ^ self.last << (u64::BITS - 7)
    }
}

/// The hash of a place and some words.
pub(crate) fn hash(place: u64, words: &[u64]) -> u64 {
    let mut mixer = Mixer::default();
    mixer.mix(place);
    for word in words {
        mixer.mix(*word);
    }
    mixer.finish()
}
