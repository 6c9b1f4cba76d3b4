//! Who is hit, by name. A schedule names targets; which nodes a name stands for is decided when the
//! fault is injected, and the receipt says which they were.

use crate::random::Random;
use history::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// The name of some nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Any one node.
    One,
    /// The leader as last observed.
    Leader,
    /// Any one node but the leader.
    Follower,
    /// As many nodes besides the leader as may be lost while a majority remains.
    Followers,
    /// As many nodes as may be lost while a majority remains.
    Minority,
    /// The same number of nodes, the leader among them.
    LeaderMinority,
    /// The smallest number of nodes that is a majority.
    Majority,
    /// Every node.
    All,
}

impl Target {
    /// Every name.
    pub const ALL: [Self; 8] = [
        Self::One,
        Self::Leader,
        Self::Follower,
        Self::Followers,
        Self::Minority,
        Self::LeaderMinority,
        Self::Majority,
        Self::All,
    ];

    /// The name as written in files and on screen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Followers => "followers",
            Self::Minority => "minority",
            Self::LeaderMinority => "leader-minority",
            Self::Majority => "majority",
            Self::All => "all",
        }
    }

    /// How many of `nodes` nodes it hits.
    #[must_use]
    pub fn size(self, nodes: usize) -> usize {
        match self {
            Self::One | Self::Leader | Self::Follower => 1,
            Self::Minority | Self::LeaderMinority | Self::Followers => minority(nodes),
            Self::Majority => nodes / 2 + 1,
            Self::All => nodes,
        }
    }

    fn spares_leader(self) -> bool {
        matches!(self, Self::Follower | Self::Followers)
    }

    fn wants_leader(self) -> bool {
        matches!(self, Self::Leader | Self::LeaderMinority)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many of `nodes` nodes may be lost while a majority remains, but never none.
#[must_use]
pub fn minority(nodes: usize) -> usize {
    (nodes.saturating_sub(1) / 2).max(1)
}

/// What a name stood for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The nodes, in order.
    pub nodes: Vec<NodeId>,
    /// What the name could not mean, if it could not.
    pub note: Option<String>,
}

/// Finds the nodes that `target` stands for. `excluded` nodes (those another fault has down) are
/// passed over; a leader that is unknown or excluded is replaced by any other node, and noted. A
/// follower is never the leader as last observed, so on a cluster of one node there is none.
#[must_use]
pub fn resolve(
    target: Target,
    nodes: &[NodeId],
    leader: Option<NodeId>,
    excluded: &BTreeSet<NodeId>,
    random: &mut Random,
) -> Resolved {
    let mut free: Vec<NodeId> =
        nodes.iter().copied().filter(|node| !excluded.contains(node)).collect();
    random.shuffle(&mut free);
    let mut note = None;
    if target.wants_leader() {
        match leader.and_then(|leader| free.iter().position(|&node| node == leader)) {
            Some(place) => free.swap(0, place),
            None if leader.is_none() => note = Some("no leader was known: any node".to_owned()),
            None => note = Some("the leader was already down: any other node".to_owned()),
        }
    }
    if target.spares_leader() {
        free.retain(|node| Some(*node) != leader);
        if leader.is_none() {
            note = Some("no leader was known: any node".to_owned());
        }
    }
    free.truncate(target.size(nodes.len()));
    free.sort_unstable();
    Resolved { nodes: free, note }
}

#[cfg(test)]
mod tests {
    use super::{Target, resolve};
    use crate::random::Random;
    use history::NodeId;
    use std::collections::BTreeSet;

    #[test]
    fn a_follower_is_never_the_leader_as_last_observed() {
        let nodes: Vec<NodeId> = (1..=5).map(NodeId).collect();
        let none = BTreeSet::new();
        for seed in 0..50 {
            let mut random = Random::new(seed, 1);
            let one = resolve(Target::Follower, &nodes, Some(NodeId(3)), &none, &mut random);
            let two = resolve(Target::Followers, &nodes, Some(NodeId(3)), &none, &mut random);
            assert_eq!((one.nodes.len(), two.nodes.len()), (1, 2));
            assert!(!one.nodes.contains(&NodeId(3)) && !two.nodes.contains(&NodeId(3)));
        }
        let mut random = Random::new(1, 1);
        let blind = resolve(Target::Follower, &nodes, None, &none, &mut random);
        assert_eq!(blind.note.as_deref(), Some("no leader was known: any node"));
        let alone = resolve(Target::Follower, &nodes[..1], Some(NodeId(1)), &none, &mut random);
        assert_eq!(alone.nodes, []);
    }
}
