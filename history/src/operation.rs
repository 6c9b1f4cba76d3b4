//! An invocation paired with its completion.

use crate::{Nanos, NodeId, Process};
use serde_json::Value;

/// One operation: what was asked, by whom, when, and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Index of the invocation; names the operation everywhere.
    pub index: u64,
    /// Who asked. A process is sequential.
    pub process: Process,
    /// The function, such as `read`.
    pub f: String,
    /// The key of a keyed workload.
    pub key: Option<String>,
    /// The argument.
    pub input: Value,
    /// The node asked, or that answered last.
    pub node: Option<NodeId>,
    /// When it was invoked.
    pub invoked: Nanos,
    /// Where it starts in the order of the history: its time in our files, its line in others.
    pub start: u64,
    /// Where it ends in that order; none while its outcome is unknown.
    pub end: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It happened, with this answer.
    Ok {
        /// Index of the completion.
        index: u64,
        /// When the answer had been read.
        time: Nanos,
        /// The answer.
        value: Value,
    },
    /// It certainly did not happen.
    Fail {
        /// Index of the completion.
        index: u64,
        /// When the answer had been read.
        time: Nanos,
        /// The reason code; `mismatch` is an observation, every other observes nothing.
        error: Option<String>,
    },
    /// It may or may not have happened; no completion at all (index none) means the same.
    Info {
        /// Index of the completion, none if the history ends without one.
        index: Option<u64>,
        /// When the caller gave up.
        time: Option<Nanos>,
        /// The reason code.
        error: Option<String>,
    },
}
