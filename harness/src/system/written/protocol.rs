//! What is said between the harness and a client that is a process of its own: JSON, one value a line.
//!
//! ```text
//! harness  {"type":"init","node":"n2","nodes":{"n1":"127.0.0.1:4001","n2":"127.0.0.1:4002"},"attempt_ms":500}
//! harness  {"id":1,"f":"read","key":"k1"}
//! client   {"id":1,"type":"ok","value":3}
//! harness  {"id":2,"f":"write","key":"k1","value":4}
//! client   {"id":2,"type":"info","error":"timeout"}
//! ```
//!
//! `node` is null for a client that follows the leader. A cas has `"value":[from, to]`. The answer is `ok` (it
//! happened; of a read with the `value`, null where there is none), `fail` (it certainly did not and never will; of a
//! cas that compared unequal with the error `mismatch`) or `info` (nobody knows). An answer to a client that
//! follows the leader may name the `node` that it came from. Further fields are passed over.
//!
//! An answer that is not of this form proves nothing at all, however much of it can be understood.

use history::NodeId;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use workloads::{ClientError, ErrorClass, KvAnswer, KvOperation, MISMATCH};

/// The longest line that a client may write, in bytes.
pub(super) const LINE_LIMIT_BYTES: usize = 64 * 1024;
/// How much of a line is quoted, in characters.
const QUOTE_LIMIT: usize = 200;
/// The longest reason of a client that the history holds as it is, in bytes.
const REASON_LIMIT_BYTES: usize = 40;
/// How many different reasons of clients the history holds.
const REASONS: usize = 64;

/// The first line to a client.
pub(super) fn init(
    node: Option<NodeId>,
    addresses: &BTreeMap<NodeId, SocketAddr>,
    attempt: Duration,
) -> String {
    let nodes: BTreeMap<String, String> =
        addresses.iter().map(|(node, address)| (node.to_string(), address.to_string())).collect();
    let node = node.map(|node| node.to_string());
    let attempt_ms = u64::try_from(attempt.as_millis()).unwrap_or(u64::MAX);
    json!({ "type": "init", "node": node, "nodes": nodes, "attempt_ms": attempt_ms }).to_string()
}

/// An operation, as it is asked.
pub(super) fn question(id: u64, operation: &KvOperation) -> String {
    match operation {
        KvOperation::Read { key } => json!({ "id": id, "f": "read", "key": key }),
        KvOperation::Write { key, value } => {
            json!({ "id": id, "f": "write", "key": key, "value": value })
        }
        KvOperation::Cas { key, from, to } => {
            json!({ "id": id, "f": "cas", "key": key, "value": [from, to] })
        }
        KvOperation::Delete { key } => json!({ "id": id, "f": "delete", "key": key }),
    }
    .to_string()
}

/// A well-formed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// How the operation ended.
    pub(super) outcome: Result<KvAnswer, ClientError>,
    /// Who answered, if that is said.
    pub(super) node: Option<NodeId>,
}

/// Understands the answer to the question `id` about `operation`.
///
/// # Errors
/// Why it is none, as a fragment that follows the line.
pub(super) fn answer(
    line: &str,
    id: u64,
    operation: &KvOperation,
    nodes: &BTreeSet<NodeId>,
) -> Result<Answer, String> {
    let value: Value = serde_json::from_str(line).map_err(|_| "is not JSON".to_owned())?;
    let Value::Object(fields) = value else { return Err("is no JSON object".to_owned()) };
    match fields.get("id") {
        Some(told) if told.as_u64() == Some(id) => {}
        Some(told) => return Err(format!("answers {told}, and {id} was asked")),
        None => return Err("has no `id`".to_owned()),
    }
    let node = match fields.get("node") {
        None | Some(Value::Null) => None,
        Some(told) => {
            let node = told.as_str().and_then(|name| name.parse::<NodeId>().ok());
            let node = node.filter(|node| nodes.contains(node));
            Some(node.ok_or_else(|| format!("names {told}, which is no node"))?)
        }
    };
    let error = || match fields.get("error").and_then(Value::as_str) {
        Some(error) if !error.is_empty() => Ok(error),
        _ => Err("has no `error` that is a text".to_owned()),
    };
    let outcome = match fields.get("type").and_then(Value::as_str) {
        Some("ok") => Ok(ok(operation, fields.get("value"))?),
        Some("fail") => match (error()?, operation) {
            (MISMATCH, KvOperation::Cas { .. }) => Ok(KvAnswer::Mismatch),
            (MISMATCH, _) => return Err("is a mismatch, and no cas was asked".to_owned()),
            (error, _) => Err(refused(ErrorClass::Definite, error)),
        },
        Some("info") => Err(refused(ErrorClass::Indefinite, error()?)),
        _ => return Err("has no `type` that is \"ok\", \"fail\" or \"info\"".to_owned()),
    };
    Ok(Answer { outcome, node })
}

/// What an ok means. Only a read says more than that.
fn ok(operation: &KvOperation, value: Option<&Value>) -> Result<KvAnswer, String> {
    match operation {
        KvOperation::Read { .. } => match value {
            None => Err("has no `value`, and a read was asked".to_owned()),
            Some(Value::Null) => Ok(KvAnswer::Value(None)),
            Some(value) => {
                let number = value.as_i64();
                let number = number.ok_or("has a `value` that is neither null nor an integer")?;
                Ok(KvAnswer::Value(Some(number)))
            }
        },
        KvOperation::Write { .. } | KvOperation::Delete { .. } => Ok(KvAnswer::Done),
        KvOperation::Cas { .. } => Ok(KvAnswer::Swapped),
    }
}

fn refused(class: ErrorClass, error: &str) -> ClientError {
    ClientError { class, code: reason(error), message: error.to_owned() }
}

