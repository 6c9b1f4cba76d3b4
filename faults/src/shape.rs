//! How a network is divided, by name: pure functions from nodes and draws to the links that are cut.
//!
//! Links are directed, so every shape, also a symmetric one, is a set of ordered pairs.

use crate::link::Link;
use crate::random::Random;
use crate::target::minority;
use history::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// A way to divide the network around some chosen nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// The chosen nodes on one side, all others on the other.
    Isolate,
    /// The chosen node and as many others as a majority can spare, against the rest.
    Halves,
    /// Every node hears a majority, and no two hear the same one.
    MajoritiesRing,
    /// Two halves that only the chosen node can reach.
    Bridge,
    /// The chosen nodes can speak and hear nobody.
    OneWayIn,
    /// The chosen nodes can hear and nobody hears them.
    OneWayOut,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 6] = [
        Self::Isolate,
        Self::Halves,
        Self::MajoritiesRing,
        Self::Bridge,
        Self::OneWayIn,
        Self::OneWayOut,
    ];

    /// The name as written in files and on screen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Isolate => "isolate",
            Self::Halves => "halves",
            Self::MajoritiesRing => "majorities-ring",
            Self::Bridge => "bridge",
            Self::OneWayIn => "one-way-in",
            Self::OneWayOut => "one-way-out",
        }
    }

    /// The fewest nodes among which it cuts anything.
    #[must_use]
    pub fn least_nodes(self) -> usize {
        match self {
            Self::MajoritiesRing | Self::Bridge => 3,
            _ => 2,
        }
    }

    /// How many nodes it keeps from a majority, or the whole of `budget` where every node is touched
    /// and one more loss could leave no majority.
    #[must_use]
    pub fn load(self, chosen: usize, nodes: usize, budget: usize) -> usize {
        match self {
            Self::Isolate | Self::OneWayIn | Self::OneWayOut => chosen,
            Self::Halves => minority(nodes),
            Self::MajoritiesRing | Self::Bridge => budget,
        }
    }

    /// The links that are cut. `chosen` are the nodes the target resolved to; ring draws its own order.
    #[must_use]
    pub fn links(self, nodes: &[NodeId], chosen: &[NodeId], random: &mut Random) -> BTreeSet<Link> {
        let rest: Vec<NodeId> = nodes.iter().copied().filter(|n| !chosen.contains(n)).collect();
        match self {
            Self::Isolate => both_ways(chosen, &rest),
            Self::Halves => halves(chosen, rest, minority(nodes.len()), random),
            Self::MajoritiesRing => ring(nodes, random),
            Self::Bridge => bridge(chosen, nodes, random),
            Self::OneWayIn => one_way(&rest, chosen),
            Self::OneWayOut => one_way(chosen, &rest),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn one_way(from: &[NodeId], to: &[NodeId]) -> BTreeSet<Link> {
    from.iter().flat_map(|&a| to.iter().map(move |&b| Link::new(a, b))).collect()
}

fn both_ways(left: &[NodeId], right: &[NodeId]) -> BTreeSet<Link> {
    let mut links = one_way(left, right);
    links.extend(one_way(right, left));
    links
}

fn halves(
    chosen: &[NodeId],
    mut rest: Vec<NodeId>,
    small: usize,
    random: &mut Random,
) -> BTreeSet<Link> {
    random.shuffle(&mut rest);
    let others = rest.split_off(small.saturating_sub(chosen.len()).min(rest.len()));
    let side: Vec<NodeId> = chosen.iter().copied().chain(rest).collect();
    both_ways(&side, &others)
}

/// Each node of a shuffled ring hears the majority it stands in the middle of.
fn ring(nodes: &[NodeId], random: &mut Random) -> BTreeSet<Link> {
    let mut order = nodes.to_vec();
    random.shuffle(&mut order);
    let count = order.len();
    let majority = count / 2 + 1;
    let (behind, ahead) = ((majority - 1) / 2, majority / 2);
    let mut links = BTreeSet::new();
    for (place, &hearer) in order.iter().enumerate() {
        for steps in ahead + 1..count - behind {
            links.insert(Link::new(order[(place + steps) % count], hearer));
        }
    }
    links
}

fn bridge(chosen: &[NodeId], nodes: &[NodeId], random: &mut Random) -> BTreeSet<Link> {
    let bridge = chosen.first();
    let mut left: Vec<NodeId> = nodes.iter().copied().filter(|node| Some(node) != bridge).collect();
    random.shuffle(&mut left);
    let right = left.split_off(left.len() / 2);
    both_ways(&left, &right)
}
