//! Where nodes live that have one address for everybody: a network namespace each, which the hub reaches into.
//!
//! A home is ready once somebody listens in it where the system says that peers and clients call. Everything that is
//! known of a home is decided here: its addresses, how a node gets into it, and how it is asked past the proxies.
//! Nothing of it is on disk, and it is gone with this value, the hub and the processes in it.

use super::doors::Doors;
use crate::guardian::Network;
use crate::system::NodeAddresses;
use faults::netns::{self, Namespaces};
use history::NodeId;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;

/// The network namespaces of the nodes, and how they are asked past the proxies.
pub(super) struct Homes {
    namespaces: Arc<Namespaces>,
    doors: Doors,
    /// At which ports they have to listen: for peers, the first of them; for clients.
    ports: [u16; 2],
}

impl Homes {
    /// A home for each node that has a namespace, with a door to it.
    pub(super) fn open(namespaces: Arc<Namespaces>, ports: [u16; 2]) -> io::Result<Self> {
        let doors = Doors::open(&namespaces, ports[1])?;
        Ok(Self { namespaces, doors, ports })
    }

    pub(super) fn addresses(&self, node: NodeId) -> NodeAddresses {
        let [peer, client] = self.ports.map(|port| (netns::address(node), port).into());
        NodeAddresses { peer, client }
    }

    pub(super) fn are_open(&self, node: NodeId) -> bool {
        self.ports.iter().all(|port| self.namespaces.is_listening(node, *port))
    }

    /// Where somebody would have to listen and nobody does, in words; nothing once they are open.
    pub(super) fn closed(&self, node: NodeId) -> String {
        let whose = ["peers", "clients"];
        let closed = self.ports.iter().zip(whose);
        let closed = closed.filter(|(port, _)| !self.namespaces.is_listening(node, **port));
        let closed: Vec<String> = closed
            .map(|(port, whose)| format!("{}:{port} (for {whose})", netns::address(node)))
            .collect();
        closed.join(" and ")
    }

    pub(super) fn is_alive(&self, node: NodeId) -> bool {
        self.ports.iter().any(|port| self.namespaces.is_listening(node, *port))
    }

    /// Where the guardian finds the way in. A link below `/proc` names what is open here whatever it is.
    pub(super) fn network(&self, node: NodeId) -> Option<Network> {
        let door = self.namespaces.door(node)?;
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

    pub(super) fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }
}
