//! The formats by name, and which of them some bytes are.
//!
//! A format is recognised by its first operation, never by the name of a file, and never by what is
//! merely likely: where the first operation is not wholly there, or could be read in two ways, it
//! is nothing.

use super::edn::Reader;
use super::text::without_mark;
use super::{log, raw, txt};
use serde_json::{Map, Value};
use std::fmt;
use std::str::FromStr;

/// How a history is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Our own: JSON Lines, a header first.
    Jsonl,
    /// Jepsen's `history.edn`, also as one vector or list.
    Edn,
    /// Jepsen's `history.txt`: cells between tabs.
    Txt,
    /// A log of an early Jepsen, with operations on some of its lines.
    Log,
    /// The key-value logs of Porcupine: EDN maps with a `:key`.
    Porcupine,
    /// The JSON of elle-cli: Jepsen's maps as objects, in an array or one a line.
    Elle,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] =
        [Self::Jsonl, Self::Edn, Self::Txt, Self::Log, Self::Porcupine, Self::Elle];

    /// The name, as in `--format edn`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Edn => "edn",
            Self::Txt => "txt",
            Self::Log => "log",
            Self::Porcupine => "porcupine",
            Self::Elle => "elle",
        }
    }

    /// The format of a history that starts with these bytes, which need not be all of it; none if
    /// they do not tell.
    #[must_use]
    pub fn detect(start: &[u8]) -> Option<Self> {
        let start = without_mark(start);
        // The end may be within a character; what is no text further on is for a reader to refuse.
        let text = start.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        json(text).or_else(|| edn(text)).or_else(|| lines(text))
    }
}

/// Ours or elle-cli's, by the fields of the first object.
fn json(text: &str) -> Option<Format> {
    let text = text.trim_start();
    let (object, within_array) = match text.strip_prefix('[') {
        Some(inner) => (inner.trim_start(), true),
        None => (text, false),
    };
    let first = serde_json::Deserializer::from_str(object).into_iter::<Map<String, Value>>().next();
    let first = first?.ok()?;
    if first.contains_key("history") && !within_array {
        return Some(Format::Jsonl);
    }
    is_operation(&first).then_some(Format::Elle)
}

/// Jepsen's or Porcupine's, by the keys of the first map.
fn edn(text: &str) -> Option<Format> {
    let mut reader = Reader::new(text, 0);
    if matches!(reader.ahead().ok()??, b'[' | b'(') {
        reader.step();
        reader.ahead().ok()?;
    }
    match reader.value().ok()? {
        Value::Object(first) if is_operation(&first) => match is_porcupine(&first) {
            true => Some(Format::Porcupine),
            false => Some(Format::Edn),
        },
        _ => None,
    }
}

/// Whether a map has a `:key`, and a function that only Porcupine's logs have. Others have keys,
/// too, and begin with something else than the empty string.
fn is_porcupine(map: &Map<String, Value>) -> bool {
    let f = map.get("f").and_then(Value::as_str);
    map.contains_key("key") && matches!(f, Some("get" | "put" | "append"))
}

/// Text of one operation a line, or of some.
fn lines(text: &str) -> Option<Format> {
    // What opens a value or a comment may go on over lines that look like anything.
    if text.trim_start().starts_with(['{', '[', '(', '#', ';', ',', '"']) {
        return None;
    }
    // A last line without newline may go on behind what we were given.
    let whole = &text[..text.rfind('\n')?];
    let first = whole.lines().find(|line| !line.trim().is_empty())?;
    if txt::looks_like(first) {
        return Some(Format::Txt);
    }
    whole.lines().any(log::looks_like).then_some(Format::Log)
}

fn is_operation(map: &Map<String, Value>) -> bool {
    map.get("type").and_then(Value::as_str).is_some_and(|name| raw::kind(name).is_ok())
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is not the name of a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format; expected jsonl, edn, txt, log, porcupine or elle")]
pub struct ParseFormatError(pub String);

impl FromStr for Format {
    type Err = ParseFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| ParseFormatError(text.to_owned()))
    }
}
