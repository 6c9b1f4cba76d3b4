//! Streams of numbers, one for each purpose, all fixed by the seed of the run.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What numbers are drawn for. A draw for one purpose moves none for another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Mix,
    Schedule,
    Clients,
    Timers,
    Disks,
    Breakage,
    Snapshots,
    Recipes,
    Depositions,
    /// The messages of one link; its number is below 192.
    Link(u64),
}

impl Purpose {
    fn number(self) -> u64 {
        match self {
            Purpose::Mix => 0,
            Purpose::Schedule => 1,
            Purpose::Clients => 2,
            Purpose::Timers => 3,
            Purpose::Disks => 4,
            Purpose::Breakage => 5,
            Purpose::Snapshots => 6,
            Purpose::Recipes => 7,
            Purpose::Depositions => 8,
            Purpose::Link(link) => 64 + link,
        }
    }
}

/// One stream.
#[derive(Clone, Debug)]
pub(super) struct Random(ChaCha8Rng);

impl Random {
    pub(super) fn new(seed: u64, episode: u64, purpose: Purpose) -> Random {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream((episode << 8) + purpose.number());
        Random(generator)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low))
    }

    /// Whether something happens that does so so many times in a thousand.
    pub(super) fn chance(&mut self, per_thousand: u64) -> bool {
        self.below(1000) < per_thousand
    }

    pub(super) fn one_of(&mut self, choices: &[u64]) -> u64 {
        choices.get(self.below(choices.len() as u64) as usize).copied().unwrap_or(0)
    }
}
