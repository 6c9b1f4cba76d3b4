//! `unique-ids`: nodes make up names, and no name is given twice, by whomever and whenever.
//!
//! Any JSON is an id, as in Maelstrom; two are the same if their texts are. An id that a client did not get to see is
//! nobody's. Numbers with a fraction or beyond 64 bits have been rounded when they are seen here: such a one twice accuses
//! nobody.

use crate::decode::unknown_function;
use crate::finding::{Finding, Found, answered, count, short, who};
use crate::{
    Caller, Completion, DecodeError, Generator, Invocation, JudgeOptions, Settings, Workload,
};
use checker::Judgement;
use history::{History, NodeId, Operation};
use serde_json::Value;
use std::collections::HashMap;

const FUNCTIONS: &[&str] = &["generate"];

/// See the module.
pub(crate) struct UniqueIds;

fn generate() -> Invocation {
    Invocation { f: "generate", key: None, value: Value::Null }
}

struct Always;

impl Generator for Always {
    fn next(&mut self, _: &Caller) -> Invocation {
        generate()
    }

    fn complete(&mut self, _: &Caller, _: &Invocation, _: &Completion) {}

    fn final_reads(&self) -> Vec<Invocation> {
        vec![generate()]
    }
}

impl Workload for UniqueIds {
    fn name(&self) -> &'static str {
        "unique-ids"
    }

    fn about(&self) -> &'static str {
        "names that nodes make up: generate; none may be given twice (Maelstrom)"
    }

    fn check(&self) -> &'static str {
        "unique"
    }

    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }

    fn generator(&self, _: &Settings) -> Option<Box<dyn Generator>> {
        Some(Box::new(Always))
    }

    fn recovery(&self, _: NodeId, _: u64) -> Vec<Invocation> {
        vec![generate()]
    }

    fn judge(&self, history: &History, _: &JudgeOptions<'_>) -> Result<Judgement, DecodeError> {
        let mut given: HashMap<String, &Operation> = HashMap::new();
        let (mut again, mut rounded) = (0, 0);
        let mut first = None;
        for operation in &history.operations {
            if operation.f != "generate" {
                return Err(DecodeError::new(operation, unknown_function(operation, FUNCTIONS)));
            }
            let Some((id, _)) = answered(operation) else { continue };
            let Some(before) = given.insert(id.to_string(), operation) else { continue };
            if is_rounded(id) {
                rounded += 1;
                continue;
            }
            again += 1;
            first.get_or_insert_with(|| Finding {
                operations: vec![before.index, operation.index],
                sentences: vec![format!(
                    "{} was given the id {}, and {} was given it, too.",
                    who(before),
                    short(id),
                    who(operation)
                )],
            });
        }
        let found = match first {
            Some(finding) => Found::Wrong(format!("{} given before", count(again, "id")), finding),
            None if rounded > 0 => Found::Open(format!(
                "{} beyond 64 bits, or with a fraction: whether another is the same cannot be told",
                count(rounded, "id")
            )),
            None => Found::Right(format!("{}, no two the same", count(given.len(), "id"))),
        };
        Ok(found.into())
    }

    fn describe(&self, operation: &Operation) -> String {
        match answered(operation) {
            Some((id, _)) => format!("generate → {}", short(id)),
            None => operation.f.to_string(),
        }
    }
}

/// Whether a number in it is not kept to the last digit.
fn is_rounded(id: &Value) -> bool {
    match id {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(is_rounded),
        Value::Object(items) => items.values().any(is_rounded),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::tests::{Line::*, judge, read};

    #[test]
    fn an_id_that_is_given_twice_is_found_with_both_who_got_it() {
        let right = [
            Ok("generate", "null", "1"),
            Ok("generate", "null", "\"1\""),
            Info("generate", "null"),
            Fail("generate", "null"),
            Ok("generate", "null", "[1,2]"),
        ];
        assert_eq!(judge("unique-ids", &right), "valid: 3 ids, no two the same []");
        let mut wrong = right.to_vec();
        wrong.push(Ok("generate", "null", "\"1\""));
        wrong.push(Ok("generate", "null", "[1, 2]"));
        let said = "invalid: 2 ids given before [2, 10] c1 on n1 was given the id \"1\", \
                    and c5 on n1 was given it, too.";
        assert_eq!(judge("unique-ids", &wrong), said);
        let large = [
            Ok("generate", "null", "[18446744073709551616]"),
            Ok("generate", "null", "[18446744073709551617]"),
        ];
        let said = "unknown: 1 id beyond 64 bits, or with a fraction: whether another is the same \
                    cannot be told []";
        assert_eq!(judge("unique-ids", &large), said);
        assert!(read("unique-ids", &[Ok("write", "1", "1")]).is_err());
    }
}
