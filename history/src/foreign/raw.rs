//! One recorded event of any of the other formats, before it is made one of ours.
//!
//! Formats differ in how they are written; what they say is the same map: a process, a type, a
//! function, a value. Whatever else a map has is nobody's business here and is ignored. What must
//! be there and is not is refused: an operation of nobody, or an answer without a value, would have
//! to be guessed.

use super::scalar::shown;
use crate::{Kind, Nanos};
use serde_json::{Map, Value};

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// A client process under the number it was recorded with.
    Client(u64),
    /// Whatever has a name instead of a number.
    Nemesis,
}

/// One event as it was recorded.
#[derive(Debug)]
pub(super) struct RawEvent {
    /// Where it was found, counted from 1.
    pub(super) line: u64,
    pub(super) index: Option<u64>,
    pub(super) time: Nanos,
    pub(super) who: Who,
    pub(super) kind: Kind,
    pub(super) f: Option<String>,
    pub(super) key: Option<String>,
    pub(super) value: Value,
    pub(super) error: Option<String>,
}

/// What a reader found.
pub(super) struct Recorded {
    /// Every event in the order written.
    pub(super) events: Vec<RawEvent>,
    /// Whether a last line may have been cut, and was not read.
    pub(super) left_out: bool,
}

impl RawEvent {
    /// What this map says, or what it lacks. The column of a field inside a map is not known: the
    /// caller names where the map starts.
    pub(super) fn from_map(mut map: Map<String, Value>, line: u64) -> Result<Self, String> {
        let who = match map.remove("process") {
            None | Some(Value::Null) => return Err("an operation needs :process".to_owned()),
            Some(process) => who(&process)?,
        };
        let kind = match map.remove("type") {
            Some(Value::String(name)) => kind(&name)?,
            Some(other) => return Err(format!(":type is {}, {KINDS}", shown(&other.to_string()))),
            None => return Err(format!("an operation needs :type, {KINDS}")),
        };
        let f = match map.remove("f") {
            None | Some(Value::Null) => None,
            Some(Value::String(f)) => Some(f),
            Some(other) => {
                return Err(format!(":f is {}, expected a name", shown(&other.to_string())));
            }
        };
        let value = map.remove("value");
        let reads = matches!(f.as_deref(), Some("read" | "r" | "get"));
        if value.is_none() && kind == Kind::Ok && reads && who != Who::Nemesis {
            return Err(
                "an ok read needs the :value it returned (nil if there was none)".to_owned()
            );
        }
        let unsigned = |name| map.get(name).and_then(Value::as_u64);
        Ok(Self {
            line,
            index: unsigned("index"),
            time: Nanos(unsigned("time").unwrap_or_default()),
            who,
            kind,
            f,
            key: map.get("key").filter(|key| !key.is_null()).map(text),
            value: value.unwrap_or_default(),
            error: map.get("error").filter(|error| !error.is_null()).map(text),
        })
    }
}

const KINDS: &str = "expected :invoke, :ok, :fail or :info";

/// The type of this name, without its colon.
pub(super) fn kind(name: &str) -> Result<Kind, String> {
    match name {
        "invoke" => Ok(Kind::Invoke),
        "ok" => Ok(Kind::Ok),
        "fail" => Ok(Kind::Fail),
        "info" => Ok(Kind::Info),
        _ => Err(format!(":type is :{}, {KINDS}", shown(name))),
    }
}

/// A number is a client and a name is a nemesis. What is neither is refused: were `"3"` or `3.0` a
/// nemesis, all that clients saw would be lost without a word.
pub(super) fn who(process: &Value) -> Result<Who, String> {
    let named = |name: &String| name.starts_with(|first: char| first.is_alphabetic());
    match process {
        // Above this, no fresh number could be found for a process that goes on after an info.
        Value::Number(number) => {
            number.as_u64().filter(|number| *number <= u64::MAX / 2).map(Who::Client).ok_or_else(
                || format!(":process is {number}, expected a whole number from 0 to 2^63 - 1"),
            )
        }
        Value::String(name) if named(name) => Ok(Who::Nemesis),
        other => Err(format!(
            ":process is {}, expected a whole number, or a name such as :nemesis",
            shown(&other.to_string())
        )),
    }
}

/// A value as the text that it is for people.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
