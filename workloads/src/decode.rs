//! From the operations of a history to the typed calls of a spec, and their judgement.
//!
//! What an outcome says is decided here, once: ok is an answer; a compare-and-set that failed with `mismatch` is an
//! answer too (the value was anything but the expected one); any other fail never happened and is left out; info may
//! have happened at any time after it began, or never.
//!
//! A workload says in [`Decode`] how one operation becomes a call, and which key it belongs to. The rest is the same for
//! all: operations are sorted by key as numbers, and a key's calls are made when its turn comes, so that a history of
//! a million operations is there once and not twice. The first operation that makes no sense is an error, whatever the
//! check has found by then.

pub(crate) mod append;
pub(crate) mod counter;
pub(crate) mod lock;
pub(crate) mod queue;
pub(crate) mod register;
pub(crate) mod set;
pub(crate) mod string;

use crate::{Datum, JudgeOptions};
use checker::{
    Answer, Call, Coordinates, Judgement, Options, Part, SequentialSpec, Spec, linearizable_parts,
};
use history::{History, Operation, Order, Outcome, Process};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// An operation of unknown outcome is as hard to place as so many others.
const SIZE_OF_UNKNOWN: usize = 50;

/// Operations that are brought near at a time: more would be gone again when their turn comes.
const TOUCHED: usize = 32;

/// Slots for keys that were met at most; a power of two, since some hundred to some thousand keys are alive at a time.
const MOST_SLOTS: usize = 4096;

/// An operation that is none of the workload's, or that lacks what its function needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// An operation makes no sense.
    #[error("operation {operation} (index of its invocation; by {process}): {problem}")]
    Operation {
        /// Index of its invocation.
        operation: u64,
        /// Who invoked it.
        process: String,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// The initial value makes no sense.
    #[error("the initial value {value}: {problem}")]
    Initial {
        /// The value.
        value: Value,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
}

impl DecodeError {
    pub(crate) fn new(operation: &Operation, problem: String) -> Self {
        Self::Operation {
            operation: operation.index,
            process: operation.process.to_string(),
            problem,
        }
    }

    pub(crate) fn of_initial(value: &Value, problem: String) -> Self {
        Self::Initial { value: value.clone(), problem }
    }

    /// Where in the history it is.
    fn place(&self) -> u64 {
        match self {
            Self::Operation { operation, .. } => *operation,
            Self::Initial { .. } => 0,
        }
    }
}

/// How the operations of a workload become calls of its spec.
pub(crate) trait Decode: Sync {
    /// What is right.
    type Spec: Spec;

    /// What was asked, or why that makes no sense.
    fn op(&self, operation: &Operation) -> Result<<Self::Spec as SequentialSpec>::Op, String>;

    /// What its outcome says, or why that makes no sense.
    fn said(
        &self,
        operation: &Operation,
        op: &<Self::Spec as SequentialSpec>::Op,
    ) -> Result<SaidBy<Self::Spec>, String>;

    /// The key under which it is judged, where that is not the operation's own.
    fn key(&self, operation: &Operation) -> Option<String> {
        operation.key.as_ref().map(ToString::to_string)
    }

    /// Whether [`Self::key`] is the operation's own, so that it need not be asked of each.
    fn by_own_key(&self) -> bool {
        true
    }
}

/// What an outcome says in a spec.
pub(crate) type SaidBy<S> = Said<<S as SequentialSpec>::Ret>;

/// What an operation's outcome says.
pub(crate) enum Said<R> {
    Answer(R),
    /// It may have happened.
    Unknown,
    /// It did not happen and observed nothing.
    Nothing,
}

/// What an ok says, unless it contradicts itself: it repeats the value of its invocation or has none.
pub(crate) fn done<R>(operation: &Operation, ret: R) -> Result<Said<R>, String> {
    let Outcome::Ok { value, .. } = &operation.outcome else { return Ok(otherwise(operation)) };
    if value.is_null() || *value == operation.input {
        return Ok(Said::Answer(ret));
    }
    Err(format!("an ok {} repeats its value or has none; {value} is neither", operation.f))
}

/// What an outcome other than ok says of an operation of which a fail observes nothing.
pub(crate) fn otherwise<R>(operation: &Operation) -> Said<R> {
    match &operation.outcome {
        Outcome::Fail { .. } => Said::Nothing,
        Outcome::Ok { .. } | Outcome::Info { .. } => Said::Unknown,
    }
}

/// The answer of an ok operation.
pub(crate) fn answer(operation: &Operation) -> Option<&Value> {
    match &operation.outcome {
        Outcome::Ok { value, .. } => Some(value),
        Outcome::Fail { .. } | Outcome::Info { .. } => None,
    }
}

/// A value that may not be null.
pub(crate) fn datum(value: &Value, what: &str) -> Result<Datum, String> {
    Datum::from_json(value).ok_or_else(|| format!("{what} cannot be null"))
}

/// A list of values.
pub(crate) fn data(value: &Value, what: &str) -> Result<Vec<Datum>, String> {
    let Value::Array(items) = value else {
        return Err(format!("{what} must be a list such as [1, 2], not {value}"));
    };
    items.iter().map(|item| datum(item, "an element of a list")).collect()
}

/// The error for a function that a workload does not have.
pub(crate) fn unknown_function(operation: &Operation, known: &[&str]) -> String {
    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("unknown function `{}`; there are {}", operation.f, known.join(", "))
}

/// One operation as a call; none if it says nothing.
pub(crate) fn call<D: Decode>(
    decode: &D,
    operation: &Operation,
) -> Result<Option<Call<D::Spec>>, DecodeError> {
    let refuse = |problem: String| DecodeError::new(operation, problem);
    let op = decode.op(operation).map_err(refuse)?;
    let Process::Client(process) = operation.process else {
        return Err(refuse("the nemesis performs no operations".to_owned()));
    };
    let answer = match (decode.said(operation, &op).map_err(refuse)?, operation.end) {
        (Said::Nothing, _) => return Ok(None),
        (Said::Unknown, _) => None,
        (Said::Answer(ret), Some(end)) => Some(Answer { end, ret }),
        (Said::Answer(_), None) => {
            return Err(refuse("it completed, but nobody knows when".to_owned()));
        }
    };
    Ok(Some(Call { index: operation.index, process, start: operation.start, op, answer }))
}

/// Judges a history key by key.
pub(crate) fn judge<D: Decode>(
    decode: &D,
    initial: &D::Spec,
    history: &History,
    options: &JudgeOptions<'_>,
) -> Result<Judgement, DecodeError> {
    let refused: Mutex<Option<DecodeError>> = Mutex::new(None);
    let load = |places: Vec<u32>| {
        let mut calls = Vec::with_capacity(places.len());
        for near in places.chunks(TOUCHED) {
            touch(&history.operations, near);
            for place in near {
                match call(decode, &history.operations[*place as usize]) {
                    Ok(call) => calls.extend(call),
                    Err(error) => {
                        let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
                        if refused.as_ref().is_none_or(|known| error.place() < known.place()) {
                            *refused = Some(error);
                        }
                        return Vec::new();
                    }
                }
            }
        }
        calls
    };
    let coordinates = match history.order {
        Order::Time => Coordinates::Nanoseconds,
        Order::Position => Coordinates::Positions,
    };
    let options = Options {
        limits: options.limits,
        threads: options.threads,
        coordinates,
        stop: options.stop,
        label: &|index| label(history, index),
        certify: options.certify,
    };
    let judgement = linearizable_parts(initial, parts(decode, history), &load, &options);
    match refused.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(judgement),
    }
}

