//! What a fault may touch: the seam between this crate and real processes.
//!
//! The harness implements [`Environment`] with real nodes; tests implement it with a value that
//! records calls. Faults learn nothing else about the world, so a schedule can be played against
//! either, and a system that lacks a power simply answers with an error.
//!
//! Every method that waits has a limit of its own; the nemesis puts a longer one around it.

use crate::administration::Administration;
use crate::clock::Clocks;
use crate::disk::Disks;
use crate::link::{ClientConnection, ClientCounters, Counters, Link, Plan};
use crate::message::Messages;
use crate::receipt::Receipt;
use crate::starve::Processors;
use history::{Nanos, NodeId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

/// A future behind a pointer, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The environment could not do what a fault asked of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EnvironmentError(pub String);

/// What a process was seen to be, by looking at it after acting on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessState {
    /// No process of that id is left (it has been reaped).
    Gone,
    /// Stopped: state `T` in `/proc/PID/stat`.
    Stopped,
    /// Alive and not stopped; after a restart also ready to serve.
    Running,
}

/// What was seen of a node's process after it was acted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The node.
    pub node: NodeId,
    /// Its process id when it was looked at.
    pub pid: u32,
    /// How it was found.
    pub state: ProcessState,
}

/// The network between the nodes, as far as a fault may touch it.
pub trait Network: Send + Sync {
    /// Puts `plan` into effect in place of the one before, on all links at once. When it returns, no
    /// byte is passed over a held link any more.
    fn apply(&self, plan: Plan) -> BoxFuture<'_, Result<Applied, EnvironmentError>>;

    /// Delivers everything again, without waiting for an answer; for `Drop`.
    fn release(&self);

    /// The connections of clients that are open now; none where clients are not told apart.
    fn client_connections(&self) -> Vec<ClientConnection> {
        Vec::new()
    }
}

/// A plan is in effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// How many plans have taken effect, this one included.
    pub epoch: u64,
    /// Every link's counters at the very moment the plan took effect.
    pub counters: BTreeMap<Link, Counters>,
    /// The same between the clients of each node and the node.
    pub clients: BTreeMap<NodeId, ClientCounters>,
}

/// What a fault may touch.
pub trait Environment: Send + Sync {
    /// All nodes, dead ones too, in order.
    fn nodes(&self) -> Vec<NodeId>;

    /// The leader as last observed; none while there is none or it is not known.
    fn leader(&self) -> Option<NodeId>;

    /// How many times the observed leader has changed; only ever grows. Whoever asks again and again gets an
    /// answer that is never more than some milliseconds old.
    fn leader_changes(&self) -> u64;

    /// Time since the start of the run, on the recorder's clock.
    fn now(&self) -> Nanos;

    /// The links between the nodes.
    fn network(&self) -> &dyn Network;

    /// Who administers the cluster; none where the system under test cannot be administered.
    fn administration(&self) -> Option<&dyn Administration> {
        None
    }

    /// The disks under the nodes, if they are such that a fault may touch them.
    fn disks(&self) -> Option<&dyn Disks> {
        None
    }

    /// The messages between the nodes; none where they cannot be told apart.
    fn messages(&self) -> Option<&dyn Messages> {
        None
    }

    /// Ends the node's process with SIGKILL and returns once it is gone.
    fn kill(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>>;

    /// Starts a dead node on the data it left and returns once it serves. A node that already
    /// runs is left alone and only looked at.
    fn restart(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>>;

    /// Stops the node's process with SIGSTOP and returns once it is seen to be stopped.
    fn pause(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>>;

    /// Continues the node's process with SIGCONT and returns once it is seen to run.
    fn resume(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>>;

    /// The nodes' own clocks; none where they have only the machine's.
    fn clocks(&self) -> Option<&dyn Clocks> {
        None
    }

    /// The nodes' shares of the processors; none where they cannot be changed.
    fn processors(&self) -> Option<&dyn Processors> {
        None
    }

    /// Writes an event of the nemesis (type `info`) to the history; index and time are the
    /// recorder's.
    fn record(&self, fault: &str, value: Value);

    /// Writes a receipt to `faults.jsonl`.
    fn receipt(&self, receipt: &Receipt);

    /// Undoes what can be undone without waiting: SIGCONT to `paused`, everything delivered again, every disk
    /// healed, the machine's clocks and whole shares of the processors for all. Called when a nemesis is dropped in
    /// the middle of a fault. Dead nodes stay dead; the environment knows them.
    fn release(&self, paused: &[NodeId]);
}
