//! What the online checker cannot take.

use std::fmt;

/// Why a notice was refused. It left no trace: the checker is as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its time is before that of an earlier notice.
    Backwards {
        /// The time of the latest notice before it.
        now: u64,
        /// Its own.
        time: u64,
    },
    /// The process called while its last call was still open.
    Busy {
        /// Who.
        process: u64,
    },
    /// The process has no open call that could have ended.
    Idle {
        /// Who.
        process: u64,
    },
    /// The process called after a call of unknown outcome, which may still be under way.
    Gone {
        /// Who.
        process: u64,
    },
    /// The key is retired.
    Retired {
        /// Which.
        key: String,
    },
    /// Some operations have a key and some have none, so that they cannot be split by key.
    Mixed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backwards { now, time } => write!(f, "time went back from {now} to {time}"),
            Self::Busy { process } => write!(f, "process {process} has an open call already"),
            Self::Idle { process } => write!(f, "process {process} has no open call"),
            Self::Gone { process } => {
                write!(f, "process {process} made a call of unknown outcome and may call no more")
            }
            Self::Retired { key } => write!(f, "key {key} is retired"),
            Self::Mixed => f.write_str("some operations have a key and some have none"),
        }
    }
}

impl std::error::Error for Refusal {}
