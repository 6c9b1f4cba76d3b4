//! The workload's own check: the one that can prove a violation.

use super::coverage::overlapping;
use super::facts::completed;
use super::{
    Blocked, Check, Facts, OperationRow, Outcomes, Place, Ruling, Step, UnknownKey, Violation,
};
use checker::{Halt, Judgement};
use history::{Operation, Order, Outcome};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use workloads::{DecodeError, JudgeOptions, Workload};

/// Judges a history by its workload's spec. A checker that panics says unknown, never valid. The checker has no clock,
/// so what it means that it was stopped is for `stopped` to say.
///
/// # Errors
/// When an operation is none of the workload's.
pub fn workload(
    workload: &dyn Workload,
    facts: &Facts<'_>,
    options: &JudgeOptions<'_>,
    stopped: &dyn Fn() -> String,
) -> Result<(Check, Vec<checker::Order>), DecodeError> {
    let unknown =
        |message| Ok((Check::new(workload.check(), Ruling::Unknown, message), Vec::new()));
    // A history from elsewhere is judged as it is.
    if facts.history.operations.is_empty() && facts.history.order == Order::Time {
        return unknown("the history has no operations");
    }
    match catch_unwind(AssertUnwindSafe(|| workload.judge(facts.history, options))) {
        Ok(judgement) => {
            let mut judgement = judgement?;
            let orders = std::mem::take(&mut judgement.orders);
            tell_why(&mut judgement, stopped);
            Ok((doubt(render(workload, facts, judgement), facts), orders))
        }
        Err(_) => unknown("the checker itself failed, please report it with this history"),
    }
}

/// Puts the words of the one who stopped the check in the place of the checker's own.
fn tell_why(judgement: &mut Judgement, stopped: &dyn Fn() -> String) {
    for one in judgement.unknown.iter_mut().filter(|one| one.halt == Some(Halt::Stopped)) {
        let why = stopped();
        judgement.message = judgement.message.replace(&one.reason, &why);
        one.reason = why;
    }
}

/// A history that shows nothing, or of which a whole line was not judged, does not pass.
fn doubt(mut check: Check, facts: &Facts<'_>) -> Check {
    let answered = |op: &Operation| match &op.outcome {
        Outcome::Ok { .. } => true,
        Outcome::Fail { error, .. } => error.as_deref() == Some(workloads::MISMATCH),
        Outcome::Info { .. } => false,
    };
    if check.verdict != Ruling::Valid {
        return check;
    }
    if facts.history.left_out {
        check.verdict = Ruling::Unknown;
        check.message = format!("{}, but the last line was not judged", check.message);
        check.hints.push("if that line is whole, end it with a newline".to_owned());
    } else if !facts.history.operations.iter().any(answered) {
        let nothing = "no operation was answered, so nothing was shown".to_owned();
        match facts.history.order {
            Order::Time => {
                check.verdict = Ruling::Unknown;
                check.message = nothing;
            }
            Order::Position => check.warnings.push(nothing),
        }
    }
    check
}

fn render(workload: &dyn Workload, facts: &Facts<'_>, judgement: Judgement) -> Check {
    let ruling = match judgement.ruling {
        checker::Ruling::Valid => Ruling::Valid,
        checker::Ruling::Invalid => Ruling::Invalid,
        checker::Ruling::Unknown => Ruling::Unknown,
    };
    let hints = hints(&judgement);
    let mut check = Check::new(workload.check(), ruling, judgement.message)
        .fact("algorithms", algorithms(&judgement.algorithms))
        .fact("keys", judgement.partitions as u64)
        .fact("keys_valid", judgement.valid as u64);
    check.hints = hints;
    check.violations = judgement
        .violations
        .into_iter()
        .map(|violation| prove(workload, facts, violation))
        .collect();
    check.unknown = judgement
        .unknown
        .into_iter()
        .map(|one| UnknownKey {
            key: one.key,
            reason: match one.declined {
                Some(why) => format!("{} (no faster algorithm: {why})", one.reason),
                None => one.reason,
            },
            explored: one.explored,
            reached: one.reached,
        })
        .collect();
    check
}

/// What would help to decide what is undecided.
fn hints(judgement: &Judgement) -> Vec<String> {
    let ended_by = |halt| judgement.unknown.iter().any(|one| one.halt == Some(halt));
    let mut hints = Vec::new();
    if ended_by(Halt::Stopped) {
        hints.push("search longer on the same history: `harness check … --budget 10m`".to_owned());
    }
    if ended_by(Halt::Bytes) {
        hints.push("search with more memory: `harness check … --memory 8GiB`".to_owned());
    }
    if !hints.is_empty() {
        hints.push("fewer clients or more keys leave fewer operations open at once".to_owned());
    }
    hints
}

/// Which algorithms decided how many keys each: `blocks 412, search 3`.
fn algorithms(counts: &BTreeMap<&'static str, usize>) -> String {
    let texts: Vec<String> = counts.iter().map(|(name, keys)| format!("{name} {keys}")).collect();
    texts.join(", ")
}

fn prove(workload: &dyn Workload, facts: &Facts<'_>, violation: checker::Violation) -> Violation {
    let operations = &facts.history.operations;
    let rows = violation
        .operations
        .iter()
        .filter_map(|index| operations.binary_search_by_key(index, |op| op.index).ok())
        .map(|place| row(workload, &operations[place], facts.history.order))
        .collect();
    Violation {
        faults: overlapping(facts, &violation.operations),
        key: violation.key,
        exact: violation.exact,
        operations: rows,
        steps: violation
            .steps
            .into_iter()
            .map(|s| Step {
                operation: s.operation,
                text: s.text,
                before: s.before,
                after: s.after,
            })
            .collect(),
        blocked: violation
            .blocked
            .into_iter()
            .map(|b| Blocked { operation: b.operation, text: b.text, why: b.why })
            .collect(),
        sentences: violation.sentences,
    }
}

fn row(workload: &dyn Workload, operation: &Operation, order: Order) -> OperationRow {
    let (outcome, error) = match &operation.outcome {
        Outcome::Ok { .. } => (Outcomes::Ok, None),
        Outcome::Fail { error, .. } => (Outcomes::Fail, error.clone()),
        Outcome::Info { error, .. } => (Outcomes::Info, error.clone()),
    };
    OperationRow {
        operation: operation.index,
        process: operation.process.to_string(),
        node: operation.node,
        text: workload.describe(operation),
        outcome,
        invoked: operation.invoked,
        completed: completed(operation),
        error: error.map(|error| error.to_string()),
        place: (order == Order::Position)
            .then_some(Place { start: operation.start, end: operation.end }),
    }
}
