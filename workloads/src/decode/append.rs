//! Transactions on lists: `txn` with micro-operations `["append", key, value]` and `["r", key, null]`, of which an
//! ok has the reads filled in.
//!
//! A transaction of one list is judged with that list's; as soon as one has several, all (under the same key, where
//! operations have keys of their own) are judged together: the question is then strict serializability.

use super::{Decode, Said, answer, data, datum, otherwise, unknown_function};
use crate::Datum;
use checker::Spec;
use checker::specs::list::{Micro, Reads, Transactions};
use history::{Operation, key_text};
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
        // Lists of one name under two keys are two lists.
        let own = operation.key.as_ref().map(ToString::to_string);
        let op = self.op(operation).ok().filter(|_| self.by_key);
        match (own, op.and_then(|op| Transactions::key(&op))) {
            (Some(own), Some(list)) => Some(format!("{own}, list {list}")),
            (own, list) => list.or(own),
        }
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
    match parts {
        Some([Value::String(f), name, _]) if f == "r" => Ok(Micro::Read(key_text(name).into())),
        Some([Value::String(f), name, item]) if f == "append" => {
            Ok(Micro::Append(key_text(name).into(), datum(item, "an element of a list")?))
        }
        _ => Err(format!(
            "a micro-operation is [\"r\", key, null] or [\"append\", key, value], not {value}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::{JudgeOptions, by_name};
    use checker::{Limits, Ruling};
    use history::read_jsonl;

    fn ruling(lines: &[&str]) -> Ruling {
        let text = format!("{{\"history\":1,\"workload\":\"append\"}}\n{}\n", lines.join("\n"));
        let history = read_jsonl(text.as_bytes()).expect("a history");
        let (limits, stop) = (Limits::default(), &|| false);
        let options = JudgeOptions { limits, stop, threads: 1, certify: false };
        let append = by_name("append").expect("it is listed");
        append.judge(&history, &options).expect("it makes sense").ruling
    }

    #[test]
    fn lists_of_one_name_under_two_keys_are_two_lists() {
        let append = [
            r#"{"index":0,"time":0,"process":0,"type":"invoke","f":"txn","key":"a","value":[["append","x",1]]}"#,
            r#"{"index":1,"time":1,"process":0,"type":"ok","f":"txn","key":"a","value":[["append","x",1]]}"#,
        ];
        let read = |key: &str| {
            let line = |index: u64, kind: &str, list: &str| {
                format!(
                    r#"{{"index":{index},"time":{index},"process":1,"type":"{kind}","f":"txn","key":"{key}","value":[["r","x",{list}]]}}"#
                )
            };
            [line(2, "invoke", "null"), line(3, "ok", "[]")]
        };
        for (key, expected) in [("a", Ruling::Invalid), ("b", Ruling::Valid)] {
            let read = read(key);
            assert_eq!(ruling(&[append[0], append[1], &read[0], &read[1]]), expected, "{key}");
        }
    }
}
