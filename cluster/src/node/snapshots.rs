//! When snapshots are taken, and their way to and from other nodes.
//!
//! The driver's loop never waits for any of it. A snapshot is taken from a copy of the state machine, which
//! costs nothing, on a thread that owns the copy and drops it. One is sent by a task with a connection of its
//! own. One that arrives has been checked and decoded before the loop hears of it. Whatever happens comes back
//! as [`News`], each once.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use super::addresses::Book;
use super::config::Config;
use super::driver::Driver;
use super::{NodeError, transport};
use crate::bug::{Bug, Mark};
use crate::kv::Store;
use crate::log::{info, warning};
use crate::proto::peer_client::PeerClient;
use crate::proto::{self, SnapshotChunk, SnapshotOffer, SnapshotStatus, SnapshotWanted};
use crate::raft::{Entry, Event, Index, NodeId, Position, Snapshot, Term};
use crate::snapshot::{Files, Offer, Pace, SnapshotError};

/// Bytes of a chunk.
const CHUNK: usize = 256 << 10;
/// Chunks read ahead of the connection.
const AHEAD: usize = 4;
/// Entries that are freed at a time.
const FREED: usize = 1024;
/// How long to wait after a snapshot that could not be written, unless the attempt itself took longer.
const RETRY: Duration = Duration::from_secs(1);
/// What a transfer may take besides four times what the rate alone makes it take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of a snapshot.
pub(super) enum News {
    /// One of this node was written.
    Written { snapshot: Snapshot, result: Result<u64, SnapshotError>, took: Duration },
    /// One from another node is here; `known` is told when the core knows.
    Arrived {
        from: NodeId,
        term: Term,
        snapshot: Snapshot,
        store: Box<Store>,
        known: oneshot::Sender<()>,
    },
    /// One was sent, or not.
    Sent { to: NodeId, index: Index, arrived: bool },
}

/// Somebody who asked for a snapshot: gets the last entry that it covers, or why there is none.
pub(super) type Wanted = oneshot::Sender<Result<Index, String>>;

/// The snapshots of a running node.
pub(super) struct Snapshots {
    files: Files,
    news: mpsc::Sender<News>,
    id: NodeId,
    cluster: u64,
    addresses: Book,
    pace: Pace,
    /// Entries and bytes after which one is taken.
    every: (u64, u64),
    /// Entries and bytes applied since the last one.
    since: (u64, u64),
    /// One could not be written: when to try again.
    retry: Option<Instant>,
    /// The decoded state that goes with the step under way.
    arrived: Option<Box<Store>>,
    /// Who waits for a snapshot that is still to be begun, and for the one that is being written.
    wanted: Vec<Wanted>,
    promised: Vec<Wanted>,
    figures: SnapshotStatus,
    // Aborts the tasks when the node goes.
    tasks: JoinSet<()>,
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.pace.stop.store(true, Ordering::Relaxed);
    }
}

impl Snapshots {
    pub(super) fn new(
        config: &Config,
        addresses: Book,
        files: Files,
        news: mpsc::Sender<News>,
    ) -> Snapshots {
        let entries = if config.snapshot_entries == 0 { u64::MAX } else { config.snapshot_entries };
        Snapshots {
            files,
            news,
            id: config.id,
            cluster: config.cluster,
            addresses,
            pace: Pace { rate: config.snapshot_rate, stop: Arc::new(AtomicBool::new(false)) },
            every: (entries, config.snapshot_bytes),
            since: (0, 0),
            retry: None,
            arrived: None,
            wanted: Vec::new(),
            promised: Vec::new(),
            figures: SnapshotStatus::default(),
            tasks: JoinSet::new(),
        }
    }

    /// Entries are about to be applied.
    pub(super) fn count(&mut self, entries: &[Entry]) {
        self.since.0 += entries.len() as u64;
        self.since.1 += entries.iter().map(|entry| entry.payload.size() as u64).sum::<u64>();
    }

    fn is_due(&self) -> bool {
        let enough = self.since.0 >= self.every.0 || self.since.1 >= self.every.1;
        let due = self.retry.map_or(enough, |retry| Instant::now() >= retry);
        (due || !self.wanted.is_empty()) && !self.figures.writing
    }

    /// When a snapshot that could not be written is to be tried again.
    pub(super) fn next_try(&self) -> Option<tokio::time::Instant> {
        self.retry.map(tokio::time::Instant::from_std)
    }

