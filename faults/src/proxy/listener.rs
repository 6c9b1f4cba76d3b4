//! The ports of the hub: who is calling whom is known by the port.

use super::board::{Board, Way};
use super::connection::Connection;
use super::side::Side;
use super::tally::count;
use super::{ClientConnection, LOOPBACK, MAX_CONNECTIONS};
use crate::link::Link;
use history::NodeId;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Who calls whom on a port. Without a dialler it is for clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port {
    pub(super) target: NodeId,
    pub(super) dialler: Option<NodeId>,
}

impl Port {
    /// The two directions of a connection to this port.
    fn ways(self, connection: u64) -> [Way; 2] {
        match self.dialler {
            Some(dialler) => {
                let link = Link::new(dialler, self.target);
                [Way::Peer(link), Way::Peer(link.reversed())]
            }
            None => {
                [true, false].map(|inward| Way::Client { node: self.target, connection, inward })
            }
        }
    }
}

/// Opens a port of the system's choice on loopback.
pub(super) fn open() -> io::Result<(std::net::TcpListener, SocketAddr)> {
    let listener = std::net::TcpListener::bind(LOOPBACK)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Numbers connections, over all hubs of the process.
static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

/// Accepts until the hub ends.
pub(super) async fn listen(port: Port, listener: std::net::TcpListener, board: Board) {
    // Registering with the reactor can only fail if the process has no descriptors left; the port
    // then stays bound and silent, and every connection to it shows as one that hangs.
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        match listener.accept().await {
            Ok((stream, source)) => admit(port, stream, source, &board),
            // Out of descriptors, or the caller is gone already; both pass.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn admit(port: Port, stream: TcpStream, source: SocketAddr, board: &Board) {
    let id = NEXT_CONNECTION.fetch_add(1, Relaxed);
    let ways = port.ways(id);
    let shared = board.shared();
    if shared.connections() >= MAX_CONNECTIONS {
        let tally = shared.tally(ways[0]);
        count(&tally.dialled);
        count(&tally.refused);
        Side::new(stream).reset();
        return;
    }
    let for_clients = port.dialler.is_none();
    let client = for_clients.then_some(ClientConnection { id, node: port.target, source });
    let entered = shared.enter(id, client);
    let connection = Connection::new(stream, ways, board, entered);
    tokio::task::spawn_local(connection.run(port.target, for_clients));
}
