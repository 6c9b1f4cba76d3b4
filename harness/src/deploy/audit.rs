//! The bypass audit: whether every connection between two nodes goes through the proxies, as seen from outside.
//!
//! A cut proves something only if there is no other way. So after the start, after every heal and before the end this asks
//! the kernel who holds the two ends of each connection. What is found is no verdict on the system: the run is an
//! error, and says who reaches whom.
//!
//! | looked at | is a leak |
//! |---|---|
//! | connections in the network that the nodes share, or in each one's own | processes of two nodes hold the two ends, or one calls where the other listens |
//! | where they share one: sockets | processes of two nodes hold the same one; or one is held by a process of which nobody can say any more which node started it |
//! | … processes of a node | one is in another network |
//! | with a namespace for each node: processes of a node | one is in another network |
//! | … sockets in a node's network | one is held by another node, or by nobody of this run |
//! | … devices of it | there is one besides loopback |
//!
//! The processes of a node are those in its group, whatever one of them started, and what lives in its network. A thing is a leak
//! if it was seen, never because something was missing: the kernel is asked bit by bit while connections come and go. A
//! socket that nobody seems to hold is looked for again, and must be there without a holder in every look: a process that has just
//! been forked and is not another program yet holds whatever its parent has closed since. So is one whose node cannot be
//! told: a node that has just been started may not be known yet.
//!
//! What it does not see: connections that are there between two audits only, UDP, sockets in the file system, shared
//! files and memory. In a namespace UDP reaches nobody else; where nodes share the machine's network it may.

pub(super) mod sight;
mod table;

use super::homes::Homes;
use super::{DeployError, Deployment, lock};
use faults::netns::Namespaces;
use history::NodeId;
use sight::{Holder, Network, Sight};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use table::{Entry, State};

/// How often it looks before it says that it cannot see, or that nobody holds a socket.
const LOOKS: usize = 6;
/// Between the first two looks; it doubles from one to the next.
const PAUSE: Duration = Duration::from_millis(20);

/// What to do about a leak.
pub(super) const HINT: &str = "tell each node only the addresses that the harness gives it, also to pass on to its peers and to clients; \
    start all its processes from its own command, in the network it is started in, and hand sockets to no other node";

/// A process of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// Of which node.
    pub node: NodeId,
    /// Which process.
    pub pid: i32,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.node, self.pid)
    }
}

/// A way around the proxies. Networks are named in words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leak {
    /// Two nodes hold the two ends of a connection, or one calls the other.
    Direct {
        /// Who holds its ends.
        between: [Party; 2],
        /// The addresses of its ends, in the same order.
        ends: [SocketAddr; 2],
        /// Where.
        network: String,
    },
    /// A node's process is not in the network of its node.
    Astray {
        /// Which.
        party: Party,
        /// Where it is instead.
        network: String,
    },
    /// A node's process holds a socket in the network of another node.
    Foreign {
        /// Which.
        party: Party,
        /// The socket's two addresses.
        ends: [SocketAddr; 2],
        /// In whose network.
        network: String,
    },
    /// Two nodes hold the same socket.
    Both {
        /// Who holds it.
        holders: [Party; 2],
        /// The socket's two addresses.
        ends: [SocketAddr; 2],
        /// Where.
        network: String,
    },
    /// A process that a node has started, nothing tells which, holds a socket in the network that the nodes share.
    Stray {
        /// Which process.
        pid: i32,
        /// The socket's two addresses.
        ends: [SocketAddr; 2],
        /// Where.
        network: String,
    },
    /// A connection in a node's network of which an end is held by nobody of this run.
    Stranger {
        /// The addresses of that end, its own first.
        ends: [SocketAddr; 2],
        /// In whose network.
        network: String,
    },
    /// A node's network leads somewhere.
    Device {
        /// Whose.
        node: NodeId,
        /// The name of the device.
        name: String,
    },
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct { between: [one, other], ends: [from, to], network } => {
                write!(
                    f,
                    "{one} is connected to {other} past the proxies, {from} to {to} in {network}"
                )
            }
            Self::Astray { party, network } => {
                write!(f, "{party} is not in the network of its node but in {network}")
            }
            Self::Foreign { party, ends: [from, to], network } => {
                write!(f, "{party} holds a socket in {network}, {from} to {to}")
            }
            Self::Both { holders: [one, other], ends: [from, to], network } => {
                write!(f, "{one} and {other} hold the same socket, {from} to {to} in {network}")
            }
            Self::Stray { pid, ends: [from, to], network } => {
                write!(
                    f,
                    "process {pid}, which has left its node, holds a socket in {network}, {from} to {to}"
                )
            }
            Self::Stranger { ends: [from, to], network } => {
                write!(
                    f,
                    "nobody of this run holds the end {from} of a connection to {to} in {network}"
                )
            }
            Self::Device { node, name } => {
                write!(f, "the network of {node} has a device besides lo: {name}")
            }
        }
    }
}

