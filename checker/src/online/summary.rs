//! What the online checker says.

use crate::Ruling;

/// A key of which no order of the operations is legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The key, none if operations have none.
    pub key: Option<String>,
    /// The operation that cannot have answered what it did, nor when, in any order, by its index.
    /// The operations that returned before it are legal together.
    pub operation: u64,
}

/// A key that could not be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The key, none if operations have none.
    pub key: Option<String>,
    /// Why.
    pub reason: String,
}

/// What became of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// A violation anywhere is invalid, else anything undecided is unknown.
    pub ruling: Ruling,
    /// How many keys there were.
    pub keys: u64,
    /// How many of them are legal.
    pub valid: u64,
    /// Those that are not, in the order in which that was found.
    pub violations: Vec<Violation>,
    /// Those of which it is not known.
    pub undecided: Vec<Undecided>,
}

/// What a checker holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Keys that are not retired.
    pub keys: usize,
    /// Calls that have not ended.
    pub open: usize,
    /// Configurations of all keys.
    pub configurations: usize,
    /// Bytes of the keys, but for what operations and states hold elsewhere.
    pub bytes: u64,
}
