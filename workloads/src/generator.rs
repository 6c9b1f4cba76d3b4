//! What clients do next.
//!
//! A [`Generator`] is asked for an [`Invocation`] by each worker in turn and told how each one ended. It is a value:
//! no I/O, no clock, and no randomness but its seed, so the same seed and the same sequence of calls give the same
//! operations. What a worker is told to do depends on that worker's own random stream, and on the others only where it
//! must: which keys are active, and the numbers that make written values unique.

use serde_json::Value;

/// Who asks for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The worker's number, from 0; it keeps it when its process is retired.
    pub worker: usize,
    /// Set for the clients that only read, so that a deposed leader is always asked.
    pub reads_only: bool,
}

/// One operation to perform.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// The function, such as `read`.
    pub f: &'static str,
    /// The key, for a keyed workload.
    pub key: Option<String>,
    /// The argument, in the form of `history.jsonl`.
    pub value: Value,
}

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Completion {
    /// It happened, with this answer.
    Ok(Value),
    /// It certainly did not happen.
    Fail {
        /// A short code; `mismatch` is an observation of a compare-and-set.
        error: String,
    },
    /// It may or may not have happened.
    Info {
        /// A short code, such as `timeout`.
        error: String,
    },
}

/// The source of a run's operations.
pub trait Generator: Send {
    /// The next operation of `caller`. Never runs out: the run decides when the work ends.
    fn next(&mut self, caller: &Caller) -> Invocation;

    /// Tells how an operation that `next` gave to `caller` ended.
    fn complete(&mut self, caller: &Caller, invocation: &Invocation, completion: &Completion);

    /// What each node is asked at the end of the run: with keys the reads of every key ever used, retired ones too, in the
    /// order of first use. What a workload cannot read at the end it asks once more.
    fn final_reads(&self) -> Vec<Invocation>;
}
