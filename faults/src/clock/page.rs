//! The page that a node's clock shim reads, and the one that it counts in.
//!
//! One file of two pages for each node. The harness writes what the clocks are ahead of the machine's into the
//! first one, and the node maps that for reading only; the node counts its answers in the second one, and the
//! harness reads that. The file is written and read with plain system calls: Linux keeps those and the mappings of
//! a file the same. All numbers are native 64-bit words.
//!
//! | first page | | second page | |
//! |---|---|---|---|
//! | 0 | version, 1 | 0 | process that took the page last |
//! | 8 | epoch: slot `epoch % 2` is in effect | 8 | answers of the wall clock |
//! | 16 | slot 0: anchor, steady ahead, wall ahead, rate | 16 | those that differed from the machine's |
//! | 48 | slot 1 | 24 | by how much the last one was ahead |
//! | | | 32 … 48 | the same of the steady clocks; differed: in rate |
//!
//! A change is written into the slot that is not in effect, and then one write of the epoch, which cannot be
//! seen by halves, puts it into effect. The steady clocks are continuous over a change: it starts from what they
//! had gained.
//!
//! It outlives restarts of the node, which then goes on where it was. It is a regular file among those of the
//! run, so nothing of it stays in the machine's shared memory.

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The shared object to preload into a node.
pub const SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clock.so"));
/// The variable that names a node's page to the shim.
pub const PAGE_VARIABLE: &str = "HARNESS_CLOCK_PAGE";

const VERSION: u64 = 1;
const EPOCH_AT: u64 = 8;
const SLOTS_AT: u64 = 16;
const SLOT_BYTES: u64 = 32;
const EVIDENCE_AT: u64 = 4096;
const FILE_BYTES: u64 = 8192;

/// What is done to a node's clocks; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skew {
    /// How far the wall clock is set ahead of the machine's, in milliseconds; negative: behind.
    pub step_ms: i64,
    /// How much faster than the machine's all clocks run, in millionths; negative: slower.
    pub rate_ppm: i32,
}

/// What a node's shim has counted since the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReading {
    /// The process that took the page last; 0 if none ever did.
    pub pid: u64,
    /// How often the wall clock was asked.
    pub wall_answers: u64,
    /// How many of those answers differed from the machine's clock.
    pub wall_off: u64,
    /// By how much the last of them was ahead, in nanoseconds.
    pub wall_ahead_ns: i64,
    /// How often a steady clock was asked.
    pub steady_answers: u64,
    /// How many of those answers were given at another rate than the machine's.
    pub steady_off: u64,
    /// By how much the last of them was ahead, in nanoseconds.
    pub steady_ahead_ns: i64,
}

/// The pages of one node.
#[derive(Debug)]
pub struct ClockPage {
    file: File,
    current: Mutex<Slot>,
}

/// What is in effect.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    epoch: u64,
    anchor_ns: i64,
    steady_ahead_ns: i64,
    wall_ahead_ns: i64,
    rate_ppm: i64,
}

impl Slot {
    /// How far the steady clocks are ahead at `now`.
    fn steady_ahead_at(&self, now: i64) -> i64 {
        let gained = i128::from(now - self.anchor_ns) * i128::from(self.rate_ppm) / 1_000_000;
        self.steady_ahead_ns + i64::try_from(gained).unwrap_or(0)
    }

    fn bytes(&self) -> Vec<u8> {
        [self.anchor_ns, self.steady_ahead_ns, self.wall_ahead_ns, self.rate_ppm]
            .into_iter()
            .flat_map(i64::to_ne_bytes)
            .collect()
    }
}

impl ClockPage {
    /// Makes the pages of a node, with nothing done to its clocks.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        file.set_len(FILE_BYTES)?;
        file.write_all_at(&VERSION.to_ne_bytes(), 0)?;
        Ok(Self { file, current: Mutex::default() })
    }

    /// Puts `skew` in the place of what was done to the clocks before; in effect when it returns.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&self, skew: Skew) -> io::Result<()> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now_ns()?;
        let next = Slot {
            epoch: current.epoch + 1,
            anchor_ns: now,
            steady_ahead_ns: current.steady_ahead_at(now),
            wall_ahead_ns: skew.step_ms.saturating_mul(1_000_000),
            rate_ppm: i64::from(skew.rate_ppm),
        };
        self.file.write_all_at(&next.bytes(), SLOTS_AT + SLOT_BYTES * (next.epoch % 2))?;
        self.file.write_all_at(&next.epoch.to_ne_bytes(), EPOCH_AT)?;
        *current = next;
        Ok(())
    }

    /// What the node has counted so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn reading(&self) -> io::Result<ClockReading> {
        let mut words = [0_u64; 7];
        for (place, word) in (0..).zip(&mut words) {
            let mut bytes = [0; 8];
            self.file.read_exact_at(&mut bytes, EVIDENCE_AT + 8 * place)?;
            *word = u64::from_ne_bytes(bytes);
        }
        let [pid, wall_answers, wall_off, wall_ahead, steady_answers, steady_off, steady_ahead] =
            words;
        Ok(ClockReading {
            pid,
            wall_answers,
            wall_off,
            wall_ahead_ns: wall_ahead.cast_signed(),
            steady_answers,
            steady_off,
            steady_ahead_ns: steady_ahead.cast_signed(),
        })
    }
}

/// The machine's monotonic clock, which anchors are by.
fn now_ns() -> io::Result<i64> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    i64::try_from(now.as_nanos()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_clocks_are_continuous_over_every_change() {
        let mut slot = Slot { rate_ppm: 50_000, ..Slot::default() };
        assert_eq!(slot.steady_ahead_at(20_000_000), 1_000_000);
        slot = Slot {
            anchor_ns: 20_000_000,
            steady_ahead_ns: slot.steady_ahead_at(20_000_000),
            rate_ppm: -100_000,
            ..slot
        };
        assert_eq!(slot.steady_ahead_at(20_000_000), 1_000_000);
        assert_eq!(slot.steady_ahead_at(40_000_000), -1_000_000);
    }

    #[test]
    fn a_page_is_never_one_that_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        let page = ClockPage::create(&path).unwrap();
        assert_eq!(page.reading().unwrap(), ClockReading::default());
        assert!(ClockPage::create(&path).is_err());
    }
}
