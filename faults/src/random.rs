//! Seeded draws. One ChaCha stream per purpose, so that one more draw in one place moves nothing
//! elsewhere; ranges and shuffles are our own, because a library's may change their values between
//! versions and a seed must mean the same plan for years. A golden test holds them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::time::Duration;

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream of `seed` for one purpose, named by a number.
    #[must_use]
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose);
        Self(rng)
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, each equally likely; 0 when `bound` is 0. (Lemire's method.)
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let rejected = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.draw()) * u128::from(bound);
            let low = product & u128::from(u64::MAX);
            if low >= u128::from(rejected) {
                return u64::try_from(product >> 64).expect("the high half of a 128-bit product");
            }
        }
    }

    /// Whole milliseconds from `low` to `high`, both possible.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let low = u64::try_from(low.as_millis()).unwrap_or(u64::MAX);
        let high = u64::try_from(high.as_millis()).unwrap_or(u64::MAX).max(low);
        Duration::from_millis(low + self.below((high - low).saturating_add(1)))
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of the values, in proportion to its weight; none if all weights are 0.
    pub fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> Option<T> {
        let total = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(total);
        for &(weight, value) in choices {
            if left < weight {
                return Some(value);
            }
            left -= weight;
        }
        None
    }

    /// Puts the values in any order, each equally likely. (Fisher–Yates, from the back.)
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            let other = self.below(last as u64 + 1);
            values.swap(last, usize::try_from(other).expect("an index of this slice"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_never_change_their_values() {
        let mut random = Random::new(7, 1);
        let below: Vec<u64> = (0..6).map(|_| random.below(10)).collect();
        let mut order: Vec<u8> = (0..8).collect();
        random.shuffle(&mut order);
        let wait = random.between(Duration::from_millis(100), Duration::from_millis(300));
        let golden = "[9, 0, 7, 5, 0, 5] [1, 2, 6, 0, 3, 5, 7, 4] 206ms";
        assert_eq!(format!("{below:?} {order:?} {wait:?}"), golden);
        assert_ne!(Random::new(7, 1).draw(), Random::new(7, 2).draw(), "streams differ");
    }

    #[test]
    fn every_value_below_the_bound_is_drawn_about_equally_often() {
        let mut random = Random::new(1, 1);
        let mut seen = [0_u32; 7];
        for _ in 0..7000 {
            seen[usize::try_from(random.below(7)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&count| (850..1150).contains(&count)), "{seen:?}");
    }
}
