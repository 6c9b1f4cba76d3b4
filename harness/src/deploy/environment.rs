//! The environment that faults act on, made of real processes and proxies.
//!
//! Acting on a process blocks (on the guardian, on `/proc`), so it happens on the runtime's blocking
//! threads and never stalls the clients.

use super::{DeployError, Deployment};
use faults::{BoxFuture, Environment, EnvironmentError, Messages, Network, Receipt, Sighting};
use history::{Nanos, NodeId};
use serde_json::Value;

/// What the environment must be told, or tells, that is not the deployment's: the recorder's clock
/// and files, the observer's view.
pub trait Witness: Send + Sync {
    /// Time since the start of the run, on the recorder's clock.
    fn now(&self) -> Nanos;

    /// The leader as last observed.
    fn leader(&self) -> Option<NodeId>;

    /// How often the observed leader has changed; only ever grows.
    fn leader_changes(&self) -> u64;

    /// Writes an event of the nemesis to the history.
    fn record(&self, fault: &str, value: Value);

    /// Writes a receipt to `faults.jsonl`.
    fn receipt(&self, receipt: &Receipt);
}

/// The real [`Environment`]. Its process actions need a tokio runtime.
pub struct RealEnvironment<W> {
    deployment: Deployment,
    witness: W,
}

impl<W: Witness> RealEnvironment<W> {
    /// The environment of a running deployment.
    #[must_use]
    pub fn new(deployment: Deployment, witness: W) -> Self {
        Self { deployment, witness }
    }

    fn act(
        &self,
        action: impl FnOnce(&Deployment) -> Result<Sighting, DeployError> + Send + 'static,
    ) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        let deployment = self.deployment.clone();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || action(&deployment)).await {
                Ok(Ok(sighting)) => Ok(sighting),
                Ok(Err(error)) => Err(EnvironmentError(error.to_string())),
                Err(error) => Err(EnvironmentError(error.to_string())),
            }
        })
    }
}

impl<W: Witness> Environment for RealEnvironment<W> {
    fn nodes(&self) -> Vec<NodeId> {
        self.deployment.nodes()
    }

    fn leader(&self) -> Option<NodeId> {
        self.witness.leader()
    }

    fn leader_changes(&self) -> u64 {
        self.witness.leader_changes()
    }

    fn now(&self) -> Nanos {
        self.witness.now()
    }

    fn network(&self) -> &dyn Network {
        self.deployment.hub()
    }

    fn messages(&self) -> Option<&dyn Messages> {
        self.deployment.relays().map(|relays| -> &dyn Messages { relays })
    }

    fn kill(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        self.act(move |deployment| deployment.kill(node))
    }

    fn restart(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        self.act(move |deployment| deployment.restart(node))
    }

    fn pause(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        self.act(move |deployment| deployment.pause(node))
    }

    fn resume(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        self.act(move |deployment| deployment.resume(node))
    }

    fn record(&self, fault: &str, value: Value) {
        self.witness.record(fault, value);
    }

    fn receipt(&self, receipt: &Receipt) {
        self.witness.receipt(receipt);
    }

    fn release(&self, paused: &[NodeId]) {
        self.deployment.release(paused);
        self.deployment.hub().release();
        if let Some(relays) = self.deployment.relays() {
            relays.release();
        }
    }
}
