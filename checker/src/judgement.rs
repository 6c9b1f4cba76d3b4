//! What a check concluded, with the types of the spec erased: text and indexes only.

use crate::Halt;
use std::collections::BTreeMap;

/// Whether a history is legal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ruling {
    /// Some order of the operations fits.
    #[default]
    Valid,
    /// No order does: that is proven.
    Invalid,
    /// A limit was reached before either was known.
    Unknown,
}

/// The result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The ruling on the whole history: a violation anywhere is invalid, else anything unknown is
    /// unknown.
    pub ruling: Ruling,
    /// Which algorithms decided how many partitions each.
    pub algorithms: BTreeMap<&'static str, usize>,
    /// How many partitions (keys) the history has.
    pub partitions: usize,
    /// How many of them are valid.
    pub valid: usize,
    /// The partitions that could not be decided.
    pub unknown: Vec<UnknownPartition>,
    /// The proofs of what is wrong, one for each invalid partition.
    pub violations: Vec<Violation>,
    /// An order of each valid partition, if certificates were asked for.
    pub orders: Vec<Order>,
    /// One line for people.
    pub message: String,
}

/// A certificate: a legal order of one partition that respects real time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The key, none if the history was checked whole.
    pub key: Option<String>,
    /// Every answered operation, and those of unknown outcome that happened, by the index of their
    /// invocation.
    pub operations: Vec<u64>,
}

/// A partition that could not be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPartition {
    /// The key, none if the history was checked whole.
    pub key: Option<String>,
    /// Why the search ended.
    pub reason: String,
    /// Which limit ended it; none if something else did.
    pub halt: Option<Halt>,
    /// Why no faster algorithm could decide it, if that is known.
    pub declined: Option<&'static str>,
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
    /// Which algorithm found it.
    pub by: &'static str,
    /// Whether no single operation more can soundly be left out. False if the budget ended first:
    /// still a sound and illegal subset.
    pub exact: bool,
    /// A longest legal order of a part of `operations`.
    pub steps: Vec<Step>,
    /// Why each operation that could come next cannot.
    pub blocked: Vec<Blocked>,
    /// Other orders as long as that of `steps`, which end in another set of operations or another
    /// state; a few of them, if there are many.
    pub others: Vec<Configuration>,
    /// The explanation for people.
    pub sentences: Vec<String>,
}

/// Where a legal order of a part of the operations ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The order, by the indexes of the invocations.
    pub order: Vec<u64>,
    /// The state it leaves.
    pub state: String,
    /// Why each operation that could come next cannot.
    pub blocked: Vec<Blocked>,
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

impl Judgement {
    /// Sorts what was gathered, and says what it means for the whole history.
    pub(crate) fn conclude(&mut self) {
        self.unknown.sort_by(|a, b| a.key.cmp(&b.key));
        self.orders.sort_by(|a, b| a.key.cmp(&b.key));
        // The easiest to understand first.
        self.violations
            .sort_by_key(|violation| (violation.operations.len(), violation.operations.clone()));
        if !self.violations.is_empty() {
            self.ruling = Ruling::Invalid;
        } else if !self.unknown.is_empty() {
            self.ruling = Ruling::Unknown;
        }
        self.message = message(self);
    }
}

fn message(judgement: &Judgement) -> String {
    let violated: Vec<_> = judgement.violations.iter().map(|found| found.key.as_deref()).collect();
    let undecided: Vec<_> = judgement.unknown.iter().map(|found| found.key.as_deref()).collect();
    let rest = match judgement.valid {
        0 => String::new(),
        1 => " (the other key is legal)".to_owned(),
        valid => format!(" (the other {valid} keys are legal)"),
    };
    let reason = judgement.unknown.first().map_or("", |unknown| unknown.reason.as_str());
    match judgement.ruling {
        Ruling::Invalid if undecided.is_empty() => {
            format!("no order of the operations{} is legal{rest}", on(&violated))
        }
        Ruling::Invalid => format!(
            "no order of the operations{} is legal{rest}; undecided{}: {reason}",
            on(&violated),
            on(&undecided)
        ),
        Ruling::Unknown => format!("undecided{}: {reason}{rest}", on(&undecided)),
        Ruling::Valid => match judgement.partitions {
            0 => "there was nothing to check".to_owned(),
            1 => "some order of the operations is legal".to_owned(),
            partitions => format!("{} of {partitions} keys are legal", judgement.valid),
        },
    }
}

/// Which keys, if there are keys.
fn on(keys: &[Option<&str>]) -> String {
    match keys {
        [] | [None, ..] => String::new(),
        [Some(key)] => format!(" on key {key}"),
        [Some(first), Some(second)] => format!(" on keys {first} and {second}"),
        [Some(first), ..] => format!(" on {} keys ({first} and others)", keys.len()),
    }
}
