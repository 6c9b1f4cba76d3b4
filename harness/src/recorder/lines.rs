//! Append-only JSON Lines for the other records of a run: fault receipts, observations of the cluster.
//!
//! The first line states the format and its version; then one value a line, each handed to the kernel by one
//! `write(2)`, so that a killed harness leaves whole lines and at most one torn one. Whoever appends is often not in a
//! position to end the run, so the first failure is kept, and the run asks for it before it judges: a missing line
//! could be the crash that a verdict has to know.

use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// A file of JSON values, one a line; shared.
pub struct Lines {
    state: Mutex<State>,
}

struct State {
    file: File,
    failure: Option<String>,
}

impl Lines {
    /// Takes over `file` and writes `header`, which states the format version.
    ///
    /// # Errors
    /// When the operating system refuses the line.
    pub fn start(file: File, header: &impl Serialize) -> io::Result<Self> {
        let lines = Self { state: Mutex::new(State { file, failure: None }) };
        lines.append(header);
        match lines.failure() {
            None => Ok(lines),
            Some(failure) => Err(io::Error::other(failure)),
        }
    }

    /// Appends one value; after a first failure, nothing any more.
    pub fn append(&self, value: &impl Serialize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failure.is_some() {
            return;
        }
        let written = serde_json::to_vec(value).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            state.file.write_all(&line)
        });
        state.failure = written.err().map(|error| error.to_string());
    }

    /// Why something is missing from this file, if something is.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failure.clone()
    }
}
