//! The one table that says what every answer of a node, and every way of getting none, proves about an operation.
//!
//! The numbers, and which of them say for certain that nothing happened, are Maelstrom's. It calls them definite, and a
//! node that uses one for an operation that did happen lies. A number that Maelstrom does not know may mean anything.

use serde_json::Value;
use workloads::ErrorClass::{self, Definite, Indefinite};
use workloads::{ClientError, KvAnswer, KvOperation};

/// One way in which an operation gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The number of the error, if it is one of a node.
    pub number: Option<i64>,
    /// The code in the history.
    pub code: &'static str,
    /// What it proves.
    pub class: ErrorClass,
    /// Why, in one sentence.
    pub about: &'static str,
}

macro_rules! table {
    ($($(#[$doc:meta])* $name:ident = $number:expr, $code:literal, $class:ident, $about:literal;)*) => {
        $($(#[$doc])* pub const $name: Row =
            Row { number: $number, code: $code, class: $class, about: $about };)*
        /// Every row.
        pub const TABLE: &[Row] = &[$($name),*];
    };
}

table! {
    /// Error 0.
    NODE_TIMEOUT = Some(0), "node-timeout", Indefinite,
        "the node gave up waiting for something, which may still happen";
    /// Error 1.
    NODE_NOT_FOUND = Some(1), "node-not-found", Definite,
        "the node was to pass it on to one that there is not";
    /// Error 10.
    NOT_SUPPORTED = Some(10), "not-supported", Definite,
        "the node does not have this operation";
    /// Error 11.
    UNAVAILABLE = Some(11), "temporarily-unavailable", Definite,
        "the node cannot do it now and has not begun to";
    /// Error 12.
    MALFORMED = Some(12), "malformed-request", Definite,
        "the node could not make sense of the request";
    /// Error 13.
    CRASH = Some(13), "crash", Indefinite,
        "something in the node failed while it worked on it";
    /// Error 14.
    ABORT = Some(14), "abort", Definite,
        "the node gave it up and says that nothing of it stays";
    /// Error 20: of a read it is an answer, that the key has no value; of a compare-and-set a mismatch.
    KEY_MISSING = Some(20), "key-does-not-exist", Definite,
        "the operation needs a key that is there, and did nothing without it";
    /// Error 21.
    KEY_EXISTS = Some(21), "key-already-exists", Definite,
        "the operation needs a key that is not there, and did nothing";
    /// Error 22: of a compare-and-set a mismatch.
    PRECONDITION = Some(22), "precondition-failed", Definite,
        "what the operation needs was not so, and it did nothing";
    /// Error 30.
    CONFLICT = Some(30), "txn-conflict", Definite,
        "another transaction was in the way, and nothing of this one stays";
    /// Any other number.
    UNKNOWN = None, "unknown-error", Indefinite,
        "a number that Maelstrom does not know, so nobody knows what happened";
    /// The bridge did not say a word.
    UNREACHED = None, "unreached", Definite,
        "nobody greeted the client in time, or told its node the neighbours; of the operation nothing was sent";
    /// A key or an operation that this system has no words for.
    UNSPEAKABLE = None, "unspeakable", Definite,
        "it cannot be put into a request of this workload, so nothing was sent";
    /// No answer in time.
    TIMEOUT = None, "timeout", Indefinite,
        "no answer came in time; the request may be anywhere";
    /// The connection ended.
    CONNECTION = None, "connection", Indefinite,
        "the connection ended after the request had left, wherever that is now";
    /// An answer of the wrong kind.
    PROTOCOL = None, "protocol", Indefinite,
        "the answer is not one to this question, so it proves nothing, and the `power` check tells of it";
}

impl Row {
    /// The error that it is, with something for people.
    #[must_use]
    pub fn error(self, message: impl Into<String>) -> ClientError {
        ClientError { class: self.class, code: self.code, message: message.into() }
    }
}

/// What a node's answer means for the operation that was asked for.
///
/// # Errors
/// The row of its error, or of an answer that is none to this question.
pub fn of_body(operation: &KvOperation, body: &Value) -> Result<KvAnswer, ClientError> {
    let kind = body.get("type").and_then(Value::as_str).unwrap_or_default();
    match (operation, kind) {
        (_, "error") => of_error(operation, body),
        (KvOperation::Read { .. }, "read_ok") => match body.get("value") {
            Some(Value::Null) => Ok(KvAnswer::Value(None)),
            Some(value) if value.is_i64() => Ok(KvAnswer::Value(value.as_i64())),
            _ => Err(PROTOCOL.error(format!("a value that nobody wrote: {body}"))),
        },
        (KvOperation::Write { .. }, "write_ok") => Ok(KvAnswer::Done),
        (KvOperation::Cas { .. }, "cas_ok") => Ok(KvAnswer::Swapped),
        _ => Err(PROTOCOL.error(format!("no answer to this: {body}"))),
    }
}

/// The row of an error.
fn row(body: &Value) -> Row {
    let number = body.get("code").and_then(Value::as_i64);
    let known = |row: &&Row| number.is_some() && row.number == number;
    TABLE.iter().find(known).copied().unwrap_or(UNKNOWN)
}

/// What an error means for an operation of which none is an answer.
pub(super) fn error_of(body: &Value) -> ClientError {
    row(body).error(body.to_string())
}

fn of_error(operation: &KvOperation, body: &Value) -> Result<KvAnswer, ClientError> {
    match (operation, row(body)) {
        (KvOperation::Read { .. }, KEY_MISSING) => Ok(KvAnswer::Value(None)),
        (KvOperation::Cas { .. }, KEY_MISSING | PRECONDITION) => Ok(KvAnswer::Mismatch),
        (_, row) => Err(row.error(body.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read() -> KvOperation {
        KvOperation::Read { key: "k1".to_owned() }
    }

    fn write() -> KvOperation {
        KvOperation::Write { key: "k1".to_owned(), value: 3 }
    }

    fn cas() -> KvOperation {
        KvOperation::Cas { key: "k1".to_owned(), from: 3, to: 4 }
    }

    fn error(operation: &KvOperation, number: i64) -> Result<KvAnswer, (ErrorClass, &'static str)> {
        let body = json!({"type": "error", "in_reply_to": 1, "code": number, "text": "why"});
        of_body(operation, &body).map_err(|error| (error.class, error.code))
    }

    #[test]
    fn the_numbers_are_those_of_maelstrom() {
        for (number, class) in [
            (0, Indefinite),
            (1, Definite),
            (10, Definite),
            (11, Definite),
            (12, Definite),
            (13, Indefinite),
            (14, Definite),
            (20, Definite),
            (21, Definite),
            (22, Definite),
            (30, Definite),
            (2, Indefinite),
            (40, Indefinite),
            (1000, Indefinite),
            (-1, Indefinite),
        ] {
            assert_eq!(error(&write(), number).map_err(|(class, _)| class), Err(class), "{number}");
        }
        let nothing = of_body(&write(), &json!({"type": "error", "in_reply_to": 1}));
        assert_eq!(nothing.expect_err("an error").class, Indefinite);
    }

    #[test]
    fn a_missing_key_is_an_answer_to_who_looks() {
        assert_eq!(error(&read(), 20), Ok(KvAnswer::Value(None)));
        assert_eq!(error(&cas(), 20), Ok(KvAnswer::Mismatch));
        assert_eq!(error(&cas(), 22), Ok(KvAnswer::Mismatch));
        assert_eq!(error(&read(), 22), Err((Definite, "precondition-failed")));
    }

    #[test]
    fn an_answer_answers_its_own_question_only() {
        let ok = |kind: &str| json!({"type": kind, "in_reply_to": 1});
        let value = |value: Value| json!({"type": "read_ok", "in_reply_to": 1, "value": value});
        assert_eq!(of_body(&read(), &value(json!(-7))), Ok(KvAnswer::Value(Some(-7))));
        assert_eq!(of_body(&read(), &value(json!(null))), Ok(KvAnswer::Value(None)));
        assert_eq!(of_body(&write(), &ok("write_ok")), Ok(KvAnswer::Done));
        assert_eq!(of_body(&cas(), &ok("cas_ok")), Ok(KvAnswer::Swapped));
        for (operation, body) in [
            (read(), value(json!("7"))),
            (read(), value(json!(7.5))),
            (read(), ok("read_ok")),
            (read(), ok("write_ok")),
            (write(), value(json!(3))),
            (write(), ok("cas_ok")),
            (cas(), ok("write_ok")),
            (cas(), json!(null)),
        ] {
            let error = of_body(&operation, &body).expect_err("no answer");
            assert_eq!((error.class, error.code), (Indefinite, "protocol"), "{body}");
        }
    }

    #[test]
    fn each_row_has_a_code_of_its_own_and_a_sentence() {
        let codes: std::collections::BTreeSet<&str> = TABLE.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), TABLE.len());
        assert!(TABLE.iter().all(|row| row.about.split_whitespace().count() > 4));
    }
}
