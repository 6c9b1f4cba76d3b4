//! A node's own view of the cluster, asked for by polling. It colours reports and lets a fault find
//! the leader; it is never proof of anything.

use history::NodeId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use workloads::BoxFuture;

/// What a node thinks it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It follows.
    Follower,
    /// It asks to be elected, or whether it could be.
    Candidate,
    /// It leads, as far as it knows.
    Leader,
    /// It runs; nothing more can be asked of a node of its system.
    Running,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
            Self::Running => "running",
        })
    }
}

/// A node's own view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// What it thinks it is.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// The leader it believes in.
    pub leader: Option<NodeId>,
    /// Its commit index.
    pub commit: u64,
    /// How far it has applied.
    pub applied: u64,
    /// How far its log is on stable storage.
    pub durable: u64,
    /// The index of its last entry.
    pub last: u64,
    /// What it went through, if it counts that.
    pub counters: Option<Counters>,
}

impl NodeStatus {
    /// Of a node that runs and has no word for anything else.
    #[must_use]
    pub fn running() -> Self {
        Self::of(Role::Running, 0)
    }

    /// Of a node that says no more than this.
    #[must_use]
    pub fn of(role: Role, term: u64) -> Self {
        let (commit, applied, durable, last) = (0, 0, 0, 0);
        let (leader, counters) = (None, None);
        Self { role, term, leader, commit, applied, durable, last, counters }
    }
}

/// What a node went through since its process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// How often it cut entries off the end of its log.
    pub truncations: u64,
    /// How often it took its state from a snapshot that another node sent.
    pub snapshots_installed: u64,
    /// Elections that it stood in and that ended with nobody known to lead.
    pub leaderless_elections: u64,
}

/// Asks one node for its view.
pub trait Probe: Send {
    /// Its view now; answers within `limit`, give or take scheduling.
    ///
    /// # Errors
    /// Why there is none, as a fragment: a node that is down, paused, or slow.
    fn status<'a>(&'a mut self, limit: Duration) -> BoxFuture<'a, Result<NodeStatus, String>>;
}
