//! A fault that did not bite was not tested.

use super::facts::{completed, ok_operations, only_reads};
use super::{Check, Coverage, Facts, FaultCoverage, Injection, Mark, Ruling};
use crate::event::Phase;
use crate::results::Observed;
use crate::system::Counters;
use history::{Nanos, NodeId};
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
    // Where no node ever said who leads, nothing could be observed.
    let asked = facts.observations.iter().any(|one| matches!(one.what, Observed::Status { .. }));
    if asked && !facts.requested.is_empty() && facts.nodes > 1 && coverage.leader_changes == 0 {
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
            n if class.ends_with(['s', 'h']) => format!("{n} {class}es"),
            n => format!("{n} {class}s"),
        })
        .collect();
    let changes = match coverage.leader_changes {
        1 => "1 leader change".to_owned(),
        n => format!("{n} leader changes"),
    };
    let told = [
        (coverage.log_truncations, ["log truncation", "log truncations"]),
        (coverage.snapshots_installed, ["snapshot installed", "snapshots installed"]),
        (
            coverage.elections_without_winner,
            ["election without winner", "elections without winner"],
        ),
    ];
    let told = told.into_iter().filter_map(|(told, [one, many])| match told? {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    });
    let ok = format!("{} ok during faults", coverage.ok_during_faults);
    let parts = [classes.join(", "), changes].into_iter().chain(told).chain([ok]);
    parts.collect::<Vec<_>>().join(" · ")
}

fn measure(facts: &Facts<'_>) -> Coverage {
    let operations = &facts.history.operations;
    let during = ok_operations(operations).filter(|(op, time)| {
        let bit = |one: &Injection| one.ineffective.is_none();
        facts.injections.iter().any(|one| bit(one) && one.overlaps(op.invoked, *time))
    });
    let after =
        |healed: Nanos| ok_operations(operations).filter(|(op, _)| op.invoked >= healed).count();
    let changes = facts.leader_changes();
    let across = ok_operations(operations).filter(|(op, time)| {
        only_reads(&op.f) && changes.iter().any(|(at, ..)| op.invoked <= *at && *at <= *time)
    });
    let told = told(facts);
    Coverage {
        faults: by_class(facts),
        log_truncations: told.map(|told| told.truncations),
        snapshots_installed: told.map(|told| told.snapshots_installed),
        elections_without_winner: told.map(|told| told.leaderless_elections),
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
    for (name, class) in &mut classes {
        let bit = |one: &&Injection| one.fault == *name && one.ineffective.is_none();
        let spans = spans(facts.injections.iter().filter(bit));
        let overlapped = ok_operations(&facts.history.operations)
            .filter(|(op, time)| meets(&spans, op.invoked, *time));
        class.overlapped = overlapped.count() as u64;
    }
    classes
}

/// The times in which any of the injections was in effect, in order and apart.
fn spans<'a>(injections: impl Iterator<Item = &'a Injection>) -> Vec<(Nanos, Nanos)> {
    let mut all: Vec<(Nanos, Nanos)> =
        injections.map(|one| (one.start, one.end.unwrap_or(Nanos(u64::MAX)))).collect();
    all.sort_unstable();
    let mut apart: Vec<(Nanos, Nanos)> = Vec::new();
    for (start, end) in all {
        match apart.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => apart.push((start, end)),
        }
    }
    apart
}

/// Whether any of the spans has a moment in common with the time between two instants.
fn meets(spans: &[(Nanos, Nanos)], from: Nanos, to: Nanos) -> bool {
    let first = spans.partition_point(|(_, end)| *end < from);
    spans.get(first).is_some_and(|(start, _)| *start <= to)
}

/// What all nodes together went through, as they tell; none if none tells. Their counters start anew with each process.
fn told(facts: &Facts<'_>) -> Option<Counters> {
    let mut nodes: BTreeMap<NodeId, Counters> = BTreeMap::new();
    let mut sum = Counters::default();
    let mut any = false;
    let mut add = |one: Counters| {
        sum.truncations += one.truncations;
        sum.snapshots_installed += one.snapshots_installed;
        sum.leaderless_elections += one.leaderless_elections;
    };
    for observation in facts.observations {
        match &observation.what {
            Observed::Status { node, counters: Some(counters), .. } => {
                any = true;
                nodes.insert(*node, *counters);
            }
            Observed::Ready { node } | Observed::Exit { node, .. } => {
                if let Some(counters) = nodes.remove(node) {
                    add(counters);
                }
            }
            _ => {}
        }
    }
    nodes.into_values().for_each(add);
    any.then_some(sum)
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

#[cfg(test)]
mod tests {
    use super::{Injection, Nanos, meets, spans};

    #[test]
    fn spans_that_touch_are_one_and_an_open_one_has_no_end() {
        let one = |start: u64, end: Option<u64>| Injection {
            id: start,
            fault: "kill".to_owned(),
            detail: String::new(),
            start: Nanos(start),
            end: end.map(Nanos),
            ineffective: None,
        };
        let all = [one(30, None), one(5, Some(9)), one(1, Some(6)), one(10, Some(12))];
        let spans = spans(all.iter());
        let ends = [(1, 9), (10, 12), (30, u64::MAX)].map(|(a, b)| (Nanos(a), Nanos(b)));
        assert_eq!(spans, ends);
        for (from, to, met) in [
            (0, 0, false),
            (0, 1, true),
            (9, 9, true),
            (13, 29, false),
            (12, 20, true),
            (99, 99, true),
        ] {
            assert_eq!(meets(&spans, Nanos(from), Nanos(to)), met, "{from} {to}");
            let simple = all.iter().any(|one| one.overlaps(Nanos(from), Nanos(to)));
            assert_eq!(simple, met, "{from} {to}");
        }
    }
}
