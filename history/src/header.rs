//! The first line of a history file: what was run, and what a key holds before anything is written.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the file format that this crate reads and writes.
pub const VERSION: u32 = 1;

/// A header as it appears in messages.
pub(crate) const EXAMPLE: &str = r#"{"history":1,"workload":"kv"}"#;

/// What is known of a history before its first event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the file format.
    pub history: u32,
    /// The workload that produced it, which names the spec it must obey.
    pub workload: String,
    /// The value of a key that was never written.
    #[serde(default)]
    pub initial: Value,
    /// The seed of the run, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// When the run started, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
}

impl Header {
    /// A header of the current version, initial value null, with no seed and no start.
    #[must_use]
    pub fn new(workload: impl Into<String>) -> Self {
        Self {
            history: VERSION,
            workload: workload.into(),
            initial: Value::Null,
            seed: None,
            start: None,
        }
    }
}
