//! When the next operation of the run starts.
//!
//! Arrivals are random (exponential, as of many independent users), so that operations of different clients meet at
//! every possible offset; a fixed beat would test the same interleaving again and again. They belong to all workers
//! together: whoever is free takes the next one, so that the planned rate is offered even while a fault leaves some
//! clients waiting for their deadlines. What nobody was free to take is not made up for with a burst later.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The most that one gap may be, in multiples of the mean; one draw in 3,000 would be longer.
const LONGEST: f64 = 8.0;

/// The arrivals of one run, shared by its workers.
#[derive(Debug)]
pub struct Pace {
    mean_seconds: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: ChaCha8Rng,
    /// The next arrival that nobody has taken; none before the first.
    next: Option<Instant>,
}

impl Pace {
    /// Arrivals at `rate_per_second` over all workers; a rate of zero is as fast as it goes.
    #[must_use]
    pub fn new(rate_per_second: f64, rng: ChaCha8Rng) -> Self {
        let mean = if rate_per_second > 0.0 { rate_per_second.recip() } else { 0.0 };
        Self { mean_seconds: mean, state: Mutex::new(State { rng, next: None }) }
    }

    /// Takes the next arrival that has not passed at `now`: when the caller's next operation starts.
    pub fn take(&self, now: Instant) -> Instant {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // 53 random bits in (0, 1]: never zero, so the logarithm is finite.
        let uniform = ((state.rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        let gap = Duration::from_secs_f64(self.mean_seconds * (-uniform.ln()).min(LONGEST));
        let arrival = state.next.map_or(now, |next| next.max(now));
        state.next = Some(arrival + gap);
        arrival
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    fn pace(rate: f64) -> Pace {
        Pace::new(rate, ChaCha8Rng::seed_from_u64(7))
    }

    #[test]
    fn arrivals_keep_the_rate_whoever_takes_them() {
        let (pace, start) = (pace(500.0), Instant::now());
        let last = (0..10_000).map(|_| pace.take(start)).last().unwrap();
        let seconds = (last - start).as_secs_f64();
        assert!((19.0..21.0).contains(&seconds), "{seconds}");
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let (pace, start) = (pace(500.0), Instant::now());
        pace.take(start);
        let late = start + Duration::from_secs(60);
        assert_eq!(pace.take(late), late);
        assert!(pace.take(late) > late, "a burst");
    }

    #[test]
    fn no_rate_is_no_wait() {
        let (pace, start) = (pace(0.0), Instant::now());
        assert_eq!((pace.take(start), pace.take(start)), (start, start));
    }
}
