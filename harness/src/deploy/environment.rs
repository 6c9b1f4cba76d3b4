//! The environment that faults act on, made of real processes and proxies.
//!
//! Acting on a process blocks (on the guardian, on `/proc`), so it happens on the runtime's blocking
//! threads and never stalls the clients.

use super::{DeployError, Deployment};
use crate::system::Administrator;
use faults::disk::{Answer, Disks, Flipped, Order};
use faults::{
    Administration, BoxFuture, Clocks, Environment, EnvironmentError, Members, Messages, Network,
    Processors, Ration, Receipt, Sighting, Use,
};
use history::{Nanos, NodeId};
use serde_json::Value;
use std::sync::Arc;

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
    pub(super) deployment: Deployment,
    witness: W,
    pub(super) administrator: Option<Arc<dyn Administrator>>,
    /// Held while members change, so that they change one at a time: the latest configuration seen.
    pub(super) changing: tokio::sync::Mutex<Members>,
}

impl<W: Witness> RealEnvironment<W> {
    /// The environment of a running deployment.
    #[must_use]
    pub fn new(deployment: Deployment, witness: W) -> Self {
        let administrator = deployment.system().administrator().map(Arc::from);
        Self { deployment, witness, administrator, changing: tokio::sync::Mutex::default() }
    }

    pub(super) fn act<T: Send + 'static>(
        &self,
        action: impl FnOnce(&Deployment) -> Result<T, DeployError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, EnvironmentError>> {
        let deployment = self.deployment.clone();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || action(&deployment)).await {
                Ok(Ok(done)) => Ok(done),
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

    fn administration(&self) -> Option<&dyn Administration> {
        self.administrator.is_some().then_some(self as &dyn Administration)
    }

    fn disks(&self) -> Option<&dyn Disks> {
        Some(self)
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

    fn clocks(&self) -> Option<&dyn Clocks> {
        self.deployment.clocks()
    }

    fn processors(&self) -> Option<&dyn Processors> {
        Some(self)
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
        self.deployment.release_disks();
        if let Some(relays) = self.deployment.relays() {
            relays.release();
        }
    }
}

impl<W: Witness> Disks for RealEnvironment<W> {
    fn tell(&self, node: NodeId, order: Order) -> BoxFuture<'_, Result<Answer, EnvironmentError>> {
        self.act(move |deployment| deployment.tell_disk(node, order))
    }

    fn flip(
        &self,
        node: NodeId,
        seed: u64,
    ) -> BoxFuture<'_, Result<Option<Flipped>, EnvironmentError>> {
        self.act(move |deployment| deployment.flip(node, seed))
    }

    fn flip_back(&self, node: NodeId) -> BoxFuture<'_, Result<bool, EnvironmentError>> {
        self.act(move |deployment| deployment.flip_back(node))
    }

    fn release(&self) {
        self.deployment.release_disks();
    }
}

impl<W: Witness> Processors for RealEnvironment<W> {
    fn ration(
        &self,
        node: NodeId,
        ration: Option<Ration>,
    ) -> BoxFuture<'_, Result<(), EnvironmentError>> {
        self.act(move |deployment| deployment.ration(node, ration))
    }

    fn look(&self, node: NodeId) -> BoxFuture<'_, Result<Use, EnvironmentError>> {
        self.act(move |deployment| deployment.look(node))
    }
}
