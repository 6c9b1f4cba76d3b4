//! From the files of a run to the page.

use super::load::Inputs;
use super::page::{Fact, FileRow, Operations, Page};
use super::{measure, micros, operations, timeline, violation, words};
use crate::verdict::{OutcomeCounts, Ruling, VerdictDocument};
use history::{History, Operation, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// The page of a run.
pub(super) fn page(inputs: Inputs) -> Page {
    let workload = workload(&inputs);
    let end = end(&inputs);
    let history = inputs.history.as_ref();
    let nemesis = history.map_or(&[][..], |history| &history.nemesis);
    let verdict = inputs.verdict.as_ref();
    let mut page = Page {
        page: 1,
        run: inputs.run.clone(),
        verdict: verdict.map_or(Ruling::Unknown, |verdict| verdict.verdict),
        title: String::new(),
        paragraph: Vec::new(),
        facts: words::facts(&inputs, &workload),
        checks: verdict.map(|verdict| verdict.checks.clone()).unwrap_or_default(),
        counts: counts(verdict, history),
        coverage: verdict.map(coverage).unwrap_or_default(),
        fault_coverage: verdict.map(|v| v.coverage.faults.clone()).unwrap_or_default(),
        violations: verdict.map(|verdict| violation::panels(verdict, end)).unwrap_or_default(),
        end,
        phases: timeline::phases(&inputs.observations, end),
        faults: timeline::faults(&inputs.receipts, nemesis),
        nodes: timeline::nodes(&inputs.observations),
        rate: history.map(|history| measure::rate(history, end)).unwrap_or_default(),
        operations: Operations::default(),
        files: inputs.files.iter().map(|path| file(path)).collect(),
        notes: inputs.notes,
        workload,
    };
    page.notes.extend(history.iter().flat_map(|history| history.warnings.iter().cloned()));
    if let Some(history) = history {
        page.operations = drawn(history, &page);
    }
    page.title = words::title(&page);
    page.paragraph = words::paragraph(&page, verdict.is_some_and(|verdict| verdict.provisional));
    page
}

fn workload(inputs: &Inputs) -> String {
    let planned = inputs.plan.as_ref().map(|plan| plan.workload.clone());
    let recorded = inputs.history.as_ref().map(|history| history.header.workload.clone());
    planned.or(recorded).unwrap_or_default()
}

/// The last moment of anything that was recorded.
fn end(inputs: &Inputs) -> u64 {
    let completed = |operation: &Operation| match &operation.outcome {
        Outcome::Ok { time, .. } | Outcome::Fail { time, .. } => *time,
        Outcome::Info { time, .. } => time.unwrap_or(operation.invoked),
    };
    let history = inputs.history.iter().flat_map(|history| {
        let faults = history.nemesis.iter().map(|event| event.time);
        history.operations.iter().map(completed).chain(faults)
    });
    let observed = inputs.observations.iter().map(|observation| observation.time);
    micros(history.chain(observed).max().unwrap_or_default()).max(1)
}

/// The counts of the verdict, or our own where it has none (a run that was killed).
fn counts(
    verdict: Option<&VerdictDocument>,
    history: Option<&History>,
) -> BTreeMap<String, OutcomeCounts> {
    if let Some(verdict) = verdict.filter(|verdict| !verdict.counts.is_empty()) {
        return verdict.counts.clone();
    }
    let mut counts: BTreeMap<&str, OutcomeCounts> = BTreeMap::new();
    for operation in history.iter().flat_map(|history| &history.operations) {
        let count = counts.entry(operation.f.as_str()).or_default();
        match operation.outcome {
            Outcome::Ok { .. } => count.ok += 1,
            Outcome::Fail { .. } => count.fail += 1,
            Outcome::Info { .. } => count.info += 1,
        }
    }
    counts.into_iter().map(|(f, count)| (f.to_owned(), count)).collect()
}

fn coverage(verdict: &VerdictDocument) -> Vec<Fact> {
    let coverage = &verdict.coverage;
    let mut facts = vec![
        words::fact("ok operations during faults", coverage.ok_during_faults),
        words::fact("ok operations after the last heal", coverage.ok_after_heal),
        words::fact("leader changes observed", coverage.leader_changes),
        words::fact("ok reads across one", coverage.reads_across_leader_change),
    ];
    for (name, told) in [
        ("log truncations, at least", coverage.log_truncations),
        ("snapshots installed, at least", coverage.snapshots_installed),
        ("elections without a winner, at least", coverage.elections_without_winner),
    ] {
        let told = told.map_or_else(|| "this system does not tell".to_owned(), |n| n.to_string());
        facts.push(words::fact(name, told));
    }
    for (bug, mark) in coverage.marks.iter().filter(|(_, mark)| mark.reached > 0) {
        let value = format!("code reached {} times, mattered {}", mark.reached, mark.triggered);
        facts.push(words::fact(&format!("seeded bug {bug}"), value));
    }
    let harness = &verdict.harness;
    let starved = if harness.starved { "; the machine was starved" } else { "" };
    let stalls = format!(
        "p99 {:.1} ms, worst {:.1} ms{starved}",
        harness.stall_p99_ms, harness.stall_max_ms
    );
    facts.push(words::fact("stalls of the harness itself", stalls));
    facts
}

fn drawn(history: &History, page: &Page) -> Operations {
    let proofs: BTreeSet<u64> = page
        .violations
        .iter()
        .flat_map(|violation| violation.operations.iter().map(|operation| operation.index))
        .collect();
    let keys = page.violations.iter().map(|violation| violation.key.as_deref()).collect();
    let workload = workloads::by_name(&history.header.workload);
    let describe = |operation: &Operation| match workload {
        Some(workload) => workload.describe(operation),
        None => format!("{} {}", operation.f, operation.input),
    };
    operations::operations(history, &proofs, &keys, &describe)
}

fn file(path: &str) -> FileRow {
    FileRow { path: path.to_owned(), about: crate::results::about(path).to_owned() }
}
