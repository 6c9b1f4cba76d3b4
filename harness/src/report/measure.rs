//! Rate and latency over time, of every operation of the history.

use super::micros;
use super::page::Rate;
use history::{History, Nanos, Outcome};

/// A bucket is a second, and longer where a run would have more than so many of them.
const BUCKETS_LIMIT: u64 = 900;

const SECOND: u64 = 1_000_000;

/// Counts and quantiles by bucket of completion; operations that never completed are in none.
pub(super) fn rate(history: &History, end: u64) -> Rate {
    let bucket = end.div_ceil(SECOND).div_ceil(BUCKETS_LIMIT).max(1) * SECOND;
    let length = usize::try_from(end / bucket + 1).unwrap_or(usize::MAX);
    let (mut ok, mut fail, mut info) = (vec![0; length], vec![0; length], vec![0; length]);
    let mut latencies: Vec<Vec<u64>> = vec![Vec::new(); length];
    for operation in &history.operations {
        let (counts, time) = match &operation.outcome {
            Outcome::Ok { time, .. } => (&mut ok, Some(*time)),
            Outcome::Fail { time, .. } => (&mut fail, Some(*time)),
            Outcome::Info { time, .. } => (&mut info, *time),
        };
        let Some(place) = time.and_then(|time| usize::try_from(micros(time) / bucket).ok()) else {
            continue;
        };
        if place >= length {
            continue;
        }
        counts[place] += 1;
        if let Outcome::Ok { time: Nanos(time), .. } = operation.outcome {
            latencies[place].push(time.saturating_sub(operation.invoked.0) / 1_000);
        }
    }
    let mut p50 = Vec::with_capacity(length);
    let mut p99 = Vec::with_capacity(length);
    for latencies in &mut latencies {
        latencies.sort_unstable();
        p50.push(quantile(latencies, 50));
        p99.push(quantile(latencies, 99));
    }
    Rate { bucket, ok, fail, info, p50, p99 }
}

/// The smallest of `sorted` that `percent` of them do not exceed.
pub(super) fn quantile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_are_observed_values() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(quantile(&hundred, 50), Some(50));
        assert_eq!(quantile(&hundred, 99), Some(99));
        assert_eq!(quantile(&[7], 99), Some(7));
        assert_eq!(quantile(&[], 50), None);
    }
}
