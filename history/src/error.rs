//! Why a history was refused: where, and what was expected there.

use std::io;

/// A history that cannot be taken as evidence.
///
/// Lines and columns count from 1; the header is line 1. A history that did not come from a file
/// has no lines: its events count from 1 instead.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The input could not be read.
    #[error("line {line}: cannot read the history: {source}")]
    Read {
        /// The line being read.
        line: u64,
        /// What the reader said.
        source: io::Error,
    },
    /// Nothing at all was there.
    #[error("the history is empty: its first line must be a header such as {example}", example = crate::header::EXAMPLE)]
    Empty,
    /// The first line is not a header this version understands.
    #[error("line 1, column {column}: {problem}; the first line must be a header such as {example}", example = crate::header::EXAMPLE)]
    Header {
        /// Where in the line.
        column: u64,
        /// What was found instead.
        problem: String,
    },
    /// The history is of a version this reader does not know.
    #[error("line 1: this history has format version {found}, and only version {known} is known", known = crate::header::VERSION)]
    Version {
        /// The version found.
        found: u64,
    },
    /// A line is not an event.
    #[error("line {line}, column {column}: {problem}")]
    Event {
        /// Which line.
        line: u64,
        /// Where in the line.
        column: u64,
        /// What was found, and what was expected.
        problem: String,
    },
    /// The history does not say which workload it is of, and what it holds does not tell.
    #[error("line {line}: cannot tell the workload: {problem}; name it with --workload")]
    Workload {
        /// The line of the first event of a client.
        line: u64,
        /// What leaves it open.
        problem: String,
    },
    /// Every line is an event, and together they cannot have happened.
    #[error("{}{problem}", place(*line, *position))]
    Contradiction {
        /// The line of the event, if it came from a file.
        line: Option<u64>,
        /// Which event, counted from 1.
        position: u64,
        /// What contradicts what.
        problem: String,
    },
}

fn place(line: Option<u64>, position: u64) -> String {
    match line {
        Some(line) => format!("line {line}: "),
        None => format!("event {position}: "),
    }
}
