//! The file form: JSON Lines.

use crate::{Event, Header, History, HistoryError};
use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};

/// Reads a history file.
///
/// # Errors
/// [`HistoryError`] names the line, the column and what was expected.
pub fn read_jsonl(input: impl BufRead) -> Result<History, HistoryError> {
    let _ = input;
    Err(HistoryError::Empty)
}

/// Writes a history file, one `write` call a line.
#[derive(Debug)]
pub struct Writer<W: Write> {
    output: W,
}

impl<W: Write> Writer<W> {
    /// Starts a history: writes its header.
    ///
    /// # Errors
    /// What the output said.
    pub fn new(output: W, header: &Header) -> io::Result<Self> {
        let _ = header;
        Ok(Self { output })
    }

    /// Writes one event as one line in one `write` call.
    ///
    /// # Errors
    /// What the output said.
    pub fn append(&mut self, event: &Event) -> io::Result<()> {
        let _ = event;
        Ok(())
    }

    /// Flushes the output.
    ///
    /// # Errors
    /// What the output said.
    pub fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// The output, to be synced or closed by the one who opened it.
    pub fn into_inner(self) -> W {
        self.output
    }
}

/// Writes the operations with these invocation indexes as a history of its own.
///
/// # Errors
/// What the output said.
pub fn write_counterexample<W: Write>(
    output: W,
    history: &History,
    invocations: &BTreeSet<u64>,
) -> io::Result<W> {
    let _ = (history, invocations);
    Ok(output)
}
