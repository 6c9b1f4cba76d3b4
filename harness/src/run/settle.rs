//! The recovery clock: does the whole system serve again, through every live node?
//!
//! After the last heal a process of its own asks each live node for a write and then a read, until both are ok or the
//! system's recovery limit has passed. These are operations like all others, recorded and judged; each node has a key
//! of its own, so that however many of them stay unknown, no search has to untangle them. The rule itself is the
//! `recovery` check's, which reads the history; here the chances to pass it are given.

use crate::recorder::RecordError;
use crate::worker::{Desk, Session};
use history::NodeId;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use workloads::{Completion, Invocation};

/// Between two attempts on one node.
const PAUSE: Duration = Duration::from_millis(100);

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// From the start to the first ok of any kind.
    pub(super) first_ok: Option<Duration>,
    /// Nodes that did not serve both in time.
    pub(super) late: Vec<NodeId>,
}

/// The key that is written and read through `node`.
pub(super) fn key(node: NodeId) -> String {
    format!("recovery-{node}")
}

/// Asks every one of `nodes` until it serves or `limit` has passed.
pub(super) async fn settle(
    desk: &Desk,
    nodes: &[NodeId],
    limit: Duration,
) -> Result<Settled, RecordError> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for node in nodes {
        let (desk, node) = (desk.clone(), *node);
        tasks.spawn(async move { (node, serve(desk, node, start + limit).await) });
    }
    let mut settled = Settled::default();
    while let Some(ended) = tasks.join_next().await {
        // A panic would be a bug of the harness; the node then counts as not asked.
        let Ok((node, served)) = ended else { continue };
        let served = served?;
        if !served.complete {
            settled.late.push(node);
        }
        let first = served.first_ok.map(|at| at - start);
        settled.first_ok = settled.first_ok.into_iter().chain(first).min();
    }
    settled.late.sort_unstable();
    Ok(settled)
}

struct Served {
    first_ok: Option<Instant>,
    complete: bool,
}

async fn serve(desk: Desk, node: NodeId, end: Instant) -> Result<Served, RecordError> {
    let mut session = Session::open(desk, Some(node));
    let mut served = Served { first_ok: None, complete: false };
    let (mut written, mut value) = (false, 0_i64);
    while !served.complete && Instant::now() < end {
        let invocation = if written {
            Invocation { f: "read", key: Some(key(node)), value: Value::Null }
        } else {
            value += 1;
            Invocation { f: "write", key: Some(key(node)), value: json!(value) }
        };
        match session.perform(&invocation).await? {
            Completion::Ok(_) => {
                served.first_ok.get_or_insert_with(Instant::now);
                served.complete = written;
                written = true;
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
    Ok(served)
}
