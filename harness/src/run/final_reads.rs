//! The last phase of a history: every key, retired ones too, read through every live node.
//!
//! What a node lost or kept to itself shows at the latest here. The reads are operations like all others. They run side
//! by side on a few processes a node, within a time limit; whatever the limit leaves unread is counted and said.

use crate::recorder::RecordError;
use crate::worker::{Desk, Session};
use history::NodeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use workloads::{Completion, Invocation};

/// Processes that read through one node at once.
const READERS_PER_NODE: usize = 3;
/// How often one read is tried before it is given up.
const ATTEMPTS: u32 = 3;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// Reads that were answered.
    pub(super) ok: u64,
    /// All that should have been: keys times nodes.
    pub(super) asked: u64,
}

/// Reads each of `keys` through each of `nodes`, at most until `limit` has passed.
pub(super) async fn final_reads(
    desk: &Desk,
    nodes: &[NodeId],
    keys: Vec<Invocation>,
    limit: Duration,
) -> Result<Read, RecordError> {
    let asked = (keys.len() * nodes.len()) as u64;
    let list = Arc::new(List { keys, end: Instant::now() + limit, ok: AtomicU64::new(0) });
    let mut tasks = JoinSet::new();
    for node in nodes {
        let next = Arc::new(AtomicUsize::new(0));
        for _ in 0..READERS_PER_NODE.min(list.keys.len()) {
            let session = Session::open(desk.clone(), Some(*node));
            tasks.spawn(read_all(session, Arc::clone(&list), Arc::clone(&next)));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        // A panic would be a bug of the harness; its reads then count as unanswered.
        if let Ok(ended) = ended {
            ended?;
        }
    }
    Ok(Read { ok: list.ok.load(Ordering::Relaxed), asked })
}

struct List {
    keys: Vec<Invocation>,
    end: Instant,
    ok: AtomicU64,
}

async fn read_all(
    mut session: Session,
    list: Arc<List>,
    next: Arc<AtomicUsize>,
) -> Result<(), RecordError> {
    while let Some(read) = list.keys.get(next.fetch_add(1, Ordering::Relaxed)) {
        for attempt in 1..=ATTEMPTS {
            if Instant::now() >= list.end {
                return Ok(());
            }
            if let Completion::Ok(_) = session.perform(read).await? {
                list.ok.fetch_add(1, Ordering::Relaxed);
                break;
            }
            if attempt < ATTEMPTS {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    Ok(())
}
