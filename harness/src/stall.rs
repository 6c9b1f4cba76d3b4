//! Was the harness itself on time, and did the machine leave the nodes any CPU?
//!
//! A harness that is not scheduled sees a slow cluster where there is none. So a run measures its own lateness: one
//! thread and one task of the async runtime each sleep a few milliseconds again and again, and note by how much they
//! woke late. The thread speaks for the machine, the task for the runtime that the clients share. Next to them stands
//! what `/proc/stat` says about the processors over the run.
//!
//! Lateness never changes a safety verdict: stamps stay true however late they are. It is reported, and a machine that
//! was [starved](Stalls::starved) turns a missed recovery from invalid into unknown.

mod histogram;

use histogram::Histogram;
use serde::Serialize;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long each probe sleeps.
const PERIOD: Duration = Duration::from_millis(5);

/// A wake-up this late, one in a hundred, is a starved harness: it is half of the reference cluster's heartbeat.
const STARVED_P99: Duration = Duration::from_millis(50);

/// A percentile of fewer wake-ups says nothing.
const ENOUGH: u64 = 100;

/// Clock ticks (of usually 10 ms, over all processors) below which a share of them says nothing.
const ENOUGH_TICKS: u64 = 50;

/// One stall of this length is as long as an election can take.
const STARVED_MAX: Duration = Duration::from_secs(2);

/// A share of processor time taken away by the hypervisor that no cluster can be blamed for.
const STARVED_STEAL: f64 = 0.25;

/// What was measured over one stretch of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stalls {
    /// Median lateness of a wake-up, milliseconds.
    pub stall_p50_ms: f64,
    /// 99th percentile of lateness, milliseconds.
    pub stall_p99_ms: f64,
    /// The worst lateness, milliseconds.
    pub stall_max_ms: f64,
    /// Share of all processors' time that was idle, 0 to 1; none where `/proc/stat` cannot be read.
    pub cpu_idle: Option<f64>,
    /// Share of all processors' time that the hypervisor took away, 0 to 1.
    pub cpu_steal: Option<f64>,
    /// The machine was too late or too busy for a missed time limit to mean anything.
    pub starved: bool,
}

/// The watch; stops when dropped.
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    last: Option<Processors>,
}

struct Shared {
    stop: AtomicBool,
    lateness: Mutex<Histogram>,
}

impl Shared {
    fn note(&self, lateness: Duration) {
        self.lateness.lock().unwrap_or_else(PoisonError::into_inner).add(lateness);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Watch {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system has no thread to give.
    pub fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            lateness: Mutex::new(Histogram::default()),
        });
        let probe = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("stall".to_owned()).spawn(move || {
            while !probe.stopped() {
                let due = Instant::now() + PERIOD;
                std::thread::sleep(PERIOD);
                probe.note(due.elapsed());
            }
        })?;
        Ok(Self { shared, thread: Some(thread), last: Processors::read() })
    }

    /// The task's half of the watch: to be spawned on the runtime that the clients run on. Ends with the watch.
    pub fn probe(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            // tokio's timer has a resolution of 1 ms; less than that is not lateness.
            let grain = Duration::from_millis(1);
            while !shared.stopped() {
                let due = Instant::now() + PERIOD + grain;
                tokio::time::sleep(PERIOD).await;
                shared.note(due.elapsed());
            }
        }
    }

    /// What was measured since the last sample, or since the start.
    #[must_use]
    pub fn sample(&mut self) -> Stalls {
        let lateness = std::mem::take(
            &mut *self.shared.lateness.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let (p50, p99, max) = (lateness.quantile(0.5), lateness.quantile(0.99), lateness.max());
        let processors = Processors::read();
        let used = self.last.zip(processors).map(|(from, to)| to.since(from));
        let used = used.filter(|used| used.total >= ENOUGH_TICKS);
        self.last = processors;
        let idle = used.map(|used| used.share(used.idle));
        let steal = used.map(|used| used.share(used.steal));
        Stalls {
            stall_p50_ms: millis(p50),
            stall_p99_ms: millis(p99),
            stall_max_ms: millis(max),
            cpu_idle: idle.map(thousandth),
            cpu_steal: steal.map(thousandth),
            starved: (lateness.count() >= ENOUGH && p99 >= STARVED_P99)
                || max >= STARVED_MAX
                || steal.is_some_and(|steal| steal >= STARVED_STEAL),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It wakes within one period; a panic of it has nothing to tell.
            let _ = thread.join();
        }
    }
}

/// The processors' time so far, in clock ticks, from the first line of `/proc/stat`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Processors {
    total: u64,
    idle: u64,
    steal: u64,
}

impl Processors {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// `cpu user nice system idle iowait irq softirq steal …` (proc_stat(5)); waiting for a disk counts as idle.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.lines().next()?.split_ascii_whitespace();
        if fields.next() != Some("cpu") {
            return None;
        }
        let ticks: Vec<u64> = fields.take(8).map_while(|field| field.parse().ok()).collect();
        let at = |place: usize| ticks.get(place).copied();
        Some(Self { total: ticks.iter().sum(), idle: at(3)? + at(4)?, steal: at(7)? })
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            idle: self.idle.saturating_sub(earlier.idle),
            steal: self.steal.saturating_sub(earlier.steal),
        }
    }

    fn share(self, part: u64) -> f64 {
        if self.total == 0 { 0.0 } else { part as f64 / self.total as f64 }
    }
}

fn millis(duration: Duration) -> f64 {
    thousandth(duration.as_secs_f64() * 1000.0)
}

fn thousandth(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_stat_is_read_field_by_field() {
        let from = Processors::parse("cpu  10 0 10 70 10 0 0 0 0 0\ncpu0 1 2 3").unwrap();
        assert_eq!(from, Processors { total: 100, idle: 80, steal: 0 });
        let to = Processors::parse("cpu  60 0 10 100 10 0 0 20 0 0").unwrap();
        let used = to.since(from);
        assert_eq!((used.share(used.idle), used.share(used.steal)), (0.3, 0.2));
        assert_eq!(Processors::parse("intr 1 2 3"), None);
        assert_eq!(Processors::parse("cpu 1 2"), None);
    }

    #[test]
    fn a_blocked_runtime_is_seen() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut watch = Watch::start().unwrap();
        runtime.block_on(async {
            tokio::spawn(watch.probe());
            tokio::time::sleep(Duration::from_millis(20)).await;
            std::thread::sleep(Duration::from_millis(300));
            tokio::time::sleep(Duration::from_millis(20)).await;
        });
        let seen = watch.sample();
        assert!(seen.stall_max_ms >= 200.0, "{seen:?}");
        assert!(watch.sample().stall_max_ms < seen.stall_max_ms);
    }
}
