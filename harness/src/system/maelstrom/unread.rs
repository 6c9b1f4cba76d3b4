//! What of a node's words did not come through: not read, or read and not taken by whom they were for.
//!
//! A bridge counts it while it reads and tells it behind its last mark in the node's log; a run sums it up over the lives of
//! a node. Of a life that was killed nobody told, so only that there was such a one is known.

use serde::{Deserialize, Serialize};

/// What did not come through, over all lives of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unread {
    /// Whether the last life was not read to its end: whoever read along was killed before it had read all.
    #[serde(rename = "unread", skip_serializing_if = "std::ops::Not::not")]
    pub end: bool,
    /// How many earlier lives were not read to their end.
    #[serde(skip_serializing_if = "is_nothing")]
    pub killed_lives: u64,
    /// How many lines were too long to be read, in the lives that were read to their end.
    #[serde(skip_serializing_if = "is_nothing")]
    pub too_long: u64,
    /// How many messages were dropped because they were not taken in time, in the lives that were read to their end.
    #[serde(skip_serializing_if = "is_nothing")]
    pub dropped: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_nothing(count: &u64) -> bool {
    *count == 0
}

/// What a bridge tells at the end of a life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How often the node wrote what the protocol does not have, also where the log has no mark of it any more.
    pub broken: u64,
    /// How many lines were too long to be read.
    pub too_long: u64,
    /// How many messages were dropped because they were not taken in time.
    pub dropped: u64,
}
