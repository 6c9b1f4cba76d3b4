//! The recovery clock: does the whole system serve again, through every live node?
//!
//! After the last heal a process of its own asks each live node for what the workload says, a write and then a read for
//! most, until all of it is ok or the system's recovery limit has passed. These are operations like all others, recorded
//! and judged; with keys each node has one of its own, so that however many of them stay unknown, no search has to
//! untangle them. The rule itself is the `recovery` check's, which reads the history; here the chances to pass it are given.

use crate::recorder::RecordError;
use crate::worker::{Desk, Session};
use history::NodeId;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use workloads::{Completion, Workload};

/// Between two attempts on one node.
const PAUSE: Duration = Duration::from_millis(100);

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// From the start to the first ok of any kind.
    pub(super) first_ok: Option<Duration>,
    /// Nodes that did not serve all of it in time.
    pub(super) late: Vec<NodeId>,
}

/// Asks every one of `nodes` until it serves or `limit` has passed.
pub(super) async fn settle(
    desk: &Desk,
    workload: &'static dyn Workload,
    nodes: &[NodeId],
    limit: Duration,
) -> Result<Settled, RecordError> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for node in nodes {
        let (desk, node) = (desk.clone(), *node);
        tasks.spawn(async move { (node, serve(desk, workload, node, start + limit).await) });
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

async fn serve(
    desk: Desk,
    workload: &dyn Workload,
    node: NodeId,
    end: Instant,
) -> Result<Served, RecordError> {
    let mut session = Session::open(desk, Some(node));
    let mut served = Served { first_ok: None, complete: false };
    let (mut done, mut attempt) = (0, 0);
    while !served.complete && Instant::now() < end {
        attempt += 1;
        let steps = workload.recovery(node, attempt);
        let Some(step) = steps.get(done) else { break };
        match session.perform(step).await? {
            Completion::Ok(_) => {
                served.first_ok.get_or_insert_with(Instant::now);
                done += 1;
                served.complete = done == steps.len();
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
    Ok(served)
}
