//! What can be asked of a store: Maelstrom's `read`, `write` and `cas`, with the same words and errors for all of them.
//!
//! Keys and values are any JSON, also null, as which a key that is not named counts. A key is told from another by its
//! canonical text, a value by JSON's equality, in which `1` is not `1.0`. Whole numbers that do not fit into 64 bits are
//! kept, and come back, as the nearest floating-point number, as in many programs that read JSON.

use super::{MOST_BYTES, error};
use serde_json::{Value, json};

/// A draw of a number below the one given.
pub(super) type Draw<'a> = &'a mut dyn FnMut(u64) -> u64;

/// Keys and values for several nodes.
pub(super) trait Store {
    /// Does what `node` asks, and gives the body of the answer; [`full`], and nothing done, if `kept` has no room for it.
    fn perform(&mut self, node: &str, request: &Request, draw: Draw<'_>, kept: &mut Kept) -> Value;
}

/// How much all stores of a run keep together, about, in bytes.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) bytes: usize,
}

impl Kept {
    /// Takes in so many bytes in the place of `old` ones; false, and nothing taken in, if that is too much. What is no more
    /// than it was always finds room.
    pub(super) fn replace(&mut self, old: usize, new: usize) -> bool {
        let fits = new <= old || self.bytes - old + new <= MOST_BYTES;
        if fits {
            self.force(old, new);
        }
        fits
    }

    /// The same, be it too much: for what a store copies of its own.
    pub(super) fn force(&mut self, old: usize, new: usize) {
        self.bytes = self.bytes - old + new;
    }
}

/// What it costs to keep a value, about, in bytes.
pub(super) fn weight(value: &Value) -> usize {
    let inside: usize = match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weight).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| entry(key, value)).sum(),
        _ => 0,
    };
    size_of::<Value>() + inside
}

/// What it costs to keep a value under a key.
pub(super) fn entry(key: &str, value: &Value) -> usize {
    size_of::<String>() + key.len() + weight(value)
}

/// The answer where there is no room.
pub(super) fn full() -> Value {
    error(11, "the services of this run hold no more")
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
