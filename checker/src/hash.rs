//! A fixed, fast hash for tables of states and numbers.
//!
//! Fixed, so that a check takes the same steps every time. It does not resist somebody who chooses
//! values to collide; budgets do.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

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

/// The hash of a value, for a table that has it elsewhere.
pub(crate) fn hash_of(value: &impl Hash) -> u64 {
    BuildHasherDefault::<Mixer>::default().hash_one(value)
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
