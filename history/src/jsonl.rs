//! The file form of a history: JSON Lines, a header and then one event a line.
//!
//! A writer that is killed in the middle of a line leaves a line without newline: the reader drops
//! it and warns, as one that was never written. Everything else that is not a line of this format
//! is refused, with the line, the column and what was expected there: a reader that skips what it
//! does not understand loses evidence.

use crate::{Event, Header, History, HistoryError, Order, VERSION};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::{self, BufRead, Read, Write};

/// The longest line that is read, in bytes. No event is that long; a file of another kind may be.
pub const LONGEST_LINE_BYTES: u64 = 64 << 20;

/// Reads a history in which time decides.
///
/// # Errors
/// [`HistoryError`] names the line, the column and what was expected.
pub fn read_jsonl(mut input: impl BufRead) -> Result<History, HistoryError> {
    let mut warnings = Vec::new();
    let mut line = Vec::new();
    let terminated = next_line(&mut input, 1, &mut line)?;
    if line.is_empty() {
        return Err(HistoryError::Empty);
    }
    let header = parse_header(&line)?;
    if terminated == End::Torn {
        warnings.push("line 1 has no newline: the history was cut after its header".to_owned());
    }
    let mut events = Vec::new();
    let mut left_out = false;
    for number in 2_u64.. {
        let end = next_line(&mut input, number, &mut line)?;
        if line.is_empty() {
            break;
        }
        if end == End::Torn {
            warnings.push(format!(
                "line {number} has no newline: it was cut while being written, and is left out"
            ));
            left_out = parse_event(&line, number).is_ok();
            break;
        }
        events.push(parse_event(&line, number)?);
    }
    let mut history = History::from_events(header, events, Order::Time).map_err(|error| {
        match error {
            // The header is line 1 and no line is blank, so the first event is on line 2.
            HistoryError::Contradiction { position, problem, .. } => {
                HistoryError::Contradiction { line: Some(position + 1), position, problem }
            }
            other => other,
        }
    })?;
    history.warnings = warnings;
    history.left_out = left_out;
    Ok(history)
}

/// How a line ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Newline,
    /// The input ended first.
    Torn,
}

/// Reads up to and including the next newline; an empty line buffer is the end of the input.
fn next_line(
    input: &mut impl BufRead,
    number: u64,
    line: &mut Vec<u8>,
) -> Result<End, HistoryError> {
    line.clear();
    input
        .by_ref()
        .take(LONGEST_LINE_BYTES)
        .read_until(b'\n', line)
        .map_err(|source| HistoryError::Read { line: number, source })?;
    match line.last() {
        Some(b'\n') => Ok(End::Newline),
        _ if line.len() as u64 == LONGEST_LINE_BYTES => Err(HistoryError::Event {
            line: number,
            column: LONGEST_LINE_BYTES,
            problem: format!("the line is longer than {LONGEST_LINE_BYTES} bytes"),
        }),
        _ => Ok(End::Torn),
    }
}

fn parse_header(line: &[u8]) -> Result<Header, HistoryError> {
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

fn parse_event(line: &[u8], number: u64) -> Result<Event, HistoryError> {
    parse(line).map_err(|(column, problem)| HistoryError::Event {
        line: number,
        column,
        problem: format!("{problem}; expected an event"),
    })
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

/// Writes a history file, one `write` call a line, so that a killed process leaves whole lines and
/// at most one torn.
///
/// After a failed write nothing more is written: what the failure left of its line stays the last
/// line.
#[derive(Debug)]
pub struct Writer<W: Write> {
    output: W,
    line: Vec<u8>,
    failed: bool,
}

impl<W: Write> Writer<W> {
    /// Starts a history: writes its header.
    ///
    /// # Errors
    /// What the output said.
    pub fn new(output: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self { output, line: Vec::with_capacity(256), failed: false };
        writer.write_line(header)?;
        Ok(writer)
    }

    /// Writes one event as one line in one `write` call.
    ///
    /// # Errors
    /// What the output said; once it has said something, every later call fails too.
    pub fn append(&mut self, event: &Event) -> io::Result<()> {
        self.write_line(event)
    }

    /// Flushes the output.
    ///
    /// # Errors
    /// What the output said.
    pub fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// The output, to be synced or closed by the one who opened it.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.output
    }

    fn write_line(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier line of this history could not be written"));
        }
        self.line.clear();
        serde_json::to_writer(&mut self.line, value)?;
        self.line.push(b'\n');
        let written = self.output.write_all(&self.line);
        self.failed = written.is_err();
        written
    }
}

/// Writes the operations with these invocation indexes as a history of its own: the original
/// header, the original indexes, the original events. Returns the output.
///
/// # Errors
/// What the output said.
pub fn write_counterexample<W: Write>(
    output: W,
    history: &History,
    invocations: &BTreeSet<u64>,
) -> io::Result<W> {
    let mut writer = Writer::new(output, &history.header)?;
    for event in history.select(invocations) {
        writer.append(&event)?;
    }
    writer.flush()?;
    Ok(writer.into_inner())
}
