//! What faults of the network share: which wires a fault touches, and what passed over them while it lasted.
//!
//! A wire is one direction between two nodes, or between the clients of a node and the node. Readings are the hub's
//! own counters at the very moments at which a plan takes effect, so the difference of two is exactly what happened
//! while it did.

use crate::environment::Applied;
use crate::link::{Counters, Link};
use crate::schedule::Entry;
use history::NodeId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wire {
    /// From a node to another.
    Link(Link),
    /// From the clients of a node to the node.
    FromClients(NodeId),
    /// From a node to its clients.
    ToClients(NodeId),
}

/// What happened on one wire, from one reading to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Passage {
    pub(crate) wire: Wire,
    pub(crate) counters: Counters,
}

/// Every link that begins or ends at a chosen node.
pub(crate) fn links_of(nodes: &[NodeId], chosen: &[NodeId]) -> Vec<Link> {
    let pairs = nodes.iter().flat_map(|&a| nodes.iter().map(move |&b| Link::new(a, b)));
    let touched = |link: &Link| chosen.contains(&link.from) || chosen.contains(&link.to);
    pairs.filter(|link| link.from != link.to && touched(link)).collect()
}

/// The counters of these wires at the moment a plan took effect.
pub(crate) fn read(applied: &Applied, wires: impl IntoIterator<Item = Wire>) -> Value {
    let clients = |node: NodeId| applied.clients.get(&node).copied().unwrap_or_default();
    let counters = |wire| match wire {
        Wire::Link(link) => applied.counters.get(&link).copied().unwrap_or_default(),
        Wire::FromClients(node) => clients(node).inward,
        Wire::ToClients(node) => clients(node).outward,
    };
    let readings = wires.into_iter().map(|wire| Passage { wire, counters: counters(wire) });
    json!(readings.collect::<Vec<_>>())
}

/// What happened between the reading in `seen` and now; nothing where there is none, because the fault never
/// took effect.
pub(crate) fn since(seen: &Value, now: &Applied) -> Vec<Passage> {
    let before = Vec::<Passage>::deserialize(seen).unwrap_or_default();
    let after = read(now, before.iter().map(|passage| passage.wire));
    let after = Vec::<Passage>::deserialize(&after).unwrap_or_default();
    let difference = |(first, last): (&Passage, Passage)| Passage {
        counters: last.counters.since(&first.counters),
        ..last
    };
    before.iter().zip(after).map(difference).collect()
}

/// The sum of one counter over all wires.
pub(crate) fn total(passages: &[Passage], counter: impl Fn(&Counters) -> u64) -> u64 {
    passages.iter().map(|passage| counter(&passage.counters)).sum()
}

/// What an entry asks for in the words of its class; the default where it says nothing.
pub(crate) fn asked<T: DeserializeOwned + Default>(entry: &Entry) -> Result<T, String> {
    if entry.how.is_null() {
        return Ok(T::default());
    }
    T::deserialize(&entry.how).map_err(|error| format!("`how` of a {}: {error}", entry.fault))
}
