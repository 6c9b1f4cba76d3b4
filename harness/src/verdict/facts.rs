//! What the checks look at, all of it recorded.

use crate::event::Phase;
use crate::results::{Observation, Observed};
use history::{History, Nanos, NodeId, Operation, Outcome};
use std::time::Duration;

/// Everything the four checks beside the workload's own may know.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Classes of faults that were asked for.
    pub requested: &'a [String],
    /// Nodes of the cluster.
    pub nodes: u16,
    /// How long the system may take to recover.
    pub recovery_limit: Duration,
    /// Whether the system claims to keep it.
    pub recovery_claimed: bool,
    /// Functions of the workload.
    pub functions: &'a [&'static str],
    /// What clients saw.
    pub history: &'a History,
    /// Faults that were injected, in order of their start.
    pub injections: &'a [Injection],
    /// What was observed of nodes and harness, in order of time.
    pub observations: &'a [Observation],
}

/// One fault that took effect, as the recorder and its receipt tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Injection {
    /// Pairs its start with its end.
    pub id: u64,
    /// Its class.
    pub fault: String,
    /// What it resolved to, such as `n1 n3 | n2 n4 n5`.
    pub detail: String,
    /// When it was in effect.
    pub start: Nanos,
    /// When it was healed.
    pub end: Option<Nanos>,
    /// None when it demonstrably bit, else why it does not count.
    pub ineffective: Option<String>,
}

impl Injection {
    /// Whether it was in effect at some time between two instants, both included.
    #[must_use]
    pub fn overlaps(&self, from: Nanos, to: Nanos) -> bool {
        self.start <= to && self.end.is_none_or(|end| end >= from)
    }
}

impl Facts<'_> {
    /// The last thing recorded by anyone.
    #[must_use]
    pub fn end(&self) -> Nanos {
        let observed = self.observations.last().map(|observation| observation.time);
        let seen =
            self.history.operations.iter().map(|op| completed(op).unwrap_or(op.invoked)).max();
        observed.into_iter().chain(seen).max().unwrap_or_default()
    }

    /// When the last fault was healed; none without faults, or while one is still in effect.
    #[must_use]
    pub fn last_heal(&self) -> Option<Nanos> {
        let ends: Option<Vec<Nanos>> = self.injections.iter().map(|one| one.end).collect();
        ends?.into_iter().max()
    }

    /// When a phase began, if it was reached.
    #[must_use]
    pub fn phase(&self, wanted: Phase) -> Option<Nanos> {
        self.observations.iter().find_map(|observation| match observation.what {
            Observed::Phase { phase } if phase == wanted => Some(observation.time),
            _ => None,
        })
    }

    /// Changes of leader after the first, as observed: time, who, term.
    #[must_use]
    pub fn leader_changes(&self) -> Vec<(Nanos, NodeId, u64)> {
        let mut highest = None;
        let mut changes = Vec::new();
        for observation in self.observations {
            let Observed::Status { node, role, term, .. } = &observation.what else { continue };
            if role != "leader" || highest.is_some_and(|(seen, _)| *term <= seen) {
                continue;
            }
            if highest.is_some_and(|(_, leader)| leader != *node) {
                changes.push((observation.time, *node, *term));
            }
            highest = Some((*term, *node));
        }
        changes
    }
}

/// When an operation's caller got or gave up its answer.
#[must_use]
pub(crate) fn completed(operation: &Operation) -> Option<Nanos> {
    match operation.outcome {
        Outcome::Ok { time, .. } | Outcome::Fail { time, .. } => Some(time),
        Outcome::Info { time, .. } => time,
    }
}

/// The ok operations with the time of their answer.
pub(crate) fn ok_operations(operations: &[Operation]) -> impl Iterator<Item = (&Operation, Nanos)> {
    operations.iter().filter_map(|operation| match operation.outcome {
        Outcome::Ok { time, .. } => Some((operation, time)),
        _ => None,
    })
}

/// Whether a function only looks; the names every workload uses for it.
#[must_use]
pub(crate) fn only_reads(f: &str) -> bool {
    matches!(f, "read" | "contains")
}
