//! From a plan to running nodes: processes, proxies, and the environment that faults act on.
//!
//! A [`Deployment`] is one cluster: a [`Guardian`] that owns the processes, a [`Hub`] of proxies
//! that carries every connection between nodes and from clients to them, and a ledger of what became
//! of each process. Nodes listen on port 0 and say where; only the proxies' addresses are known to
//! peers and clients, so a node that is killed comes back on other ports and nobody notices. Nodes of a
//! system that gives each one address for all live in network namespaces, where their ports are fixed, or, where the
//! kernel allows none, at addresses of loopback that no other run has, and then it is found out for each connection who
//! calls (`callers`); whoever asks a
//! node there past the proxies goes through its door (`doors`). Of the machine's own network nothing is taken that
//! another deployment would need, and no folder is shared: any number of deployments fit on one machine. Whether nodes reach each other
//! past the proxies all the same can be asked at any time ([`Deployment::audit`]).
//!
//! Invariants: every wait has a limit; a node is signalled by its guardian only; every exit is in
//! [`Deployment::exits`] with its cause, and only a kill that was asked for makes it a fault's; after
//! [`Deployment::stop`] nothing is left or the error says what.
//!
//! It writes no file of the run folder (what is worth a file is returned as a value) and it does not
//! judge: an unexplained exit is the verdict's business.

mod administration;
mod audit;
mod callers;
mod clocks;
mod disks;
mod doors;
mod environment;
mod evidence;
mod homes;
mod ledger;
mod logs;
mod proxies;
mod record;
mod stopping;

pub use audit::{Leak, Party};
pub use callers::{CallersFound, probe as can_find_callers};
pub use environment::{RealEnvironment, Witness};
pub use ledger::{Change, Listener, NodeExit};
pub use logs::{Panic, Spoken, last_lines};
pub use record::{DeploymentRecord, NodeRecord};
pub use stopping::Stopped;

use crate::guardian::{Guardian, GuardianError, Spawn};
use crate::results::RunFolder;
use crate::system::{MarkCount, NodeAddresses, NodeSettings, NodeSpec, Probe, System};
use clocks::NodeClocks;
use disks::DiskSet;
use faults::message::Relays;
use faults::proxy::Upstream;
use faults::{Clocks, Hub, Link, Plan};
use history::{Nanos, NodeId};
use homes::Homes;
use ledger::Ledger;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a node may take from its start to its ready line.
pub const READY_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks whether a node listens.
const LISTENING_PAUSE: Duration = Duration::from_millis(10);
/// How long a process may take to be gone after SIGKILL.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How many lines of a node's log an error shows.
const LOG_LINES: usize = 5;
/// How many ways around the proxies an error shows besides the first.
const LEAKS: usize = 9;
/// How much later a slow node's bytes arrive, each way.
const SLOW_BY: Duration = Duration::from_millis(40);

/// The recorder's clock, lent.
pub type Clock = Arc<dyn Fn() -> Nanos + Send + Sync>;

/// What to deploy.
#[derive(Clone)]
pub struct Settings {
    /// The system under test.
    pub system: &'static dyn System,
    /// The nodes and where each keeps its files, whose folders exist.
    pub nodes: BTreeMap<NodeId, NodePaths>,
    /// What every node is started with.
    pub node: NodeSettings,
    /// A node whose every byte arrives late for the whole run, without any fault.
    pub slow_node: Option<NodeId>,
    /// Where to put the library that gives each node clocks of its own; without it they have the machine's.
    pub clock_shim: Option<PathBuf>,
    /// Whether what nodes say to each other goes through relays, message by message.
    pub relays: bool,
    /// Whether nodes that are known by one address share this machine's network, because they cannot have their own.
    pub shared_network: bool,
}

/// Where a node keeps its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePaths {
    /// What it wrote to stdout and stderr, over all its starts.
    pub log: PathBuf,
    /// Its data directory.
    pub data: PathBuf,
    /// Its counters of a seeded bug.
    pub marks: PathBuf,
    /// What its clocks are told, if it has clocks of its own.
    pub clock: PathBuf,
}

