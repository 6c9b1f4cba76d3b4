//! Where the hub's sockets live, and how it reaches a node for the callers of one port.

use super::side::SEND_BUFFER_BYTES;
use crate::netns::Room;
use history::NodeId;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt,
};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::shared::Shared;

/// How long a target may take to accept. On loopback the kernel accepts at once, also for a stopped
/// process, until its queue of new connections is full.
const DIAL_LIMIT: Duration = Duration::from_secs(5);

/// The network in which a socket lives. All else about a socket is the same everywhere.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// That of this process.
    Here,
    /// A node's own namespace.
    Room(Arc<Room>),
}

impl Place {
    /// A socket for TCP that does not block and is not bound.
    pub(super) fn stream_socket(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Here => {
                let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
                Ok(socket(AddressFamily::Inet, SockType::Stream, flags, None)?)
            }
            Self::Room(room) => room.stream_socket(),
        }
    }
}

/// At which of its addresses a node is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// Where it listens for its peers since its last start.
    Peers,
    /// Where it listens for clients since its last start.
    Clients,
    /// Always here: the address by which it was called.
    Fixed(SocketAddrV4),
}

/// How the hub reaches the target of a port.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) aim: Aim,
    /// From where.
    pub(super) place: Place,
    /// As whom; none leaves it to the kernel.
    pub(super) source: Option<Ipv4Addr>,
}

impl Route {
    /// Calls `node`; none while it is down and when it does not answer.
    pub(super) async fn dial(&self, node: NodeId, shared: &Shared) -> Option<TcpStream> {
        let upstream = shared.upstream(node)?;
        let address = match self.aim {
            Aim::Peers => upstream.peer,
            Aim::Clients => upstream.client,
            Aim::Fixed(address) => address.into(),
        };
        let socket = self.socket(address).ok()?;
        // Before connecting, so that the window is never larger.
        let _ = socket.set_send_buffer_size(u32::try_from(SEND_BUFFER_BYTES).unwrap_or(u32::MAX));
        timeout(DIAL_LIMIT, socket.connect(address)).await.ok()?.ok()
    }

    fn socket(&self, to: SocketAddr) -> io::Result<TcpSocket> {
        if to.is_ipv6() {
            return TcpSocket::new_v6();
        }
        let socket = self.place.stream_socket()?;
        if let Some(source) = self.source {
            // Which port is left to `connect`: two calls to different nodes may share one.
            setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
            bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(source, 0)))?;
        }
        Ok(TcpSocket::from_std_stream(socket.into()))
    }
}
