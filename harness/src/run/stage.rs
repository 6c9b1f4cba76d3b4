//! Everything that the phases of one run share.

use super::Options;
use super::audits::Audits;
use super::client_notes::RunNotes;
use super::signals::Signals;
use super::world::World;
use crate::deploy::{Change, Deployment, NodeExit};
use crate::event::{Event, Phase, Sink};
use crate::exit::Failure;
use crate::observer::{Observer, View};
use crate::plan::Plan;
use crate::recorder::{Journal, Revisions};
use crate::results::{Observed, RunFolder};
use crate::stall::Watch;
use crate::system::Companion;
use crate::worker::Desk;
use history::{Header, NodeId};
use std::sync::Arc;
use std::time::Duration;
use workloads::Workload;

/// One run, from the deployment on.
pub(super) struct Stage<'a> {
    pub(super) plan: &'a Plan,
    pub(super) folder: &'a RunFolder,
    pub(super) options: &'a Options,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) workload: &'static dyn Workload,
    pub(super) header: Header,
    pub(super) nodes: Vec<NodeId>,
    pub(super) deployment: Deployment,
    pub(super) desk: Desk,
    pub(super) journal: Arc<Journal>,
    pub(super) revisions: Option<Arc<Revisions>>,
    pub(super) notes: Arc<RunNotes>,
    pub(super) observer: Observer,
    pub(super) view: Arc<View>,
    pub(super) world: World,
    pub(super) audits: Audits,
    pub(super) signals: Signals,
    pub(super) stalls: Watch,
    /// Kept for as long as there are nodes.
    pub(super) companion: Option<Companion>,
}

impl Stage<'_> {
    /// Since the start of the run.
    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.desk.recorder.now().0)
    }

    /// Tells whoever watches.
    pub(super) fn emit(&self, event: Event) {
        self.sink.emit(self.elapsed(), event);
    }

    /// Says something that makes the run weaker than it looks, on screen and on file.
    pub(super) fn warn(&self, text: String) {
        self.journal.observe(Observed::Note { text: text.clone() });
        self.emit(Event::Warning(text));
    }

    /// A phase begins.
    pub(super) fn enter(&mut self, phase: Phase) {
        // First, so that what is measured belongs to the phase it was measured in.
        self.sample();
        self.journal.observe(Observed::Phase { phase });
        self.emit(Event::Started(phase));
    }

    /// Writes how late the harness was, since the last time.
    pub(super) fn sample(&mut self) {
        let stalls = self.stalls.sample();
        self.journal.observe(Observed::Harness {
            stall_p99_ms: stalls.stall_p99_ms,
            stall_max_ms: stalls.stall_max_ms,
            cpu_idle: stalls.cpu_idle,
            cpu_steal: stalls.cpu_steal,
            starved: stalls.starved,
        });
    }

    /// Whether the evidence is still being written.
    ///
    /// # Errors
    /// When a line of it was refused: the run cannot be judged.
    pub(super) fn check_files(&self) -> Result<(), Failure> {
        let revisions = self.revisions.as_ref().and_then(|revisions| revisions.failure());
        let missing = self.journal.failure().or_else(|| self.world.failure()).or(revisions);
        match missing {
            None => Ok(()),
            Some(why) => {
                Err(Failure::environment(format!("the run folder cannot be written: {why}")))
            }
        }
    }
}

/// Writes the starts and exits of nodes as they happen: a harness that is killed leaves them on file.
pub(super) fn keep_changes(deployment: &Deployment, journal: Arc<Journal>) {
    deployment.tell(Box::new(move |change| {
        let (at, what) = match change.clone() {
            Change::Ready { node, at, .. } => (at, Observed::Ready { node }),
            Change::Exit(exit) => {
                let NodeExit { node, at, status, cause, log, .. } = exit;
                (at, Observed::Exit { node, status: status.to_string(), cause, log })
            }
        };
        journal.observe_at(at, what);
    }));
}
