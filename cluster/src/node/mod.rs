//! One node as a process: everything around the pure core.
//!
//! [`run`] is what `harness node` calls; [`serve`] is the same without a process, for tests that give it
//! their own disk, sockets and end. A node is one thread with a tokio runtime (services, driver, peers)
//! and one thread for its log.
//!
//! ```text
//! clients ─▶ server::client ─┐                     ┌─▶ wal (its thread) ─┐
//!                            ├─▶ driver ─ raft ────┤                     └─▶ durable ─▶ driver
//! peers ───▶ server::peer ───┘     │               └─▶ transport ─▶ peers
//!                                  └─ kv ─▶ answers ─▶ clients
//! ```
//!
//! Invariants: every queue has a bound and every wait an end; what a client is told is typed, and definite
//! only when the node knows; after an error of the log nothing more is promised and the process ends.

mod addresses;
mod answer;
mod clock;
mod config;
mod driver;
mod forward;
mod identity;
mod notices;
mod pending;
mod process;
mod reply;
mod server;
mod snapshots;
mod status;
#[cfg(test)]
mod tests;
mod timers;
mod transport;
mod wire;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

pub use config::{Config, DEADLINE_MAX, KEY_MAX, REQUEST_MAX, VALUE_MAX};
pub use process::{Addresses, run};

use crate::bug_marks::Marks;
use crate::kv::Store;
use crate::log::{info, warning};
use crate::raft::{self, Configuration, Index, Limits, NodeId, Raft, Recovered, Snapshot};
use crate::snapshot::{Files, SnapshotError};
use crate::wal::{Contents, Disk, Report, Wal, WalError};
use addresses::Book;
use answer::Answers;
use driver::{Driver, Leaving, Seen};
use forward::Forwarder;
use identity::Identities;
use server::Front;
use snapshots::Snapshots;
use timers::Timers;
use transport::Transport;

/// How long answers may take to leave after the driver has stopped.
const FAREWELL: Duration = Duration::from_millis(100);

/// Why a node ended, or could not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The settings make no sense.
    #[error("{0}")]
    Config(String),
    /// A file, directory or socket that the node needs is not to be had.
    #[error("{0}")]
    Start(#[from] io::Error),
    /// The log cannot be opened.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// The snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Writing to the log failed. What was waiting is unknown; nothing is tried again.
    #[error("the node stops because its log failed: {0}")]
    Storage(String),
    /// The cluster knows this node's id with another data directory.
    #[error(
        "the cluster knows node {id} with another data directory, node {leader}, which leads, says: what this node \
         had promised is lost. Remove node {id} from the cluster, and let it join again under a new id"
    )]
    Stranger {
        /// This node.
        id: NodeId,
        /// Who said so.
        leader: NodeId,
    },
    /// This node was removed from the cluster while it was away.
    #[error(
        "node {id} was removed from the cluster, as of entry {index} at the latest, says node {by}: it is not \
         needed any more, and can join again only with an empty data directory"
    )]
    Removed {
        /// This node.
        id: NodeId,
        /// Who said so.
        by: NodeId,
        /// A committed entry as of which it is no member.
        index: Index,
    },
    /// A server ended by itself.
    #[error("the node stops because a server ended: {0}")]
    Server(String),
}

impl NodeError {
    /// The exit code of the process: 1 for what the starter can mend, and numbers of `sysexits.h` for a
    /// log that is damaged or not the one that the cluster knows (65, EX_DATAERR), that cannot be written any more
    /// (74, EX_IOERR), or for a node that is no member (78, EX_CONFIG).
    pub fn exit_code(&self) -> u8 {
        match self {
            NodeError::Wal(WalError::Damaged { .. } | WalError::WrongNode { .. })
            | NodeError::Snapshot(SnapshotError::Damaged { .. })
            | NodeError::Stranger { .. } => 65,
            NodeError::Storage(_) => 74,
            NodeError::Config(_)
            | NodeError::Start(_)
            | NodeError::Wal(_)
            | NodeError::Snapshot(_) => 1,
            NodeError::Server(_) => 70,
            NodeError::Removed { .. } => 78,
        }
    }
}

