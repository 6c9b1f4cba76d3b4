//! Sets: `add`, `remove`, `contains` of one element, `read` of all.
//!
//! A set that is never read whole is judged element by element.

use super::{Decode, Said, answer, data, datum, done, otherwise, unknown_function};
use crate::Datum;
use checker::specs::member::{self, Member};
use checker::specs::set::{self, Set};
use history::Operation;
use std::collections::BTreeSet;

pub(crate) const FUNCTIONS: &[&str] = &["add", "remove", "contains", "read"];

/// The whole set.
pub(crate) struct Whole;

impl Decode for Whole {
    type Spec = Set<Datum>;

    fn op(&self, operation: &Operation) -> Result<set::Op<Datum>, String> {
        let element = || datum(&operation.input, "an element");
        Ok(match operation.f.as_str() {
            "add" => set::Op::Add(element()?),
            "remove" => set::Op::Remove(element()?),
            "contains" => set::Op::Contains(element()?),
            "read" => set::Op::Read,
            _ => return Err(unknown_function(operation, FUNCTIONS)),
        })
    }

    fn said(
        &self,
        operation: &Operation,
        op: &set::Op<Datum>,
    ) -> Result<Said<set::Ret<Datum>>, String> {
        match (op, answer(operation)) {
            (_, None) => Ok(otherwise(operation)),
            (set::Op::Contains(_), Some(_)) => Ok(Said::Answer(set::Ret::Bool(found(operation)?))),
            (set::Op::Read, Some(value)) => {
                let shown = data(value, "the answer of a read")?;
                let (count, items) = (shown.len(), BTreeSet::from_iter(shown));
                if items.len() < count {
                    return Err(format!("a set shows an element once, not as in {value}"));
                }
                Ok(Said::Answer(set::Ret::Items(items)))
            }
            (set::Op::Add(_) | set::Op::Remove(_), Some(_)) => done(operation, set::Ret::Done),
        }
    }
}

/// One element, named by the operation's value.
pub(crate) struct Element;

impl Decode for Element {
    type Spec = Member;

    fn op(&self, operation: &Operation) -> Result<member::Op, String> {
        datum(&operation.input, "an element")?;
        Ok(match operation.f.as_str() {
            "add" => member::Op::Add,
            "remove" => member::Op::Remove,
            "contains" => member::Op::Contains,
            _ => return Err(unknown_function(operation, FUNCTIONS)),
        })
    }

    fn said(&self, operation: &Operation, op: &member::Op) -> Result<Said<member::Ret>, String> {
        match (op, answer(operation)) {
            (_, None) => Ok(otherwise(operation)),
            (member::Op::Contains, Some(_)) => {
                Ok(Said::Answer(member::Ret::Bool(found(operation)?)))
            }
            (member::Op::Add | member::Op::Remove, Some(_)) => done(operation, member::Ret::Done),
        }
    }

    fn key(&self, operation: &Operation) -> Option<String> {
        let element = Datum::from_json(&operation.input)?;
        Some(match &operation.key {
            Some(key) => format!("{key}, element {element}"),
            None => element.to_string(),
        })
    }

    fn by_own_key(&self) -> bool {
        false
    }
}

fn found(operation: &Operation) -> Result<bool, String> {
    let value = answer(operation).and_then(serde_json::Value::as_bool);
    value.ok_or_else(|| "the answer of a contains must be true or false".to_owned())
}

#[cfg(test)]
mod tests {
    use crate::{JudgeOptions, by_name};
    use checker::Limits;
    use history::read_jsonl;

    #[test]
    fn a_read_that_shows_an_element_twice_is_refused() {
        let text = concat!(
            "{\"history\":1,\"workload\":\"set\"}\n",
            r#"{"index":0,"time":0,"process":0,"type":"invoke","f":"read","value":null}"#,
            "\n",
            r#"{"index":1,"time":1,"process":0,"type":"ok","f":"read","value":[1,1]}"#,
            "\n",
        );
        let history = read_jsonl(text.as_bytes()).expect("a history");
        let (limits, stop) = (Limits::default(), &|| false);
        let options = JudgeOptions { limits, stop, threads: 1, certify: false };
        let refused = by_name("set").expect("it is listed").judge(&history, &options);
        let error = refused.expect_err("it makes no sense").to_string();
        assert!(error.contains("once"), "{error}");
    }
}
