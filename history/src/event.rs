//! One line of a history: something that started, happened, did not happen, or may have.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Nanoseconds since the start of the run, on the recorder's one monotonic clock.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The same instant in seconds, for people.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        std::time::Duration::from_nanos(self.0).as_secs_f64()
    }
}

/// A node of the cluster under test, numbered from 1; written `n1` in every file and on screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// The text was not a node name such as `n3`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a node name such as `n3`")]
pub struct ParseNodeIdError(pub String);

impl FromStr for NodeId {
    type Err = ParseNodeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('n')
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(NodeId)
            .ok_or_else(|| ParseNodeIdError(text.to_owned()))
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Who did it: a logical single-threaded caller, or the nemesis that plays the faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// A client process. Retired for good after an `info`; its worker goes on under a fresh number.
    Client(u64),
    /// The process that injects and heals faults.
    Nemesis,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(number) => write!(f, "c{number}"),
            Self::Nemesis => f.write_str("nemesis"),
        }
    }
}

impl Serialize for Process {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Client(number) => serializer.serialize_u64(*number),
            Self::Nemesis => serializer.serialize_str("nemesis"),
        }
    }
}

impl<'de> Deserialize<'de> for Process {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Name(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self::Client(number)),
            Form::Name(name) if name == "nemesis" => Ok(Self::Nemesis),
            Form::Name(name) => Err(serde::de::Error::custom(format!(
                "process must be a number or \"nemesis\", not \"{name}\""
            ))),
        }
    }
}

/// What an event says about its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It started.
    Invoke,
    /// It happened, with this answer.
    Ok,
    /// It certainly did not happen.
    Fail,
    /// It may or may not have happened, now or later.
    Info,
}

/// One line of a history file (`design.md` calls the format `history.jsonl`, version 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Line")]
pub struct Event {
    /// Place in the history; sparse in a counterexample.
    pub index: u64,
    /// When, on the recorder's clock.
    pub time: Nanos,
    /// Who.
    pub process: Process,
    /// Started, happened, did not happen, or may have.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The function called, such as `read`, `write`, `cas`; for the nemesis, the fault.
    pub f: String,
    /// The key of a keyed workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Argument of an invocation, answer of a completion; null where there is none.
    pub value: serde_json::Value,
    /// The node asked, or that answered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// Why it failed or is unknown, as a short code such as `mismatch` or `timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A line as it was written. A field that is not known is refused, and so is a read that was answered
/// without an answer: a misspelt `value` would otherwise be read as null, and accuse somebody.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    index: u64,
    time: Nanos,
    process: Process,
    #[serde(rename = "type")]
    kind: Kind,
    f: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default, deserialize_with = "present")]
    value: Option<serde_json::Value>,
    #[serde(default)]
    node: Option<NodeId>,
    #[serde(default)]
    error: Option<String>,
}

/// Tells a null that was written from nothing at all.
fn present<'de, D: Deserializer<'de>>(d: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(d).map(Some)
}

impl TryFrom<Line> for Event {
    type Error = &'static str;

    fn try_from(line: Line) -> Result<Self, Self::Error> {
        if line.kind == Kind::Ok && line.f == "read" && line.value.is_none() {
            return Err("an ok read needs the `value` it returned (null if there was none)");
        }
        let Line { index, time, process, kind, f, key, value, node, error } = line;
        let value = value.unwrap_or_default();
        Ok(Self { index, time, process, kind, f, key, value, node, error })
    }
}
