//! Who calls at a port that all callers share: asked of whoever knows the processes, before a byte is passed on.
//!
//! The hub knows the two addresses of a connection it has accepted and nothing of processes. Whoever starts the nodes
//! knows those, and answers through [`Callers`]. Nothing is guessed: a connection of which nobody can say whose it is
//! is reset and counted, and until the answer comes it is not read, while others are accepted.

use super::connection::Connection;
use super::port::{Dialling, Port};
use super::side::Side;
use super::tally::count;
use super::{MAX_CONNECTIONS, board::Board};
use crate::environment::BoxFuture;
use crate::pace::Accept;
use history::NodeId;
use std::net::{SocketAddr, SocketAddrV4};
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;

/// A connection that the hub has accepted, by its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The caller's end.
    pub from: SocketAddrV4,
    /// The end that the hub has accepted.
    pub to: SocketAddrV4,
}

/// Who is calling, where no port tells.
pub trait Callers: Send + Sync {
    /// The one node of which a process holds the caller's end; none if nobody does any more, or processes of two nodes,
    /// or somebody else. It must answer in a bounded time, and not on the thread that asks.
    fn who(&self, call: Call) -> BoxFuture<'_, Option<NodeId>>;
}

/// Finds out who has called a port, and then treats the connection as any other of that link.
pub(super) async fn admit(
    port: Rc<Port>,
    callers: Arc<dyn Callers>,
    stream: TcpStream,
    board: Board,
) {
    let shared = board.shared();
    let call = call(&stream).filter(|_| shared.connections() < MAX_CONNECTIONS);
    let mut dialler = Side::new(stream);
    let entered = shared.enter(super::port::next_connection(), None);
    let who = match call {
        Some(call) => callers.who(call).await,
        None => None,
    };
    let Some(dialling) = who.and_then(|node| port.dialling(node)) else {
        shared.count_unknown();
        return dialler.reset();
    };
    let Dialling { caller, route, .. } = dialling;
    let ways = caller.ways(entered.id);
    let tally = shared.tally(ways[0]);
    match board.accept(*caller) {
        Accept::Serve | Accept::Hang => {
            let lot = dialling.next_lot(ways[0]);
            let connection = Connection::new(dialler, ways, lot, &board, entered).taken(*caller);
            connection.run(caller.target, Rc::clone(route)).await;
        }
        accept @ (Accept::Reset | Accept::Refuse) => {
            count(&tally.dialled);
            count(&tally.refused);
            if accept == Accept::Refuse {
                count(&tally.taken);
            }
            dialler.reset();
        }
    }
}

fn call(stream: &TcpStream) -> Option<Call> {
    match (stream.peer_addr().ok()?, stream.local_addr().ok()?) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => Some(Call { from, to }),
        _ => None,
    }
}
