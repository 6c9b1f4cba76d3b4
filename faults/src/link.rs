//! What the network between nodes should do: links, the rule of each, and a whole plan of them.
//!
//! A link is an ordered pair of nodes. It covers the bytes from the first to the second on every
//! connection between the two, whichever of them dialled it: a node that is cut off must neither be
//! reached nor reach out, and a one-way cut must not depend on who happened to connect first.
//!
//! Everything here is a value. [`Hub`](crate::proxy::Hub) puts a plan into effect.

use crate::pace::{Accept, Distribution, Pace, Period};
use history::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// The bytes from one node to another, on connections dialled by either. Written `["n1","n2"]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(NodeId, NodeId)", into = "(NodeId, NodeId)")]
pub struct Link {
    /// The node that sends the bytes.
    pub from: NodeId,
    /// The node that receives them.
    pub to: NodeId,
}

impl Link {
    /// The link from `from` to `to`.
    #[must_use]
    pub const fn new(from: NodeId, to: NodeId) -> Self {
        Self { from, to }
    }

    /// The link that carries the answers.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

impl From<(NodeId, NodeId)> for Link {
    fn from((from, to): (NodeId, NodeId)) -> Self {
        Self { from, to }
    }
}

impl From<Link> for (NodeId, NodeId) {
    fn from(link: Link) -> Self {
        (link.from, link.to)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}", self.from, self.to)
    }
}

/// What becomes of the bytes of a link. Bytes are never thrown away: a stream with a hole in it is
/// something that TCP cannot produce, and a system that stumbles over it is not at fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// They are passed on, in order.
    #[default]
    Deliver,
    /// They wait, and so do the ends of connections (FIN and RST).
    Hold,
}

/// What happens to the connections over a held link when it is released. Real networks do both:
/// after a short outage TCP retransmits, after a long one the connection is gone.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Heal {
    /// What was held is delivered, in order, exactly once.
    #[default]
    Deliver,
    /// Each connection by itself does the one or the other, drawn from the rule's seed.
    Mixed,
    /// Both ends see a reset (RST), and what was held is lost with the connection.
    Cut,
}

/// What one link does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// Whether bytes pass.
    pub mode: Mode,
    /// How much later than it arrived each byte is passed on, in whole milliseconds. Order is kept,
    /// and delay does not limit the rate until a bound of queued bytes is reached.
    #[serde(with = "crate::milliseconds")]
    pub delay: Duration,
    /// What happens when `mode` leaves [`Mode::Hold`].
    pub heal: Heal,
    /// What else makes it slow.
    pub pace: Pace,
    /// For a rule that holds: it comes and goes.
    pub flap: Option<Period>,
    /// What becomes of connections that the sender dials, and of those that the receiver dials while this rule
    /// holds: a connection needs both directions.
    pub accept: Accept,
}

impl Rule {
    /// A link that does nothing to anybody: [`Rule::default`], where a constant is needed.
    const DELIVER: Self = Self {
        mode: Mode::Deliver,
        delay: Duration::ZERO,
        heal: Heal::Deliver,
        pace: Pace {
            jitter: Duration::ZERO,
            distribution: Distribution::Uniform,
            bytes_per_second: 0,
            slice_bytes: 0,
            slice_pause: Duration::ZERO,
            stall_percent: 0,
            seed: 0,
        },
        flap: None,
        accept: Accept::Serve,
    };

    /// A held link that heals as told.
    #[must_use]
    pub const fn hold(heal: Heal) -> Self {
        Self { mode: Mode::Hold, heal, ..Self::DELIVER }
    }

    /// A link that delivers everything `delay` later.
    #[must_use]
    pub const fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::DELIVER }
    }

    /// A link that leaves connections alone and does this to those who dial.
    #[must_use]
    pub const fn accepting(accept: Accept) -> Self {
        Self { accept, ..Self::DELIVER }
    }

    /// The same with these draws: which connections a mixed heal resets, and the pace.
    #[must_use]
    pub const fn seeded(mut self, seed: u64) -> Self {
        self.pace.seed = seed;
        self
    }

    /// Whether bytes wait.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.mode == Mode::Hold
    }

    /// Whether bytes are late.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        !self.delay.is_zero() || !self.pace.is_plain()
    }

    /// Both at once: it holds if either holds, all the time if either does; is late by both delays; heals as the
    /// harsher of those that hold; and treats those who dial as the harsher does.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let seed = if self.holds() { self.pace.seed } else { other.pace.seed };
        let mut both = Self {
            mode: if self.holds() || other.holds() { Mode::Hold } else { Mode::Deliver },
            delay: self.delay.saturating_add(other.delay),
            heal: self.heals().max(other.heals()),
            pace: self.pace.and(other.pace),
            flap: match (self.holds(), other.holds()) {
                (true, true) => self.flap.and_then(|flap| other.flap.map(|_| flap)),
                (true, false) => self.flap,
                (false, _) => other.flap,
            },
            accept: self.accept.max(other.accept),
        };
        if both.pace.is_plain() {
            both.pace.seed = seed;
        }
        both
    }

    fn heals(self) -> Heal {
        if self.holds() { self.heal } else { Heal::Deliver }
    }
}

/// The two directions between one client connection and the node it reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClientRule {
    /// Bytes from the client to the node.
    pub inward: Rule,
    /// Bytes from the node to the client.
    pub outward: Rule,
}

