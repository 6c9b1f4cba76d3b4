//! What a check concluded, with the types of the spec erased: text and indexes only.

/// Whether a history is legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Some order of the operations fits.
    Valid,
    /// No order does: that is proven.
    Invalid,
    /// A limit was reached before either was known.
    Unknown,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The ruling on the whole history: a violation anywhere is invalid, else anything unknown is
    /// unknown.
    pub ruling: Ruling,
    /// Which algorithm decided.
    pub algorithm: &'static str,
    /// How many partitions (keys) the history has.
    pub partitions: usize,
    /// How many of them are valid.
    pub valid: usize,
    /// The partitions that could not be decided.
    pub unknown: Vec<UnknownPartition>,
    /// The proofs of what is wrong, one for each invalid partition.
    pub violations: Vec<Violation>,
    /// One line for people.
    pub message: String,
}

/// A partition that could not be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPartition {
    /// The key, none if the history was checked whole.
    pub key: Option<String>,
    /// Why the search ended.
    pub reason: String,
    /// How many states it had looked at.
    pub explored: u64,
    /// How far it got.
    pub reached: String,
}

/// A proof that no order of a partition's operations is legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The key, none if the history was checked whole.
    pub key: Option<String>,
    /// The operations that suffice, by the index of their invocation, ascending: already illegal
    /// alone.
    pub operations: Vec<u64>,
    /// Whether no single operation more can soundly be left out. False if the budget ended first:
    /// still a sound and illegal subset.
    pub exact: bool,
    /// A longest legal order of a part of `operations`.
    pub steps: Vec<Step>,
    /// Why each operation that could come next cannot.
    pub blocked: Vec<Blocked>,
    /// The explanation for people.
    pub sentences: Vec<String>,
}

/// One operation in a legal order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Index of its invocation.
    pub operation: u64,
    /// What it is, such as `write 3`.
    pub text: String,
    /// The state before it.
    pub before: String,
    /// The state after it.
    pub after: String,
}

/// An operation that cannot come next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Index of its invocation.
    pub operation: u64,
    /// What it is, such as `read → 3`.
    pub text: String,
    /// Why it cannot, such as `needs 3, the value is 7`.
    pub why: String,
}
