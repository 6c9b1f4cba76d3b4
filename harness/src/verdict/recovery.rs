//! After the last heal the whole system serves again, soon.

use super::facts::{ok_operations, only_reads};
use super::{Check, Facts, Ruling};
use crate::duration::short;
use crate::results::{ExitCause, Observed};
use history::{Nanos, NodeId};
use std::time::Duration;

/// After the last heal, an ok write and an ok read through every live node within the limit. Missed is
/// invalid, or unknown when the harness itself was starved or the run ended too soon to tell.
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
        return check(Ruling::Unknown, "the run ended before every fault was healed".to_owned());
    };
    let mut missing = Vec::new();
    let mut last = Duration::ZERO;
    for (what, served) in served_after(facts, healed) {
        match served {
            Some(took) if took <= limit => last = last.max(took),
            Some(took) => missing.push(format!("{what} only after {}", short(took))),
            None => missing.push(format!("no {what}")),
        }
    }
    if missing.is_empty() {
        let message = format!("{} after the last heal, limit {}", short(last), short(limit));
        return check(Ruling::Valid, message).fact("seconds", last.as_secs_f64());
    }
    let watched = Duration::from_nanos(facts.end().0.saturating_sub(healed.0));
    let missing = missing.join(", ");
    if watched < limit {
        let message = format!(
            "{missing}; the run ended {} after the last heal, too soon to tell",
            short(watched)
        );
        return check(Ruling::Unknown, message);
    }
    let message = format!("{missing} within {} of the last heal", short(limit));
    if starved_after(facts, healed) {
        return check(Ruling::Unknown, format!("{message}; but the harness itself was starved"));
    }
    check(Ruling::Invalid, message)
}

/// For the write and for the read through each live node: how long after the heal it first worked.
fn served_after(facts: &Facts<'_>, healed: Nanos) -> Vec<(String, Option<Duration>)> {
    let after =
        || ok_operations(&facts.history.operations).filter(move |(op, _)| op.invoked >= healed);
    let since = |time: Nanos| Duration::from_nanos(time.0 - healed.0);
    let write = after().filter(|(op, _)| !only_reads(&op.f)).map(|(_, time)| time).min();
    let mut served = vec![("write".to_owned(), write.map(since))];
    for node in live_nodes(facts) {
        let through = after().filter(|(op, _)| only_reads(&op.f) && op.node == Some(node));
        let read = through.map(|(_, time)| time).min();
        served.push((format!("read through {node}"), read.map(since)));
    }
    served
}

/// Nodes whose process runs, as far as the observations tell. A stop at the end does not count.
fn live_nodes(facts: &Facts<'_>) -> Vec<NodeId> {
    let mut down = std::collections::BTreeSet::new();
    for observation in facts.observations {
        match &observation.what {
            Observed::Ready { node } => {
                down.remove(node);
            }
            Observed::Exit { node, cause, .. } if *cause != ExitCause::Stop => {
                down.insert(*node);
            }
            _ => {}
        }
    }
    (1..=facts.nodes).map(NodeId).filter(|node| !down.contains(node)).collect()
}

fn starved_after(facts: &Facts<'_>, from: Nanos) -> bool {
    facts.observations.iter().any(|observation| {
        observation.time >= from
            && matches!(observation.what, Observed::Harness { starved: true, .. })
    })
}
