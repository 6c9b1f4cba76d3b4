//! Transactions on lists: `txn` with micro-operations `["append", key, value]` and `["r", key, null]`, of which an
//! ok has the reads filled in.
//!
//! A transaction of one key is judged with that key's; as soon as one has several keys, all are judged together:
//! the question is then strict serializability.

use super::{Decode, Said, answer, data, datum, otherwise, unknown_function};
use crate::Datum;
use checker::Spec;
use checker::specs::list::{Micro, Reads, Transactions};
use history::Operation;
use serde_json::Value;

pub(crate) const FUNCTIONS: &[&str] = &["txn"];

/// Transactions on lists.
pub(crate) struct Lists {
    /// Whether each transaction is about one key.
    pub(crate) by_key: bool,
}

impl Lists {
    /// As these operations want to be judged.
    pub(crate) fn of(operations: &[Operation]) -> Self {
        let one_key = |operation: &Operation| {
            Self { by_key: true }.op(operation).is_ok_and(|op| Transactions::key(&op).is_some())
        };
        Self { by_key: operations.iter().all(one_key) }
    }
}

impl Decode for Lists {
    type Spec = Transactions<Datum>;

    fn op(&self, operation: &Operation) -> Result<Vec<Micro<Datum>>, String> {
        if operation.f.as_str() != "txn" {
            return Err(unknown_function(operation, FUNCTIONS));
        }
        micros(&operation.input)?.iter().map(micro).collect()
    }

    fn said(
        &self,
        operation: &Operation,
        op: &Vec<Micro<Datum>>,
    ) -> Result<Said<Reads<Datum>>, String> {
        let Some(value) = answer(operation) else { return Ok(otherwise(operation)) };
        let answers = micros(value)?;
        if answers.len() != op.len() {
            return Err(format!("an ok txn repeats its {} micro-operations", op.len()));
        }
        let mut reads = Vec::new();
        for (answered, asked) in answers.iter().zip(op) {
            if micro(answered)? != *asked {
                return Err(format!(
                    "an ok txn repeats its micro-operations; {answered} is another"
                ));
            }
            if let Micro::Read(_) = asked {
                // A list that was never appended to is read as null by some.
                reads.push(match &answered[2] {
                    Value::Null => Vec::new(),
                    items => data(items, "the answer of a read")?,
                });
            }
        }
        Ok(Said::Answer(reads))
    }

    fn key(&self, operation: &Operation) -> Option<String> {
        let op = self.op(operation).ok().filter(|_| self.by_key)?;
        Transactions::key(&op)
    }

    fn by_own_key(&self) -> bool {
        false
    }
}

fn micros(value: &Value) -> Result<&Vec<Value>, String> {
    let expected = || format!("the value of a txn must be a list of micro-operations, not {value}");
    value.as_array().ok_or_else(expected)
}

fn micro(value: &Value) -> Result<Micro<Datum>, String> {
    let parts = value.as_array().map(Vec::as_slice);
    let key = |key: &Value| key.as_str().map_or_else(|| key.to_string(), str::to_owned).into();
    match parts {
        Some([Value::String(f), name, _]) if f == "r" => Ok(Micro::Read(key(name))),
        Some([Value::String(f), name, item]) if f == "append" => {
            Ok(Micro::Append(key(name), datum(item, "an element of a list")?))
        }
        _ => Err(format!(
            "a micro-operation is [\"r\", key, null] or [\"append\", key, value], not {value}"
        )),
    }
}
