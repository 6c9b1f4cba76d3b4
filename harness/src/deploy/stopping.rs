//! The end of a deployment: what a system does to its nodes before they are told to stop by a signal, the signal, and what
//! comes to those that do not heed it. Afterwards nothing is left, or the error says what.

use super::ledger::Intent;
use super::{DeployError, Deployment, Inner, KILL_LIMIT, lock};
use crate::guardian::{GuardianError, NodeSignal};
use history::NodeId;
use std::time::{Duration, Instant};

/// How a deployment ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Nodes that did not stop on SIGTERM in time and were killed.
    pub forced: Vec<NodeId>,
}

impl Deployment {
    /// Stops every node in good order (a system may prefer to be killed), kills those that have not stopped after
    /// `grace`, ends the guardian, and makes sure that nothing is left. Blocks for up to `grace` and some seconds.
    ///
    /// # Errors
    /// When something is left.
    pub fn stop_blocking(&self, grace: Duration) -> Result<Stopped, DeployError> {
        self.prepare_stop(grace / 2);
        self.inner.stop(grace)
    }

    /// As [`stop_blocking`](Self::stop_blocking), off the caller's runtime.
    ///
    /// # Errors
    /// When something is left.
    pub async fn stop(&self, grace: Duration) -> Result<Stopped, DeployError> {
        let deployment = self.clone();
        match tokio::task::spawn_blocking(move || deployment.stop_blocking(grace)).await {
            Ok(stopped) => stopped,
            Err(error) => Err(GuardianError::Behind(error.to_string()).into()),
        }
    }

    /// Lets the system prepare every node that runs, all at once, each for at most `limit`. A node that ends meanwhile has
    /// been stopped.
    pub(super) fn prepare_stop(&self, limit: Duration) {
        let system = self.system();
        let running = lock(&self.inner.ledger).running();
        std::thread::scope(|scope| {
            for (node, pid) in running {
                let (Some(door), Ok(spec)) = (self.address(node), self.inner.spec(node)) else {
                    continue;
                };
                lock(&self.inner.ledger).intend(node, Intent::Stop);
                // What is paused answers nobody. It may fail because the node has just exited by itself.
                let _ = self.inner.guardian.signal(node, NodeSignal::Continue);
                scope.spawn(move || system.stop(&spec, door, pid, limit));
            }
        });
    }
}

impl Inner {
    fn stop(&self, grace: Duration) -> Result<Stopped, DeployError> {
        let running = lock(&self.ledger).running();
        for (node, _) in &running {
            let (intent, signal) = match self.settings.system.is_killed_at_the_end() {
                true => (Intent::Force, NodeSignal::Kill),
                false => (Intent::Stop, NodeSignal::Terminate),
            };
            lock(&self.ledger).intend(*node, intent);
            // A stopped process takes no SIGTERM before it continues. Either may fail because the
            // node has just exited by itself, which the ledger knows.
            let _ = self.guardian.signal(*node, NodeSignal::Continue);
            let _ = self.guardian.signal(*node, signal);
        }
        let deadline = Instant::now() + grace;
        let mut forced = Vec::new();
        for (node, pid) in &running {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.guardian.await_exit(*pid, left).is_err() {
                lock(&self.ledger).intend(*node, Intent::Force);
                let _ = self.guardian.signal(*node, NodeSignal::Kill);
                forced.push(*node);
            }
        }
        for (_, pid) in running {
            self.guardian.await_exit(pid, KILL_LIMIT)?;
        }
        let kept = self.disks.keep().map_err(DeployError::Disk);
        self.guardian.close()?;
        kept?;
        Ok(Stopped { forced })
    }
}
