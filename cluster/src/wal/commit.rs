//! Group commit: a thread that writes all that waits with one sync.
//!
//! The queue is bounded. Whoever feeds it looks at [`Wal::waiting`] and holds back long before the bound; at
//! the bound [`Wal::append`] fails, and so does the node. Progress is one value, the highest durable ticket,
//! so a reader that is slow misses nothing. The first error ends the thread and stays; but a full disk is none:
//! what waits is tried again until there is space.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::watch;

use super::WalError;
use super::disk::Disk;
use super::recovery::{Contents, Report};
use super::room::RETRY;
use super::segments::Segments;
use crate::bug::{Bug, Bugs, Mark};
use crate::raft::Batch;

/// Batches that may wait for the thread.
pub const QUEUE_BATCHES: usize = 4096;

/// How far the log is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Every batch with this ticket or a lower one is on stable storage.
    pub durable: u64,
    /// The log failed, once and for all, with this message.
    pub failed: Option<String>,
    /// There is no space for the next segment. What was queued is written as far as the present one goes, and
    /// the rest as soon as there is space again; more should not be queued than must be.
    pub full: bool,
}

/// The log cannot take another batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The thread has ended after an error, which [`Progress::failed`] holds.
    #[error("the log failed: {0}")]
    Latched(String),
    /// [`QUEUE_BATCHES`] batches wait: the disk has not moved for long.
    #[error("the log does not keep up: {QUEUE_BATCHES} batches are waiting for the disk")]
    Full,
}

/// Figures for `Status`; all since the log was opened, except the extent.
#[derive(Debug, Default)]
pub struct Figures {
    /// Segment files.
    pub segments: AtomicU64,
    /// Bytes in them up to the last record.
    pub bytes: AtomicU64,
    /// Syncs of records.
    pub syncs: AtomicU64,
    /// Batches written.
    pub batches: AtomicU64,
    /// Longest group commit in microseconds.
    pub slowest_us: AtomicU64,
}

/// A log with its thread. Dropping it writes what waits, if there is space for it, and joins the thread.
pub struct Wal {
    shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
    figures: Arc<Figures>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Batches that the thread has taken and cannot write yet.
    held: AtomicUsize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    batches: Vec<Batch>,
    closed: bool,
    /// What deliberate bugs did and nobody has counted yet.
    marks: Vec<(Bug, Mark)>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wal {
    /// Opens the log of `node`, recovers it and starts the thread. `segment_size` in bytes.
    ///
    /// # Errors
    /// The disk refused, or the log is not whole.
    pub fn open(
        disk: Arc<dyn Disk>,
        node: u64,
        segment_size: u64,
        bugs: Bugs,
    ) -> Result<(Wal, Contents, Report), WalError> {
        let named = Arc::clone(&disk);
        let (segments, contents, report) = Segments::open(disk, node, segment_size, bugs)?;
        let (sender, progress) = watch::channel(Progress::default());
        let figures = Arc::new(Figures::default());
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            segments,
            shared: Arc::clone(&shared),
            figures: Arc::clone(&figures),
            progress: sender,
        };
        writer.report_extent();
        let thread = thread::Builder::new()
            .name("wal".to_owned())
            .spawn(move || writer.run())
            .map_err(|e| WalError::io(&*named, "start the thread of", "wal", e))?;
        Ok((Wal { shared, progress, figures, thread: Some(thread) }, contents, report))
    }

    /// Queues a batch; [`Wal::progress`] says when it is durable. Tickets must ascend.
    ///
    /// # Errors
    /// The log has failed or is full; the batch is not queued.
    pub fn append(&self, batch: Batch) -> Result<(), Failure> {
        if let Some(message) = &self.progress.borrow().failed {
            return Err(Failure::Latched(message.clone()));
        }
        let mut queue = self.shared.queue();
        if queue.batches.len() + self.shared.held.load(Ordering::Relaxed) >= QUEUE_BATCHES {
            return Err(Failure::Full);
        }
        queue.batches.push(batch);
        drop(queue);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Batches that wait for the thread, or with it for space; those that it is writing are not counted.
    pub fn waiting(&self) -> usize {
        self.shared.queue().batches.len() + self.shared.held.load(Ordering::Relaxed)
    }

    /// What deliberate bugs have done since this was last asked.
    pub fn take_marks(&self) -> Vec<(Bug, Mark)> {
        std::mem::take(&mut self.shared.queue().marks)
    }

    /// A receiver of progress.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Figures for people.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by itself; there is nothing left to save.
            drop(thread.join());
        }
    }
}

struct Writer {
    segments: Segments,
    shared: Arc<Shared>,
    figures: Arc<Figures>,
    progress: watch::Sender<Progress>,
}

impl Writer {
    fn run(mut self) {
        while let Some(batches) = self.next() {
            let (count, start) = (batches.len() as u64, Instant::now());
            self.segments.push(batches);
            if let Err(error) = self.segments.flush() {
                self.progress.send_modify(|p| p.failed = Some(error.to_string()));
                return;
            }
            self.shared.held.store(self.segments.held(), Ordering::Relaxed);
            if count > 0 {
                let took = start.elapsed().as_micros() as u64;
                self.figures.slowest_us.fetch_max(took, Ordering::Relaxed);
                self.figures.batches.fetch_add(count, Ordering::Relaxed);
            }
            self.report_extent();
            if !self.segments.marks.is_empty() {
                self.shared.queue().marks.append(&mut self.segments.marks);
            }
            let (durable, full) = (self.segments.durable(), self.segments.is_full());
            self.progress.send_if_modified(|progress| {
                let is_news = (progress.durable, progress.full) != (durable, full);
                (progress.durable, progress.full) = (durable, full);
                is_news
            });
        }
    }

    /// Waits for batches and takes all; `None` once the log is closed and all is taken. While the disk is full it
    /// returns after a while also without any, so that space is looked for.
    fn next(&self) -> Option<Vec<Batch>> {
        let is_idle = |queue: &mut Queue| queue.batches.is_empty() && !queue.closed;
        let (queue, changed) = (self.shared.queue(), &self.shared.changed);
        let mut queue = if self.segments.is_full() {
            let waited = changed.wait_timeout_while(queue, RETRY, is_idle);
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            changed.wait_while(queue, is_idle).unwrap_or_else(PoisonError::into_inner)
        };
        let batches = std::mem::take(&mut queue.batches);
        (!batches.is_empty() || !queue.closed).then_some(batches)
    }

    fn report_extent(&self) {
        let (segments, bytes) = self.segments.extent();
        self.figures.segments.store(segments, Ordering::Relaxed);
        self.figures.bytes.store(bytes, Ordering::Relaxed);
        self.figures.syncs.store(self.segments.syncs, Ordering::Relaxed);
    }
}
