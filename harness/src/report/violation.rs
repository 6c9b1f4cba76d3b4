//! A violation of the verdict document, ready to be drawn.

use super::micros;
use super::page::{FaultBand, ProofOperation, ViolationPanel};
use crate::verdict::{OperationRow, Outcomes, VerdictDocument, Violation};

/// Every violation of every check. `end` is where the history ends.
pub(super) fn panels(verdict: &VerdictDocument, end: u64) -> Vec<ViolationPanel> {
    let all = verdict.checks.iter().flat_map(|check| &check.violations);
    all.map(|violation| panel(violation, end)).collect()
}

fn panel(violation: &Violation, history_end: u64) -> ViolationPanel {
    let operations: Vec<ProofOperation> =
        violation.operations.iter().map(|row| proof_operation(row, violation)).collect();
    let first = operations.iter().map(|operation| operation.start).min().unwrap_or_default();
    let last = operations.iter().map(|operation| operation.end.unwrap_or(operation.start)).max();
    let last = last.unwrap_or(history_end);
    // A margin, so that no bar touches the edge.
    let margin = (last.saturating_sub(first) / 20).max(100);
    ViolationPanel {
        key: violation.key.clone(),
        exact: violation.exact,
        sentences: violation.sentences.clone(),
        operations,
        faults: faults(violation),
        start: first.saturating_sub(margin),
        end: last + margin,
    }
}

fn proof_operation(row: &OperationRow, violation: &Violation) -> ProofOperation {
    let step = violation.steps.iter().position(|step| step.operation == row.operation);
    let states = step.and_then(|at| violation.steps.get(at));
    let blocked = violation.blocked.iter().find(|blocked| blocked.operation == row.operation);
    ProofOperation {
        index: row.operation,
        process: row.process.clone(),
        node: row.node,
        text: row.text.clone(),
        outcome: match row.outcome {
            Outcomes::Ok => "ok",
            Outcomes::Fail => "fail",
            Outcomes::Info => "info",
        },
        start: micros(row.invoked),
        end: row.completed.filter(|_| row.outcome != Outcomes::Info).map(micros),
        place: step.map(|at| at + 1),
        states: states.map(|step| (step.before.clone(), step.after.clone())),
        blocked: blocked.map(|blocked| blocked.why.clone()),
    }
}

/// Faults in effect meanwhile; their receipts are drawn on the axis of the whole run.
fn faults(violation: &Violation) -> Vec<FaultBand> {
    let band = |(id, overlap): (usize, &crate::verdict::Overlap)| FaultBand {
        id: id as u64,
        fault: overlap.fault.clone(),
        detail: overlap.detail.clone(),
        planned: String::new(),
        start: micros(overlap.start),
        end: overlap.end.map(micros),
        effective: None,
        reason: String::new(),
    };
    violation.faults.iter().enumerate().map(band).collect()
}
