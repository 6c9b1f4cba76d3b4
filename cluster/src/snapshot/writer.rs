//! Writing a snapshot: bounded in rate, and never visible before it is whole.
//!
//! A disk that is handed a gigabyte at once makes the log's next sync wait for all of it. So the file is handed over
//! a megabyte at a time and synced once, at its end, and the writer sleeps in between to keep to its [`Pace`]. After
//! an error the file is given up: a sync that succeeds after one that failed proves nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::file::{self, Head, Sum};
use super::{Files, OWN, SnapshotError};
use crate::bug::Bug;
use crate::kv::Store;
use crate::raft::Snapshot;
use crate::wal::{Disk, DiskFile};

/// Bytes after which the file is handed over to the disk.
const STEP: u64 = 1 << 20;

/// How fast to go, and whether to go on.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Bytes in a second.
    pub rate: u64,
    /// Set when the node ends: the work is given up.
    pub stop: Arc<AtomicBool>,
}

impl Pace {
    /// Sleeps until `bytes` are no more than the rate allows since `start`.
    ///
    /// # Errors
    /// `Interrupted`: the work is to be given up.
    pub(crate) fn keep(&self, start: Instant, bytes: u64) -> io::Result<()> {
        let due = Duration::from_secs_f64(bytes as f64 / self.rate.max(1) as f64);
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "the node is stopping"));
            }
            let Some(left) = due.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                return Ok(());
            };
            thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}

/// A file that grows and is handed over in steps.
pub(super) struct Sink {
    file: Box<dyn DiskFile>,
    written: u64,
    handed_over: u64,
}

impl Sink {
    pub(super) fn create(disk: &dyn Disk, name: &str) -> io::Result<Sink> {
        Ok(Sink { file: disk.create_empty(name)?, written: 0, handed_over: 0 })
    }

    /// Goes on with a file of this many bytes.
    pub(super) fn go_on(disk: &dyn Disk, name: &str, written: u64) -> io::Result<Sink> {
        Ok(Sink { file: disk.open(name)?, written, handed_over: written })
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write(self.written, bytes)?;
        self.written += bytes.len() as u64;
        if self.written - self.handed_over >= STEP {
            self.file.hand_over(self.handed_over, self.written - self.handed_over)?;
            self.handed_over = self.written;
        }
        Ok(())
    }

    /// The number of bytes so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Makes all of it durable.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.file.sync()?;
        Ok(self.written)
    }
}

impl Files {
    /// Writes the state as of `snapshot` and returns the size of the file, which is then the newest one and
    /// durable. Blocks for as long as that takes at this pace.
    ///
    /// # Errors
    /// The disk refused, or the work was called off; nothing has changed.
    pub fn write(
        &self,
        snapshot: &Snapshot,
        store: &Store,
        pace: &Pace,
    ) -> Result<u64, SnapshotError> {
        let last = snapshot.last;
        // The bug: a crash leaves half a file in the place of a whole one.
        let in_place = self.bugs.has(Bug::SnapshotInPlace).then(|| file::name(last));
        let name = in_place.as_deref().unwrap_or(OWN);
        let written = self.write_to(name, snapshot, store, pace);
        let installed = written.and_then(|bytes| self.install(name, last).map(|()| bytes));
        installed.map_err(|error| {
            // What cannot be removed is removed at the next start.
            drop(self.disk.remove(name));
            self.failed("write", &file::name(last), error)
        })
    }

    fn write_to(
        &self,
        name: &str,
        snapshot: &Snapshot,
        store: &Store,
        pace: &Pace,
    ) -> io::Result<u64> {
        let start = Instant::now();
        let mut sink = Sink::create(&*self.disk, name)?;
        if name != OWN {
            self.disk.sync()?;
        }
        let head = Head { cluster: self.cluster, snapshot: snapshot.clone() };
        sink.put(&head.encode())?;
        let mut sum = Sum::default();
        for block in store.export() {
            sink.put(&sum.block(&block))?;
            pace.keep(start, sink.written())?;
        }
        sink.put(&sum.trailer())?;
        sink.finish()
    }
}
