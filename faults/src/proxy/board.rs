//! What every connection of the hub looks at: the plan in effect, the nodes' addresses, the counters.
//!
//! [`Board`] lives on the hub's thread. Its plan changes between two steps of a connection and never
//! during one, and its epoch tells a connection that it must look again. [`Shared`] is the part that
//! other threads may read.

use super::tally::Tally;
use super::{ClientConnection, Upstream};
use crate::environment::Applied;
use crate::link::{Heal, Link, Plan, Rule};
use history::NodeId;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// One direction of one connection: decides which rule holds for it and where it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Between two nodes.
    Peer(Link),
    /// Between a client and a node.
    Client { node: NodeId, connection: u64, inward: bool },
}

/// What a plan says about a way, and how often a heal has reset it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) rule: Rule,
    pub(super) cuts: u64,
}

/// What a rule of a plan is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Link(Link),
    Clients(NodeId, bool),
    Connection(u64, bool),
}

/// The plan in effect. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub(super) struct Board(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    epoch: Cell<u64>,
    changed: watch::Sender<u64>,
    base: RefCell<Plan>,
    top: RefCell<Plan>,
    plan: RefCell<Plan>,
    cuts: RefCell<BTreeMap<Subject, u64>>,
}

impl Board {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(Rc::new(Inner {
            shared,
            epoch: Cell::new(0),
            changed: watch::Sender::new(0),
            base: RefCell::default(),
            top: RefCell::default(),
            plan: RefCell::default(),
            cuts: RefCell::default(),
        }))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// How many plans have taken effect.
    pub(super) fn epoch(&self) -> u64 {
        self.0.epoch.get()
    }

    /// Learns of every later change.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    pub(super) fn apply(&self, plan: Plan) -> Applied {
        self.0.top.replace(plan);
        self.swap()
    }

    pub(super) fn set_base(&self, plan: Plan) -> Applied {
        self.0.base.replace(plan);
        self.swap()
    }

    /// The moment at which a plan takes effect.
    fn swap(&self) -> Applied {
        let counters = self.0.shared.link_counters();
        let new = self.0.top.borrow().clone().and(&self.0.base.borrow());
        let old = self.0.plan.replace(new);
        self.note_cuts(&old);
        let epoch = self.0.epoch.get() + 1;
        self.0.epoch.set(epoch);
        self.0.changed.send_replace(epoch);
        Applied { epoch, counters }
    }

    /// Counts the subjects that were held and are now released by reset.
    fn note_cuts(&self, old: &Plan) {
        let new = self.0.plan.borrow();
        let mut cuts = self.0.cuts.borrow_mut();
        for (subject, rule) in subjects(old) {
            if rule.holds() && rule.heal == Heal::Cut && !rule_of(&new, subject).holds() {
                *cuts.entry(subject).or_default() += 1;
            }
        }
    }

    pub(super) fn standing(&self, way: Way) -> Standing {
        let (plan, cuts) = (self.0.plan.borrow(), self.0.cuts.borrow());
        let cuts_of = |subject| cuts.get(&subject).copied().unwrap_or(0);
        match way {
            Way::Peer(link) => {
                let subject = Subject::Link(link);
                Standing { rule: rule_of(&plan, subject), cuts: cuts_of(subject) }
            }
            Way::Client { node, connection, inward } => {
                let alone = Subject::Connection(connection, inward);
                let all = Subject::Clients(node, inward);
                let named = plan.connections.contains_key(&connection);
                let rule = rule_of(&plan, if named { alone } else { all });
                Standing { rule, cuts: cuts_of(alone) + cuts_of(all) }
            }
        }
    }
}

fn subjects(plan: &Plan) -> impl Iterator<Item = (Subject, Rule)> {
    let links = plan.rules.iter().map(|(&link, &rule)| (Subject::Link(link), rule));
    let clients = plan.clients.iter().flat_map(|(&node, rule)| {
        [(Subject::Clients(node, true), rule.inward), (Subject::Clients(node, false), rule.outward)]
    });
    let connections = plan.connections.iter().flat_map(|(&id, rule)| {
        [
            (Subject::Connection(id, true), rule.inward),
            (Subject::Connection(id, false), rule.outward),
        ]
    });
    links.chain(clients).chain(connections)
}

fn rule_of(plan: &Plan, subject: Subject) -> Rule {
    let (rule, inward) = match subject {
        Subject::Link(link) => return plan.rule(link),
        Subject::Clients(node, inward) => (plan.clients.get(&node), inward),
        Subject::Connection(id, inward) => (plan.connections.get(&id), inward),
    };
    let rule = rule.copied().unwrap_or_default();
    if inward { rule.inward } else { rule.outward }
}

/// The part of the hub that any thread may read.
#[derive(Debug)]
pub(super) struct Shared {
    upstreams: Mutex<BTreeMap<NodeId, Upstream>>,
    links: BTreeMap<Link, Arc<Tally>>,
    clients: BTreeMap<NodeId, [Arc<Tally>; 2]>,
    open: Mutex<BTreeMap<u64, ClientConnection>>,
    count: AtomicUsize,
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
            clients: nodes.iter().map(|&node| (node, <[Arc<Tally>; 2]>::default())).collect(),
            open: Mutex::default(),
            count: AtomicUsize::new(0),
        }
    }

    pub(super) fn set_upstream(&self, node: NodeId, upstream: Option<Upstream>) {
        let mut upstreams = self.upstreams.lock().expect("no holder of this lock panics");
        match upstream {
            Some(upstream) => upstreams.insert(node, upstream),
            None => upstreams.remove(&node),
        };
    }

    /// Where a node listens for one kind of caller; none while it is down.
    pub(super) fn upstream(&self, node: NodeId, for_clients: bool) -> Option<SocketAddr> {
        let upstreams = self.upstreams.lock().expect("no holder of this lock panics");
        upstreams.get(&node).map(|at| if for_clients { at.client } else { at.peer })
    }

    pub(super) fn link_tally(&self, link: Link) -> Option<&Arc<Tally>> {
        self.links.get(&link)
    }

    /// Inward, then outward.
    pub(super) fn client_tallies(&self, node: NodeId) -> Option<&[Arc<Tally>; 2]> {
        self.clients.get(&node)
    }

    pub(super) fn tally(&self, way: Way) -> Arc<Tally> {
        let tally = match way {
            Way::Peer(link) => self.links.get(&link),
            Way::Client { node, inward, .. } => {
                self.clients.get(&node).map(|[to_node, to_client]| match inward {
                    true => to_node,
                    false => to_client,
                })
            }
        };
        Arc::clone(tally.expect("ways are only made for the ports of known nodes"))
    }

    fn link_counters(&self) -> BTreeMap<Link, crate::link::Counters> {
        self.links.iter().map(|(&link, tally)| (link, tally.read())).collect()
    }

    pub(super) fn client_connections(&self) -> Vec<ClientConnection> {
        let open = self.open.lock().expect("no holder of this lock panics");
        open.values().copied().collect()
    }

    pub(super) fn connections(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Enters a connection into the books until the returned value is dropped.
    pub(super) fn enter(self: &Arc<Self>, id: u64, client: Option<ClientConnection>) -> Entered {
        self.count.fetch_add(1, Relaxed);
        if let Some(client) = client {
            self.open.lock().expect("no holder of this lock panics").insert(id, client);
        }
        Entered { shared: Arc::clone(self), id }
    }
}

/// A connection that is in the books.
#[derive(Debug)]
pub(super) struct Entered {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.shared.count.fetch_sub(1, Relaxed);
        self.shared.open.lock().expect("no holder of this lock panics").remove(&self.id);
    }
}
