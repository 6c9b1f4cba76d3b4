//! When a worker starts its next operation.
//!
//! Arrivals are random (exponential, as of many independent users), so that operations of different clients meet at
//! every possible offset; a fixed beat would test the same interleaving again and again. A worker that fell behind,
//! because an operation took long, does not catch up with a burst: the rate is what is offered, not what is promised.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;
use std::time::Duration;

/// The most that one gap may be, in multiples of the mean; one draw in 3,000 would be longer.
const LONGEST: f64 = 8.0;

/// The gaps between the starts of one worker's operations.
#[derive(Debug)]
pub struct Pace {
    mean_seconds: f64,
    rng: ChaCha8Rng,
}

impl Pace {
    /// A share of `rate_per_second` among `workers`; a rate of zero is as fast as it goes.
    #[must_use]
    pub fn new(rate_per_second: f64, workers: usize, rng: ChaCha8Rng) -> Self {
        let mean =
            if rate_per_second > 0.0 { workers.max(1) as f64 / rate_per_second } else { 0.0 };
        Self { mean_seconds: mean, rng }
    }

    /// From the start of the last operation to the start of the next.
    pub fn gap(&mut self) -> Duration {
        // 53 random bits in (0, 1]: never zero, so the logarithm is finite.
        let uniform = ((self.rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        Duration::from_secs_f64(self.mean_seconds * (-uniform.ln()).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn the_mean_gap_is_the_share_of_the_rate() {
        let mut pace = Pace::new(500.0, 10, ChaCha8Rng::seed_from_u64(7));
        let total: Duration = (0..10_000).map(|_| pace.gap()).sum();
        let mean = total.as_secs_f64() / 10_000.0;
        assert!((0.019..0.021).contains(&mean), "{mean}");
    }

    #[test]
    fn no_rate_is_no_wait() {
        let mut pace = Pace::new(0.0, 10, ChaCha8Rng::seed_from_u64(7));
        assert_eq!(pace.gap(), Duration::ZERO);
    }
}
