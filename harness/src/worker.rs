//! One client of a run: a task that asks, waits, records, and asks again.
//!
//! A worker has one operation outstanding at any time and a deadline on each. It records the invocation before it
//! sends and the completion after it read the answer. When an outcome is unknown its process number is retired, and it
//! goes on under a fresh number, with a fresh client and therefore a fresh session: an old request that is still on its
//! way can no longer be mistaken for one of the new process.
//!
//! What to do comes from the run's one generator, when to do it from its one [`Pace`], whom to ask from the worker's own
//! [`Role`]. It ends between two operations, when the work phase does.

mod pace;
mod role;

pub use pace::Pace;
pub use role::{Role, roles};

use crate::recorder::{RecordError, Recorder};
use history::{NodeId, Process};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use workloads::{Caller, Completion, Generator, Invocation, KvClient, MISMATCH};

/// Given to a client beyond the deadline it was told, before the harness gives up on it itself.
const GRACE: Duration = Duration::from_millis(500);

/// The shortest pause after a definite refusal, so that a node that refuses at once is not asked in a tight loop.
const PAUSE_AFTER_FAIL: Duration = Duration::from_millis(10);

/// Whoever hands out clients: a system under test.
pub trait Clients: Send + Sync {
    /// A fresh client with a session of its own, for `node` only, or for whoever leads. One that only reads for the
    /// whole work may be content with a read by lease.
    fn client(&self, node: Option<NodeId>, reader: bool) -> Box<dyn KvClient>;
}

/// What all workers of a run share.
#[derive(Clone)]
pub struct Desk {
    /// Stamps and keeps every event.
    pub recorder: Arc<Recorder>,
    /// Where clients come from.
    pub clients: Arc<dyn Clients>,
    /// The limit of one operation, retries included.
    pub deadline: Duration,
}

/// A logical caller: a process number and the client that goes with it.
pub struct Session {
    desk: Desk,
    node: Option<NodeId>,
    reader: bool,
    process: Process,
    client: Box<dyn KvClient>,
}

impl Session {
    /// A fresh process with a fresh client, for `node` only, or for whoever leads.
    #[must_use]
    pub fn open(desk: Desk, node: Option<NodeId>) -> Self {
        Self::start(desk, node, false)
    }

    /// A fresh process with a fresh client for what `role` does.
    #[must_use]
    pub fn of(desk: Desk, role: Role) -> Self {
        Self::start(desk, role.node(), role.reads_only())
    }

    fn start(desk: Desk, node: Option<NodeId>, reader: bool) -> Self {
        let process = desk.recorder.process();
        let client = desk.clients.client(node, reader);
        Self { desk, node, reader, process, client }
    }

    /// Performs and records one operation; after an unknown outcome the next one is another process's.
    ///
    /// # Errors
    /// When it could not be recorded.
    pub async fn perform(&mut self, invocation: &Invocation) -> Result<Completion, RecordError> {
        let asked = self.node.or_else(|| self.client.node());
        let call = self.desk.recorder.invoke(self.process, invocation, asked)?;
        let deadline = self.desk.deadline;
        let answer = workloads::execute(self.client.as_mut(), invocation, deadline);
        let completion = match tokio::time::timeout(deadline + GRACE, answer).await {
            Ok(completion) => completion,
            Err(_) => Completion::Info { error: "timeout".to_owned() },
        };
        let node = self.client.node().or(asked);
        if self.desk.recorder.complete(call, &completion, node)?.retired {
            self.process = self.desk.recorder.process();
            self.client = self.desk.clients.client(self.node, self.reader);
        }
        Ok(completion)
    }
}

/// One client of the work phase.
pub struct Worker {
    /// Its number, from 0.
    pub number: usize,
    /// Whom it asks.
    pub role: Role,
    /// When it asks; shared by all.
    pub pace: Arc<Pace>,
    /// What it asks; shared by all.
    pub generator: Arc<Mutex<Box<dyn Generator>>>,
    /// What it asks with.
    pub desk: Desk,
}

impl Worker {
    /// Works until `end` turns true; an operation that is outstanding then is waited for, at most its deadline.
    ///
    /// # Errors
    /// When an operation could not be recorded: the run cannot go on.
    pub async fn run(self, mut end: watch::Receiver<bool>) -> Result<(), RecordError> {
        let caller = Caller { worker: self.number, reads_only: self.role.reads_only() };
        let mut session = Session::of(self.desk.clone(), self.role);
        loop {
            let next = self.pace.take(Instant::now());
            tokio::select! {
                biased;
                _ = end.wait_for(|ended| *ended) => return Ok(()),
                () = tokio::time::sleep_until(next) => {}
            }
            let invocation = self.generator().next(&caller);
            let completion = session.perform(&invocation).await?;
            self.generator().complete(&caller, &invocation, &completion);
            if matches!(&completion, Completion::Fail { error } if error != MISMATCH) {
                tokio::time::sleep(PAUSE_AFTER_FAIL).await;
            }
        }
    }

    fn generator(&self) -> std::sync::MutexGuard<'_, Box<dyn Generator>> {
        self.generator.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
