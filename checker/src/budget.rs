//! What a check may spend, asked for in every loop.
//!
//! The crate has no clock: time is the caller's, who hands in a `stop` question. It is asked every
//! 1,024 steps, and a step is bounded work (one event, one move or one comparison), so a check ends
//! soon after the answer is yes.

/// How much a check may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps of the search in one partition, and as many again to make its counterexample smaller.
    /// One core takes some tens of millions a second.
    pub steps: u64,
    /// Bytes of memory, for all partitions that are searched at once together.
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
}

/// What is left to one partition.
pub struct Budget<'a> {
    limits: Limits,
    spent: u64,
    until_asked: u64,
    halted: Option<Halt>,
    stop: &'a (dyn Fn() -> bool + Sync),
}

const STEPS_BETWEEN_QUESTIONS: u64 = 1_024;

impl<'a> Budget<'a> {
    pub(crate) fn new(limits: Limits, stop: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { limits, spent: 0, until_asked: 0, halted: None, stop }
    }

    /// Takes steps (one is bounded work: a call looked at, a comparison), or says why there are
    /// none to take. Once there are none there never are.
    ///
    /// # Errors
    /// What ended it.
    pub fn spend(&mut self, steps: u64) -> Result<(), Halt> {
        self.spent = self.spent.saturating_add(steps);
        if self.until_asked > steps && self.spent <= self.limits.steps {
            self.until_asked -= steps;
            return Ok(());
        }
        if self.halted.is_none() {
            if self.spent > self.limits.steps {
                self.halted = Some(Halt::Steps);
            } else if (self.stop)() {
                self.halted = Some(Halt::Stopped);
            } else {
                self.until_asked = STEPS_BETWEEN_QUESTIONS;
            }
        }
        self.halted.map_or(Ok(()), Err)
    }

    /// Whether so many bytes in use are within the limit.
    ///
    /// # Errors
    /// [`Halt::Bytes`] if they are not.
    pub fn hold(&self, bytes: u64) -> Result<(), Halt> {
        if bytes > self.limits.bytes { Err(Halt::Bytes) } else { Ok(()) }
    }

    /// The reason in words.
    pub(crate) fn explain(&self, halt: Halt) -> String {
        match halt {
            Halt::Stopped => "the check was stopped before this key was decided".to_owned(),
            Halt::Steps => format!("the search budget of {} steps is spent", self.limits.steps),
            Halt::Bytes => {
                format!("the search needs more than its {} MiB of memory", self.limits.bytes >> 20)
            }
        }
    }
}
