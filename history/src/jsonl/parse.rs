//! What a line means: serde's word is the format's.
//!
//! Every refusal says at which column and what was expected there. What is quicker than this is the
//! `scan` module, which must not mean anything else.

use crate::{Event, Header, HistoryError, VERSION};
use serde::Deserialize;

/// The header on this line.
pub(super) fn header(line: &[u8]) -> Result<Header, HistoryError> {
    #[derive(Deserialize)]
    struct Probe {
        history: u64,
    }
    let refuse = |(column, problem)| HistoryError::Header { column, problem };
    let probe: Probe = parse(line).map_err(refuse)?;
    if probe.history != u64::from(VERSION) {
        return Err(HistoryError::Version { found: probe.history });
    }
    parse(line).map_err(refuse)
}

/// The event on this line, or at which column it is none and why.
pub(super) fn event(line: &[u8]) -> Result<Event, (u64, String)> {
    parse(line).map_err(|(column, problem)| (column, format!("{problem}; expected an event")))
}

/// Parses one object, or says at which column it is not what it should be.
fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, (u64, String)> {
    // serde would take the fields of an array in their order.
    match line.iter().position(|byte| !byte.is_ascii_whitespace()) {
        None => return Err((1, "the line is blank".to_owned())),
        Some(first) if line[first] != b'{' => {
            return Err((first as u64 + 1, "this is not a JSON object".to_owned()));
        }
        Some(_) => {}
    }
    serde_json::from_slice(line).map_err(|error| {
        let column = if error.line() > 1 { line.len() } else { error.column() };
        let problem = if error.is_eof() {
            "the line ends in the middle of a value".to_owned()
        } else {
            let text = error.to_string();
            text.split_once(" at line ").map_or(text.clone(), |(problem, _)| problem.to_owned())
        };
        (column.max(1) as u64, problem)
    })
}
