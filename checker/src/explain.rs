//! Why a counterexample is one, for people.
//!
//! The longest legal order of a part of its operations, with the state before and after each; why
//! each operation that could come next cannot; and both again as sentences, with who had finished
//! before whom. Everything said is about the operations of the counterexample, with all their
//! answers: it can be followed with the file alone.

mod longest;
mod sentences;

use crate::partition::{Leave, Need, Partition, StateId};
use crate::shrink::Core;
use crate::{Blocked, Configuration, Needs, Options, Spec, Step, Violation};
use longest::{Longest, longest};

/// A counterexample of more operations is summed up, and not told step by step.
const MOST_TOLD: usize = 60;

/// Turns a counterexample into a violation.
pub(crate) fn explain<S: Spec>(
    partition: &Partition<S>,
    by: &'static str,
    core: &Core,
    options: &Options<'_>,
) -> Violation {
    let mut operations: Vec<u64> =
        core.calls.iter().map(|place| partition.calls[*place as usize].index).collect();
    operations.sort_unstable();
    if core.calls.len() > MOST_TOLD {
        return Violation {
            key: partition.key.clone(),
            operations,
            by,
            exact: core.exact,
            steps: Vec::new(),
            blocked: Vec::new(),
            others: Vec::new(),
            sentences: sentences::summary(partition, core),
        };
    }
    let found = longest(partition, &core.calls, options);
    let blocked = blocked(partition, &core.calls, &found.order, found.states.last());
    let others = found
        .others
        .iter()
        .map(|(order, state)| Configuration {
            order: order.iter().map(|place| partition.calls[*place as usize].index).collect(),
            state: state.describe_state(),
            blocked: self::blocked(partition, &core.calls, order, Some(state))
                .into_iter()
                .map(|(_, blocked)| blocked)
                .collect(),
        })
        .collect();
    Violation {
        key: partition.key.clone(),
        operations,
        by,
        exact: core.exact,
        sentences: sentences::sentences(partition, core, &found, &blocked, options),
        steps: steps(partition, &found),
        blocked: blocked.into_iter().map(|(_, blocked)| blocked).collect(),
        others,
    }
}

/// An operation with its answer, if it has one.
fn text<S: Spec>(partition: &Partition<S>, place: u32) -> String {
    let call = &partition.calls[place as usize];
    S::describe(&call.op, call.answer.as_ref().map(|answer| &answer.ret))
}

fn steps<S: Spec>(partition: &Partition<S>, found: &Longest<S>) -> Vec<Step> {
    let before = found.states.iter();
    let after = found.states.iter().skip(1);
    let step = |((place, before), after): ((&u32, &S), &S)| Step {
        operation: partition.calls[*place as usize].index,
        text: text(partition, *place),
        before: before.describe_state(),
        after: after.describe_state(),
    };
    found.order.iter().zip(before).zip(after).map(step).collect()
}

/// The operations that could come next by their times, and why the spec does not let them.
fn blocked<S: Spec>(
    partition: &Partition<S>,
    calls: &[u32],
    order: &[u32],
    state: Option<&S>,
) -> Vec<(u32, Blocked)> {
    let left: Vec<u32> = calls.iter().copied().filter(|place| !order.contains(place)).collect();
    let is_next = |place: &&u32| {
        left.iter().all(|other| !partition.precedes(*other as usize, **place as usize))
    };
    left.iter()
        .filter(is_next)
        .filter_map(|place| {
            let why = why(partition, *place, state?)?;
            let operation = partition.calls[*place as usize].index;
            Some((*place, Blocked { operation, text: text(partition, *place), why }))
        })
        .collect()
}

/// Why an operation is not possible in a state, or does not help; none if it is possible and might.
fn why<S: Spec>(partition: &Partition<S>, place: u32, state: &S) -> Option<String> {
    let call = &partition.calls[place as usize];
    let finds = state.describe_state();
    let Some(answer) = &call.answer else {
        let next = state.successors(&call.op);
        return match next.iter().find(|next| *next != state) {
            None => Some(format!("may have happened, and changes nothing where it finds {finds}")),
            Some(next) => Some(format!(
                "may have happened here and left {}, which lets no other operation follow",
                next.describe_state()
            )),
        };
    };
    let mut tried = state.clone();
    if tried.is_valid_step(&call.op, &answer.ret) {
        return None;
    }
    Some(match S::shape(&call.op, Some(&answer.ret)).needs {
        Needs::Exactly(needed) => format!("needs {}, finds {finds}", needed.describe_state()),
        Needs::AnythingBut(avoided) => {
            format!("needs anything but {}, finds {finds}", avoided.describe_state())
        }
        Needs::Nothing | Needs::Unclear => {
            let would = state.clone().invoke(&call.op);
            format!("finds {finds}, where it would be {}", S::describe(&call.op, Some(&would)))
        }
    })
}

/// The state that an answered operation needs, if it is exactly one.
fn needed<S: Spec>(partition: &Partition<S>, place: u32) -> Option<StateId> {
    partition.calls[place as usize].answer.as_ref()?;
    match partition.effects[place as usize].need() {
        Need::Exactly(state) => Some(state),
        Need::Nothing | Need::AnythingBut(_) | Need::Unclear => None,
    }
}

/// The state that an operation leaves where it happens, if it is always the same.
fn left<S: Spec>(partition: &Partition<S>, place: u32) -> Option<StateId> {
    match partition.effects[place as usize].leave() {
        Leave::Always(state) => Some(state),
        Leave::Unchanged | Leave::Unclear => None,
    }
}
