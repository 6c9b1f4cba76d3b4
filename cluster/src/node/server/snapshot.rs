//! The receiving side of `InstallSnapshot`: from a stream of chunks to news for the driver.
//!
//! Chunks go to a thread that may wait for the disk; the stream waits for it, and with it the sender. One
//! snapshot at a time: a second sender is turned away and comes again. A transfer that broke off goes on after the
//! bytes that have arrived.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::{Front, Ordering};
use crate::log::{info, warning};
use crate::node::snapshots::News;
use crate::proto::{SnapshotAnswer, SnapshotChunk, SnapshotOffer, SnapshotWanted};
use crate::raft::{NodeId, Position, Term};
use crate::snapshot::Offer;

/// Chunks that may wait for the disk.
const CHUNKS: usize = 4;
/// Longest silence of a sender before its transfer is given up.
const SILENCE: Duration = Duration::from_secs(10);

/// Says how much of a snapshot is here already.
pub(super) async fn offered(
    front: &Front,
    offer: &SnapshotOffer,
) -> Result<SnapshotWanted, Status> {
    let (_, _, offer) = check(front, Some(offer))?;
    let Ok(receiving) = Arc::clone(&front.receiving).try_lock_owned() else {
        return Ok(SnapshotWanted { wanted: false, offset: 0 });
    };
    let files = front.files.clone();
    let look = move || {
        let _receiving = receiving;
        files.arrived(&offer)
    };
    let arrived = tokio::task::spawn_blocking(look).await;
    match arrived.map_err(|error| Status::internal(error.to_string()))? {
        Ok(offset) => Ok(SnapshotWanted { wanted: true, offset }),
        Err(error) => Err(Status::aborted(error.to_string())),
    }
}

/// Receives one snapshot and returns when the core has it.
pub(super) async fn install(
    front: &Front,
    mut stream: Streaming<SnapshotChunk>,
) -> Result<SnapshotAnswer, Status> {
    let busy = |_| Status::resource_exhausted("another snapshot is being received");
    let receiving = Arc::clone(&front.receiving).try_lock_owned().map_err(busy)?;
    let first = next(&mut stream).await?.ok_or_else(|| Status::invalid_argument("no chunk"))?;
    let (from, term, offer) = check(front, first.offer.as_ref())?;
    let Offer { last, size, .. } = offer;
    info!(
        "receiving a snapshot of {size} bytes up to {last} from node {from}, after the first {}",
        first.offset
    );
    let (chunks, received) = mpsc::channel(CHUNKS);
    let files = front.files.clone();
    let begins = first.offset;
    let work = tokio::task::spawn_blocking(move || {
        // This function may be dropped with its connection; the thread is not.
        let _receiving = receiving;
        match files.arrived(&offer)? {
            arrived if arrived == begins => files.receive(offer, received),
            arrived => Err(files.gap(&offer, begins, arrived)),
        }
    });
    let sent = pass_on(&mut stream, first, chunks).await;
    // The thread has ended or is about to: its channel is closed.
    let (snapshot, store) = match work.await {
        Ok(Ok(received)) => received,
        Ok(Err(error)) => {
            warning!("the snapshot from node {from} was not taken: {error}");
            sent?;
            return Err(Status::aborted(error.to_string()));
        }
        Err(error) => return Err(Status::internal(error.to_string())),
    };
    let (known, is_known) = oneshot::channel();
    let news = News::Arrived { from, term, snapshot, store: Box::new(store), known };
    let stopping = || Status::unavailable("the node is shutting down");
    front.snapshots.send(news).await.map_err(|_| stopping())?;
    is_known.await.map_err(|_| stopping())?;
    Ok(SnapshotAnswer { term: front.term.load(Ordering::Relaxed) })
}

fn check(front: &Front, offer: Option<&SnapshotOffer>) -> Result<(NodeId, Term, Offer), Status> {
    let refused = Status::invalid_argument;
    let offer = offer.ok_or_else(|| refused("the first chunk has no offer"))?;
    let SnapshotOffer { cluster, from, to, term, size, crc, .. } = *offer;
    if cluster != front.cluster || to != front.id {
        return Err(refused("this snapshot is for another node or cluster, or from a stranger"));
    }
    let last = offer.last.ok_or_else(|| refused("the offer does not say what it covers"))?;
    let last = Position { term: last.term, index: last.index };
    Ok((from, term, Offer { last, size, crc }))
}

async fn next(stream: &mut Streaming<SnapshotChunk>) -> Result<Option<SnapshotChunk>, Status> {
    let silent = |_| Status::deadline_exceeded("the sender fell silent");
    timeout(SILENCE, stream.message()).await.map_err(silent)?
}

/// Hands the chunks over until the stream ends or the other side gives up.
async fn pass_on(
    stream: &mut Streaming<SnapshotChunk>,
    first: SnapshotChunk,
    chunks: mpsc::Sender<Bytes>,
) -> Result<(), Status> {
    let mut offset = first.offset;
    let mut chunk = Some(first);
    while let Some(SnapshotChunk { offset: at, bytes, .. }) = chunk {
        if at != offset {
            return Err(Status::invalid_argument("the chunks are not in order"));
        }
        offset += bytes.len() as u64;
        if chunks.send(bytes).await.is_err() {
            break;
        }
        chunk = next(stream).await?;
    }
    Ok(())
}