/// The reason of a client as it stands in the history. Those are few in a sensible client and live as long as the program;
/// what is long, or one of too many, becomes one word.
fn reason(error: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(same) = known.get(error) {
        return same;
    }
    if error.len() > REASON_LIMIT_BYTES || known.len() >= REASONS {
        return "other";
    }
    let kept: &'static str = Box::leak(error.to_owned().into_boxed_str());
    known.insert(kept);
    kept
}

/// A line as it is shown to people.
pub(super) fn quoted(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars().take(QUOTE_LIMIT) {
        match c {
            // It stands between other marks, and JSON is full of these.
            '"' | '\'' => text.push(c),
            _ => text.extend(c.escape_debug()),
        }
    }
    if line.chars().nth(QUOTE_LIMIT).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read() -> KvOperation {
        KvOperation::Read { key: "k".to_owned() }
    }

    fn write() -> KvOperation {
        KvOperation::Write { key: "k".to_owned(), value: 3 }
    }

    fn cas() -> KvOperation {
        KvOperation::Cas { key: "k".to_owned(), from: 1, to: 2 }
    }

    fn heard(line: &str, operation: &KvOperation) -> Result<Answer, String> {
        answer(line, 7, operation, &BTreeSet::from([NodeId(1), NodeId(2)]))
    }

    fn error(class: ErrorClass, code: &'static str) -> Result<KvAnswer, ClientError> {
        Err(ClientError { class, code, message: code.to_owned() })
    }

    #[test]
    fn questions_are_lines_of_json() {
        let nodes = BTreeMap::from([(NodeId(1), "127.0.0.1:4001".parse().unwrap())]);
        let expected =
            r#"{"attempt_ms":500,"node":null,"nodes":{"n1":"127.0.0.1:4001"},"type":"init"}"#;
        assert_eq!(init(None, &nodes, Duration::from_millis(500)), expected);
        assert!(init(Some(NodeId(1)), &nodes, Duration::ZERO).contains(r#""node":"n1""#));
        let delete = KvOperation::Delete { key: "a\"b".to_owned() };
        for (operation, expected) in [
            (read(), r#"{"f":"read","id":7,"key":"k"}"#),
            (write(), r#"{"f":"write","id":7,"key":"k","value":3}"#),
            (cas(), r#"{"f":"cas","id":7,"key":"k","value":[1,2]}"#),
            (delete, r#"{"f":"delete","id":7,"key":"a\"b"}"#),
        ] {
            assert_eq!(question(7, &operation), expected);
        }
    }

    #[test]
    fn each_type_of_answer_means_what_it_says() {
        use ErrorClass::{Definite, Indefinite};
        for (line, operation, outcome) in [
            (r#"{"id":7,"type":"ok","value":3}"#, read(), Ok(KvAnswer::Value(Some(3)))),
            (r#"{"id":7,"type":"ok","value":null}"#, read(), Ok(KvAnswer::Value(None))),
            (r#"{"id":7,"type":"ok"}"#, write(), Ok(KvAnswer::Done)),
            (r#"{"id":7,"type":"ok","value":"x","f":"cas"}"#, cas(), Ok(KvAnswer::Swapped)),
            (r#"{"id":7,"type":"fail","error":"mismatch"}"#, cas(), Ok(KvAnswer::Mismatch)),
            (r#"{"id":7,"type":"fail","error":"READONLY"}"#, read(), error(Definite, "READONLY")),
            (r#"{"id":7,"type":"info","error":"cut"}"#, write(), error(Indefinite, "cut")),
        ] {
            assert_eq!(heard(line, &operation), Ok(Answer { outcome, node: None }), "{line}");
        }
        let named = heard(r#"{"id":7,"type":"ok","node":"n2"}"#, &write()).unwrap();
        assert_eq!(named.node, Some(NodeId(2)));
    }

    #[test]
    fn what_is_not_of_the_form_says_why() {
        for (line, operation, why) in [
            ("hello", read(), "is not JSON"),
            ("[1]", read(), "is no JSON object"),
            (r#"{"type":"ok","value":1}"#, read(), "has no `id`"),
            (r#"{"id":6,"type":"ok","value":1}"#, read(), "answers 6, and 7 was asked"),
            (r#"{"id":"7","type":"ok","value":1}"#, read(), "answers \"7\", and 7 was asked"),
            (r#"{"id":7}"#, read(), "has no `type` that is \"ok\", \"fail\" or \"info\""),
            (r#"{"id":7,"type":"okay"}"#, read(), "has no `type` that is"),
            (r#"{"id":7,"type":"ok"}"#, read(), "has no `value`, and a read was asked"),
            (r#"{"id":7,"type":"ok","value":"3"}"#, read(), "has a `value` that is neither"),
            (r#"{"id":7,"type":"ok","value":1.5}"#, read(), "has a `value` that is neither"),
            (r#"{"id":7,"type":"fail"}"#, write(), "has no `error` that is a text"),
            (r#"{"id":7,"type":"info","error":""}"#, write(), "has no `error` that is a text"),
            (r#"{"id":7,"type":"fail","error":"mismatch"}"#, write(), "is a mismatch, and no cas"),
            (r#"{"id":7,"type":"ok","node":"n9"}"#, write(), "names \"n9\", which is no node"),
        ] {
            let told = heard(line, &operation).unwrap_err();
            assert!(told.starts_with(why), "{line}: {told}");
        }
    }

    #[test]
    fn long_reasons_and_lines_are_cut() {
        let long = "x".repeat(50);
        assert_eq!(reason(&long), "other");
        assert_eq!(reason("short"), "short");
        assert_eq!(quoted("a\t\"b\""), "`a\\t\"b\"`");
        assert_eq!(quoted(&"x".repeat(201)).chars().count(), 203);
    }
}
