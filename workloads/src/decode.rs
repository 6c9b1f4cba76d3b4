//! From the operations of a history to the typed calls of a keyed register, and their judgement.
//!
//! What an outcome says is decided here, once: ok is an answer; a compare-and-set that failed with `mismatch` is an
//! answer too (the value was anything but the expected one); any other fail never happened and is left out; info may
//! have happened at any time after it began, or never.

use crate::online::Decoding;
use crate::{Datum, JudgeOptions, MISMATCH, OnlineJudge};
use checker::specs::keyed::Keyed;
use checker::specs::register::{Op, Register, Ret};
use checker::{Answer, Call, Coordinates, Judgement, Limits, Options, Spec, linearizable};
use history::{Header, History, Operation, Order, Outcome, Process};
use serde_json::Value;

/// The spec of every keyed workload: one register with compare-and-set and delete a key.
pub(crate) type KeyedRegister = Keyed<Register<Datum>>;

/// An operation that is none of the workload's, or that lacks what its function needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {operation}: {problem}")]
pub struct DecodeError {
    /// Index of its invocation.
    pub operation: u64,
    /// What is wrong with it, and what was expected.
    pub problem: String,
}

/// Whether `history` is linearizable as registers, one a key.
pub(crate) fn judge(
    history: &History,
    options: &JudgeOptions<'_>,
) -> Result<Judgement, DecodeError> {
    let initial = options.initial.as_ref().unwrap_or(&history.header.initial);
    let initial = state(initial);
    let calls = calls(history, options.cas_fail_observes)?;
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
    };
    Ok(linearizable(&initial, calls, &options))
}

/// The same while it is recorded, in our own files: only a mismatch says that a compare-and-set compared unequal.
pub(crate) fn online(header: &Header, limits: Limits) -> Box<dyn OnlineJudge> {
    let decode = |operation: &Operation| call(operation, false);
    Box::new(Decoding::new(state(&header.initial), limits, decode))
}

/// The state of a key with this value.
fn state(value: &Value) -> KeyedRegister {
    Keyed(Register(Datum::from_json(value)))
}

/// The operations that say something, in order.
pub(crate) fn calls(
    history: &History,
    cas_fail_observes: bool,
) -> Result<Vec<Call<KeyedRegister>>, DecodeError> {
    let mut calls = Vec::with_capacity(history.operations.len());
    for operation in &history.operations {
        calls.extend(call(operation, cas_fail_observes)?);
    }
    Ok(calls)
}

/// One operation; none if it says nothing.
fn call(
    operation: &Operation,
    cas_fail_observes: bool,
) -> Result<Option<Call<KeyedRegister>>, DecodeError> {
    let refuse = |problem: String| DecodeError { operation: operation.index, problem };
    let op = op(operation).map_err(refuse)?;
    let Some(key) = &operation.key else {
        return Err(refuse(format!("{} without a key", operation.f)));
    };
    let Process::Client(process) = operation.process else {
        return Err(refuse("the nemesis performs no operations".to_owned()));
    };
    if let Some(problem) = contradiction(operation) {
        return Err(refuse(problem));
    }
    let ret = match ret(operation, &op, cas_fail_observes) {
        Said::Answer(ret) => Some(ret),
        Said::Unknown => None,
        Said::Nothing => return Ok(None),
    };
    let answer = match (ret, operation.end) {
        (Some(ret), Some(end)) => Some(Answer { end, ret }),
        (Some(_), None) => return Err(refuse("it completed, but nobody knows when".to_owned())),
        (None, _) => None,
    };
    Ok(Some(Call {
        index: operation.index,
        process,
        start: operation.start,
        op: (key.as_str().into(), op),
        answer,
    }))
}

/// What was asked, or why that makes no sense.
fn op(operation: &Operation) -> Result<Op<Datum>, String> {
    let input = &operation.input;
    match operation.f.as_str() {
        "read" => Ok(Op::Read),
        // Null is what a read of nothing answers, so to write it is to delete.
        "write" => Ok(Datum::from_json(input).map_or(Op::Delete, Op::Write)),
        "cas" => match input.as_array().map(Vec::as_slice) {
            Some([from, to]) => match Datum::from_json(to) {
                Some(to) => Ok(Op::Cas(Datum::from_json(from), to)),
                None => Err("a cas cannot write null".to_owned()),
            },
            _ => Err(format!("the value of a cas must be [from, to], not {input}")),
        },
        "delete" => Ok(Op::Delete),
        other => {
            Err(format!("unknown function `{other}`; there are `read`, `write`, `cas`, `delete`"))
        }
    }
}

/// What an operation's outcome says.
enum Said {
    Answer(Ret<Datum>),
    /// It may have happened.
    Unknown,
    /// It did not happen and observed nothing.
    Nothing,
}

/// An ok that says something else than that the operation was done. Whether `false` means that a cas did
/// not swap is not for us to guess.
fn contradiction(operation: &Operation) -> Option<String> {
    let Outcome::Ok { value, .. } = &operation.outcome else { return None };
    let fits = operation.f == "read" || value.is_null() || *value == operation.input;
    (!fits)
        .then(|| format!("an ok {} repeats its value or has none; {value} is neither", operation.f))
}

fn ret(operation: &Operation, op: &Op<Datum>, cas_fail_observes: bool) -> Said {
    match (&operation.outcome, op) {
        (Outcome::Ok { value, .. }, Op::Read) => Said::Answer(Ret::Value(Datum::from_json(value))),
        (Outcome::Ok { .. }, Op::Write(_) | Op::Delete) => Said::Answer(Ret::Done),
        (Outcome::Ok { .. }, Op::Cas(..)) => Said::Answer(Ret::Swapped),
        (Outcome::Fail { error, .. }, Op::Cas(..))
            if cas_fail_observes || error.as_deref() == Some(MISMATCH) =>
        {
            Said::Answer(Ret::Mismatch)
        }
        (Outcome::Fail { .. }, _) => Said::Nothing,
        (Outcome::Info { .. }, _) => Said::Unknown,
    }
}

/// Who called whom.
fn label(history: &History, index: u64) -> Option<String> {
    let operations = &history.operations;
    let place = operations.binary_search_by_key(&index, |operation| operation.index).ok()?;
    let operation = &operations[place];
    Some(match operation.node {
        Some(node) => format!("{} → {node}", operation.process),
        None => operation.process.to_string(),
    })
}

/// An operation for people, such as `write 3` or `read → 7`; of one that makes no sense, its words as they are.
pub(crate) fn describe(operation: &Operation) -> String {
    match op(operation) {
        Ok(op) => match ret(operation, &op, false) {
            Said::Answer(ret) => Register::describe(&op, Some(&ret)),
            Said::Unknown | Said::Nothing => Register::describe(&op, None),
        },
        Err(_) => match &operation.input {
            Value::Null => operation.f.clone(),
            input => format!("{} {input}", operation.f),
        },
    }
}

#[cfg(test)]
mod tests;
