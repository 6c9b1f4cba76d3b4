//! Seeded draws, stable for ever.
//!
//! Every purpose has its own ChaCha8 stream, so that one more draw in one place moves nothing elsewhere. The ranges are
//! our own, on `next_u64`: those of `rand` may change their values between releases. A golden test holds them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// One stream of draws.
#[derive(Clone, Debug)]
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream number `stream` of `seed`; distinct numbers are independent of each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// A number in `0..bound`, without bias; 0 if `bound` is 0. Uses one `next_u64`, more in a share of
    /// `bound / 2^64` of the draws.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Lemire's multiplication; the low half tells the few draws that would favour small results.
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(bound);
            let low = product as u64;
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return (product >> 64) as u64;
            }
        }
    }

    /// The index of one of `weights`, each as likely as its share; 0 if all are 0.
    pub(crate) fn weighted(&mut self, weights: impl Iterator<Item = u64> + Clone) -> usize {
        let mut point = self.below(weights.clone().sum());
        for (index, weight) in weights.enumerate() {
            if point < weight {
                return index;
            }
            point -= weight;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_never_change() {
        let mut draw = Draw::new(7, 3);
        let numbers: Vec<u64> = (0..8).map(|_| draw.below(100)).collect();
        let choices: Vec<usize> =
            (0..8).map(|_| draw.weighted([4, 1, 1, 1, 1].into_iter())).collect();
        assert_eq!(numbers, GOLDEN_BELOW);
        assert_eq!(choices, GOLDEN_WEIGHTED);
    }

    const GOLDEN_BELOW: [u64; 8] = [18, 9, 97, 33, 35, 38, 91, 32];
    const GOLDEN_WEIGHTED: [usize; 8] = [0, 0, 4, 0, 0, 4, 0, 0];

    #[test]
    fn streams_of_one_seed_differ() {
        let mut a = Draw::new(7, 0);
        let mut b = Draw::new(7, 1);
        assert_ne!(
            (0..4).map(|_| a.below(1 << 60)).collect::<Vec<_>>(),
            (0..4).map(|_| b.below(1 << 60)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn ranges_are_kept_and_covered() {
        let mut draw = Draw::new(1, 1);
        let mut seen = [0_u32; 5];
        for _ in 0..5_000 {
            seen[usize::try_from(draw.below(5)).expect("small")] += 1;
        }
        assert!(seen.iter().all(|&count| (800..1_200).contains(&count)), "{seen:?}");
        assert_eq!(draw.below(0), 0);
        assert_eq!(draw.below(1), 0);
        assert_eq!(draw.weighted([0, 0].into_iter()), 0);
        assert!((0..100).all(|_| draw.weighted([0, 3, 0].into_iter()) == 1));
    }
}
