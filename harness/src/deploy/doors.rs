//! Doors: where whoever asks a node past the proxies reaches one that lives in a network namespace.
//!
//! The observer must see a node that is cut off, so its questions must not go through the proxies, and it cannot dial
//! into another namespace. So each node has a port on this machine's loopback, and what connects there is carried to the
//! node as it is. Nodes that share the machine's network have one too, so that who asks need not know which it is. No
//! peer and no client of the workload is told of these ports.
//!
//! Invariants: one thread for all doors; at most [`MOST`] connections at a time, further ones wait to be accepted; a call
//! to a node that does not answer is given up after [`DIAL_LIMIT`]; nothing is left when this is dropped.

use history::NodeId;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How many connections a door carries at once.
const MOST: usize = 64;
/// How long a node may take to answer a call, and to end one that its caller has ended.
const DIAL_LIMIT: Duration = Duration::from_secs(1);
/// After an error that passes by itself, such as a lack of descriptors.
const PAUSE: Duration = Duration::from_millis(20);

/// Makes a socket in the network of a node.
pub(super) type Dial = Arc<dyn Fn() -> io::Result<TcpSocket> + Send + Sync>;

/// Where a door leads.
pub(super) struct Threshold {
    pub(super) node: NodeId,
    /// Where the node listens.
    pub(super) to: SocketAddr,
    pub(super) dial: Dial,
}

/// The doors of all nodes. See the [module](self).
#[derive(Debug)]
pub(super) struct Doors {
    addresses: BTreeMap<NodeId, SocketAddr>,
    /// Dropped to end the thread.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Doors {
    /// Opens these doors.
    ///
    /// # Errors
    /// A port cannot be opened, or the thread not started.
    pub(super) fn open(thresholds: Vec<Threshold>) -> io::Result<Self> {
        let (mut addresses, mut open) = (BTreeMap::new(), Vec::new());
        for Threshold { node, to, dial } in thresholds {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            addresses.insert(node, listener.local_addr()?);
            open.push((listener, to, dial));
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
    let Ok(Ok(mut node)) = timeout(DIAL_LIMIT, socket.connect(to)).await else { return };
    let (mut from_caller, mut to_caller) = caller.split();
    let (mut from_node, mut to_node) = node.split();
    // Either side may end it, with or without an error.
    let back = tokio::io::copy(&mut from_node, &mut to_caller);
    let forth = async {
        let _ = tokio::io::copy(&mut from_caller, &mut to_node).await;
        let _ = to_node.shutdown().await;
        // A node that is paused never ends what a caller has given up.
        tokio::time::sleep(DIAL_LIMIT).await;
    };
    tokio::select! {
        _ = back => {}
        () = forth => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Doors, MOST, Threshold};
    use faults::netns::{self, Namespaces};
    use history::NodeId;
    use nix::sys::socket::{Backlog, SockaddrIn, bind, listen};
    use std::io::{ErrorKind, Read, Write};
    use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use tokio::net::TcpSocket;

    const NODE: NodeId = NodeId(1);
    const PORT: u16 = 2379;
    const PATIENCE: Duration = Duration::from_secs(10);
    /// Long enough for what is not held back.
    const QUIET: Duration = Duration::from_millis(150);

    /// A namespace and its door; none, having said why, where there are no namespaces.
    fn lab() -> Option<(Arc<Namespaces>, Doors, SocketAddr)> {
        if let Err(why) = netns::probe() {
            writeln!(std::io::stderr().lock(), "skipped: {why}").unwrap();
            return None;
        }
        let namespaces = Arc::new(Namespaces::start(&[NODE]).unwrap());
        let (to, inside) = ((netns::address(NODE), PORT).into(), Arc::clone(&namespaces));
        let dial = move || Ok(TcpSocket::from_std_stream(inside.stream_socket(NODE)?.into()));
        let threshold = Threshold { node: NODE, to, dial: Arc::new(dial) };
        let doors = Doors::open(vec![threshold]).unwrap();
        let at = doors.address(NODE).unwrap();
        Some((namespaces, doors, at))
    }

    /// What a node would do: it listens at its address, in its namespace.
    fn node(namespaces: &Namespaces) -> TcpListener {
        let socket = namespaces.stream_socket(NODE).unwrap();
        let at = SocketAddrV4::new(netns::address(NODE), PORT);
        bind(socket.as_raw_fd(), &SockaddrIn::from(at)).unwrap();
        listen(&socket, Backlog::MAXCONN).unwrap();
        socket.into()
    }

    fn call(at: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Who has come until nobody has for a while.
    fn arrivals(node: &TcpListener) -> Vec<TcpStream> {
        let mut come = Vec::new();
        let mut last = Instant::now();
        while last.elapsed() < QUIET {
            match node.accept() {
                Ok((stream, _)) => {
                    last = Instant::now();
                    come.push(stream);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
        come
    }

    #[test]
    fn bytes_pass_both_ways_until_one_side_ends() {
        let Some((namespaces, doors, at)) = lab() else { return };
        let node = node(&namespaces);
        let mut caller = call(at);
        let mut inside = arrivals(&node).pop().unwrap();
        inside.set_nonblocking(false).unwrap();
        inside.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = [0; 5];
        caller.write_all(b"there").unwrap();
        inside.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"there");
        inside.write_all(b"again").unwrap();
        caller.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"again");
        drop(inside);
        assert_eq!(caller.read(&mut heard).unwrap(), 0, "the node ended it");
        // Nobody listens any more.
        drop(node);
        let mut caller = call(at);
        let end = caller.read(&mut heard);
        assert!(matches!(end, Ok(0)) || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
        drop(doors);
        assert_eq!(TcpStream::connect(at).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn so_many_at_a_time_and_not_one_more() {
        let Some((namespaces, _doors, at)) = lab() else { return };
        let node = node(&namespaces);
        let mut callers: Vec<TcpStream> = (0..MOST + 6).map(|_| call(at)).collect();
        let mut inside = arrivals(&node);
        assert_eq!(inside.len(), MOST);
        // Those four were given up by their callers, and the node, which is paused or slow, never ends them.
        drop(callers.drain(..4));
        let end = Instant::now() + PATIENCE;
        let mut come = 0;
        while come < 4 && Instant::now() < end {
            come += arrivals(&node).len();
        }
        assert_eq!(come, 4, "of the six who wait");
        // The node ended the others.
        inside.clear();
        assert_eq!(arrivals(&node).len(), 2, "the last two");
    }
}