    /// Starts to write a snapshot; what becomes of it is news.
    fn write(&mut self, snapshot: Snapshot, store: Store) {
        self.since = (0, 0);
        self.retry = None;
        self.figures.writing = true;
        self.promised.append(&mut self.wanted);
        self.forget_ended();
        let (files, pace, news) = (self.files.clone(), self.pace.clone(), self.news.clone());
        self.tasks.spawn_blocking(move || {
            let start = Instant::now();
            let result = files.write(&snapshot, &store, &pace);
            let took = start.elapsed();
            drop(news.blocking_send(News::Written { snapshot, result, took }));
        });
    }

    /// Starts to send the newest snapshot, which covers `least`; what becomes of it is news.
    pub(super) fn send(&mut self, to: NodeId, term: Term, least: &Snapshot) {
        self.forget_ended();
        let index = least.last.index;
        let news = self.news.clone();
        let address = self.addresses.of(to);
        // What the file is, is looked up when it is sent.
        let (cluster, from) = (self.cluster, self.id);
        let offer = SnapshotOffer { cluster, from, to, term, ..SnapshotOffer::default() };
        let (files, pace) = (self.files.clone(), self.pace.clone());
        self.tasks.spawn(async move {
            let sent = match address {
                Some(address) => transfer(address, offer, files, pace).await,
                None => Err("its address is not known".to_owned()),
            };
            let news_of = match sent {
                Ok(last) => {
                    info!("sent a snapshot up to {last} to node {to}");
                    News::Sent { to, index: last.index, arrived: true }
                }
                Err(error) => {
                    warning!("no snapshot could be sent to node {to}: {error}");
                    News::Sent { to, index, arrived: false }
                }
            };
            drop(news.send(news_of).await);
        });
    }

