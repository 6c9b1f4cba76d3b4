//! A run in which nothing could have gone wrong proves nothing.

use super::{Check, Facts, Ruling};
use history::Outcome;

/// Every function the generator issued has at least one ok; with nothing ok it is unknown. How often
/// calls met on a key, how often a compare-and-set won and how many reads spanned a change of leader
/// are stated.
#[must_use]
pub fn power(facts: &Facts<'_>, reads_across_leader_change: u64) -> Check {
    let power = workloads::power(facts.history, facts.functions);
    let ok: u64 = power.functions.values().map(|tally| tally.ok).sum();
    let mut message = format!(
        "up to {} open on one key, mean {:.1}",
        power.concurrency.max, power.concurrency.mean
    );
    if let Some(cas) = &power.cas {
        message.push_str(&format!(" · cas won {:.0} %", cas.success_rate * 100.0));
    }
    if !facts.requested.is_empty() {
        message.push_str(&format!(" · {reads_across_leader_change} reads across a leader change"));
    }
    let senseless = senseless(facts);
    let ruling = if senseless > 0 {
        message = format!("{senseless} answers were none to their questions");
        Ruling::Unknown
    } else if ok == 0 {
        message = "no operation succeeded, so nothing was observed".to_owned();
        Ruling::Unknown
    } else if power.never_ok.is_empty() {
        Ruling::Valid
    } else {
        message = format!("no {} ever succeeded", power.never_ok.join(" and no "));
        Ruling::Unknown
    };
    let mut check = Check::new("power", ruling, message)
        .fact("concurrency_max", power.concurrency.max)
        .fact("concurrency_mean", power.concurrency.mean)
        .fact("reads_across_leader_change", reads_across_leader_change);
    if let Some(cas) = &power.cas {
        check = check.fact("cas_success_rate", cas.success_rate);
    }
    if ruling == Ruling::Unknown && senseless == 0 {
        check.hints.push("a longer `--time` gives every function more chances".to_owned());
    }
    for f in &power.never_issued {
        check.warnings.push(format!("no {f} was issued; a longer `--time` would"));
    }
    check
}

/// Operations whose answer had no meaning, such as a value that is no number. Nothing that a node answers
/// so can be judged, and so it never passes.
fn senseless(facts: &Facts<'_>) -> usize {
    let protocol = |outcome: &Outcome| match outcome {
        Outcome::Info { error, .. } => error.as_deref() == Some("protocol"),
        _ => false,
    };
    facts.history.operations.iter().filter(|operation| protocol(&operation.outcome)).count()
}
