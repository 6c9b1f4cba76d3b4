//! The writing half: whole lines, and nothing behind a broken one.

use crate::{Event, Header, History, Nanos, Order};
use std::collections::BTreeSet;
use std::io::{self, Write};

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
/// Of a history in which places and not times decide, the places are written as times, because in
/// a file of ours times decide.
///
/// # Errors
/// What the output said.
pub fn write_counterexample<W: Write>(
    output: W,
    history: &History,
    invocations: &BTreeSet<u64>,
) -> io::Result<W> {
    let mut writer = Writer::new(output, &history.header)?;
    let events = match history.order {
        Order::Time => history.select(invocations),
        Order::Position => timed_by_place(history, invocations),
    };
    for event in events {
        writer.append(&event)?;
    }
    writer.flush()?;
    Ok(writer.into_inner())
}

/// The events of these operations, each with its place for its time. A completion that says no more
/// than that nothing is known has no place, and is left out.
fn timed_by_place(history: &History, invocations: &BTreeSet<u64>) -> Vec<Event> {
    let mut events = Vec::new();
    for operation in history.operations.iter().filter(|one| invocations.contains(&one.index)) {
        events.push(Event { time: Nanos(operation.start), ..operation.invocation() });
        let completion = operation.completion().zip(operation.end);
        events.extend(completion.map(|(event, end)| Event { time: Nanos(end), ..event }));
    }
    events.sort_by_key(|event| event.index);
    events
}