    /// Frees entries of the log where nobody waits for it, and few at a time: the loop needs the allocator too.
    pub(super) fn free(&mut self, mut entries: Vec<Entry>) {
        self.forget_ended();
        let stop = Arc::clone(&self.pace.stop);
        self.tasks.spawn_blocking(move || {
            while !entries.is_empty() && !stop.load(Ordering::Relaxed) {
                entries.truncate(entries.len().saturating_sub(FREED));
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }

    /// What has ended is not kept.
    fn forget_ended(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }

    /// For `Status`; the index is the core's to say.
    pub(super) fn status(&self) -> SnapshotStatus {
        self.figures
    }
}

impl Driver {
    /// Somebody wants a snapshot of all that is applied now. Bounded: the services let few ask at once.
    pub(super) fn want_snapshot(&mut self, wanted: Wanted) {
        let newest = self.raft.snapshot().map_or(0, |snapshot| snapshot.last.index);
        if newest == self.raft.applied() {
            // There is nothing to add; whoever asked may be gone.
            drop(wanted.send(Ok(newest)));
        } else {
            self.snapshots.wanted.push(wanted);
        }
    }

    /// Takes a snapshot if enough has been applied since the last one, or somebody asked for one.
    pub(super) fn take_snapshot_if_due(&mut self) {
        if !self.snapshots.is_due() {
            return;
        }
        let bugs = self.answers.bugs;
        let has_sessions = self.answers.store.sessions().open_count() > 0;
        for (bug, triggered) in [
            (Bug::SnapshotDropsSessions, has_sessions),
            (Bug::SnapshotOffByOne, true),
            (Bug::SnapshotInPlace, true),
        ] {
            if bugs.has(bug) {
                self.mark(bug, Mark::Reached);
                if triggered {
                    self.mark(bug, Mark::Triggered);
                }
            }
        }
        let snapshot = self.raft.snapshot_at_applied();
        self.snapshots.write(snapshot, self.answers.store.clone());
    }

    /// Hands news of a snapshot to the core.
    pub(super) fn take_news(&mut self, news: News) -> Result<(), NodeError> {
        match news {
            News::Written { snapshot, result, took } => {
                let figures = &mut self.snapshots.figures;
                figures.writing = false;
                let answer = result.as_ref().map(|_| snapshot.last.index);
                let answer = answer.map_err(ToString::to_string);
                for wanted in self.snapshots.promised.drain(..) {
                    drop(wanted.send(answer.clone()));
                }
                match result {
                    Ok(bytes) => {
                        figures.taken += 1;
                        figures.bytes = bytes;
                        figures.slowest_ms = figures.slowest_ms.max(took.as_millis() as u64);
                        let (last, ms) = (snapshot.last, took.as_millis());
                        info!("took a snapshot of {bytes} bytes up to {last} in {ms} ms");
                        self.step(Event::SnapshotTaken(snapshot))
                    }
                    Err(error) => {
                        warning!("no snapshot was taken, the log grows on: {error}");
                        self.snapshots.retry = Some(Instant::now() + took.max(RETRY));
                        Ok(())
                    }
                }
            }
            News::Arrived { from, term, snapshot, store, known } => {
                self.snapshots.arrived = Some(store);
                let result = self.step(Event::SnapshotArrived { from, term, snapshot });
                discard(self.snapshots.arrived.take());
                known.send(()).ok();
                result
            }
            News::Sent { to, index, arrived } => {
                self.step(Event::SnapshotSent { to, index, arrived })
            }
        }
    }

    /// The core has taken the snapshot that just arrived.
    pub(super) fn restore(&mut self, snapshot: &Snapshot) {
        let Some(store) = self.snapshots.arrived.take() else { return };
        info!("goes on from a snapshot, the state as of {}", snapshot.last);
        self.snapshots.since = (0, 0);
        self.snapshots.figures.installed += 1;
        discard(Some(self.answers.restore(*store, self.raft.term())));
    }
}

/// Frees a state on another thread: a large one takes long.
fn discard(store: Option<impl Send + 'static>) {
    if let Some(store) = store {
        drop(tokio::task::spawn_blocking(move || drop(store)));
    }
}

/// Sends the newest snapshot to `address`, except what is there already, and returns what it covers once it has
/// arrived.
pub(super) async fn transfer(
    address: SocketAddr,
    offer: SnapshotOffer,
    files: Files,
    pace: Pace,
) -> Result<Position, String> {
    let channel = transport::connect(address).await?;
    let file = files.offer_newest().map_err(|error| error.to_string())?;
    let Offer { last, size, crc } = file;
    let place = proto::Position { term: last.term, index: last.index };
    let offer = SnapshotOffer { last: Some(place), size, crc, ..offer };
    let mut client = PeerClient::new(channel);
    let wanted = timeout(PATIENCE, client.offer_snapshot(offer)).await;
    let wanted = wanted.map_err(|_| "it took too long")?.map_err(|s| s.message().to_owned())?;
    let SnapshotWanted { wanted, offset } = wanted.into_inner();
    if !wanted {
        return Err("it is receiving another one".to_owned());
    }
    let reader = files.open(&file, offset).map_err(|error| error.to_string())?;
    let most = PATIENCE + Duration::from_secs(4 * size / pace.rate.max(1));
    let (chunks, stream) = mpsc::channel(AHEAD);
    // Ends when the receiver of its chunks is gone, if not before.
    let reading = tokio::task::spawn_blocking(move || read(reader, offer, offset, &pace, &chunks));
    let call = async { client.install_snapshot(ReceiverStream::new(stream)).await };
    match timeout(most, call).await {
        Ok(Ok(_)) => Ok(last),
        Ok(Err(status)) => match reading.await {
            Ok(Err(error)) => Err(error.to_string()),
            _ => Err(status.message().to_owned()),
        },
        Err(_) => Err("it took too long".to_owned()),
    }
}

/// Reads a file from `offset` on into chunks, the first with the offer. If nothing is left, that is all it has.
fn read(
    mut reader: Box<dyn Read + Send>,
    offer: SnapshotOffer,
    mut offset: u64,
    pace: &Pace,
    chunks: &mpsc::Sender<SnapshotChunk>,
) -> std::io::Result<()> {
    let (start, begin, mut offer) = (Instant::now(), offset, Some(offer));
    loop {
        let mut bytes = Vec::with_capacity(CHUNK);
        (&mut reader).take(CHUNK as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() && offer.is_none() {
            return Ok(());
        }
        let length = bytes.len() as u64;
        let chunk = SnapshotChunk { offer: offer.take(), offset, bytes: Bytes::from(bytes) };
        if chunks.blocking_send(chunk).is_err() {
            return Ok(());
        }
        offset += length;
        pace.keep(start, offset - begin)?;
    }
}