impl NodePaths {
    /// The paths of `node` in a run folder, made absolute: a node has its own idea of a working
    /// directory.
    ///
    /// # Errors
    /// When the working directory of this process cannot be read.
    pub fn of(folder: &RunFolder, node: NodeId) -> std::io::Result<Self> {
        Ok(Self {
            log: std::path::absolute(folder.node_log(node))?,
            data: std::path::absolute(folder.node_data(node))?,
            marks: std::path::absolute(folder.node_marks(node))?,
            clock: std::path::absolute(folder.node_clock(node))?,
        })
    }
}

/// Why a cluster, or one node of it, is not there.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The proxies could not be started.
    #[error("the proxies could not be started: {0}")]
    Hub(String),
    /// Nodes cannot have network namespaces of their own.
    #[error("the nodes need network namespaces: {0}")]
    Namespaces(String),
    /// Nodes cannot share the network of this machine.
    #[error("the nodes cannot share the network of this machine: {0}")]
    Shared(String),
    /// The disks under the nodes could not be mounted, or were too small.
    #[error("{0}")]
    Disk(String),
    /// The nodes cannot be given clocks of their own.
    #[error("the nodes cannot be given clocks of their own: {0}")]
    Clocks(String),
    /// A node did not become ready.
    #[error("{node} {reason}")]
    NotReady {
        /// Which.
        node: NodeId,
        /// What it did instead, as "did not become ready in 10 s".
        reason: String,
        /// The last lines of its log, newest last.
        log_lines: Vec<String>,
        /// Where the rest of them is.
        log: PathBuf,
    },
    /// The guardian failed.
    #[error(transparent)]
    Guardian(#[from] GuardianError),
    /// A node was to be acted on that is not there.
    #[error("{0} is not running")]
    NotRunning(NodeId),
    /// A node did not do what its signal asks for.
    #[error("{node} was sent {signal} and is not {wanted}: {seen}")]
    NotSeen {
        /// Which.
        node: NodeId,
        /// The signal.
        signal: &'static str,
        /// What it should have become.
        wanted: &'static str,
        /// What it was.
        seen: String,
    },
    /// The data of a node that is to be replaced could not be removed.
    #[error("the data of {node} could not be removed: {reason}")]
    NotWiped {
        /// Which.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// A node was replaced as often as its peers were told addresses for.
    #[error("{node} was replaced {lives} times, and its peers know of no further life")]
    NoMoreLives {
        /// Which.
        node: NodeId,
        /// How often.
        lives: u32,
    },
    /// Nodes can reach each other past the proxies; every way that was seen, at least one.
    #[error("nodes reach each other past the proxies, so no cut of this run holds: {}", told(.0))]
    Bypassed(Vec<Leak>),
    /// Whether they can was not to be seen.
    #[error("whether nodes reach each other past the proxies cannot be seen: {0}")]
    Unaudited(String),
    /// The deployment has no such node.
    #[error("there is no {0}")]
    NoSuchNode(NodeId),
}

impl From<DeployError> for crate::exit::Failure {
    fn from(error: DeployError) -> Self {
        let failure = Self::environment(error.to_string());
        match error {
            DeployError::NotReady { log_lines, log, .. } => {
                failure.details(log_lines).hint(format!("its whole log is {}", log.display()))
            }
            DeployError::Bypassed(leaks) => failure
                .details(leaks.iter().skip(1).take(LEAKS).map(Leak::to_string))
                .hint(audit::HINT),
            DeployError::Unaudited(_) => failure
                .hint("run the nodes as the user that runs the harness, or the harness as root"),
            _ => failure,
        }
    }
}

/// A running cluster. Clones share it; when the last one is dropped everything is killed.
#[derive(Clone)]
pub struct Deployment {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    /// How often each node was replaced, if it was.
    lives: Mutex<BTreeMap<NodeId, u32>>,
    /// Nodes that were taken out of the cluster and not replaced yet.
    removed: Mutex<BTreeSet<NodeId>>,
    ledger: Arc<Mutex<Ledger>>,
    disks: DiskSet,
    /// Before the hub: on drop the nodes go first, then the proxies.
    guardian: Guardian,
    hub: Arc<Hub>,
    /// Where the nodes live, if not in the machine's own network.
    homes: Option<Homes>,
    clocks: Option<NodeClocks>,
    /// In front of the hub, if there are any.
    relays: Option<Relays>,
}

impl Deployment {
    /// Starts proxies and nodes and returns once every node serves. Blocks for up to
    /// [`READY_LIMIT`]; call it before, or off, an async runtime.
    ///
    /// # Errors
    /// When anything cannot be started; what had been started is killed.
    pub fn start(
        guardian: Guardian,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, DeployError> {
        let ids: Vec<NodeId> = settings.nodes.keys().copied().collect();
        let logs = settings.nodes.iter().map(|(node, paths)| (*node, paths.log.clone()));
        let ledger = Arc::new(Mutex::new(Ledger::new(logs.collect(), clock)));
        let known = Arc::clone(&ledger);
        let running = Box::new(move || lock(&known).running().into_iter().collect());
        let shared = settings.shared_network;
        let (hub, homes) = proxies::start(&settings.system.wiring(), &ids, shared, running)?;
        if let Some(node) = settings.slow_node {
            proxies::slow_down(&hub, Plan::slow_node(node, &ids, SLOW_BY))?;
        }
        let relays = settings.relays.then(|| proxies::relays(&hub, &ids)).transpose()?;
        let hub = Arc::new(hub);
        let (heard, proxies) = (Arc::clone(&ledger), Arc::clone(&hub));
        guardian.on_exit(Box::new(move |exit| {
            // Under the lock, so that it cannot overtake the address of the same process.
            let mut ledger = lock(&heard);
            if ledger.exited(exit) {
                proxies.set_upstream(exit.node, None);
            }
        }));
        let disks = match (guardian.disks(), guardian.pid()) {
            (Some(socket), Some(pid)) => {
                let promises = settings.system.disk_promises();
                DiskSet::mounted(&settings.nodes, promises, (socket, pid))
                    .map_err(DeployError::Disk)?
            }
            _ => DiskSet::plain(&settings.nodes),
        };
        let clocks = settings.clock_shim.as_deref();
        let clocks = clocks.map(|shim| NodeClocks::create(shim, &settings.nodes, &guardian));
        let inner = Inner {
            clocks: clocks.transpose()?,
            settings,
            lives: Mutex::default(),
            removed: Mutex::default(),
            ledger,
            disks,
            guardian,
            hub,
            homes,
            relays,
        };
        let deadline = Instant::now() + READY_LIMIT;
        let pids = ids
            .iter()
            .map(|node| Ok((*node, inner.spawn(*node)?)))
            .collect::<Result<Vec<_>, DeployError>>()?;
        for (node, pid) in pids {
            inner.connect(node, pid, deadline)?;
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    /// All nodes, in order.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.inner.settings.nodes.keys().copied().collect()
    }

    /// The system under test.
    #[must_use]
    pub fn system(&self) -> &'static dyn System {
        self.inner.settings.system
    }

    /// The proxies.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.inner.hub
    }

    /// The nodes' own clocks, if they have any.
    pub(super) fn clocks(&self) -> Option<&dyn Clocks> {
        self.inner.clocks.as_ref().map(|clocks| clocks as &dyn Clocks)
    }

    /// The relays; none if this deployment has none.
    #[must_use]
    pub fn relays(&self) -> Option<&Relays> {
        self.inner.relays.as_ref()
    }

    /// Where clients of each node connect: its proxy, the same for the whole run.
    #[must_use]
    pub fn client_addresses(&self) -> BTreeMap<NodeId, SocketAddr> {
        let hub = &self.inner.hub;
        self.nodes()
            .into_iter()
            .filter_map(|node| Some((node, hub.client_address(node)?)))
            .collect()
    }

    /// Where `node` answers observers, past the proxies: itself, or its door. None while it is down.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<SocketAddr> {
        let own = lock(&self.inner.ledger).addresses(node)?.client;
        match &self.inner.homes {
            Some(homes) => homes.door(node),
            None => Some(own),
        }
    }

    /// Something that asks the node at `address` for its view.
    #[must_use]
    pub fn probe(&self, address: SocketAddr) -> Box<dyn Probe> {
        let node = self.nodes().into_iter().find(|node| self.address(*node) == Some(address));
        match node.and_then(|node| self.inner.spec(node).ok()) {
            Some(spec) => self.system().probe_node(&spec, address),
            None => self.system().probe(address),
        }
    }

    /// The nodes that run and are not paused.
    #[must_use]
    pub fn live(&self) -> Vec<NodeId> {
        lock(&self.inner.ledger).live()
    }

    /// Everything that became of the nodes from the `from`-th change on: one numbering for the whole
    /// run, so that a poller misses nothing.
    #[must_use]
    pub fn changes(&self, from: usize) -> Vec<Change> {
        lock(&self.inner.ledger).changes(from)
    }

    /// Tells `listener` of every change so far, and of each further one as it happens. It must not ask
    /// the deployment for anything.
    pub fn tell(&self, listener: Listener) {
        lock(&self.inner.ledger).tell(listener);
    }

    /// Every exit so far.
    #[must_use]
    pub fn exits(&self) -> Vec<NodeExit> {
        lock(&self.inner.ledger).exits()
    }

    /// Panics that the nodes' logs tell of: a task may panic without its process ending.
    #[must_use]
    pub fn panics(&self) -> Vec<Panic> {
        let logs = self.inner.settings.nodes.iter();
        let marks = self.system().crash_marks();
        logs.flat_map(|(node, paths)| logs::panics(*node, &paths.log, marks)).collect()
    }

    /// Ports, process ids and paths, for `deployment.json`.
    #[must_use]
    pub fn record(&self) -> DeploymentRecord {
        let inner = &self.inner;
        record::of(inner, &lock(&inner.ledger))
    }

    /// How well it was found out who calls whom, where that has to be.
    #[must_use]
    pub fn callers(&self) -> Option<CallersFound> {
        self.inner.homes.as_ref()?.callers()
    }

    /// Whether `node` serves and is not paused.
    #[must_use]
    pub fn is_running(&self, node: NodeId) -> bool {
        self.live().contains(&node)
    }

    /// The last lines of a node's log, newest last.
    #[must_use]
    pub fn log_tail(&self, node: NodeId) -> Vec<String> {
        let paths = self.inner.settings.nodes.get(&node);
        paths.map(|paths| last_lines(&paths.log, LOG_LINES)).unwrap_or_default()
    }

    /// How often each seeded bug was reached and triggered so far, by node.
    #[must_use]
    pub fn marks(&self) -> Vec<(NodeId, MarkCount)> {
        let nodes = &self.inner.settings.nodes;
        let files: Vec<PathBuf> = nodes.values().map(|paths| paths.marks.clone()).collect();
        let ids = self.nodes();
        let counts = self.system().marks(&files).into_iter();
        counts.filter_map(|count| Some((*ids.get(count.file)?, count))).collect()
    }
}

