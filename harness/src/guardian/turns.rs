//! Turns: when a process that gets only a part of its time is stopped and continued.
//!
//! A value without a process: the guardian's loop asks it how long it may wait and which signal is due. A loop that
//! comes late begins the next turn late and catches nothing up, so a busy machine makes turns longer but never
//! skips one: a process that is to run does run.

use faults::Ration;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// The turns of one process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turns {
    run: Duration,
    stop: Duration,
    running: bool,
    until: Instant,
}

impl Turns {
    /// The process runs, and it is its turn.
    pub(super) fn start(ration: Ration, now: Instant) -> Self {
        let time = |ms: u64| Duration::from_millis(ms.max(1));
        let (run, stop) = (time(ration.run_ms), time(ration.stop_ms));
        Self { run, stop, running: true, until: now + run }
    }

    /// The signal that begins the next turn, if this one is over.
    pub(super) fn take(&mut self, now: Instant) -> Option<Signal> {
        if now < self.until {
            return None;
        }
        self.running = !self.running;
        let (signal, time) =
            if self.running { (Signal::SIGCONT, self.run) } else { (Signal::SIGSTOP, self.stop) };
        self.until = now + time;
        Some(signal)
    }

    /// Whole milliseconds until this turn is over, rounded up so that nobody looks too early.
    pub(super) fn left_ms(&self, now: Instant) -> u16 {
        let left = self.until.saturating_duration_since(now);
        u16::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_runs_and_stops_by_turns() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut turns = Turns::start(Ration { run_ms: 20, stop_ms: 80 }, start);
        assert_eq!(turns.left_ms(at(1)), 19);
        assert_eq!(turns.take(at(19)), None);
        assert_eq!(turns.take(at(20)), Some(Signal::SIGSTOP));
        assert_eq!(turns.take(at(99)), None);
        assert_eq!(turns.take(at(150)), Some(Signal::SIGCONT), "late");
        assert_eq!(turns.take(at(169)), None, "and yet a whole turn");
        assert_eq!(turns.take(at(170)), Some(Signal::SIGSTOP));
        assert_eq!((turns.left_ms(at(170)), turns.left_ms(at(300))), (80, 0));
    }
}
