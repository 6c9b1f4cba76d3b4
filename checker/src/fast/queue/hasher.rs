//! A hash for the items of a queue: a rotation, an exclusive or and a product for eight bytes.
//!
//! The map from items to enqueues takes most of the time of a check; with the hash of the standard
//! library, a third more of the whole. This one does not withstand an adversary: items made to
//! collide make the check slow (it still asks whether to stop), never wrong.

use std::hash::{BuildHasherDefault, Hasher};

pub(super) type BuildItemHasher = BuildHasherDefault<ItemHasher>;

#[derive(Default)]
pub(super) struct ItemHasher(u64);

/// Odd, its bits without a pattern: a fraction of pi.
const FACTOR: u64 = 0x517c_c1b7_2722_0a95;

impl Hasher for ItemHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    }

    /// The map takes its place from the low bits, and products mix upwards.
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
