//! Doors: where whoever asks a node past the proxies reaches one that lives in a network namespace.
//!
//! The observer must see a node that is cut off, so its questions must not go through the proxies, and it cannot dial
//! into another namespace. So each node has a port on this machine's loopback, and what connects there is carried to the
//! node as it is. No peer and no client of the workload is told of these ports.
//!
//! Invariants: one thread for all doors; at most [`MOST`] connections at a time, further ones wait to be accepted; a call
//! to a node that does not answer is given up after [`DIAL_LIMIT`]; nothing is left when this is dropped.

use faults::netns::{self, Namespaces};
use history::NodeId;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How many connections a door carries at once.
const MOST: usize = 64;
/// How long a node may take to answer a call.
const DIAL_LIMIT: Duration = Duration::from_secs(1);
/// After an error that passes by itself, such as a lack of descriptors.
const PAUSE: Duration = Duration::from_millis(20);

/// A way to dial one node from inside its namespace.
type Dial = Arc<dyn Fn() -> io::Result<TcpSocket> + Send + Sync>;

/// The doors of all nodes. See the [module](self).
#[derive(Debug)]
pub(super) struct Doors {
    addresses: BTreeMap<NodeId, SocketAddr>,
    /// Dropped to end the thread.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Doors {
    /// Opens a door to this port of every node that has a namespace.
    ///
    /// # Errors
    /// A port cannot be opened, or the thread not started.
    pub(super) fn open(namespaces: &Arc<Namespaces>, port: u16) -> io::Result<Self> {
        let (mut addresses, mut open) = (BTreeMap::new(), Vec::new());
        for node in namespaces.nodes() {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            addresses.insert(node, listener.local_addr()?);
            let namespaces = Arc::clone(namespaces);
            let dial: Dial = Arc::new(move || {
                Ok(TcpSocket::from_std_stream(namespaces.stream_socket(node)?.into()))
            });
            open.push((listener, SocketAddr::from((netns::address(node), port)), dial));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("doors".to_owned()).spawn(move || {
            runtime.block_on(async {
                let mut doors = JoinSet::new();
                for (listener, to, dial) in open {
                    doors.spawn(serve(listener, to, dial));
                }
                // An error is the end too: this is dropped.
                let _ = ended.await;
            });
        })?;
        Ok(Self { addresses, end: Some(end), thread: Some(thread) })
    }

    /// Where the door of `node` is.
    pub(super) fn address(&self, node: NodeId) -> Option<SocketAddr> {
        self.addresses.get(&node).copied()
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but what has just happened. A panic has been printed already.
            let _ = thread.join();
        }
    }
}

/// Carries every connection to the node, until this is dropped.
async fn serve(listener: std::net::TcpListener, to: SocketAddr, dial: Dial) {
    // Registering can only fail if the process has no descriptors left; then nobody is answered.
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let places = Arc::new(Semaphore::new(MOST));
    let mut carried = JoinSet::new();
    loop {
        // Nobody closes it.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let dial = Arc::clone(&dial);
                carried.spawn(async move {
                    carry(stream, to, dial).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        while carried.try_join_next().is_some() {}
    }
}

/// Whoever called sees a node that does not answer as a connection that ends.
async fn carry(mut caller: TcpStream, to: SocketAddr, dial: Dial) {
    let Ok(socket) = dial() else { return };
    if let Ok(Ok(mut node)) = timeout(DIAL_LIMIT, socket.connect(to)).await {
        // Either side may end it, with or without an error.
        let _ = tokio::io::copy_bidirectional(&mut caller, &mut node).await;
    }
}
