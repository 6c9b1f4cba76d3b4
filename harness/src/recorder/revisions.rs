//! Revisions of the whole store that came with answers; `revisions.jsonl`.

use super::{Lines, Recorder};
use crate::results::{Revision, RevisionHeader};
use history::Nanos;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Writes down revisions with the recorder's time; shared by the clients of a system that has some.
pub struct Revisions {
    recorder: Arc<Recorder>,
    lines: Lines,
}

impl Revisions {
    /// Takes over `file` and writes its header.
    ///
    /// # Errors
    /// When the operating system refuses the line.
    pub fn start(recorder: Arc<Recorder>, file: File) -> io::Result<Self> {
        let lines = Lines::start(file, &RevisionHeader::CURRENT)?;
        Ok(Self { recorder, lines })
    }

    /// The time now: to be asked for before an attempt is sent, and after its answer was read.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.recorder.now()
    }

    /// Appends one.
    pub fn tell(&self, revision: &Revision) {
        self.lines.append(revision);
    }

    /// Why one is missing, if one is.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.lines.failure()
    }
}
