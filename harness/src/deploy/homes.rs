//! Where nodes live that have one address for everybody, and how the hub is told who calls.
//!
//! | | a node lives | is known to others | who calls is known |
//! |---|---|---|---|
//! | apart | in a network namespace of its own, which the hub reaches into | by the address it has there | by the namespace |
//! | together | in the network of this machine, at an address of loopback | by another one, where the hub listens | by asking ([`Finder`]) |
//!
//! A home is ready once somebody listens in it where the system says that peers and clients call. Everything that is
//! known of a home is decided here: its addresses, how a node gets into it, and how it is asked past the proxies.
//! Nothing of it is on disk, and it is gone with this value, the hub and the processes in it.

use super::callers::{CallersFound, Finder};
use super::doors::{Dial, Doors, Threshold};
use crate::guardian::Network;
use crate::system::{Home, NodeAddresses};
use faults::netns::{self, Namespaces};
use faults::proxy::Block;
use history::NodeId;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;

/// How long a call may take that only asks whether somebody listens.
const CALL_LIMIT: Duration = Duration::from_millis(50);

/// Where the nodes live, and how they are asked past the proxies.
pub(super) struct Homes {
    ground: Ground,
    doors: Doors,
    homes: BTreeMap<NodeId, Home>,
}

/// In which network.
enum Ground {
    /// Each in its own.
    Apart(Arc<Namespaces>),
    /// All in that of this machine. The block is theirs as long as this is there.
    Together { _block: Block, finder: Arc<Finder> },
}

impl Homes {
    /// A home for each node that has a namespace, with a door to it; it has to listen at the first of these ports for
    /// its peers and at the second for clients.
    pub(super) fn apart(namespaces: Arc<Namespaces>, ports: [u16; 2]) -> io::Result<Self> {
        let home = |node| (node, home([netns::address(node); 2], ports));
        let homes: BTreeMap<NodeId, Home> = namespaces.nodes().map(home).collect();
        let dial = |node: NodeId| -> Dial {
            let inside = Arc::clone(&namespaces);
            Arc::new(move || Ok(TcpSocket::from_std_stream(inside.stream_socket(node)?.into())))
        };
        let doors = doors(&homes, dial)?;
        Ok(Self { ground: Ground::Apart(namespaces), doors, homes })
    }

    /// The same at addresses of this block.
    pub(super) fn together(
        block: Block,
        nodes: &[NodeId],
        ports: [u16; 2],
        finder: Arc<Finder>,
    ) -> io::Result<Self> {
        let address = |address: Option<Ipv4Addr>| address.ok_or(io::ErrorKind::InvalidInput);
        let mut homes = BTreeMap::new();
        for &node in nodes {
            let addresses = [address(block.own(node))?, address(block.known(node))?];
            homes.insert(node, home(addresses, ports));
        }
        let doors = doors(&homes, |_| Arc::new(TcpSocket::new_v4))?;
        Ok(Self { ground: Ground::Together { _block: block, finder }, doors, homes })
    }

    pub(super) fn home(&self, node: NodeId) -> Option<Home> {
        self.homes.get(&node).copied()
    }

    /// Whether a node takes calls at both its ports.
    pub(super) fn are_open(&self, node: NodeId) -> bool {
        self.places(node).is_some_and(|places| places.iter().all(|at| self.is_open(node, *at)))
    }

    /// Where somebody would have to listen and nobody does, in words; nothing once they are open.
    pub(super) fn closed(&self, node: NodeId) -> String {
        let places = self.places(node).into_iter().flatten().zip(["peers", "clients"]);
        let closed = places.filter(|(at, _)| !self.is_open(node, *at));
        let closed: Vec<String> = closed.map(|(at, whose)| format!("{at} (for {whose})")).collect();
        closed.join(" and ")
    }

    /// Whether it takes calls at either.
    pub(super) fn is_alive(&self, node: NodeId) -> bool {
        self.places(node).is_some_and(|places| places.iter().any(|at| self.is_open(node, *at)))
    }

    fn places(&self, node: NodeId) -> Option<[SocketAddr; 2]> {
        self.home(node).map(|home| [home.own.peer, home.own.client])
    }

    fn is_open(&self, node: NodeId, at: SocketAddr) -> bool {
        match &self.ground {
            Ground::Apart(namespaces) => namespaces.is_listening(node, at.port()),
            Ground::Together { .. } => TcpStream::connect_timeout(&at, CALL_LIMIT).is_ok(),
        }
    }

    /// Where the guardian finds the way in, if there is one. A link below `/proc` names what is open here whatever it is.
    pub(super) fn network(&self, node: NodeId) -> Option<Network> {
        let door = self.namespaces()?.door(node)?;
        let (user, net) = door.descriptors();
        let link = |fd: BorrowedFd<'_>| {
            PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd()))
        };
        Some(Network { user: user.map(link), net: link(net) })
    }

    /// Where the node answers past the proxies.
    pub(super) fn door(&self, node: NodeId) -> Option<SocketAddr> {
        self.doors.address(node)
    }

    /// The networks of the nodes, if each has its own.
    pub(super) fn namespaces(&self) -> Option<&Namespaces> {
        match &self.ground {
            Ground::Apart(namespaces) => Some(namespaces),
            Ground::Together { .. } => None,
        }
    }

    /// How well callers were found so far, where they have to be looked for.
    pub(super) fn callers(&self) -> Option<CallersFound> {
        match &self.ground {
            Ground::Apart(_) => None,
            Ground::Together { finder, .. } => Some(finder.found()),
        }
    }
}

/// Where a node listens itself and where it is known.
fn home([own, known]: [Ipv4Addr; 2], [peer, client]: [u16; 2]) -> Home {
    let at = |address: Ipv4Addr, port| SocketAddr::from((address, port));
    let own = NodeAddresses { peer: at(own, peer), client: at(own, client) };
    Home { own, known: at(known, peer) }
}

fn doors(homes: &BTreeMap<NodeId, Home>, dial: impl Fn(NodeId) -> Dial) -> io::Result<Doors> {
    let threshold =
        |(&node, home): (&NodeId, &Home)| Threshold { node, to: home.own.client, dial: dial(node) };
    Doors::open(homes.iter().map(threshold).collect())
}