impl Inner {
    /// How often the node was replaced.
    fn life(&self, node: NodeId) -> u32 {
        lock(&self.lives).get(&node).copied().unwrap_or(0)
    }

    /// How the node is to be started.
    fn spec(&self, node: NodeId) -> Result<NodeSpec, DeployError> {
        let paths = self.paths(node)?;
        Ok(NodeSpec {
            node,
            life: self.life(node),
            home: self.homes.as_ref().and_then(|homes| homes.home(node)),
            peers: self.peers(node),
            data: paths.data.clone(),
            marks: paths.marks.clone(),
            settings: self.settings.node.clone(),
        })
    }

    fn spawn(&self, node: NodeId) -> Result<i32, DeployError> {
        let command = self.settings.system.command(&self.spec(node)?);
        let log = self.paths(node)?.log.clone();
        let mut env = command.env;
        env.extend(self.clocks.iter().flat_map(|clocks| clocks.variables(node)));
        let (program, args) = (command.program, command.args);
        let network = self.homes.as_ref().and_then(|homes| homes.network(node));
        let pid = self.guardian.spawn(Spawn { node, program, args, env, log, network })?;
        lock(&self.ledger).spawned(node, pid);
        Ok(pid)
    }

    /// Where `node` dials each peer: its relays if there are any, else its ports of the hub.
    fn peers(&self, node: NodeId) -> BTreeMap<NodeId, SocketAddr> {
        let others = self.settings.nodes.keys().filter(|other| **other != node);
        let address = |peer: NodeId| match &self.relays {
            Some(relays) => relays.address(Link::new(node, peer)),
            None => self.hub.peer_address(node, peer),
        };
        others.filter_map(|peer| Some((*peer, address(*peer)?))).collect()
    }

