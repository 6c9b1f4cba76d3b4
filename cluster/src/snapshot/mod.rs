//! Snapshots as files: the applied state of a node, so that the log before it can be forgotten.
//!
//! A snapshot is written from a copy of the state machine that costs nothing, by a thread of its own and at a
//! bounded rate, so that the node goes on (`writer`). It comes from a leader in the same bytes, also in several
//! attempts (`receive`), and is read back when a node starts ([`Files::load`]). What is in the file: `file`.
//!
//! Invariants:
//! - a file under a snapshot's name is whole and on stable storage: it is written under another name, synced,
//!   and renamed, and the directory is synced before anyone is told;
//! - the newest file covers at least what the log has forgotten; older ones are removed, never the newest;
//! - a file that is not as it was written is damage and is refused: an older one would not do, as the log that
//!   led on from there may be gone.
//!
//! Nothing here knows of terms and votes: whether a snapshot is wanted is Raft's decision.

mod file;
mod receive;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bug::{Bug, Bugs};
use crate::kv::Store;
use crate::raft::{Position, Snapshot};
use crate::wal::Disk;
pub(crate) use receive::Offer;
pub use writer::Pace;

/// A snapshot of this node that is being written.
const OWN: &str = "snapshot.tmp";

/// Why a snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system refused, or the work was called off.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is not as it was written.
    #[error(
        "the snapshot {file} is damaged: {message}; restore the data directory from a copy, or move it away \
         and bring the node back as a new member: the log before the snapshot is gone"
    )]
    Damaged {
        /// The file.
        file: String,
        /// What does not fit.
        message: String,
    },
}

/// The snapshot files of one node.
#[derive(Clone)]
pub struct Files {
    disk: Arc<dyn Disk>,
    cluster: u64,
    bugs: Bugs,
    /// One file at a time takes its place.
    install: Arc<Mutex<()>>,
}

impl Files {
    /// The snapshots on `disk`, of a node of `cluster`.
    pub fn new(disk: Arc<dyn Disk>, cluster: u64, bugs: Bugs) -> Files {
        Files { disk, cluster, bugs, install: Arc::default() }
    }

    /// Reads the newest snapshot, if there is one, and removes what else was left.
    ///
    /// # Errors
    /// The disk refused, or the newest snapshot is not whole.
    pub fn load(&self) -> Result<Option<(Snapshot, Store)>, SnapshotError> {
        let names = self.disk.names().map_err(|e| self.failed("list", "the data directory", e))?;
        if names.iter().any(|name| name == OWN) {
            self.disk.remove(OWN).map_err(|e| self.failed("remove", OWN, e))?;
        }
        let Some(newest) = self.newest()? else { return Ok(None) };
        let loaded = self.read(&file::name(newest))?;
        if loaded.0.last != newest {
            let message = format!("it holds the state as of {}", loaded.0.last);
            return Err(self.damaged(&file::name(newest), message));
        }
        self.remove_before(newest).map_err(|e| self.failed("remove", "an old snapshot", e))?;
        // A killed process may have left the name in the kernel's cache only.
        self.disk.sync().map_err(|e| self.failed("sync", "the data directory", e))?;
        Ok(Some(loaded))
    }

    /// What the newest snapshot file stands for.
    pub(crate) fn newest(&self) -> Result<Option<Position>, SnapshotError> {
        let names = self.disk.names().map_err(|e| self.failed("list", "the data directory", e))?;
        Ok(names.iter().filter_map(|name| file::position(name)).max())
    }

    /// The newest snapshot file, to be offered to another node.
    pub(crate) fn offer_newest(&self) -> Result<Offer, SnapshotError> {
        // While a newer one takes its place, the old one may go.
        let _installing = self.installing();
        let newest = self.newest()?;
        let missing = || self.failed("find", "a snapshot", io::ErrorKind::NotFound.into());
        let last = newest.ok_or_else(missing)?;
        let name = file::name(last);
        let offer = || {
            let size = self.disk.length(&name)?;
            let end = self.disk.reader(&name, size.saturating_sub(file::TRAILER))?;
            Ok(Offer { last, size, crc: file::final_sum(end)? })
        };
        offer().map_err(|e| self.failed("read", &name, e))
    }

    /// Opens the file that was offered, to be sent from this byte on.
    ///
    /// # Errors
    /// The disk refused; or a newer one has taken its place.
    pub(crate) fn open(
        &self,
        offer: &Offer,
        from: u64,
    ) -> Result<Box<dyn io::Read + Send>, SnapshotError> {
        let name = file::name(offer.last);
        self.disk.reader(&name, from).map_err(|e| self.failed("read", &name, e))
    }

    /// Gives a synced file its name, durably, and removes older ones; or removes it if there is a newer one.
    fn install(&self, temporary: &str, last: Position) -> io::Result<()> {
        let _installing = self.installing();
        let newest = self.newest().map_err(io::Error::other)?;
        if newest.is_some_and(|newest| newest > last) {
            return self.disk.remove(temporary);
        }
        if temporary != file::name(last) {
            self.disk.rename(temporary, &file::name(last))?;
        }
        self.disk.sync()?;
        self.remove_before(last)
    }

    fn remove_before(&self, last: Position) -> io::Result<()> {
        let names = self.disk.names()?;
        let is_older = |name: &&String| {
            file::position(name).is_some_and(|other| other < last)
                || file::incoming_position(name).is_some_and(|other| other <= last)
        };
        names.iter().filter(is_older).try_for_each(|name| self.disk.remove(name))
    }

    /// Reads and checks a whole file.
    fn read(&self, name: &str) -> Result<(Snapshot, Store), SnapshotError> {
        let reader = self.disk.reader(name, 0).map_err(|e| self.failed("open", name, e))?;
        let sort = |error: io::Error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                self.damaged(name, error.to_string())
            }
            _ => self.failed("read", name, error),
        };
        let (head, mut blocks) = file::open(reader).map_err(sort)?;
        let file::Head { cluster, snapshot } = head;
        if cluster != self.cluster {
            return Err(self.damaged(name, format!("it belongs to cluster {cluster}")));
        }
        let mut store = Store::import(self.bugs, &mut blocks).map_err(sort)?;
        let (claimed, held) = (snapshot.last.index, store.applied());
        if self.bugs.has(Bug::SnapshotOffByOne) {
            store.skip(claimed);
        } else if claimed != held {
            let message = format!("it claims entry {claimed} and holds the state as of {held}");
            return Err(self.damaged(name, message));
        }
        Ok((snapshot, store))
    }

    fn installing(&self) -> MutexGuard<'_, ()> {
        self.install.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, action: &'static str, file: &str, source: io::Error) -> SnapshotError {
        SnapshotError::Io { action, file: format!("{}/{file}", self.disk.place()), source }
    }

    fn damaged(&self, file: &str, message: String) -> SnapshotError {
        SnapshotError::Damaged { file: format!("{}/{file}", self.disk.place()), message }
    }
}
