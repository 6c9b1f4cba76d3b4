//! Durations in logarithmic buckets: bounded memory however long the run, quantiles within 7 %.

use std::time::Duration;

/// Buckets to each power of two of a microsecond.
const STEPS: usize = 16;
/// Powers of two that are told apart; the last bucket ends at about 71 minutes.
const POWERS: usize = 32;

/// How often durations of each size were seen.
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; STEPS * POWERS], count: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, duration: Duration) {
        self.buckets[bucket(duration)] += 1;
        self.count += 1;
        self.max = self.max.max(duration);
    }

    /// The upper end of the bucket that holds the `q` quantile, but not more than the maximum; zero when empty.
    pub(super) fn quantile(&self, q: f64) -> Duration {
        let wanted = (self.count as f64 * q).ceil() as u64;
        let mut seen = 0;
        for (place, count) in self.buckets.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return upper(place).min(self.max);
            }
        }
        self.max
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn max(&self) -> Duration {
        self.max
    }
}

/// Microseconds as a small floating-point number: power of two, then a linear step within it.
fn bucket(duration: Duration) -> usize {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1);
    let power = micros.ilog2() as usize;
    let step = ((u128::from(micros) * STEPS as u128) >> power) as usize - STEPS;
    (power * STEPS + step).min(STEPS * POWERS - 1)
}

fn upper(place: usize) -> Duration {
    let (power, step) = (place / STEPS, place % STEPS);
    Duration::from_micros((((STEPS + step + 1) as u64) << power).div_ceil(STEPS as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_step_and_never_above_the_maximum() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.99), Duration::ZERO);
        for micros in 1..=10_000_u64 {
            histogram.add(Duration::from_micros(micros));
        }
        for q in [0.5, 0.9, 0.99] {
            let seen = histogram.quantile(q).as_micros() as f64;
            assert!(seen >= q * 10_000.0 && seen <= q * 10_000.0 * 1.07, "{q}: {seen}");
        }
        assert_eq!(histogram.max(), Duration::from_millis(10));
        histogram.add(Duration::from_secs(1_000_000));
        assert_eq!(histogram.quantile(1.0), Duration::from_secs(1_000_000).min(upper(511)));
    }
}