/// Brings operations near. Those of one key lie far apart, so that to come to one is to wait for memory; a loop that
/// does nothing else with them has the waits at the same time instead of one after the other.
fn touch(operations: &[Operation], places: &[u32]) {
    let met = places.iter().fold(0, |met, place| {
        let operation = &operations[*place as usize];
        let said = u64::from(matches!(operation.outcome, Outcome::Ok { .. }));
        let asked = u64::from(operation.input.is_null()) ^ u64::from(operation.key.is_none());
        met ^ operation.index ^ operation.start ^ operation.invoked.0 ^ asked ^ said
    });
    std::hint::black_box(met);
}

/// The places of the operations of each key.
fn parts<D: Decode>(decode: &D, history: &History) -> Vec<Part<Vec<u32>>> {
    let mut parts: Vec<Part<Vec<u32>>> = Vec::new();
    let mut numbers: HashMap<Option<String>, usize> = HashMap::new();
    // Names are shared, so that most are known by where they are; the last one met in each slot stays.
    let slots = history.operations.len().next_power_of_two().clamp(2, MOST_SLOTS);
    let mut known: Vec<Option<(*const u8, usize, usize)>> = vec![None; slots];
    // Those without a name are known by that.
    let mut nameless: Option<usize> = None;
    for (place, operation) in (0_u32..).zip(&history.operations) {
        let own = decode.by_own_key();
        let shared = match &operation.key {
            Some(key) if own => Some((key.as_ptr(), key.len())),
            _ => None,
        };
        let slot = shared.map(|(text, _)| slot(text, slots));
        let number = match (shared, slot.and_then(|slot| known[slot]), nameless) {
            (Some((text, length)), Some(known), _) if (text, length) == (known.0, known.1) => {
                known.2
            }
            (None, _, Some(nameless)) if own => nameless,
            _ => {
                let key = decode.key(operation);
                *numbers.entry(key).or_insert_with_key(|key| {
                    parts.push(Part { key: key.clone(), size: 0, calls: Vec::new() });
                    parts.len() - 1
                })
            }
        };
        if own && shared.is_none() {
            nameless = Some(number);
        }
        if let (Some((text, length)), Some(slot)) = (shared, slot) {
            known[slot] = Some((text, length, number));
        }
        let part = &mut parts[number];
        part.calls.push(place);
        part.size += match operation.outcome {
            Outcome::Info { .. } => SIZE_OF_UNKNOWN,
            Outcome::Ok { .. } | Outcome::Fail { .. } => 1,
        };
    }
    parts
}

/// Mixes the address of a text; what is allocated one after the other differs in the middle bits.
fn slot(text: *const u8, slots: usize) -> usize {
    let mixed = (text as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - slots.trailing_zeros())) as usize
}

/// Who called whom.
pub(crate) fn label(history: &History, index: u64) -> Option<String> {
    let operations = &history.operations;
    let place = operations.binary_search_by_key(&index, |operation| operation.index).ok()?;
    let operation = &operations[place];
    Some(match operation.node {
        Some(node) => format!("{} → {node}", operation.process),
        None => operation.process.to_string(),
    })
}

/// An operation for people, such as `write 3` or `read → 7`; of one that makes no sense, its words as they are.
pub(crate) fn describe<D: Decode>(decode: &D, operation: &Operation) -> String {
    let Ok(op) = decode.op(operation) else {
        return match &operation.input {
            Value::Null => operation.f.to_string(),
            input => format!("{} {input}", operation.f),
        };
    };
    match decode.said(operation, &op) {
        Ok(Said::Answer(ret)) => D::Spec::describe(&op, Some(&ret)),
        Ok(Said::Unknown | Said::Nothing) | Err(_) => D::Spec::describe(&op, None),
    }
}