impl Deployment {
    /// Looks whether nodes reach each other past the proxies; returns how many sockets of nodes it saw. Blocks for some
    /// milliseconds.
    ///
    /// # Errors
    /// [`DeployError::Bypassed`] with every way around them, [`DeployError::Unaudited`] if that cannot be seen.
    pub fn audit(&self) -> Result<usize, DeployError> {
        let running = || lock(&self.inner.ledger).running().into_iter().collect();
        let guardian = self.inner.guardian.pid().and_then(|pid| i32::try_from(pid).ok());
        audit(running, self.inner.homes.as_ref().and_then(Homes::namespaces), guardian)
    }
}

fn audit(
    running: impl Fn() -> BTreeMap<NodeId, i32>,
    namespaces: Option<&Namespaces>,
    guardian: Option<i32>,
) -> Result<usize, DeployError> {
    let mut unheld: Option<BTreeMap<u64, Leak>> = None;
    let (mut sightings, mut blind, mut pause) = (0, String::new(), PAUSE);
    for look in 1..=LOOKS {
        match sight::look(&running(), namespaces, guardian) {
            Err(why) => blind = why,
            Ok(sight) => {
                let found = leaks(&sight);
                if !found.is_empty() {
                    return Err(DeployError::Bypassed(found.into_iter().collect()));
                }
                let mut now = strangers(&sight);
                if let Some(before) = &unheld {
                    now.retain(|inode, _| before.contains_key(inode));
                }
                if now.is_empty() {
                    return Ok(sight.held_by_nodes());
                }
                (unheld, sightings) = (Some(now), sightings + 1);
            }
        }
        if look < LOOKS {
            std::thread::sleep(pause);
            pause *= 2;
        }
    }
    match unheld {
        Some(leaks) if sightings > LOOKS / 2 => {
            Err(DeployError::Bypassed(leaks.into_values().collect()))
        }
        _ => Err(DeployError::Unaudited(blind)),
    }
}

/// What cannot be but a way around the proxies.
fn leaks(sight: &Sight) -> BTreeSet<Leak> {
    let mut found = BTreeSet::new();
    for &(party, network) in &sight.residents {
        let home = if sight.homes.is_empty() {
            Some(&sight.machine)
        } else {
            sight.homes.get(&party.node)
        };
        if home.is_some_and(|home| *home != network) {
            found.insert(Leak::Astray { party, network: sight.name(network) });
        }
    }
    for (network, table) in &sight.tables {
        found.extend(direct(sight, *network, table));
        found.extend(foreign(sight, *network, table));
        found.extend(both(sight, *network, table));
    }
    for (&node, devices) in &sight.devices {
        let others = devices.iter().filter(|name| *name != "lo").cloned();
        found.extend(others.map(|name| Leak::Device { node, name }));
    }
    found
}

/// Connections of which two nodes hold the two ends.
fn direct<'a>(
    sight: &'a Sight,
    network: Network,
    table: &'a [Entry],
) -> impl Iterator<Item = Leak> + 'a {
    let ends: BTreeMap<[SocketAddr; 2], &Entry> =
        table.iter().map(|entry| ([entry.local, entry.remote], entry)).collect();
    let calling = table.iter().filter(|entry| entry.state == State::Connected);
    calling.flat_map(move |entry| {
        let accepted = ends.get(&[entry.remote, entry.local]).filter(|other| other.inode != 0);
        let other = accepted.copied().or_else(|| listener(table, entry.remote));
        let others = other.map(|other| sight.nodes_with(other.inode)).unwrap_or_default();
        let pairs = sight
            .nodes_with(entry.inode)
            .into_iter()
            .flat_map(move |one| others.clone().into_iter().map(move |other| [one, other]));
        let leak = move |mut between: [Party; 2]| {
            let mut ends = [entry.local, entry.remote];
            // Its two ends are one leak.
            if between[0] > between[1] {
                between.reverse();
                ends.reverse();
            }
            Leak::Direct { between, ends, network: sight.name(network) }
        };
        pairs.filter(|[one, other]| one.node != other.node).map(leak)
    })
}

