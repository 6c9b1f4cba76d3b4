//! What the online checker is told.

use crate::SequentialSpec;

/// What the checker is told.
///
/// Times are those of one recorder and never go back; equal times are concurrent, except that a
/// process does one thing after another.
pub enum Notice<S: SequentialSpec> {
    /// A call starts.
    Invoke {
        /// Names the operation in a violation.
        index: u64,
        /// Who calls. It has no other open call.
        process: u64,
        /// When.
        time: u64,
        /// What is asked.
        op: S::Op,
    },
    /// The open call of a process ends with an answer.
    Return {
        /// Whose.
        process: u64,
        /// When.
        time: u64,
        /// What came back.
        ret: S::Ret,
    },
    /// The open call of a process did certainly not happen, and observed nothing.
    Fail {
        /// Whose.
        process: u64,
    },
    /// The open call of a process may have happened, or may still happen. The process calls no
    /// more.
    Unknown {
        /// Whose.
        process: u64,
    },
    /// Nothing that comes will be earlier than this. Says nothing new of the history, but lets every
    /// key be decided up to here that waits for no answer; that takes a look at each key.
    Wait {
        /// The time now.
        time: u64,
    },
    /// No call on this key will start any more. Once those that are open have ended, it is decided
    /// and dropped.
    Retire {
        /// Which.
        key: String,
    },
}
