//! Strings, one a key: `read`, `write`, `append`.

use super::{Decode, Said, answer, done, otherwise, unknown_function};
use checker::specs::string::{Op, Ret, Text};
use history::Operation;
use serde_json::Value;

pub(crate) const FUNCTIONS: &[&str] = &["read", "write", "append"];

/// Strings, one a key.
pub(crate) struct Strings;

impl Decode for Strings {
    type Spec = Text;

    fn op(&self, operation: &Operation) -> Result<Op, String> {
        let input = || text(&operation.input, "the value");
        match operation.f.as_str() {
            "read" => Ok(Op::Read),
            "write" => Ok(Op::Write(input()?)),
            "append" => Ok(Op::Append(input()?)),
            _ => Err(unknown_function(operation, FUNCTIONS)),
        }
    }

    fn said(&self, operation: &Operation, op: &Op) -> Result<Said<Ret>, String> {
        match (op, answer(operation)) {
            (_, None) => Ok(otherwise(operation)),
            (Op::Read, Some(value)) => {
                Ok(Said::Answer(Ret::Value(text(value, "the answer of a read")?)))
            }
            (Op::Write(_) | Op::Append(_), Some(_)) => done(operation, Ret::Done),
        }
    }
}

/// A string; null is the empty one.
pub(crate) fn text(value: &Value, what: &str) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        other => Err(format!("{what} must be a string, not {other}")),
    }
}