/// Who takes calls there.
fn listener(table: &[Entry], at: SocketAddr) -> Option<&Entry> {
    let listening = || table.iter().filter(|entry| entry.state == State::Listening);
    let everywhere =
        |entry: &&Entry| entry.local.ip().is_unspecified() && entry.local.port() == at.port();
    listening().find(|entry| entry.local == at).or_else(|| listening().find(everywhere))
}

/// Sockets in a node's network that another node holds.
fn foreign<'a>(
    sight: &'a Sight,
    network: Network,
    table: &'a [Entry],
) -> impl Iterator<Item = Leak> + 'a {
    let owner = sight.owner(network);
    table.iter().filter(move |_| owner.is_some()).flat_map(move |entry| {
        let others = sight.nodes_with(entry.inode).into_iter();
        let others = others.filter(move |party| Some(party.node) != owner);
        others.map(move |party| Leak::Foreign {
            party,
            ends: [entry.local, entry.remote],
            network: sight.name(network),
        })
    })
}

/// Sockets in the network that nodes share which two of them hold: what is said there is said by both.
fn both<'a>(
    sight: &'a Sight,
    network: Network,
    table: &'a [Entry],
) -> impl Iterator<Item = Leak> + 'a {
    let shared = table.iter().filter(move |_| sight.owner(network).is_none());
    shared.filter_map(move |entry| {
        let mut holders = sight.nodes_with(entry.inode);
        holders.sort_unstable();
        let (one, ends) = (*holders.first()?, [entry.local, entry.remote]);
        let other = holders.into_iter().find(|other| other.node != one.node)?;
        Some(Leak::Both { holders: [one, other], ends, network: sight.name(network) })
    })
}

/// What must be there in every look to be a leak, by the inodes of sockets: connections in nodes' networks that nobody
/// seems to hold (closed meanwhile, or held by a process that is just being born or is not of this run), and what is
/// held by a process of which nothing tells the node.
fn strangers(sight: &Sight) -> BTreeMap<u64, Leak> {
    let homes = sight.tables.iter().filter(|(network, _)| sight.owner(*network).is_some());
    let entries = homes.flat_map(|(network, table)| table.iter().map(move |e| (*network, e)));
    let unheld = entries.filter(|(_, entry)| {
        let connected = entry.state == State::Connected && entry.inode != 0;
        connected && !sight.holders.contains_key(&entry.inode)
    });
    let leak = |(network, entry): (Network, &Entry)| {
        let ends = [entry.local, entry.remote];
        (entry.inode, Leak::Stranger { ends, network: sight.name(network) })
    };
    let entries =
        sight.tables.iter().flat_map(|(network, table)| table.iter().map(move |e| (*network, e)));
    let strays = entries.filter_map(|(network, entry)| {
        let holders = sight.holders.get(&entry.inode)?;
        let pid = holders.iter().find_map(|holder| match holder {
            Holder::Stray(pid) => Some(*pid),
            Holder::Harness | Holder::Node(_) => None,
        })?;
        let ends = [entry.local, entry.remote];
        Some((entry.inode, Leak::Stray { pid, ends, network: sight.name(network) }))
    });
    unheld.map(leak).chain(strays).collect()
}

impl Sight {
    /// The processes of nodes that hold this socket.
    fn nodes_with(&self, inode: u64) -> Vec<Party> {
        let holders = self.holders.get(&inode).map(Vec::as_slice).unwrap_or_default();
        let party = |holder: &Holder| match holder {
            Holder::Harness | Holder::Stray(_) => None,
            Holder::Node(party) => Some(*party),
        };
        holders.iter().filter_map(party).collect()
    }

    /// The node whose home this is.
    fn owner(&self, network: Network) -> Option<NodeId> {
        self.homes.iter().find(|(_, home)| **home == network).map(|(node, _)| *node)
    }

    /// A network in words.
    fn name(&self, network: Network) -> String {
        match self.owner(network) {
            Some(node) => format!("the network of {node}"),
            None if network == self.machine => "the network of the harness".to_owned(),
            None => "a network that is not of this run".to_owned(),
        }
    }

    /// How many of the sockets in the tables are held by nodes.
    fn held_by_nodes(&self) -> usize {
        let entries = self.tables.iter().flat_map(|(_, table)| table);
        entries.filter(|entry| !self.nodes_with(entry.inode).is_empty()).count()
    }
}

#[cfg(test)]
mod tests;
