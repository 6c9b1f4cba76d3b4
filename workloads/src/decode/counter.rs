//! Counters: `add` of a number, `read` of the sum.

use super::{Decode, Said, answer, done, otherwise, unknown_function};
use checker::specs::counter::{Counter, Op, Ret};
use history::Operation;
use serde_json::Value;

pub(crate) const FUNCTIONS: &[&str] = &["add", "read"];

/// As many adds of so much as a history can hold still fit into the 64 bits of a counter, so that a sum beyond them is
/// nobody's fault.
const MOST: u64 = 1 << 31;

/// Counters, one a key.
pub(crate) struct Counters;

impl Decode for Counters {
    type Spec = Counter;

    fn op(&self, operation: &Operation) -> Result<Op, String> {
        match operation.f.as_str() {
            "add" => match number(&operation.input, "the value of an add")? {
                amount if amount.unsigned_abs() > MOST => Err(format!(
                    "sums of amounts such as {amount} may not fit into 64 bits; amounts up to {MOST} are judged"
                )),
                amount => Ok(Op::Add(amount)),
            },
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

#[cfg(test)]
mod tests {
    use crate::{JudgeOptions, by_name};
    use checker::Limits;
    use history::read_jsonl;

    #[test]
    fn sums_that_may_not_fit_are_refused() {
        let text = concat!(
            "{\"history\":1,\"workload\":\"counter\"}\n",
            r#"{"index":0,"time":0,"process":0,"type":"invoke","f":"add","value":9223372036854775807}"#,
            "\n",
            r#"{"index":1,"time":1,"process":0,"type":"ok","f":"add","value":9223372036854775807}"#,
            "\n",
        );
        let history = read_jsonl(text.as_bytes()).expect("a history");
        let (limits, stop) = (Limits::default(), &|| false);
        let options = JudgeOptions { limits, stop, threads: 1, certify: false };
        let refused = by_name("counter").expect("it is listed").judge(&history, &options);
        let error = refused.expect_err("it makes no sense").to_string();
        assert!(error.contains("64 bits"), "{error}");
    }
}
