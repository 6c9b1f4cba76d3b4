//! The three clocks of a node.
//!
//! Raft says when to start and stop them and what they mean; how long they run is decided here. A process
//! that was stopped finds its timers due when it goes on, and each fires once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tokio::time::Instant;

use crate::raft::Timer;

const ALL: [Timer; 3] = [Timer::Contact, Timer::Heartbeat, Timer::Election];

/// Running timers and how long they run.
pub(super) struct Timers {
    heartbeat: Duration,
    election: Duration,
    random: ChaCha8Rng,
    due: [Option<Instant>; 3],
}

impl Timers {
    /// No timer runs. The seed of the draws comes from the operating system.
    pub(super) fn new(heartbeat: Duration, election: Duration) -> Timers {
        let seed = RandomState::new().hash_one(std::process::id());
        Timers { heartbeat, election, random: ChaCha8Rng::seed_from_u64(seed), due: [None; 3] }
    }

    /// Starts a timer afresh.
    pub(super) fn set(&mut self, timer: Timer, now: Instant) {
        let length = match timer {
            Timer::Heartbeat => self.heartbeat,
            Timer::Contact => self.election,
            Timer::Election => self.election + self.draw(self.election),
        };
        self.due[place(timer)] = Some(now + length);
    }

    /// Stops a timer.
    pub(super) fn stop(&mut self, timer: Timer) {
        self.due[place(timer)] = None;
    }

    /// When the next timer is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.iter().flatten().min().copied()
    }

    /// Takes one timer that is due. Contact goes first, so that a node that was stopped knows its leader to
    /// be lost before it counts votes; the heartbeat before the election, so that a leader beats.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let timer = ALL.into_iter().find(|t| self.due[place(*t)].is_some_and(|due| due <= now))?;
        self.stop(timer);
        Some(timer)
    }

    /// A duration below `limit`.
    fn draw(&mut self, limit: Duration) -> Duration {
        let limit = (limit.as_micros() as u64).max(1);
        // The bias of the remainder is far below what any clock resolves.
        Duration::from_micros(self.random.next_u64() % limit)
    }
}

fn place(timer: Timer) -> usize {
    match timer {
        Timer::Election => 0,
        Timer::Heartbeat => 1,
        Timer::Contact => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_election_takes_between_one_and_two_timeouts_and_not_always_the_same() {
        let mut timers = Timers::new(Duration::from_millis(100), Duration::from_millis(300));
        let now = Instant::now();
        let draws: Vec<_> = (0..100)
            .map(|_| {
                timers.set(Timer::Election, now);
                timers.next().unwrap() - now
            })
            .collect();
        assert!(draws.iter().all(|d| (300..600).contains(&d.as_millis())), "{draws:?}");
        assert!(draws.iter().any(|draw| *draw != draws[0]));
    }

    #[test]
    fn timers_that_are_due_fire_once_each_in_a_fixed_order() {
        let mut timers = Timers::new(Duration::from_millis(100), Duration::from_millis(300));
        let now = Instant::now();
        for timer in ALL {
            timers.set(timer, now);
        }
        let later = now + Duration::from_secs(60);
        let fired: Vec<_> = std::iter::from_fn(|| timers.take_due(later)).collect();
        assert_eq!(fired, ALL);
        timers.set(Timer::Election, now);
        timers.stop(Timer::Election);
        assert_eq!(timers.next(), None);
    }
}
