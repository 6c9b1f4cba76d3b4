//! After the last heal the whole system serves again, soon.
//!
//! What was not asked for after the heal cannot be late: the limit runs from the first attempt. In a long run whole
//! minutes may pass between the last heal and the final reads, in which no client happens to write through some node.

use super::facts::only_reads;
use super::{Check, Facts, Ruling};
use crate::duration::short;
use crate::results::{ExitCause, Observed};
use history::{Nanos, NodeId, Outcome};
use std::time::Duration;

/// After the last heal, an ok write and an ok read, as far as the workload has either, through every live node within the
/// limit. Missed is
/// invalid, or unknown when the harness itself was starved, the run ended too soon to tell, nobody tried, or the system
/// claims no limit.
#[must_use]
pub fn recovery(facts: &Facts<'_>) -> Check {
    let limit = facts.recovery_limit;
    let check = |ruling, message: String| {
        Check::new("recovery", ruling, message).fact("limit_seconds", limit.as_secs_f64())
    };
    if facts.injections.is_empty() {
        return check(Ruling::Valid, "nothing was broken, so nothing had to recover".to_owned());
    }
    let Some(healed) = facts.last_heal() else {
        return check(Ruling::Unknown, unhealed(facts));
    };
    let mut missing = Vec::new();
    let mut last = Duration::ZERO;
    let (live, down) = nodes(facts);
    let served = served_after(facts, &live, healed);
    let mut untried = Vec::new();
    for (what, took) in &served {
        match *took {
            Served::After(took) if took <= limit => last = last.max(took),
            Served::After(took) => missing.push(format!("{what} only after {}", short(took))),
            Served::Never => missing.push(format!("no {what}")),
            Served::Untried => untried.push(format!("no {what}")),
        }
    }
    if missing.is_empty() && !untried.is_empty() {
        return check(
            Ruling::Unknown,
            format!("{} was tried after the last heal", untried.join(", ")),
        );
    }
    if served.len() == missing.len() && served.iter().all(|(_, served)| *served == Served::Never) {
        missing = vec!["nothing was answered".to_owned()];
    }
    if missing.is_empty() && !down.is_empty() {
        let down: Vec<String> = down.iter().map(NodeId::to_string).collect();
        let message = format!("{} still down at the end, by a fault of ours", down.join(", "));
        return check(Ruling::Unknown, message);
    }
    if missing.is_empty() {
        let message = format!("{} after the last heal, limit {}", short(last), short(limit));
        return check(Ruling::Valid, message).fact("seconds", last.as_secs_f64());
    }
    let watched = Duration::from_nanos(facts.end().0.saturating_sub(healed.0));
    let missing = missing.join(", ");
    if watched < limit {
        let message = format!(
            "too soon to tell, the run ended {} after the last heal ({missing})",
            short(watched)
        );
        return check(Ruling::Unknown, message);
    }
    let message = format!("{missing} within {} of the last heal", short(limit));
    if starved_after(facts, healed) {
        return check(Ruling::Unknown, format!("{message}; but the harness itself was starved"));
    }
    if !facts.recovery_claimed {
        return check(Ruling::Unknown, format!("{message}; but the system claims no limit"));
    }
    check(Ruling::Invalid, message)
}

/// `kill n2 at 5.0 s was never healed`.
fn unhealed(facts: &Facts<'_>) -> String {
    let open = facts.injections.iter().filter(|one| one.end.is_none());
    let open = open.map(|one| {
        let at = one.start.as_seconds();
        format!("{} {} at {at:.1} s was never healed", one.fault, one.detail)
    });
    open.collect::<Vec<_>>().join(", ")
}

/// What came of the attempts after the heal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// There were none.
    Untried,
    /// None was ok.
    Never,
    /// How long after the first one an ok answer came.
    After(Duration),
}

/// What came of writes and of reads through each live node.
fn served_after(facts: &Facts<'_>, live: &[NodeId], healed: Nanos) -> Vec<(String, Served)> {
    let tried = |node: NodeId, reads: bool| {
        let operations = facts.history.operations.iter();
        operations.filter(move |op| {
            op.invoked >= healed && op.node == Some(node) && only_reads(&op.f) == reads
        })
    };
    let mut served = Vec::new();
    // An operation of a workload that only looks, or only changes something, is all there is to try.
    let has = |reads: bool| facts.functions.iter().any(|f| only_reads(f) == reads);
    let kinds = [("write", false), ("read", true)].into_iter().filter(|(_, reads)| has(*reads));
    for node in live {
        for (what, reads) in kinds.clone() {
            let first = tried(*node, reads).map(|op| op.invoked).min();
            let ok = tried(*node, reads).filter_map(|op| match op.outcome {
                Outcome::Ok { time, .. } => Some(time),
                _ => None,
            });
            let result = match (first, ok.min()) {
                (None, _) => Served::Untried,
                (Some(_), None) => Served::Never,
                (Some(first), Some(ok)) => {
                    Served::After(Duration::from_nanos(ok.0.saturating_sub(first.0)))
                }
            };
            served.push((format!("{what} through {node}"), result));
        }
    }
    served
}

/// Nodes whose process runs, as far as the observations tell, and those that the harness killed last.
/// A stop at the end does not count; one that ended by itself is the `crashes` check's.
fn nodes(facts: &Facts<'_>) -> (Vec<NodeId>, Vec<NodeId>) {
    let mut down = std::collections::BTreeMap::new();
    for observation in facts.observations {
        match &observation.what {
            Observed::Ready { node } => {
                down.remove(node);
            }
            Observed::Exit { node, cause, .. } if *cause != ExitCause::Stop => {
                down.insert(*node, cause);
            }
            _ => {}
        }
    }
    let live = (1..=facts.nodes).map(NodeId).filter(|node| !down.contains_key(node)).collect();
    let ours = down
        .into_iter()
        .filter(|(_, cause)| matches!(**cause, ExitCause::Fault | ExitCause::Permitted));
    (live, ours.map(|(node, _)| node).collect())
}

fn starved_after(facts: &Facts<'_>, from: Nanos) -> bool {
    facts.observations.iter().any(|observation| {
        observation.time >= from
            && matches!(observation.what, Observed::Harness { starved: true, .. })
    })
}
