//! One network namespace for each node, so that an address says who is called and the namespace says who is calling.
//!
//! A system whose nodes advertise *one* address to all their peers tells the hub nothing about the caller. Here every
//! node lives in a network of its own that is nothing but a loopback device with the addresses of all nodes on it
//! ([`address`]). The hub listens there in the place of each peer, and dials a node from inside that node's namespace:
//!
//! ```text
//!  namespace of n1            hub (one thread,            namespace of n2
//!  n1 ─▶ 10.77.0.2:2380 ─────▶ outside of both) ────────▶ 10.77.0.2:2380, n2 itself
//!        a port of the hub                    called from 10.77.0.1, as if by n1
//! ```
//!
//! There is no other way between two nodes: no device joins the namespaces, and none leads out. All nodes may be
//! configured alike.
//!
//! **How.** A socket belongs to the namespace it was made in, whoever holds it. A small process, the *holder*, makes
//! the namespaces and after that the sockets the hub asks for, each in the namespace it is for, and passes them over a
//! socket pair (`SCM_RIGHTS`). Root makes namespaces as it is; for anybody else the holder enters a user namespace
//! first, in which it is the same user, where the kernel allows that. A node is started through a [`Door`].
//!
//! Invariants:
//! - a socket asked for one namespace is never one of another: a holder that does not answer in time is never asked again;
//! - the holder ends when its pair does, so with this process, however that ends. It is not tied to a parent by a
//!   signal, because the kernel takes the *thread* that made it for the parent;
//! - a namespace is there as long as a process or a socket in it, or whoever holds it here ([`Namespaces`], a [`Door`], a hub),
//!   and leaves nothing behind.
//!
//! What it does not do: a node that listens on `0.0.0.0` at a port that the hub has in its namespace finds it taken. (A pair
//! of joined devices would mend that.) Only TCP over IPv4 is carried; whatever else goes from node to node goes nowhere.

mod holder;
mod loopback;
mod rights;

use crate::disk::namespace::Entry;
use history::NodeId;
use holder::Holder;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{SockaddrIn, connect, getsockopt, sockopt};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};

/// How long a call may take that only asks whether somebody listens, in milliseconds.
const CALL_LIMIT: u8 = 50;

/// What [`probe`] asks for, in a few words.
pub const NEEDS: &str = "network namespaces";
/// What to do where that is missing.
const HINT: &str = "run as root, or allow user namespaces (user.max_user_namespaces, \
    kernel.apparmor_restrict_unprivileged_userns, the container's seccomp profile), or give each node addresses of its own for its peers";

/// Namespaces cannot be had, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The kernel does not allow it; says what, why, and what to do.
    #[error("{what} is not possible here ({why}); {HINT}")]
    Forbidden {
        /// Which step.
        what: &'static str,
        /// The kernel's answer.
        why: nix::Error,
    },
    /// The process that makes them could not be started, or is gone.
    #[error("the process that keeps the network namespaces: {0}")]
    Holder(#[from] io::Error),
}

impl NamespaceError {
    /// What is forbidden or has failed, in the kernel's words and without advice.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Forbidden { what, why } => format!("{what} is not possible here ({why})"),
            Self::Holder(_) => self.to_string(),
        }
    }
}

/// The address of a node in every namespace: `10.77.0.7` for node 7.
#[must_use]
pub fn address(node: NodeId) -> Ipv4Addr {
    let [high, low] = node.0.to_be_bytes();
    Ipv4Addr::new(10, 77, high, low)
}

/// Whether this machine lets a process have network namespaces, found out by making one.
///
/// # Errors
/// What it does not let, and what to do about it, as a fragment.
pub fn probe() -> Result<(), String> {
    Namespaces::start(&[NodeId(1)]).map(drop).map_err(|error| error.to_string())
}

/// The network namespaces of a run, one a node. See the [module](self).
#[derive(Debug)]
pub struct Namespaces {
    rooms: BTreeMap<NodeId, Arc<Room>>,
    user: Option<Arc<OwnedFd>>,
    holder: Arc<Holder>,
}

impl Namespaces {
    /// Makes a namespace for each of these nodes, its loopback device up.
    ///
    /// # Errors
    /// [`NamespaceError::Forbidden`] where the kernel does not let it; else the holder could not be started.
    pub fn start(nodes: &[NodeId]) -> Result<Self, NamespaceError> {
        let nodes: BTreeSet<NodeId> = nodes.iter().copied().collect();
        let addresses: Vec<Ipv4Addr> = nodes.iter().map(|&node| address(node)).collect();
        let holder = Arc::new(Holder::start(&Entry::new(), &addresses)?);
        let (mut rooms, mut user) = (BTreeMap::new(), None);
        for (index, &node) in (0_u16..).zip(&nodes) {
            let mut told = holder.hear_of_room()?.into_iter();
            let net = told.next().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
            user = user.or(told.next().map(Arc::new));
            let room = Room {
                index,
                net: Arc::new(net),
                holder: Arc::clone(&holder),
                stock: Mutex::default(),
            };
            rooms.insert(node, Arc::new(room));
        }
        Ok(Self { rooms, user, holder })
    }

    /// By which a process enters the namespace of `node`; none for a node that has none.
    #[must_use]
    pub fn door(&self, node: NodeId) -> Option<Door> {
        let net = Arc::clone(&self.rooms.get(&node)?.net);
        Some(Door { user: self.user.clone(), net })
    }

    /// The process that makes the sockets, by its id.
    #[must_use]
    pub fn holder(&self) -> i32 {
        self.holder.pid()
    }

