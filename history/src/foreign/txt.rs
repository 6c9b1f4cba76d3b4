//! Jepsen's `history.txt`: process, type, function, value and perhaps an error, between tabs.
//!
//! ```text
//! 0    :invoke    :read    nil
//! ```
//!
//! A value need not show where it ends: `12` may be the start of `123`. So a last line without
//! newline is left out, and the history says so, as with our own files.

use super::edn::Reader;
use super::raw::{self, RawEvent, Recorded, Who, kind};
use super::scalar;
use super::text::{Fault, Line, Text};
use crate::{HistoryError, Nanos};
use serde_json::Value;

const CELLS: &str = "expected process, type, function and value between tabs";

/// Every operation in the order written.
pub(super) fn read(text: &Text<'_>) -> Result<Recorded, HistoryError> {
    let mut events = Vec::new();
    for line in text.lines().filter(|line| !line.text.trim().is_empty()) {
        if !line.terminated {
            return Ok(Recorded { events, left_out: true });
        }
        let cells: Vec<&str> = line.text.splitn(5, '\t').collect();
        events.push(operation(&line, &cells).map_err(|fault| text.refuse(fault))?);
    }
    Ok(Recorded { events, left_out: false })
}

/// Whether this line is an operation, as far as its first cells tell.
pub(super) fn looks_like(line: &str) -> bool {
    let cells: Vec<&str> = line.splitn(5, '\t').collect();
    let name = |cell: &str| cell.strip_prefix(':').is_some_and(|name| kind(name).is_ok());
    cells.len() >= 4 && who(cells[0]).is_ok() && name(cells[1]) && cells[2].starts_with(':')
}

/// The operation in these cells, which are slices of the line in order.
pub(super) fn operation(line: &Line<'_>, cells: &[&str]) -> Result<RawEvent, Fault> {
    let place = |cell: &str| line.at + (cell.as_ptr() as usize - line.text.as_ptr() as usize);
    let (process, typed, f, written) = match cells {
        [process, typed, f, value] | [process, typed, f, value, _] => (process, typed, f, value),
        _ => return Err(Fault::new(cells.first().map_or(line.at, |cell| place(cell)), CELLS)),
    };
    let who = who(process).map_err(|problem| Fault::new(place(process), problem))?;
    let kind = typed
        .strip_prefix(':')
        .ok_or_else(|| format!("`{}` is not a type; {CELLS}", scalar::shown(typed)))
        .and_then(kind)
        .map_err(|problem| Fault::new(place(typed), problem))?;
    let Some(f) = f.strip_prefix(':').filter(|f| !f.is_empty()) else {
        let problem = format!("`{}` is not a function; {CELLS}", scalar::shown(f));
        return Err(Fault::new(place(f), problem));
    };
    let value = match value(written) {
        Ok(value) => value,
        // Some print what a nemesis reports, a sentence, without its quotes.
        Err(_) if who == Who::Nemesis => Value::String((*written).to_owned()),
        Err(fault) => return Err(Fault::new(place(written) + fault.at, fault.problem)),
    };
    let error = cells.get(4).map(|error| error.trim()).filter(|error| !error.is_empty());
    Ok(RawEvent {
        line: line.number,
        index: None,
        time: Nanos(0),
        who,
        kind,
        f: Some(f.to_owned()),
        key: None,
        value,
        error: error.map(str::to_owned),
    })
}

/// Who is in this cell: a number, or a keyword.
fn who(cell: &str) -> Result<Who, String> {
    let numbered = !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
    let named = cell.starts_with(':') && !cell.contains(char::is_whitespace);
    if !(numbered || named) {
        return Err(format!("`{}` is not a process; {CELLS}", scalar::shown(cell)));
    }
    scalar::atom(cell).and_then(|process| raw::who(&process))
}

/// The one value in this cell.
fn value(cell: &str) -> Result<Value, Fault> {
    let mut reader = Reader::new(cell, 0);
    let value = reader.value()?;
    match reader.ahead()? {
        None => Ok(value),
        Some(_) => Err(Fault::new(reader.at(), "something follows the value")),
    }
}
