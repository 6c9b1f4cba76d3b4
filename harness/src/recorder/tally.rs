//! Running counts of what was recorded: per function for the verdict, and per beat for the live line.

use history::{Kind, Nanos};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many operations of one function ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Happened.
    pub ok: u64,
    /// Certainly did not happen.
    pub fail: u64,
    /// May or may not have happened.
    pub info: u64,
}

impl Count {
    /// All completions.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ok + self.fail + self.info
    }
}

/// Completions per function.
pub type Counts = BTreeMap<&'static str, Count>;

/// What happened since the last beat.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Beat {
    /// Completions a second since the last beat.
    pub rate_per_second: f64,
    /// 99th percentile of the latency of ok operations since the last beat; none without one.
    pub p99: Option<Duration>,
    /// Completions since the start.
    pub operations: u64,
}

/// The counts themselves. A beat empties the list of latencies; it is bounded so that nobody needs to ask for one.
#[derive(Debug)]
pub struct Tally {
    counts: Counts,
    latencies: Vec<Nanos>,
    since: Instant,
    completed_since: u64,
}

/// Latencies kept for one beat; at most a second of work is expected between beats.
const LATENCIES: usize = 16_384;

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: Counts::new(),
            latencies: Vec::new(),
            since: Instant::now(),
            completed_since: 0,
        }
    }
}

impl Tally {
    /// Counts one completion.
    pub(super) fn completed(&mut self, f: &'static str, kind: Kind, latency: Nanos) {
        let count = self.counts.entry(f).or_default();
        match kind {
            Kind::Ok => count.ok += 1,
            Kind::Fail => count.fail += 1,
            Kind::Info | Kind::Invoke => count.info += 1,
        }
        self.completed_since += 1;
        if kind == Kind::Ok && self.latencies.len() < LATENCIES {
            self.latencies.push(latency);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    pub(super) fn beat(&mut self) -> Beat {
        let seconds = self.since.elapsed().as_secs_f64();
        self.latencies.sort_unstable();
        let p99 = self.latencies.len().checked_sub(1).and_then(|last| {
            self.latencies.get(last * 99 / 100).map(|nanos| Duration::from_nanos(nanos.0))
        });
        let rate = if seconds > 0.0 { self.completed_since as f64 / seconds } else { 0.0 };
        self.latencies.clear();
        self.completed_since = 0;
        self.since = Instant::now();
        let operations = self.counts.values().map(Count::total).sum();
        Beat { rate_per_second: rate, p99, operations }
    }
}
