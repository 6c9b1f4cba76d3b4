//! Counters: `add` of a number, `read` of the sum.

use super::{Decode, Said, answer, done, otherwise, unknown_function};
use checker::specs::counter::{Counter, Op, Ret};
use history::Operation;
use serde_json::Value;

pub(crate) const FUNCTIONS: &[&str] = &["add", "read"];

/// Counters, one a key.
pub(crate) struct Counters;

impl Decode for Counters {
    type Spec = Counter;

    fn op(&self, operation: &Operation) -> Result<Op, String> {
        match operation.f.as_str() {
            "add" => Ok(Op::Add(number(&operation.input, "the value of an add")?)),
            "read" => Ok(Op::Read),
            _ => Err(unknown_function(operation, FUNCTIONS)),
        }
    }

    fn said(&self, operation: &Operation, op: &Op) -> Result<Said<Ret>, String> {
        match (op, answer(operation)) {
            (_, None) => Ok(otherwise(operation)),
            (Op::Add(_), Some(_)) => done(operation, Ret::Done),
            (Op::Read, Some(value)) => {
                Ok(Said::Answer(Ret::Value(number(value, "the answer of a read")?)))
            }
        }
    }
}

/// A whole number.
pub(crate) fn number(value: &Value, what: &str) -> Result<i64, String> {
    value.as_i64().ok_or_else(|| format!("{what} must be a whole number, not {value}"))
}
