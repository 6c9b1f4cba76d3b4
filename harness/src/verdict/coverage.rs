//! A fault that did not bite was not tested.

use super::facts::{completed, ok_operations, only_reads};
use super::{Check, Coverage, Facts, FaultCoverage, Mark, Ruling};
use crate::event::Phase;
use crate::results::Observed;
use history::Nanos;
use std::collections::BTreeMap;

/// Unknown when a requested class had no effective injection, or when nothing succeeded during faults
/// or after the heal. What luck decides, such as changes of leader, is only warned about.
#[must_use]
pub fn coverage(facts: &Facts<'_>) -> (Check, Coverage) {
    let coverage = measure(facts);
    let mut missing = Vec::new();
    for class in facts.requested {
        match coverage.faults.get(class) {
            Some(one) if one.effective > 0 => {}
            Some(one) if one.injected > 0 => {
                let why = one.ineffective.first().map_or(String::new(), |why| format!(" ({why})"));
                missing.push(format!("no {class} bit{why}"));
            }
            _ => missing.push(format!("no {class} was injected")),
        }
    }
    if !facts.injections.is_empty() {
        let bit = coverage.faults.values().any(|class| class.effective > 0);
        if bit && coverage.ok_during_faults == 0 {
            missing.push("no operation succeeded during a fault".to_owned());
        }
        if coverage.ok_after_heal == 0 {
            missing.push("no operation succeeded after the last heal".to_owned());
        }
    }
    missing.extend(cut_short(facts).map(str::to_owned));
    let check = if missing.is_empty() {
        Check::new("coverage", Ruling::Valid, describe(facts, &coverage))
    } else {
        let mut check = Check::new("coverage", Ruling::Unknown, missing.join(", "));
        check.hints.push("a longer `--time` gives every class of fault more chances".to_owned());
        check
    };
    (with_warnings(check, facts, &coverage), coverage)
}

/// What is missing of a run that was not played to its end. Without observations it is no run.
fn cut_short(facts: &Facts<'_>) -> Option<&'static str> {
    if facts.observations.is_empty() {
        return None;
    }
    let Some(reads) = facts.phase(Phase::FinalReads) else {
        return Some("the run ended before its final reads");
    };
    if facts.phase(Phase::Stop).is_none() {
        return Some("the run ended in its final reads");
    }
    let answered = ok_operations(&facts.history.operations).any(|(op, _)| op.invoked >= reads);
    (!answered).then_some("no final read was answered")
}

fn with_warnings(mut check: Check, facts: &Facts<'_>, coverage: &Coverage) -> Check {
    if !facts.requested.is_empty() && facts.nodes > 1 && coverage.leader_changes == 0 {
        check.warnings.push(
            "no change of leader was observed; a longer `--time` or other faults would show more"
                .to_owned(),
        );
    }
    let notes = facts.observations.iter().filter_map(|observation| match &observation.what {
        Observed::Note { text } => Some(text.clone()),
        _ => None,
    });
    check.warnings.extend(notes);
    check
}

/// `4 partitions, 2 kills · 3 leader changes · 812 ok during faults`.
fn describe(facts: &Facts<'_>, coverage: &Coverage) -> String {
    if facts.injections.is_empty() {
        return "no faults were asked for".to_owned();
    }
    let classes: Vec<String> = coverage
        .faults
        .iter()
        .map(|(class, one)| match one.effective {
            1 => format!("1 {class}"),
            n if class.ends_with('s') => format!("{n} {class}es"),
            n => format!("{n} {class}s"),
        })
        .collect();
    let changes = match coverage.leader_changes {
        1 => "1 leader change".to_owned(),
        n => format!("{n} leader changes"),
    };
    format!("{} · {changes} · {} ok during faults", classes.join(", "), coverage.ok_during_faults)
}

fn measure(facts: &Facts<'_>) -> Coverage {
    let operations = &facts.history.operations;
    let during = ok_operations(operations).filter(|(op, time)| {
        let bit = |one: &super::Injection| one.ineffective.is_none();
        facts.injections.iter().any(|one| bit(one) && one.overlaps(op.invoked, *time))
    });
    let after =
        |healed: Nanos| ok_operations(operations).filter(|(op, _)| op.invoked >= healed).count();
    let changes = facts.leader_changes();
    let across = ok_operations(operations).filter(|(op, time)| {
        only_reads(&op.f) && changes.iter().any(|(at, ..)| op.invoked <= *at && *at <= *time)
    });
    Coverage {
        faults: by_class(facts),
        ok_during_faults: during.count() as u64,
        ok_after_heal: facts.last_heal().map_or(0, after) as u64,
        leader_changes: changes.len() as u64,
        reads_across_leader_change: across.count() as u64,
        marks: marks(facts),
    }
}

fn by_class(facts: &Facts<'_>) -> BTreeMap<String, FaultCoverage> {
    let mut classes: BTreeMap<String, FaultCoverage> =
        facts.requested.iter().map(|class| (class.clone(), FaultCoverage::default())).collect();
    for one in facts.injections {
        let class = classes.entry(one.fault.clone()).or_default();
        class.injected += 1;
        class.healed += u64::from(one.end.is_some());
        match &one.ineffective {
            None => class.effective += 1,
            Some(why) if !class.ineffective.contains(why) => class.ineffective.push(why.clone()),
            Some(_) => {}
        }
    }
    classes
}

/// The last counters of every node, summed by bug.
fn marks(facts: &Facts<'_>) -> BTreeMap<String, Mark> {
    let mut last = BTreeMap::new();
    for observation in facts.observations {
        if let Observed::Mark { node, bug, reached, triggered } = &observation.what {
            last.insert((bug.clone(), *node), Mark { reached: *reached, triggered: *triggered });
        }
    }
    let mut sums: BTreeMap<String, Mark> = BTreeMap::new();
    for ((bug, _), mark) in last {
        let sum = sums.entry(bug).or_default();
        sum.reached += mark.reached;
        sum.triggered += mark.triggered;
    }
    sums
}

/// Faults in effect between two instants, for a violation.
#[must_use]
pub(super) fn overlapping(facts: &Facts<'_>, operations: &[u64]) -> Vec<super::Overlap> {
    let among = || facts.history.operations.iter().filter(|op| operations.contains(&op.index));
    let Some(from) = among().map(|op| op.invoked).min() else { return Vec::new() };
    let to = among().map(|op| completed(op).unwrap_or(op.invoked)).max().unwrap_or(from);
    facts
        .injections
        .iter()
        .filter(|one| one.overlaps(from, to))
        .map(|one| super::Overlap {
            fault: one.fault.clone(),
            detail: one.detail.clone(),
            start: one.start,
            end: one.end,
        })
        .collect()
}
