//! A node as an operating-system process: signals, the ready line, the runtime.

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal as set_handler};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use super::{Config, Listeners, NodeError, serve};
use crate::log::info;
use crate::wal::{Directory, Disk};

/// How long threads may take to end after the node has.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// The ready line: where a node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// For the other nodes.
    pub peer: SocketAddr,
    /// For clients and operators.
    pub client: SocketAddr,
}

/// Runs one node until SIGTERM or an error. On SIGTERM it stops serving, finishes its log and returns.
///
/// # Errors
/// See [`NodeError`]; [`NodeError::exit_code`] is the exit code to leave with.
pub fn run(config: Config) -> Result<(), NodeError> {
    config.validate()?;
    if config.parent_death_signal {
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)?;
    }
    // A limit on the size of files is an error of the write, not the end of the process.
    // SAFETY: no handler is installed, so none can run in a bad moment; the signal is only ignored.
    unsafe { set_handler(Signal::SIGXFSZ, SigHandler::SigIgn) }.map_err(io::Error::from)?;
    let disk: Arc<dyn Disk> = Arc::new(Directory::open(&config.data)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let listeners = Listeners::bind(config.listen_peer, config.listen_client).await?;
        let addresses = Addresses {
            peer: listeners.peer.local_addr()?,
            client: listeners.client.local_addr()?,
        };
        info!("node {} in {}", config.id, config.data.display());
        info!("listening for nodes on {}, for clients on {}", addresses.peer, addresses.client);
        for bug in config.bugs.iter() {
            info!("deliberate bug switched on: {bug}");
        }
        let ready_fd = config.ready_fd;
        let ready = || ready_fd.map_or(Ok(()), |fd| announce(fd, addresses));
        let stop = async move {
            terminate.recv().await;
            info!("stopping on SIGTERM");
        };
        serve(config, disk, listeners, ready, stop).await
    });
    runtime.shutdown_timeout(SHUTDOWN);
    result
}

fn announce(fd: RawFd, addresses: Addresses) -> io::Result<()> {
    // SAFETY: whoever started this process opened the descriptor for this line and said so; nothing else in
    // this process uses it, and it is closed here.
    let pipe = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut line = serde_json::to_string(&addresses)?;
    line.push('\n');
    File::from(pipe).write_all(line.as_bytes())
}
