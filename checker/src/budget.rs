//! What a check may spend, asked for in every loop.
//!
//! The crate has no clock: time is the caller's, who hands in a `stop` question. It is asked every
//! 1,024 steps, and a step is bounded work (one event, one move or one comparison), so a check ends
//! soon after the answer is yes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How much a check may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps of the search in one partition, and as many again to make its counterexample smaller.
    /// One core takes some tens of millions a second.
    pub steps: u64,
    /// Bytes of memory, for all partitions that are decided at once together. The calls handed in
    /// are not counted: they are there already.
    pub bytes: u64,
}

impl Default for Limits {
    /// Two billion steps (a minute or so a partition) and 2 GiB.
    fn default() -> Self {
        Self { steps: 2_000_000_000, bytes: 2 << 30 }
    }
}

/// Why a search ended before it knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The caller said stop.
    Stopped,
    /// The steps are spent.
    Steps,
    /// The memory is spent.
    Bytes,
    /// Another partition is proven illegal, and this one would take long.
    Violated,
}

/// The memory that all partitions share.
#[derive(Debug, Default)]
pub(crate) struct Pool(AtomicU64);

/// What is left to one partition.
pub struct Budget<'a> {
    limits: Limits,
    spent: u64,
    until_asked: u64,
    halted: Option<Halt>,
    stop: &'a (dyn Fn() -> bool + Sync),
    pool: Arc<Pool>,
    /// Says that another partition is proven illegal.
    violated: Option<&'a AtomicBool>,
    /// Held as long as this budget lives.
    floor: u64,
    held: u64,
}

const STEPS_BETWEEN_QUESTIONS: u64 = 1_024;
/// A partition may take these, well under a second, also after another was proven illegal.
const STEPS_AFTER_VIOLATION: u64 = 5_000_000;

impl<'a> Budget<'a> {
    /// A budget that shares its memory with nobody.
    pub(crate) fn new(limits: Limits, stop: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self::sharing(limits, stop, &Arc::default())
    }

    /// Steps taken so far.
    pub(crate) fn spent(&self) -> u64 {
        self.spent
    }

    /// A budget whose bytes count together with those of others.
    pub(crate) fn sharing(
        limits: Limits,
        stop: &'a (dyn Fn() -> bool + Sync),
        pool: &Arc<Pool>,
    ) -> Self {
        let pool = Arc::clone(pool);
        Self {
            limits,
            spent: 0,
            until_asked: 0,
            halted: None,
            stop,
            pool,
            violated: None,
            floor: 0,
            held: 0,
        }
    }

    /// Ends early once this says that another partition is proven illegal.
    pub(crate) fn unless(mut self, violated: &'a AtomicBool) -> Self {
        self.violated = Some(violated);
        self
    }

    /// Takes steps (one is bounded work: a call looked at, a comparison), or says why there are
    /// none to take. Once there are none there never are.
    ///
    /// # Errors
    /// What ended it.
    #[inline]
    pub fn spend(&mut self, steps: u64) -> Result<(), Halt> {
        self.spent = self.spent.saturating_add(steps);
        if self.until_asked > steps && self.spent <= self.limits.steps && self.halted.is_none() {
            self.until_asked -= steps;
            return Ok(());
        }
        self.ask()
    }

    /// Whether there are steps left, now that there may be none.
    #[cold]
    fn ask(&mut self) -> Result<(), Halt> {
        if self.halted.is_none() {
            if self.spent > self.limits.steps {
                self.halted = Some(Halt::Steps);
            } else if (self.stop)() {
                self.halted = Some(Halt::Stopped);
            } else if self.spent > STEPS_AFTER_VIOLATION
                && self.violated.is_some_and(|violated| violated.load(Ordering::Relaxed))
            {
                self.halted = Some(Halt::Violated);
            } else {
                self.until_asked = STEPS_BETWEEN_QUESTIONS;
            }
        }
        self.halted.map_or(Ok(()), Err)
    }

    /// Does some work that may take at most so many steps. Halted by no more than that, one may go
    /// on with something else.
    pub(crate) fn at_most<T>(&mut self, steps: u64, work: impl FnOnce(&mut Self) -> T) -> T {
        let whole = self.limits.steps;
        self.limits.steps = whole.min(self.spent.saturating_add(steps));
        let done = work(self);
        self.limits.steps = whole;
        if self.halted == Some(Halt::Steps) && self.spent <= whole {
            self.halted = None;
            self.until_asked = 0;
        }
        done
    }

    /// Says that so many bytes are in use, besides those kept for good.
    ///
    /// # Errors
    /// [`Halt::Bytes`] if, with all that others hold, they are not within the limit.
    pub fn hold(&mut self, bytes: u64) -> Result<(), Halt> {
        let held = self.floor.saturating_add(bytes);
        // Added before it is asked, so that two that grow at once cannot both fit.
        let all = match held.checked_sub(self.held) {
            Some(more) => self.pool.0.fetch_add(more, Ordering::Relaxed) + more,
            None => {
                let less = self.held - held;
                self.pool.0.fetch_sub(less, Ordering::Relaxed) - less
            }
        };
        self.held = held;
        if all > self.limits.bytes { Err(Halt::Bytes) } else { Ok(()) }
    }

    /// Keeps so many bytes more for as long as the partition is decided.
    ///
    /// # Errors
    /// As [`Self::hold`].
    pub(crate) fn keep(&mut self, bytes: u64) -> Result<(), Halt> {
        self.floor = self.floor.saturating_add(bytes);
        self.hold(0)
    }

    /// Does some work while so many bytes more are in use.
    ///
    /// # Errors
    /// As [`Self::hold`], or what the work says.
    pub(crate) fn beside<T>(
        &mut self,
        bytes: u64,
        work: impl FnOnce(&mut Self) -> Result<T, Halt>,
    ) -> Result<T, Halt> {
        let floor = self.floor;
        let done = self.keep(bytes).and_then(|()| work(self));
        self.floor = floor;
        done
    }

    /// The reason in words.
    pub(crate) fn explain(&self, halt: Halt) -> String {
        match halt {
            Halt::Stopped => "the check was stopped before this key was decided".to_owned(),
            Halt::Violated => {
                "another key is illegal, so this one was not searched any longer".to_owned()
            }
            Halt::Steps => format!("the search budget of {} steps is spent", self.limits.steps),
            Halt::Bytes => {
                format!("the check needs more than its {} of memory", size(self.limits.bytes))
            }
        }
    }
}

impl Drop for Budget<'_> {
    fn drop(&mut self) {
        self.pool.0.fetch_sub(self.held, Ordering::Relaxed);
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
