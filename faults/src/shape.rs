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
    /// Nobody hears the one before it in a shuffled ring; everything else passes.
    OneWayRing,
    /// Two halves, one node larger where they cannot be equal, whoever the target is.
    RandomHalves,
    /// The chosen node and as many others as are fewer than a third of all, against the rest.
    MinorityThird,
    /// Two sides that are named, in the entry's `how`. Those of a drawn schedule walk through all divisions into
    /// two that leave a majority, so that none is tried twice before each was tried once.
    Split,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 10] = [
        Self::Isolate,
        Self::Halves,
        Self::MajoritiesRing,
        Self::Bridge,
        Self::OneWayIn,
        Self::OneWayOut,
        Self::OneWayRing,
        Self::RandomHalves,
        Self::MinorityThird,
        Self::Split,
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
            Self::OneWayRing => "one-way-ring",
            Self::RandomHalves => "random-halves",
            Self::MinorityThird => "minority-third",
            Self::Split => "split",
        }
    }

    /// The fewest nodes among which it cuts anything.
    #[must_use]
    pub fn least_nodes(self) -> usize {
        match self {
            Self::MajoritiesRing | Self::Bridge | Self::Split => 3,
            Self::MinorityThird => 4,
            // Among fewer each node could talk with less than a majority.
            Self::OneWayRing => 5,
            _ => 2,
        }
    }

    /// How many nodes it keeps from a majority, or the whole of `budget` where every node is touched
    /// and one more loss could leave no majority.
    #[must_use]
    pub fn load(self, chosen: usize, nodes: usize, budget: usize) -> usize {
        match self {
            // Whoever has the majority goes on, on either side of the cut.
            Self::Isolate if chosen * 2 > nodes && chosen < nodes => nodes - chosen,
            Self::Isolate | Self::OneWayIn | Self::OneWayOut => chosen,
            Self::Halves => minority(nodes).max(chosen),
            Self::Split => minority(nodes),
            Self::RandomHalves if nodes.is_multiple_of(2) => nodes,
            Self::RandomHalves => nodes / 2,
            Self::MinorityThird => below_a_third(nodes).max(chosen),
            Self::MajoritiesRing | Self::Bridge | Self::OneWayRing => budget,
        }
    }

    /// The links that are cut. `chosen` are the nodes the target resolved to, for a split one of its sides; what
    /// it does not say is drawn.
    #[must_use]
    pub fn links(self, nodes: &[NodeId], chosen: &[NodeId], random: &mut Random) -> BTreeSet<Link> {
        let rest: Vec<NodeId> = nodes.iter().copied().filter(|n| !chosen.contains(n)).collect();
        match self {
            Self::Isolate | Self::Split => both_ways(chosen, &rest),
            Self::Halves => halves(chosen, rest, minority(nodes.len()), random),
            Self::MajoritiesRing => ring(nodes, random),
            Self::Bridge => bridge(chosen, nodes, random),
            Self::OneWayIn => one_way(&rest, chosen),
            Self::OneWayOut => one_way(chosen, &rest),
            Self::OneWayRing => one_way_ring(nodes, random),
            Self::RandomHalves => halves(&[], nodes.to_vec(), nodes.len() / 2, random),
            Self::MinorityThird => halves(chosen, rest, below_a_third(nodes.len()), random),
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

fn one_way_ring(nodes: &[NodeId], random: &mut Random) -> BTreeSet<Link> {
    let mut order = nodes.to_vec();
    random.shuffle(&mut order);
    let next = order.iter().cycle().skip(1);
    order.iter().zip(next).map(|(&from, &to)| Link::new(from, to)).collect()
}

/// The most nodes that are fewer than a third.
fn below_a_third(nodes: usize) -> usize {
    nodes.div_ceil(3).saturating_sub(1)
}

/// Up to so many nodes every division into two is enumerated.
const ENUMERATED_NODES: usize = 5;

/// The smaller sides of the divisions into two that leave a majority, in the order in which a run walks through
/// them: all there are among few nodes, as many as `count` drawn ones among more.
#[must_use]
pub(crate) fn splits(nodes: usize, count: usize, random: &mut Random) -> Vec<Vec<NodeId>> {
    let named = |place: usize| NodeId(u16::try_from(place + 1).unwrap_or(u16::MAX));
    let most = nodes.saturating_sub(1) / 2;
    if nodes > ENUMERATED_NODES {
        let mut all: Vec<NodeId> = (0..nodes).map(named).collect();
        let mut drawn = || {
            random.shuffle(&mut all);
            let size = 1 + usize::try_from(random.below(most as u64)).unwrap_or(0);
            let mut side = all[..size].to_vec();
            side.sort_unstable();
            side
        };
        return (0..count).map(|_| drawn()).collect();
    }
    let sides = (1_usize..1 << nodes).map(|bits| {
        (0..nodes).filter(|place| bits >> place & 1 == 1).map(named).collect::<Vec<_>>()
    });
    let mut sides: Vec<Vec<NodeId>> = sides.filter(|side| side.len() <= most).collect();
    random.shuffle(&mut sides);
    sides
}

fn bridge(chosen: &[NodeId], nodes: &[NodeId], random: &mut Random) -> BTreeSet<Link> {
    let bridge = chosen.first();
    let mut left: Vec<NodeId> = nodes.iter().copied().filter(|node| Some(node) != bridge).collect();
    random.shuffle(&mut left);
    let right = left.split_off(left.len() / 2);
    both_ways(&left, &right)
}
