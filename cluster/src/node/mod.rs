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

mod answer;
mod config;
mod driver;
mod forward;
mod pending;
mod process;
mod reply;
mod server;
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
use crate::log::{info, warning};
use crate::raft::{self, Configuration, Raft, Recovered};
use crate::wal::{Contents, Disk, Report, Wal, WalError};
use answer::Answers;
use driver::Driver;
use forward::Forwarder;
use server::Front;
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
    /// Writing to the log failed. What was waiting is unknown; nothing is tried again.
    #[error("the node stops because its log failed: {0}")]
    Storage(String),
    /// A server ended by itself.
    #[error("the node stops because a server ended: {0}")]
    Server(String),
}

impl NodeError {
    /// The exit code of the process: 1 for what the starter can mend, and numbers of `sysexits.h` for a
    /// log that is damaged (65, EX_DATAERR) or cannot be written any more (74, EX_IOERR).
    pub fn exit_code(&self) -> u8 {
        match self {
            NodeError::Wal(WalError::Damaged { .. } | WalError::WrongNode { .. }) => 65,
            NodeError::Storage(_) => 74,
            NodeError::Config(_) | NodeError::Start(_) | NodeError::Wal(_) => 1,
            NodeError::Server(_) => 70,
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
    let (wal, contents, report) = Wal::open(disk, config.id, config.segment_size)?;
    log_recovery(&contents, &report);
    let marks = config.marks.as_deref().map(Marks::open).transpose()?;
    let mut members: Vec<_> = config.peers.keys().copied().chain([config.id]).collect();
    members.sort_unstable();
    let (front, inputs, term) = Front::new(&config, &members);
    let mut settings = raft::Config {
        bugs: config.bugs,
        ..raft::Config::new(config.id, Configuration::of(members.iter().copied()))
    };
    if let Some(most) = config.bugs.needs().append_entries {
        settings.limits.append_entries = most;
    }
    let Contents { hard_state, entries } = contents;
    let raft = Raft::new(settings, Recovered { hard_state, log: entries });
    let driver = Driver {
        role: raft.role(),
        durable: 0,
        raft,
        answers: Answers::new(config.bugs),
        wal,
        timers: Timers::new(config.heartbeat, config.election),
        transport: Transport::start(config.cluster, &config.peers),
        marks,
        term,
        members,
        effects: Vec::new(),
    };
    let mut peers = server::serve_peers(front.clone(), listeners.peer);
    let mut clients = server::serve_clients(front, Forwarder::new(&config), listeners.client);
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

fn log_recovery(contents: &Contents, report: &Report) {
    let Report { segments, records, torn } = report;
    let (term, last) = (contents.hard_state.term, contents.entries.len());
    info!("log read: {segments} segments, {records} records, term {term}, last index {last}");
    if let Some((file, offset, bytes)) = torn {
        warning!(
            "cut a torn tail off {file} at offset {offset} ({bytes} bytes): never acknowledged"
        );
    }
}
