//! The exit codes, Jepsen's own numbers, with the sentence that `--help` prints for each.
//!
//! Scripts read these, so they are a contract. Exactly one place turns an outcome into a code
//! (`main`), and 2 always means unknown: the argument parser's own 2 is remapped to 254.

mod failure;

pub use failure::Failure;
pub(crate) use failure::nearest;

use crate::verdict::Ruling;
use std::process::ExitCode;

/// How a command of `harness` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was judged is valid.
    Valid,
    /// A check found something a correct system cannot do.
    Invalid,
    /// Nothing wrong was seen, and not enough was seen to call it valid.
    Unknown,
    /// Bad arguments or unreadable input: nothing ran.
    Usage,
    /// The harness or its surroundings failed, and no violation was found before.
    Error,
    /// Stopped by SIGINT or SIGTERM, and no violation was found in what was recorded.
    Interrupted,
}

impl Exit {
    /// Every code, in the order `--help` lists them.
    pub const ALL: [Self; 6] =
        [Self::Valid, Self::Invalid, Self::Unknown, Self::Usage, Self::Error, Self::Interrupted];

    /// The number the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Unknown => 2,
            Self::Usage => 254,
            Self::Error => 255,
            Self::Interrupted => 130,
        }
    }

    /// One sentence for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Valid => "valid: every check passed",
            Self::Invalid => "invalid: a check failed; the counterexample is in the run folder",
            Self::Unknown => "unknown: nothing wrong seen, but too little to call it valid",
            Self::Usage => "bad arguments or unreadable input; nothing ran",
            Self::Error => "the harness or its environment failed; nothing was judged",
            Self::Interrupted => "interrupted, and no violation in what was recorded",
        }
    }

    /// The worse of two, for several runs of one command: a violation is never hidden by an error, nor
    /// either by an interruption, which says that the rest never ran; unknown is worse than valid.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Unknown => 1,
            Self::Interrupted => 2,
            Self::Usage => 3,
            Self::Error => 4,
            Self::Invalid => 5,
        }
    }
}

impl From<Ruling> for Exit {
    fn from(ruling: Ruling) -> Self {
        match ruling {
            Ruling::Valid => Self::Valid,
            Ruling::Unknown => Self::Unknown,
            Ruling::Error => Self::Error,
            Ruling::Invalid => Self::Invalid,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn worst_wins() {
        let order = [
            Exit::Valid,
            Exit::Unknown,
            Exit::Interrupted,
            Exit::Usage,
            Exit::Error,
            Exit::Invalid,
        ];
        for (low, better) in order.iter().enumerate() {
            for worse in &order[low..] {
                assert_eq!(better.worse(*worse), *worse);
                assert_eq!(worse.worse(*better), *worse);
            }
        }
    }
}