    /// Waits until a started node serves and lets the proxies through to it.
    fn connect(&self, node: NodeId, pid: i32, deadline: Instant) -> Result<(), DeployError> {
        let addresses = match &self.homes {
            Some(homes) => self.await_listening(homes, node, pid, deadline)?,
            None => self.await_line(node, pid, deadline)?,
        };
        if let Some(Err(reason)) = self.clocks.as_ref().map(|clocks| clocks.taken_by(node, pid)) {
            return Err(self.not_ready(node, reason)?);
        }
        let NodeAddresses { peer, client } = addresses;
        let mut ledger = lock(&self.ledger);
        if ledger.ready(node, pid, addresses) {
            self.hub.set_upstream(node, Some(Upstream { peer, client }));
        }
        Ok(())
    }

    /// Waits for a node's ready line.
    fn await_line(
        &self,
        node: NodeId,
        pid: i32,
        deadline: Instant,
    ) -> Result<NodeAddresses, DeployError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = match self.guardian.await_ready(pid, left) {
            Ok(line) => line,
            Err(GuardianError::Late { .. }) => return Err(self.not_ready(node, late())?),
            Err(GuardianError::Refused(reason)) => return Err(self.not_ready(node, reason)?),
            Err(error) => return Err(error.into()),
        };
        match self.settings.system.ready(&line) {
            Ok(addresses) => Ok(addresses),
            Err(reason) => Err(self.not_ready(node, reason)?),
        }
    }

    /// Waits until a node that knows nothing of ready lines listens where it has to.
    fn await_listening(
        &self,
        homes: &Homes,
        node: NodeId,
        pid: i32,
        deadline: Instant,
    ) -> Result<NodeAddresses, DeployError> {
        while !homes.are_open(node) {
            match self.guardian.await_exit(pid, LISTENING_PAUSE) {
                Ok(exit) => {
                    let reason = format!("exited before it listened ({})", exit.status);
                    return Err(self.not_ready(node, reason)?);
                }
                Err(GuardianError::Late { .. }) if Instant::now() < deadline => {}
                Err(GuardianError::Late { .. }) => {
                    let reason = format!("{}: nobody listens at {}", late(), homes.closed(node));
                    return Err(self.not_ready(node, reason)?);
                }
                Err(error) => return Err(error.into()),
            }
        }
        homes.home(node).map(|home| home.own).ok_or(DeployError::NoSuchNode(node))
    }

    fn not_ready(&self, node: NodeId, reason: String) -> Result<DeployError, DeployError> {
        let log = self.paths(node)?.log.clone();
        let log_lines = last_lines(&log, LOG_LINES);
        Ok(DeployError::NotReady { node, reason, log_lines, log })
    }

    fn paths(&self, node: NodeId) -> Result<&NodePaths, DeployError> {
        self.settings.nodes.get(&node).ok_or(DeployError::NoSuchNode(node))
    }
}

fn late() -> String {
    format!("did not become ready in {} s", READY_LIMIT.as_secs())
}

/// The first of them, in words.
fn told(leaks: &[Leak]) -> String {
    leaks.first().map(Leak::to_string).unwrap_or_default()
}

/// A path as text, for a record.
fn text(path: &Path) -> String {
    path.display().to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
