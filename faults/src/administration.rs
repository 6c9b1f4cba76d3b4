//! What an administrator can do to a cluster while it runs: the seam for the faults that need one.
//!
//! Each call goes on until the cluster itself says that the thing is done, or gives up with an error. A call that
//! gave up may be made again: whatever had been done by then stays done, and the rest is done.

use crate::environment::{BoxFuture, EnvironmentError, Sighting};
use history::NodeId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A node as the cluster counts its members. A node that was taken out comes back as another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// How often the node had been replaced when this member of it began; 0 for the first.
    pub life: u32,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.life {
            0 => self.node.fmt(f),
            life => write!(f, "{}, life {}", self.node, life + 1),
        }
    }
}

/// A configuration that is in force and committed, so that nothing but a later change can undo it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The entry of the log that it is of, which orders configurations.
    pub index: u64,
    /// Who votes.
    pub voters: Vec<Member>,
    /// Who only listens.
    pub learners: Vec<Member>,
}

impl Members {
    /// The voter that this node is, if it is one.
    #[must_use]
    pub fn voter(&self, node: NodeId) -> Option<Member> {
        self.voters.iter().copied().find(|member| member.node == node)
    }
}

/// Leadership was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// Who led, and in which term.
    pub from: NodeId,
    /// Its term.
    pub from_term: u64,
    /// Who leads now.
    pub to: NodeId,
    /// The term of the new leader.
    pub to_term: u64,
}

/// A node was told to take a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotTaken {
    /// The node.
    pub node: NodeId,
    /// The last entry that its newest snapshot covered before; 0 if it had none.
    pub before: u64,
    /// The last entry that its newest snapshot covers now, as its status says.
    pub after: u64,
}

/// Who administers a cluster.
pub trait Administration: Send + Sync {
    /// Whether the node could be replaced if it left; the error says why it could not. It changes nothing.
    fn may_leave(&self, _node: NodeId) -> Result<(), EnvironmentError> {
        Ok(())
    }

    /// Takes the node out of the cluster. Returns the configuration without it.
    fn remove(&self, node: NodeId) -> BoxFuture<'_, Result<Members, EnvironmentError>>;

    /// Ends the process of a node that was taken out and starts a new one, with nothing of what the old one knew and
    /// under another identity. Where that has been done it only looks.
    fn replace(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>>;

    /// Adds the replaced node as a learner, waits until it has caught up, and makes it a voter. Returns the
    /// configuration in which it votes.
    fn admit(&self, node: NodeId) -> BoxFuture<'_, Result<Members, EnvironmentError>>;

    /// Has the leader hand its leadership over to the node.
    fn transfer(&self, to: NodeId) -> BoxFuture<'_, Result<Handover, EnvironmentError>>;

    /// Has the node take a snapshot of all that it has applied.
    fn snapshot(&self, node: NodeId) -> BoxFuture<'_, Result<SnapshotTaken, EnvironmentError>>;
}