    /// A socket for TCP in the namespace of `node`, not bound; it does not block and is closed at exec.
    ///
    /// # Errors
    /// The node has no namespace, or the holder is gone or does not answer.
    pub fn stream_socket(&self, node: NodeId) -> io::Result<OwnedFd> {
        self.room(node).ok_or(io::ErrorKind::NotFound)?.stream_socket()
    }

    /// Whether somebody in the namespace of `node` takes calls at a port of the node's address.
    #[must_use]
    pub fn is_listening(&self, node: NodeId, port: u16) -> bool {
        let call = || -> io::Result<bool> {
            let socket = self.stream_socket(node)?;
            let to = SocketAddrV4::new(address(node), port);
            match connect(socket.as_raw_fd(), &SockaddrIn::from(to)) {
                Err(nix::Error::EINPROGRESS) => {}
                called => return Ok(called.is_ok()),
            }
            let mut wanted = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
            Ok(poll(&mut wanted, CALL_LIMIT)? > 0
                && getsockopt(&socket, sockopt::SocketError)? == 0)
        };
        call().unwrap_or(false)
    }

    pub(crate) fn room(&self, node: NodeId) -> Option<&Arc<Room>> {
        self.rooms.get(&node)
    }

    /// The nodes that have one.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.rooms.keys().copied()
    }
}

/// Where a process enters the namespace of one node.
#[derive(Clone, Debug)]
pub struct Door {
    user: Option<Arc<OwnedFd>>,
    net: Arc<OwnedFd>,
}

impl Door {
    /// The door that leads into these namespaces: descriptors of another process's [`Door`].
    #[must_use]
    pub fn new(user: Option<OwnedFd>, net: OwnedFd) -> Self {
        Self { user: user.map(Arc::new), net: Arc::new(net) }
    }

    /// Has this process enter. For a child between fork and exec: it makes system calls only. A process of several
    /// threads can do so only as root.
    ///
    /// # Errors
    /// This process is in a user namespace beside the one of the door, or is somebody else than who made it.
    pub fn enter(&self) -> nix::Result<()> {
        if let Some(user) = &self.user {
            setns(user.as_ref(), CloneFlags::CLONE_NEWUSER)?;
        }
        setns(self.net.as_ref(), CloneFlags::CLONE_NEWNET)
    }

    /// The user namespace (if there is one) and the network namespace, in the order in which they are entered; to pass to
    /// the process that starts nodes.
    #[must_use]
    pub fn descriptors(&self) -> (Option<BorrowedFd<'_>>, BorrowedFd<'_>) {
        (self.user.as_ref().map(|user| user.as_fd()), self.net.as_fd())
    }
}

/// One namespace, as the hub sees it: where sockets come from.
#[derive(Debug)]
pub(crate) struct Room {
    index: u16,
    net: Arc<OwnedFd>,
    holder: Arc<Holder>,
    /// Sockets that nobody has used yet, so that the holder need not be asked for each.
    stock: Mutex<Vec<OwnedFd>>,
}

impl Room {
    /// A socket for TCP in this namespace, not bound; it does not block and is closed at exec. Waits for the holder
    /// at every sixteenth.
    ///
    /// # Errors
    /// The holder is gone or does not answer, or there are no descriptors left.
    pub(crate) fn stream_socket(&self) -> io::Result<OwnedFd> {
        let mut stock = self.stock.lock().expect("no holder of this lock panics");
        if stock.is_empty() {
            *stock = self.holder.ask(self.index, holder::BATCH)?;
        }
        stock.pop().ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::io::Write;

    fn made() -> Option<Namespaces> {
        if let Err(why) = probe() {
            writeln!(io::stderr().lock(), "skipped: {why}").unwrap();
            return None;
        }
        Some(Namespaces::start(&[NodeId(1), NodeId(300)]).unwrap())
    }

    #[test]
    fn addresses_follow_the_numbers() {
        assert_eq!(address(NodeId(7)), Ipv4Addr::new(10, 77, 0, 7));
        assert_eq!(address(NodeId(300)), Ipv4Addr::new(10, 77, 1, 44));
    }

    #[test]
    fn a_dead_holder_is_an_error_and_no_wait() {
        let Some(namespaces) = made() else { return };
        let room = namespaces.room(NodeId(300)).unwrap();
        let first = room.stream_socket().unwrap();
        kill(Pid::from_raw(namespaces.holder()), Signal::SIGKILL).unwrap();
        let stock: Vec<_> = (1..holder::BATCH).map(|_| room.stream_socket().unwrap()).collect();
        let begin = std::time::Instant::now();
        let error = room.stream_socket().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{error}");
        assert!(begin.elapsed() < std::time::Duration::from_secs(1), "{:?}", begin.elapsed());
        drop((first, stock));
    }

    /// How many sockets a process has open.
    fn sockets_of(process: i32) -> usize {
        let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
        let open = open.filter_map(|one| std::fs::read_link(one.path()).ok());
        open.filter(|to| to.to_string_lossy().starts_with("socket:")).count()
    }

    #[test]
    fn what_is_passed_out_is_open_nowhere_else() {
        let Some(namespaces) = made() else { return };
        let pair = sockets_of(namespaces.holder());
        for round in 0..100 {
            let batch: Vec<_> =
                (0..holder::BATCH).map(|_| namespaces.stream_socket(NodeId(1)).unwrap()).collect();
            assert_eq!(sockets_of(namespaces.holder()), pair, "in round {round}");
            drop(batch);
        }
    }

    #[test]
    fn the_holder_ends_with_the_namespaces() {
        let Some(namespaces) = made() else { return };
        let holder = Pid::from_raw(namespaces.holder());
        assert_eq!(kill(holder, None), Ok(()));
        drop(namespaces);
        assert_eq!(kill(holder, None), Err(nix::Error::ESRCH), "it is reaped");
    }
}
