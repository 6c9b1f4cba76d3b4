//! What can be asked of a store: Maelstrom's `read`, `write` and `cas`, with the same words and errors for all of them.
//!
//! Keys and values are any JSON, also null, as which a key that is not named counts. A key is told from another by its
//! canonical text, a value by JSON's equality, in which `1` is not `1.0`. Numbers that do not fit into 64 bits are kept as the
//! nearest that do, as in most programs that read JSON.

use super::error;
use serde_json::{Value, json};

/// A draw of a number below the one given.
pub(super) type Draw<'a> = &'a mut dyn FnMut(u64) -> u64;

/// Keys and values for several nodes.
pub(super) trait Store {
    /// Does what `node` asks, and gives the body of the answer.
    fn perform(&mut self, node: &str, request: &Request, draw: Draw<'_>) -> Value;
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Request {
    Read {
        key: String,
    },
    Write {
        key: String,
        value: Value,
    },
    Cas {
        key: String,
        from: Value,
        to: Value,
        /// Whether a key that is not there gets the value `to`.
        create: bool,
    },
}

/// What a request does to a state that has this value under its key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Effect {
    /// The value that is there afterwards, if the request puts one there, be it the same.
    pub(super) put: Option<Value>,
    /// The body of the answer.
    pub(super) answer: Value,
}

impl Request {
    /// The request that a body is; none if there is no such request.
    pub(super) fn of(kind: &str, body: &Value) -> Option<Self> {
        let key = body["key"].to_string();
        match kind {
            "read" => Some(Self::Read { key }),
            "write" => Some(Self::Write { key, value: body["value"].clone() }),
            "cas" => {
                let (from, to) = (body["from"].clone(), body["to"].clone());
                // As Maelstrom's language has it, where all but false and nothing is true.
                let create =
                    !matches!(body["create_if_not_exists"], Value::Null | Value::Bool(false));
                Some(Self::Cas { key, from, to, create })
            }
            _ => None,
        }
    }

    pub(super) fn key(&self) -> &str {
        match self {
            Self::Read { key } | Self::Write { key, .. } | Self::Cas { key, .. } => key,
        }
    }

    /// What it does where `held` is the value of its key.
    pub(super) fn effect(&self, held: Option<&Value>) -> Effect {
        let answer = |kind: &str| json!({"type": kind});
        let missing = || error(20, "key does not exist");
        match (self, held) {
            (Self::Read { .. }, Some(held)) => {
                Effect { put: None, answer: json!({"type": "read_ok", "value": held}) }
            }
            (Self::Write { value, .. }, _) => {
                Effect { put: Some(value.clone()), answer: answer("write_ok") }
            }
            (Self::Cas { from, to, .. }, Some(held)) if held == from => {
                Effect { put: Some(to.clone()), answer: answer("cas_ok") }
            }
            (Self::Cas { from, .. }, Some(held)) => {
                let text = format!("current value {held} is not {from}");
                Effect { put: None, answer: error(22, &text) }
            }
            (Self::Cas { to, create: true, .. }, None) => {
                Effect { put: Some(to.clone()), answer: answer("cas_ok") }
            }
            (Self::Read { .. } | Self::Cas { .. }, None) => Effect { put: None, answer: missing() },
        }
    }
}