/// Runs a node on `disk` with open listeners until `stop` is ready. Needs a tokio runtime. `ready` is called
/// once the log is read and connections are accepted.
///
/// # Errors
/// The log cannot be opened or written, a server ended, or `ready` failed.
pub async fn serve(
    config: Config,
    disk: Arc<dyn Disk>,
    listeners: Listeners,
    ready: impl FnOnce() -> io::Result<()>,
    stop: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    config.validate()?;
    let identities = Identities::open(Arc::clone(&disk))?;
    let files = Files::new(Arc::clone(&disk), config.cluster, config.bugs);
    let (snapshot, store) = files.load()?.unzip();
    let (wal, contents, report) =
        Wal::open(Arc::clone(&disk), config.id, config.segment_size, config.bugs)?;
    log_recovery(snapshot.as_ref(), &contents, &report);
    let recovered = recovered(&*disk, snapshot, contents)?;
    let marks = config.marks.as_deref().map(Marks::open).transpose()?;
    let own = Some(listeners.peer.local_addr()?).filter(|address| !address.ip().is_unspecified());
    let given = config.peers.iter().chain(&config.dial).map(|(id, address)| (*id, *address));
    let addresses = Book::new(given.collect());
    let (front, inputs, term) =
        Front::new(&config, addresses.clone(), files.clone(), identities.clone());
    let mut settings = raft::Config {
        bugs: config.bugs,
        limits: limits(&config),
        election_beats: config.election_beats(),
        lease: config.lease(),
        ..raft::Config::new(config.id, first_configuration(&config, own))
    };
    if let Some(most) = config.bugs.needs().append_entries {
        settings.limits.append_entries = most;
    }
    let raft = Raft::new(settings, recovered);
    let driver = Driver {
        role: raft.role(),
        durable: 0,
        disk_full: false,
        raft,
        answers: Answers::new(store.unwrap_or_else(|| Store::new(config.bugs)), config.bugs),
        snapshots: Snapshots::new(&config, addresses.clone(), files, front.snapshots.clone()),
        wal,
        timers: Timers::new(config.heartbeat, config.election),
        transport: Transport::new(&config, identities.own(), own, addresses.clone()),
        identities,
        marks,
        term,
        effects: Vec::new(),
        patience: config.election,
        leaving: Leaving::No,
        seen: Seen::default(),
    };
    let mut peers = server::serve_peers(front.clone(), listeners.peer);
    let mut clients =
        server::serve_clients(front, Forwarder::new(&config, addresses), listeners.client);
    ready()?;
    let ended = |result| NodeError::Server(format!("{result:?}"));
    let result = tokio::select! {
        result = driver.run(inputs, stop) => result,
        result = &mut peers => Err(ended(result)),
        result = &mut clients => Err(ended(result)),
    };
    // The driver has answered everything and its log is written and closed; let the answers leave.
    tokio::time::sleep(FAREWELL).await;
    peers.abort();
    clients.abort();
    result
}

/// Who is in the cluster as long as the log does not say: nobody for a node that joins one.
fn first_configuration(config: &Config, own: Option<SocketAddr>) -> Configuration {
    if config.join {
        return Configuration::default();
    }
    let own = own.map(|address| (config.id, address));
    let peers = config.peers.iter().map(|(id, address)| (*id, *address));
    let addresses = peers.chain(own).map(|(id, address)| (id, address.to_string().into()));
    Configuration {
        addresses: addresses.collect(),
        ..Configuration::of(config.peers.keys().copied().chain([config.id]))
    }
}

/// The sockets of a node.
#[derive(Debug)]
pub struct Listeners {
    /// For the other nodes.
    pub peer: TcpListener,
    /// For clients and operators.
    pub client: TcpListener,
}

impl Listeners {
    /// Binds both addresses.
    ///
    /// # Errors
    /// An address cannot be bound; the message names it.
    pub async fn bind(peer: SocketAddr, client: SocketAddr) -> io::Result<Listeners> {
        Ok(Listeners { peer: bind(peer).await?, client: bind(client).await? })
    }
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}"));
    TcpListener::bind(address).await.map_err(named)
}

/// With snapshots every so many entries, half as many stay: then a follower that misses a few rounds needs one,
/// and a short test meets all that snapshots are about.
fn limits(config: &Config) -> Limits {
    match config.snapshot_entries {
        0 => Limits::default(),
        entries => Limits { tail_entries: entries / 2, ..Limits::default() },
    }
}

/// Puts snapshot and log together, if the one covers what the other has forgotten.
fn recovered(
    disk: &dyn Disk,
    snapshot: Option<Snapshot>,
    contents: Contents,
) -> Result<Recovered, NodeError> {
    let Contents { hard_state, base, entries } = contents;
    let covered = snapshot.as_ref().map_or(0, |snapshot| snapshot.last.index);
    if covered < base.index {
        let (file, index) = (disk.place(), base.index);
        let message = format!("the log begins after entry {index}, the snapshot ends at {covered}");
        return Err(SnapshotError::Damaged { file, message }.into());
    }
    Ok(Recovered { hard_state, snapshot, base, log: entries })
}

fn log_recovery(snapshot: Option<&Snapshot>, contents: &Contents, report: &Report) {
    if let Some(snapshot) = snapshot {
        info!("snapshot read: the state as of {}", snapshot.last);
    }
    let Report { segments, records, torn } = report;
    let (term, last) =
        (contents.hard_state.term, contents.base.index + contents.entries.len() as u64);
    info!("log read: {segments} segments, {records} records, term {term}, last index {last}");
    if let Some((file, offset, bytes)) = torn {
        warning!(
            "cut a torn tail off {file} at offset {offset} ({bytes} bytes): never acknowledged"
        );
    }
}
