//! What a system lets an administrator do to it while it runs, asked of one node at a time.
//!
//! Nothing here goes on until a thing is done: whom to ask, how long and how often is the deployment's business,
//! which believes what nodes *say of themselves* and not the answers to its calls.

use faults::Member;
use history::NodeId;
use std::net::SocketAddr;
use std::time::Duration;
use workloads::BoxFuture;

/// One step of a change of the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new member listens.
    Add {
        /// Who.
        member: Member,
        /// Where it is dialled by nodes that know no other address for it.
        address: SocketAddr,
    },
    /// A member that listens votes from now on.
    Promote(Member),
    /// A member leaves.
    Remove(Member),
}

/// What a node says that administrators want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdministratorView {
    /// Who it is.
    pub member: Member,
    /// Whether it leads, as far as it knows.
    pub leads: bool,
    /// Its term.
    pub term: u64,
    /// The leader it believes in.
    pub leader: Option<NodeId>,
    /// Who votes in the configuration in force here.
    pub voters: Vec<Member>,
    /// Who only listens.
    pub learners: Vec<Member>,
    /// The entry that this configuration is of.
    pub configured: u64,
    /// Whether that is committed, and no further step of the change is to come.
    pub settled: bool,
    /// The last entry that its newest snapshot covers; 0 for none.
    pub snapshot: u64,
}

/// Speaks to nodes as an administrator does. Each call ends within `limit`, give or take scheduling.
pub trait Administrator: Send + Sync {
    /// What the node at `address` says.
    ///
    /// # Errors
    /// Why it says nothing, as a fragment.
    fn view(
        &self,
        address: SocketAddr,
        limit: Duration,
    ) -> BoxFuture<'_, Result<AdministratorView, String>>;

    /// Asks the leader at `address` for a change.
    ///
    /// # Errors
    /// Why it was not, or may not have been, made.
    fn change(
        &self,
        address: SocketAddr,
        change: Change,
        limit: Duration,
    ) -> BoxFuture<'_, Result<(), String>>;

    /// Asks the leader at `address` to hand its leadership over.
    ///
    /// # Errors
    /// Why it did not, or may not have.
    fn transfer(
        &self,
        address: SocketAddr,
        to: Member,
        limit: Duration,
    ) -> BoxFuture<'_, Result<(), String>>;

    /// Asks the node at `address` to take a snapshot.
    ///
    /// # Errors
    /// Why it did not, or may not have.
    fn snapshot(&self, address: SocketAddr, limit: Duration) -> BoxFuture<'_, Result<(), String>>;
}
