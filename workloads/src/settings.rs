//! What a run may choose about a workload; part of the plan.

use serde::{Deserialize, Serialize};

/// Settings of a generator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Fixes every draw of the generator.
    pub seed: u64,
    /// Keys in use at once; at least one is.
    pub keys: usize,
    /// A key retires after so many operations.
    pub retire_operations: u64,
    /// A key retires after so many unknown outcomes.
    pub retire_unknown: u64,
}
