//! Which client asks which node.
//!
//! Three kinds, because each finds what the others cannot: a client that follows the leader keeps the cluster busy; a
//! client pinned to one node keeps asking it after it was deposed or cut off, which is where stale answers come from;
//! and a pinned client that also writes puts operations into the log of a leader that has lost its majority.

use crate::plan::Clients;
use history::NodeId;

/// What one client does for the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Asks this node only, and only reads.
    Reader(NodeId),
    /// Asks this node only, with every function.
    Pinned(NodeId),
    /// Asks whoever leads, with every function.
    Follow,
}

impl Role {
    /// Whether it must not write.
    #[must_use]
    pub fn reads_only(self) -> bool {
        matches!(self, Self::Reader(_))
    }

    /// The only node it asks, if there is one.
    #[must_use]
    pub fn node(self) -> Option<NodeId> {
        match self {
            Self::Reader(node) | Self::Pinned(node) => Some(node),
            Self::Follow => None,
        }
    }
}

/// The roles of `clients` over `nodes` (not empty): those that follow the leader first, then the pinned ones on nodes
/// spread from the last one backwards, then the readers from the first one on.
#[must_use]
pub fn roles(clients: Clients, nodes: &[NodeId]) -> Vec<Role> {
    let pinned = nodes.iter().rev().cycle().take(clients.pinned);
    let readers = nodes.iter().cycle().take(clients.pinned_readers);
    std::iter::repeat_n(Role::Follow, clients.following)
        .chain(pinned.map(|node| Role::Pinned(*node)))
        .chain(readers.map(|node| Role::Reader(*node)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_a_reader_where_there_are_enough_clients() {
        let nodes: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let clients = Clients { pinned_readers: 3, pinned: 4, following: 2 };
        let names: Vec<String> = roles(clients, &nodes)
            .iter()
            .map(|role| match role {
                Role::Reader(node) => format!("reader {node}"),
                Role::Pinned(node) => format!("pinned {node}"),
                Role::Follow => "follow".to_owned(),
            })
            .collect();
        assert_eq!(
            names.join(", "),
            "follow, follow, pinned n3, pinned n2, pinned n1, pinned n3, \
             reader n1, reader n2, reader n3"
        );
    }

    #[test]
    fn one_client_follows_the_leader_and_does_everything() {
        let roles = roles(Clients::divide(1, 5), &[NodeId(1), NodeId(2)]);
        assert_eq!(roles, [Role::Follow]);
        assert!(!roles[0].reads_only() && roles[0].node().is_none());
    }
}
