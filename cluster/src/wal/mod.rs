//! The write-ahead log: what a node promised, on its disk before it says so.
//!
//! A node may only vote, acknowledge entries or count itself towards a quorum once the fact is on stable
//! storage, so the speed of the log is the speed of the cluster. Three choices make it fast: segments are
//! filled with zeros in advance, so that a sync moves data and no metadata; all batches that wait are
//! written as one record with one `fdatasync` (group commit, [`Wal`]); and a thread of its own does it, so
//! that elections and heartbeats go on while the disk is slow.
//!
//! Invariants:
//! - one record is one sync, so a valid record proves all earlier ones (`format`);
//! - recovery yields a prefix of what was written that holds all that was acknowledged, or refuses with the
//!   file, the offset and a remedy ([`WalError`]); never a log with a hole (`recovery`);
//! - after one error of write or sync nothing is written again: what the kernel did with the pages is
//!   unknown, and a second sync that succeeds would prove nothing (`policy`);
//! - a full disk is no such error: what finds no space waits, unacknowledged, and is written when there is some
//!   (`room`, [`Progress::full`]);
//! - a segment is deleted only after the record that makes it superfluous is durable (`segments`).
//!
//! It knows nothing of Raft's rules, and nothing of snapshots: that one covers what is to be forgotten is the
//! word of whoever says so.

mod commit;
#[cfg(test)]
mod compaction_tests;
pub mod disk;
mod format;
#[cfg(test)]
mod full_tests;
#[cfg(test)]
mod memory;
pub mod policy;
mod reaper;
mod recovery;
mod replay;
mod room;
mod segments;
#[cfg(test)]
mod tests;

use std::io;

pub use commit::{Failure, Figures, Progress, QUEUE_BATCHES, Wal};
pub use disk::{Directory, Disk, DiskFile};
pub use format::{FORMAT, HEADER, RECORD};
#[cfg(test)]
pub(crate) use memory::Memory;
pub use recovery::{Contents, Report};
pub use segments::SEGMENT_MIN;

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// The operating system refused.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The directory belongs to a node with another id.
    #[error(
        "{place} holds the log of node {owner}, not of node {node}: give each node its own data directory"
    )]
    WrongNode {
        /// The data directory.
        place: String,
        /// Whose log it is.
        owner: u64,
        /// Who asked.
        node: u64,
    },
    /// Records that had been on stable storage are gone or changed.
    #[error(
        "the log is damaged at {file}, offset {offset}: {message}; restore the data directory from a copy, \
         or move it away and bring the node back as a new member: starting without these records could \
         lose acknowledged writes"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Offset of the first bad byte or record in it.
        offset: u64,
        /// What does not fit.
        message: String,
    },
}

impl WalError {
    fn io(disk: &dyn Disk, action: &'static str, file: &str, source: io::Error) -> WalError {
        WalError::Io { action, file: format!("{}/{file}", disk.place()), source }
    }
}
