//! What happened around the history: phases, roles, exits, stalls; `cluster.jsonl`.

use super::{Lines, Recorder};
use crate::results::{Observation, ObservationHeader, Observed};
use history::Nanos;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Writes observations with the recorder's time; shared by everything that observes.
pub struct Journal {
    recorder: Arc<Recorder>,
    lines: Lines,
}

impl Journal {
    /// Takes over `file` and writes its header.
    ///
    /// # Errors
    /// When the operating system refuses the line.
    pub fn start(recorder: Arc<Recorder>, file: File) -> io::Result<Self> {
        let lines = Lines::start(file, &ObservationHeader::CURRENT)?;
        Ok(Self { recorder, lines })
    }

    /// Appends one observation, made now.
    pub fn observe(&self, what: Observed) {
        self.observe_at(self.recorder.now(), what);
    }

    /// Appends one observation that was made a moment ago.
    pub fn observe_at(&self, time: Nanos, what: Observed) {
        self.lines.append(&Observation { time, what });
    }

    /// Why an observation is missing, if one is.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.lines.failure()
    }
}
