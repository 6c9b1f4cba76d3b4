//! The hub: every connection between nodes, and from clients to nodes, goes through it.
//!
//! It listens on loopback, on one port for each ordered pair (dialler, target) of nodes and on one
//! port per node for clients, so the port says who is calling. The ports stay the same for the whole
//! run; where a node really listens changes at each restart ([`Hub::set_upstream`]). Nodes that can be told only one
//! address of each peer live in namespaces instead ([`crate::netns`], [`Hub::start_within`]), or, where there are none,
//! at addresses of loopback, and it is asked whose each call is ([`Callers`], [`Hub::start_shared`]); nothing below depends on which.
//!
//! ```text
//!     n1 ──dials──▶ hub port (n1, n2) ──▶ n2       bytes of link n1 → n2, answers of link n2 → n1
//!     n2 ──dials──▶ hub port (n2, n1) ──▶ n1       bytes of link n2 → n1, answers of link n1 → n2
//! client ─dials──▶ hub port of n2     ──▶ n2       told apart by connection
//! ```
//!
//! **One thread.** The hub runs on an operating-system thread of its own, on a runtime with that
//! single thread. A connection checks the plan and writes in one step without waiting in between, and
//! a plan is swapped in one such step too. So when [`Hub::apply`] returns, every pump has seen the
//! plan: no byte is written over a held link any more. What was written before is in the kernel and
//! counts as delivered.
//!
//! **Holding.** Over a held link at most one more chunk (64 KiB) is read from each connection, which
//! shows that something tried to cross; then reading stops and the sender's kernel fills up, as it
//! would if packets were lost. The ends of a stream (FIN and RST) are held with its bytes. Nothing is
//! thrown away: at heal everything is delivered in order, or the connection is reset, as the plan
//! says. What becomes of a connection that is dialled over a held link is a rule of its own
//! ([`crate::Accept`]): it is accepted and hangs, the target not being dialled until the heal, or the call
//! stays unanswered. Where it is accepted only the dialler's own link decides whether it may dial: with
//! just the answers held, the target sees the connection and its bytes.
//!
//! **Slowness.** See [`crate::Pace`]: bytes wait in a queue until they are due. When a link is slow no more,
//! what waits is due at once.
//!
//! **Limits.** At most [`MAX_CONNECTIONS`] connections, each with a bounded queue; beyond that a new
//! one is reset and counted as refused. A hub that is dropped resets everything.

mod block;
mod board;
mod callers;
mod connection;
mod flow;
mod ingress;
mod pacer;
mod port;
mod route;
mod shared;
mod side;
mod tally;

use crate::environment::{Applied, BoxFuture, EnvironmentError, Network};
pub use crate::link::{ClientConnection, ClientCounters};
use crate::link::{Counters, Link, Plan};
use crate::netns::Namespaces;
pub use block::{Block, node_at};
use board::Board;
pub use callers::{Call, Callers};
use history::NodeId;
use ingress::Ingress;
use port::{Gate, Port};
use shared::Shared;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How many connections the hub carries at once.
pub const MAX_CONNECTIONS: usize = 4096;
/// How long the hub may take to follow a plan; it normally takes less than a millisecond.
const APPLY_LIMIT: Duration = Duration::from_secs(5);
/// How long dropping the hub waits for its thread.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// Where a node really listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// For its peers.
    pub peer: SocketAddr,
    /// For clients.
    pub client: SocketAddr,
}

/// The hub could not start, or is gone.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A port could not be opened, or the thread not started.
    #[error("the proxies could not start: {0}")]
    Start(#[from] std::io::Error),
    /// A port does not treat callers as the plan says.
    #[error("a port of the proxies does not follow the plan: {0}")]
    Port(std::io::Error),
    /// Its thread has ended or does not answer.
    #[error("the proxies do not answer")]
    Gone,
}

type Reply = std::io::Result<Applied>;