/// What the whole network does; a link that is not named delivers at once. A plan takes effect as a
/// whole: no moment exists at which one of its links follows it and another does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Links between nodes.
    pub rules: BTreeMap<Link, Rule>,
    /// All client connections of a node.
    pub clients: BTreeMap<NodeId, ClientRule>,
    /// Single client connections, by the number the hub gave them; these win over `clients`.
    pub connections: BTreeMap<u64, ClientRule>,
}

impl Plan {
    /// A plan that holds these links.
    #[must_use]
    pub fn hold(links: impl IntoIterator<Item = Link>, heal: Heal) -> Self {
        let rules = links.into_iter().map(|link| (link, Rule::hold(heal))).collect();
        Self { rules, ..Self::default() }
    }

    /// A plan that delays everything to and from `node`, its clients included: a slow node.
    #[must_use]
    pub fn slow_node(node: NodeId, nodes: &[NodeId], delay: Duration) -> Self {
        let rule = Rule::delayed(delay);
        let mut plan = Self::default();
        for &other in nodes.iter().filter(|&&other| other != node) {
            plan.rules.insert(Link::new(node, other), rule);
            plan.rules.insert(Link::new(other, node), rule);
        }
        plan.clients.insert(node, ClientRule { inward: rule, outward: rule });
        plan
    }

    /// Both plans at once, link by link ([`Rule::and`]).
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (&link, &rule) in &other.rules {
            let mine = self.rules.entry(link).or_default();
            *mine = mine.and(rule);
        }
        let clients = other.clients.iter().map(|(&node, &rule)| (node, rule));
        merge(&mut self.clients, clients);
        merge(&mut self.connections, other.connections.iter().map(|(&id, &rule)| (id, rule)));
        self
    }

    /// The rule of a link.
    #[must_use]
    pub fn rule(&self, link: Link) -> Rule {
        self.rules.get(&link).copied().unwrap_or_default()
    }
}

fn merge<K: Ord>(
    into: &mut BTreeMap<K, ClientRule>,
    rules: impl IntoIterator<Item = (K, ClientRule)>,
) {
    for (key, rule) in rules {
        let mine = into.entry(key).or_default();
        *mine = ClientRule {
            inward: mine.inward.and(rule.inward),
            outward: mine.outward.and(rule.outward),
        };
    }
}

/// What happened on one link since the hub started; the difference of two readings is what happened
/// between them. Bytes are counted when the proxy reads or writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Bytes read from the sender.
    pub read_bytes: u64,
    /// Bytes written to the receiver.
    pub forwarded_bytes: u64,
    /// Bytes read and not yet written: waiting now, lost with their connection if it is reset.
    pub waiting_bytes: u64,
    /// Bytes that were read while the link was held, or were waiting when it became so.
    pub held_bytes: u64,
    /// Ends of a stream (FIN or RST) passed to the receiver. Nothing may end across a held link.
    pub ends: u64,
    /// Connections that the sender dialled to the receiver, whatever became of them.
    pub dialled: u64,
    /// Of these, connected through to the receiver.
    pub opened: u64,
    /// Of these, made to wait because the link was held.
    pub hung: u64,
    /// Of these, reset because the receiver was down or too many connections were open.
    pub refused: u64,
    /// Connections over this link that a heal reset.
    pub reset: u64,
    /// Calls by the sender that nobody answered. Brought up to date when a plan takes effect.
    pub unanswered: u64,
    /// How often the hub itself called the receiver's port for this sender and was refused, as asked.
    pub closed: u64,
    /// Of the connections dialled, those that should have been left unanswered or refused and were accepted first,
    /// because nothing else tells who calls: kept waiting, or reset.
    #[serde(default)]
    pub taken: u64,
    /// Pieces that were passed on later than they could have been, because the link was slow.
    pub slowed: u64,
    /// Of these, passed on sooner after they were read than the rule's delay asks.
    pub prompt: u64,
    /// How often a flap has held the link.
    pub flaps: u64,
    /// Bytes that were passed on while a flap held the link.
    pub leaked_bytes: u64,
}

impl Counters {
    /// What happened since `before`. What waits is what waits now.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            read_bytes: self.read_bytes.saturating_sub(before.read_bytes),
            forwarded_bytes: self.forwarded_bytes.saturating_sub(before.forwarded_bytes),
            waiting_bytes: self.waiting_bytes,
            held_bytes: self.held_bytes.saturating_sub(before.held_bytes),
            ends: self.ends.saturating_sub(before.ends),
            dialled: self.dialled.saturating_sub(before.dialled),
            opened: self.opened.saturating_sub(before.opened),
            hung: self.hung.saturating_sub(before.hung),
            refused: self.refused.saturating_sub(before.refused),
            reset: self.reset.saturating_sub(before.reset),
            unanswered: self.unanswered.saturating_sub(before.unanswered),
            closed: self.closed.saturating_sub(before.closed),
            taken: self.taken.saturating_sub(before.taken),
            slowed: self.slowed.saturating_sub(before.slowed),
            prompt: self.prompt.saturating_sub(before.prompt),
            flaps: self.flaps.saturating_sub(before.flaps),
            leaked_bytes: self.leaked_bytes.saturating_sub(before.leaked_bytes),
        }
    }
}

/// What happened between all clients and one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCounters {
    /// From the clients to the node.
    pub inward: Counters,
    /// From the node to the clients.
    pub outward: Counters,
}

/// A client connection that is open now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientConnection {
    /// Its number, which names it in [`Plan::connections`].
    pub id: u64,
    /// The node it was made to.
    pub node: NodeId,
    /// The client's own address, by which the client knows it too.
    pub source: SocketAddr,
    /// Bytes passed on so far, from the client to the node and back.
    pub forwarded_bytes: [u64; 2],
}
