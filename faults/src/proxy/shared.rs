//! The part of the hub that any thread may read: where the nodes are, the counters, who is connected.

use super::Upstream;
use super::board::Way;
use super::tally::Tally;
use crate::link::{ClientConnection, ClientCounters, Counters, Link};
use history::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

/// Bytes passed on over one client connection: to the node, and to the client.
pub(super) type Passed = Arc<[AtomicU64; 2]>;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Shared {
    upstreams: Mutex<BTreeMap<NodeId, Upstream>>,
    links: BTreeMap<Link, Arc<Tally>>,
    /// What nodes say to themselves; no rule is about that, and nobody asks.
    selves: BTreeMap<NodeId, Arc<Tally>>,
    clients: BTreeMap<NodeId, [Arc<Tally>; 2]>,
    open: Mutex<BTreeMap<u64, (ClientConnection, Passed)>>,
    count: AtomicUsize,
    unknown: AtomicU64,
}

impl Shared {
    pub(super) fn new(nodes: &[NodeId]) -> Self {
        let nodes: BTreeSet<NodeId> = nodes.iter().copied().collect();
        let pairs = nodes.iter().flat_map(|&a| nodes.iter().map(move |&b| Link::new(a, b)));
        Self {
            upstreams: Mutex::default(),
            links: pairs
                .filter(|link| link.from != link.to)
                .map(|link| (link, Arc::default()))
                .collect(),
            selves: nodes.iter().map(|&node| (node, Arc::default())).collect(),
            clients: nodes.iter().map(|&node| (node, <[Arc<Tally>; 2]>::default())).collect(),
            open: Mutex::default(),
            count: AtomicUsize::new(0),
            unknown: AtomicU64::new(0),
        }
    }

    pub(super) fn set_upstream(&self, node: NodeId, upstream: Option<Upstream>) {
        let mut upstreams = self.upstreams.lock().expect("no holder of this lock panics");
        match upstream {
            Some(upstream) => upstreams.insert(node, upstream),
            None => upstreams.remove(&node),
        };
    }

    /// Where a node listens; none while it is down.
    pub(super) fn upstream(&self, node: NodeId) -> Option<Upstream> {
        self.upstreams.lock().expect("no holder of this lock panics").get(&node).copied()
    }

    pub(super) fn link_tally(&self, link: Link) -> Option<&Arc<Tally>> {
        self.links.get(&link)
    }

    /// Inward, then outward.
    pub(super) fn client_tallies(&self, node: NodeId) -> Option<&[Arc<Tally>; 2]> {
        self.clients.get(&node)
    }

    pub(super) fn tally(&self, way: Way) -> &Arc<Tally> {
        let tally = match way {
            Way::Peer(link) if link.from == link.to => self.selves.get(&link.from),
            Way::Peer(link) => self.links.get(&link),
            Way::Client { node, inward, .. } => {
                self.clients.get(&node).map(|[to_node, to_client]| match inward {
                    true => to_node,
                    false => to_client,
                })
            }
        };
        tally.expect("ways are only made for the ports of known nodes")
    }

    pub(super) fn link_counters(&self) -> BTreeMap<Link, Counters> {
        self.links.iter().map(|(&link, tally)| (link, tally.read())).collect()
    }

    pub(super) fn all_client_counters(&self) -> BTreeMap<NodeId, ClientCounters> {
        let read = |[inward, outward]: &[Arc<Tally>; 2]| ClientCounters {
            inward: inward.read(),
            outward: outward.read(),
        };
        self.clients.iter().map(|(&node, tallies)| (node, read(tallies))).collect()
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, (ClientConnection, Passed)>> {
        self.open.lock().expect("no holder of this lock panics")
    }

    pub(super) fn client_connections(&self) -> Vec<ClientConnection> {
        let with_bytes = |(connection, passed): &(ClientConnection, Passed)| ClientConnection {
            forwarded_bytes: [passed[0].load(Relaxed), passed[1].load(Relaxed)],
            ..*connection
        };
        self.open().values().map(with_bytes).collect()
    }

    pub(super) fn connections(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Connections that were reset because nobody knows who called.
    pub(super) fn unknown(&self) -> u64 {
        self.unknown.load(Relaxed)
    }

    pub(super) fn count_unknown(&self) {
        self.unknown.fetch_add(1, Relaxed);
    }

    /// Enters a connection into the books until the returned value is dropped.
    pub(super) fn enter(self: &Arc<Self>, id: u64, client: Option<ClientConnection>) -> Entered {
        self.count.fetch_add(1, Relaxed);
        let passed = client.map(|client| {
            let passed = Passed::default();
            self.open().insert(id, (client, Arc::clone(&passed)));
            passed
        });
        Entered { shared: Arc::clone(self), id, passed }
    }
}

/// A connection that is in the books.
#[derive(Debug)]
pub(super) struct Entered {
    shared: Arc<Shared>,
    pub(super) id: u64,
    /// For a client's connection, which is counted by itself too.
    pub(super) passed: Option<Passed>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.shared.count.fetch_sub(1, Relaxed);
        if self.passed.is_some() {
            self.shared.open().remove(&self.id);
        }
    }
}
