//! The lines of `revisions.jsonl`: what a system that numbers the states of its whole store said of them.
//!
//! The first line is a header, `{"revisions":1}`; each further line is one answer that a client read, appended as it was read.
//! The times are those of the one attempt that was answered, so they lie within those of its operation in the history.

use history::{Nanos, NodeId};
use serde::{Deserialize, Serialize};

/// The first line of `revisions.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionHeader {
    /// The format version.
    pub revisions: u32,
}

impl RevisionHeader {
    /// What this version of the harness writes.
    pub const CURRENT: Self = Self { revisions: 1 };
}

/// One answer with the revision it came with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Before the attempt was sent, on the recorder's clock.
    pub begin: Nanos,
    /// After its answer was read.
    pub end: Nanos,
    /// Who was asked, and answered.
    pub node: NodeId,
    /// What was done, in the words of the history.
    pub f: String,
    /// To which key.
    pub key: String,
    /// The revision.
    pub revision: u64,
    /// Whether this very operation made that revision; else it is the one it found.
    pub wrote: bool,
}
