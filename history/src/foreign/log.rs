//! Operations within a log of Jepsen, as its first versions left them and nothing else.
//!
//! ```text
//! INFO  jepsen.util - 3    :invoke    :cas    [1 2]
//! ```
//!
//! Other lines are skipped. What looks like an operation and is not one is refused: to skip it
//! would be to lose evidence.
//!
//! In these logs the client of a compare-and-set reports `:fail` when it compared unequal and
//! `:info :timed-out` when it does not know, so a failed one that shows its argument and names no
//! error is the observation that we call `mismatch`. A read that timed out is a `:fail` there; it
//! is kept as one, for a read that was not answered and one that failed say the same: nothing.

use super::MISMATCH;
use super::raw::{RawEvent, Recorded, Who, kind};
use super::text::{Fault, Line, Text};
use super::txt;
use crate::{HistoryError, Kind};
use serde_json::Value;

/// What comes before every operation. Later versions write `jepsen.util: `; their failed
/// compare-and-sets need not be observations, and they leave a `history.edn` beside the log.
const LOGGER: &str = "jepsen.util - ";

/// Every operation in the order written.
pub(super) fn read(text: &Text<'_>) -> Result<Recorded, HistoryError> {
    let mut events = Vec::new();
    for line in text.lines() {
        let Some(said) = operation(line.text) else {
            continue;
        };
        if !line.terminated {
            return Ok(Recorded { events, left_out: true });
        }
        events.push(event(&line, said).map_err(|fault| text.refuse(fault))?);
    }
    Ok(Recorded { events, left_out: false })
}

/// Whether this line is an operation, as far as its first words tell.
pub(super) fn looks_like(line: &str) -> bool {
    let second = operation(line).and_then(|said| said.split_whitespace().nth(1));
    second.and_then(|word| word.strip_prefix(':')).is_some_and(|name| kind(name).is_ok())
}

/// What this line says of an operation, if it does: a process, and nothing else or a keyword.
fn operation(line: &str) -> Option<&str> {
    let (_, said) = line.split_once(LOGGER)?;
    let said = said.trim_start();
    let mut words = said.split_whitespace();
    let process = words.next()?;
    let numbered = process.bytes().all(|byte| byte.is_ascii_digit());
    let named = process.strip_prefix(':').is_some_and(|name| !name.is_empty());
    let goes_on = words.next().is_none_or(|word| word.starts_with(':'));
    ((numbered || named) && goes_on).then_some(said)
}

fn event(line: &Line<'_>, said: &str) -> Result<RawEvent, Fault> {
    let mut event = txt::operation(line, &cells(said))?;
    if event.error.is_some() || !matches!(event.kind, Kind::Fail | Kind::Info) {
        return Ok(event);
    }
    match &event.value {
        Value::String(reason) if event.who != Who::Nemesis => event.error = Some(reason.clone()),
        Value::Array(_) if event.kind == Kind::Fail && event.f.as_deref() == Some("cas") => {
            event.error = Some(MISMATCH.to_owned());
        }
        _ => {}
    }
    Ok(event)
}

/// Process, type, function, and the rest, which is the value and behind a tab perhaps an error.
fn cells(said: &str) -> Vec<&str> {
    let mut cells = Vec::with_capacity(5);
    let mut rest = said;
    for _ in 0..3 {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        cells.push(&rest[..end]);
        rest = rest[end..].trim_start();
        if rest.is_empty() {
            return cells;
        }
    }
    cells.extend(rest.trim_end().splitn(2, '\t'));
    cells
}
