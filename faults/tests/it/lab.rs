//! A hub with a listener behind each node, and waits that always end.

use faults::proxy::{Hub, Upstream};
use faults::{Counters, Link};
use history::NodeId;
use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// No step of a test takes longer on the slowest machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// Long enough that what is not held would have arrived.
pub(crate) const QUIET: Duration = Duration::from_millis(150);

pub(crate) async fn soon<T>(what: &str, doing: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, doing).await.unwrap_or_else(|_| panic!("{what}: nothing came"))
}

pub(crate) fn node(number: u16) -> NodeId {
    NodeId(number)
}

pub(crate) fn link(from: u16, to: u16) -> Link {
    Link::new(NodeId(from), NodeId(to))
}

/// Both ends of one connection through the hub.
pub(crate) struct Pair {
    pub(crate) dialler: TcpStream,
    pub(crate) target: TcpStream,
}

pub(crate) struct Lab {
    pub(crate) hub: Hub,
    pub(crate) nodes: Vec<NodeId>,
    listeners: Vec<TcpListener>,
}

impl Lab {
    pub(crate) async fn new(count: u16) -> Self {
        let nodes: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let hub = Hub::start(&nodes).unwrap();
        let mut listeners = Vec::new();
        for &node in &nodes {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = listener.local_addr().unwrap();
            hub.set_upstream(node, Some(Upstream { peer: at, client: at }));
            listeners.push(listener);
        }
        Self { hub, nodes, listeners }
    }

    pub(crate) async fn dial(&self, dialler: u16, target: u16) -> TcpStream {
        let address = self.hub.peer_address(node(dialler), node(target)).unwrap();
        soon("connect", TcpStream::connect(address)).await.unwrap()
    }

    pub(crate) async fn dial_as_client(&self, target: u16) -> TcpStream {
        let address = self.hub.client_address(node(target)).unwrap();
        soon("connect", TcpStream::connect(address)).await.unwrap()
    }

    pub(crate) async fn accept(&self, target: u16) -> TcpStream {
        let listener = &self.listeners[usize::from(target) - 1];
        soon("accept", listener.accept()).await.unwrap().0
    }

    /// Whether a connection reaches the node within a short time.
    pub(crate) async fn is_reached(&self, target: u16) -> bool {
        let listener = &self.listeners[usize::from(target) - 1];
        tokio::time::timeout(QUIET, listener.accept()).await.is_ok()
    }

    pub(crate) async fn pair(&self, dialler: u16, target: u16) -> Pair {
        let dialled = self.dial(dialler, target).await;
        Pair { dialler: dialled, target: self.accept(target).await }
    }

    pub(crate) fn counters(&self, from: u16, to: u16) -> Counters {
        self.hub.counters(link(from, to)).unwrap()
    }

    /// Waits until the hub carries nothing any more.
    pub(crate) async fn emptied(&self) {
        soon("the hub to let go of every connection", async {
            while self.hub.connections() > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
}

/// Writes a few bytes and reads them at the other end.
pub(crate) async fn crosses(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).await.unwrap();
    let mut got = vec![0; bytes.len()];
    soon("bytes", to.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, bytes);
}

/// Asserts that nothing arrives for a while: no byte, no FIN, no RST.
pub(crate) async fn is_silent(stream: &mut TcpStream) {
    let mut byte = [0];
    let read = tokio::time::timeout(QUIET, stream.read(&mut byte)).await;
    assert!(read.is_err(), "something came: {read:?}");
}

/// Asserts that the stream ends by reset, after whatever else comes.
pub(crate) async fn is_reset(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let end = soon("a reset", stream.read_to_end(&mut rest)).await;
    assert_eq!(end.map_err(|error| error.kind()).unwrap_err(), ErrorKind::ConnectionReset);
}

/// Ends a connection with RST.
pub(crate) fn reset(stream: TcpStream) {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger).unwrap();
}