enum Command {
    Apply(Plan, Option<oneshot::Sender<Reply>>),
    Base(Plan, oneshot::Sender<Reply>),
}

/// The proxies of one run. See the [module](self).
#[derive(Debug)]
pub struct Hub {
    shared: Arc<Shared>,
    peers: BTreeMap<Link, SocketAddr>,
    clients: BTreeMap<NodeId, SocketAddr>,
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Hub {
    /// Opens all ports and starts the thread. Every node is down until [`Hub::set_upstream`] says
    /// where it is: connections to it are reset.
    ///
    /// # Errors
    /// A port cannot be opened or the thread cannot be started.
    pub fn start(nodes: &[NodeId]) -> Result<Self, HubError> {
        Self::open(Ingress::loopback(nodes)?)
    }

    /// The same for nodes that live in `namespaces` and call each other at these ports, each node at its own
    /// [address](crate::netns::address). A node has to be started inside its namespace (through a [`crate::netns::Door`]).
    ///
    /// # Errors
    /// As for [`Hub::start`]; no port is named, or 0; or the namespaces are gone.
    pub fn start_within(namespaces: &Namespaces, ports: &[u16]) -> Result<Self, HubError> {
        Self::open(Ingress::within(namespaces, &ports.iter().copied().collect())?)
    }

    /// The same for nodes that share this process's network, each known to all by its address in `block` and calling at
    /// these ports of it: whose a connection is, `callers` is asked. Each node listens at its own address of the block.
    ///
    /// # Errors
    /// As for [`Hub::start`]; no port is named, or 0; or a node has a number that no address ends with.
    pub fn start_shared(
        nodes: &[NodeId],
        block: &Block,
        ports: &[u16],
        callers: &Arc<dyn Callers>,
    ) -> Result<Self, HubError> {
        let ports = ports.iter().copied().collect();
        Self::open(Ingress::shared(nodes, block, &ports, callers)?)
    }

    fn open(ingress: Ingress) -> Result<Self, HubError> {
        let Ingress { nodes, ports, peers, clients } = ingress;
        let shared = Arc::new(Shared::new(&nodes));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (commands, inbox) = mpsc::channel(64);
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("proxies".to_owned()).spawn(move || {
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime, serve(theirs, ports, inbox));
        })?;
        Ok(Self { shared, peers, clients, commands: Some(commands), thread: Some(thread) })
    }

    /// Where `dialler` reaches `target`: in namespaces the first of its ports there. None for nodes the hub does not know.
    #[must_use]
    pub fn peer_address(&self, dialler: NodeId, target: NodeId) -> Option<SocketAddr> {
        self.peers.get(&Link::new(dialler, target)).copied()
    }

    /// Where clients reach `node`; none for a node the hub does not know.
    #[must_use]
    pub fn client_address(&self, node: NodeId) -> Option<SocketAddr> {
        self.clients.get(&node).copied()
    }

    /// Says where `node` listens from now on; none while it is down, when new connections to it are
    /// reset. Connections that exist are left to end by themselves. In namespaces, and where nodes share a network, a peer
    /// always reaches the port it called, so of the two addresses only that for clients is looked at.
    pub fn set_upstream(&self, node: NodeId, upstream: Option<Upstream>) {
        self.shared.set_upstream(node, upstream);
    }

    /// Puts a plan into effect in place of the one before it, on all links at once, and returns when
    /// nothing is passed over a held link any more. It stays on top of the base plan.
    ///
    /// # Errors
    /// [`HubError::Port`] if a port does not follow, while all else is in effect; [`HubError::Gone`] if the
    /// hub's thread does not answer within 5 s.
    pub async fn apply(&self, plan: Plan) -> Result<Applied, HubError> {
        self.ask(|reply| Command::Apply(plan, Some(reply))).await
    }

    /// Sets the plan that holds beneath every other one, for a network that is slow for a whole run.
    ///
    /// # Errors
    /// As for [`Hub::apply`].
    pub async fn set_base(&self, plan: Plan) -> Result<Applied, HubError> {
        self.ask(|reply| Command::Base(plan, reply)).await
    }

    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Reply>) -> Command,
    ) -> Result<Applied, HubError> {
        let commands = self.commands.as_ref().ok_or(HubError::Gone)?;
        let (reply, answer) = oneshot::channel();
        let asked = async {
            commands.send(command(reply)).await.map_err(|_| HubError::Gone)?;
            answer.await.map_err(|_| HubError::Gone)?.map_err(HubError::Port)
        };
        tokio::time::timeout(APPLY_LIMIT, asked).await.unwrap_or(Err(HubError::Gone))
    }

    /// Delivers everything again, without waiting for it to be in effect. For `Drop`.
    pub fn release(&self) {
        let Some(commands) = &self.commands else { return };
        let deadline = Instant::now() + Duration::from_millis(500);
        while let Err(mpsc::error::TrySendError::Full(_)) =
            commands.try_send(Command::Apply(Plan::default(), None))
        {
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The counters of one link now; none for a link the hub does not know.
    #[must_use]
    pub fn counters(&self, link: Link) -> Option<Counters> {
        self.shared.link_tally(link).map(|tally| tally.read())
    }

    /// What passed between all clients and one node; none for a node the hub does not know.
    #[must_use]
    pub fn client_counters(&self, node: NodeId) -> Option<ClientCounters> {
        let [inward, outward] = self.shared.client_tallies(node)?;
        Some(ClientCounters { inward: inward.read(), outward: outward.read() })
    }

    /// The client connections that are open now, by number.
    #[must_use]
    pub fn client_connections(&self) -> Vec<ClientConnection> {
        self.shared.client_connections()
    }

    /// How many connections were reset because nobody could say who had called.
    #[must_use]
    pub fn unknown_callers(&self) -> u64 {
        self.shared.unknown()
    }

    /// How many connections the hub carries now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }
}

impl Network for Hub {
    fn apply(&self, plan: Plan) -> BoxFuture<'_, Result<Applied, EnvironmentError>> {
        let applied = Self::apply(self, plan);
        Box::pin(async move { applied.await.map_err(|error| EnvironmentError(error.to_string())) })
    }

    fn release(&self) {
        Self::release(self);
    }

    fn client_connections(&self) -> Vec<ClientConnection> {
        Self::client_connections(self)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.commands = None;
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + SHUTDOWN_LIMIT;
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(200));
        }
        if thread.is_finished() {
            // A panic of the hub has already been printed, and everything it carried is closed.
            let _ = thread.join();
        }
    }
}

/// The hub's thread: listens until the hub is dropped.
async fn serve(shared: Arc<Shared>, open: Vec<Gate>, mut inbox: mpsc::Receiver<Command>) {
    // Registering with the reactor can only fail if the process has no descriptors left. A hub without all of
    // its ports is none: whoever asks it is told that it is gone.
    let ports = open.into_iter().map(|gate| Port::new(gate).map(Rc::new));
    let Ok(ports) = ports.collect::<Result<Vec<_>, _>>() else { return };
    let board = Board::new(shared, ports.clone());
    for port in ports {
        tokio::task::spawn_local(port::listen(port, board.clone()));
    }
    loop {
        let command = tokio::select! {
            command = inbox.recv() => command,
            () = until(board.next_flap()) => {
                board.flap();
                continue;
            }
        };
        match command {
            None => return,
            Some(Command::Apply(plan, reply)) => {
                let applied = board.apply(plan);
                // Whoever asked may have given up; the plan is in effect all the same.
                let _ = reply.map(|reply| reply.send(applied));
            }
            Some(Command::Base(plan, reply)) => {
                let _ = reply.send(board.set_base(plan));
            }
        }
    }
}

async fn until(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
