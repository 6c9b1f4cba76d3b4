//! From "illegal" to a counterexample: a few operations, sound, illegal alone, and looked at twice.
//!
//! The algorithms point at calls that are in conflict. First the history is cut at the earliest
//! moment at which it is already illegal: as long as what comes before the last answer of the
//! conflict is illegal too, that is taken instead. Then the calls are completed with what they rely
//! on and shrunk (`shrink`), and what is left is searched once more without the rules that need
//! shapes, before anybody is accused.

use crate::budget::{Budget, Limits};
use crate::explain::explain;
use crate::fast::blocks;
use crate::partition::Partition;
use crate::problem::Problem;
use crate::route::{Decision, SEARCH};
use crate::search::{Found, Rules, search};
use crate::shrink::{Core, Start, shrink};
use crate::{Call, Finding, Options, Spec, UnknownPartition};

/// A search of a counterexample of more operations is not expected to come to its end.
pub(crate) const MOST_CONFIRMED: usize = 60;
/// One of more operations is not searched once more at all: there is too much of it to get far.
const MOST_LOOKED_AT_AGAIN: usize = 20_000;
/// Steps for looking at a counterexample once more; a fraction of a second.
const CONFIRMING_STEPS: u64 = 5_000_000;
/// Longer histories are not searched for an earlier conflict.
const SEARCH_UP_TO_CALLS: usize = 2_000;
/// How often an earlier conflict is looked for.
const MOST_CUTS: usize = 24;

/// A conflict, and who found it.
type Conflict = (&'static str, Vec<u32>);

/// Where the last of these calls that was answered ended.
fn last_end<S: Spec>(calls: &[Call<S>], places: &[u32]) -> u64 {
    let end = |place: &u32| calls[*place as usize].answer.as_ref().map(|answer| answer.end);
    places.iter().filter_map(end).max().unwrap_or(0)
}

/// Takes earlier conflicts for later ones until there is none before the last: `before` finds one
/// before a coordinate. Says whether the one that is left is certainly the earliest.
fn earliest<S: Spec>(
    calls: &[Call<S>],
    conflict: &mut Conflict,
    mut before: impl FnMut(u64) -> Option<Finding>,
) -> bool {
    for _ in 0..MOST_CUTS {
        let Some(horizon) = last_end(calls, &conflict.1).checked_sub(1) else { return true };
        match before(horizon) {
            Some(Finding::Legal { .. }) => return true,
            Some(Finding::Illegal { by, calls: earlier })
                if last_end(calls, &earlier) <= horizon =>
            {
                *conflict = (by, earlier);
            }
            Some(Finding::Illegal { .. } | Finding::Declined(_)) | None => return false,
        }
    }
    false
}

/// The counterexample of an algorithm of the data type, which is sound as it stands.
pub(crate) fn of_data_type<S: Spec>(
    initial: &S,
    key: Option<String>,
    calls: Vec<Call<S>>,
    mut conflict: Conflict,
    options: &Options<'_>,
    budget: &mut Budget<'_>,
) -> Decision {
    let exact = earliest(&calls, &mut conflict, |horizon| {
        let started = calls.partition_point(|call| call.start <= horizon);
        let mut seen = calls[..started].to_vec();
        for call in &mut seen {
            call.answer = call.answer.take().filter(|answer| answer.end <= horizon);
        }
        initial.specialised(&seen, false, budget).ok()
    });
    let (by, places) = conflict;
    let chosen: Vec<Call<S>> = places.iter().map(|place| calls[*place as usize].clone()).collect();
    drop(calls);
    // The conflict is small, and its budget a new one: it must not be lost to a limit.
    let mut budget = Budget::new(Limits { steps: u64::MAX, ..options.limits }, &|| false);
    let name = key.clone();
    // One that is too large for a search is looked at again by the algorithm that found it.
    let again = chosen.len() <= MOST_CONFIRMED
        || matches!(initial.specialised(&chosen, false, &mut budget), Ok(Finding::Illegal { .. }));
    match Partition::new(initial, key, chosen, &mut budget) {
        Ok(mut partition) => {
            let calls = (0..partition.calls.len() as u32).collect();
            let core = Core { calls, exact };
            match again {
                true => confirm(&mut partition, by, &core, options),
                false => mistaken(&partition, by, &core, "the same algorithm", 0),
            }
        }
        Err((halt, _)) => Decision::Unknown(UnknownPartition {
            key: name,
            reason: budget.explain(halt),
            halt: Some(halt),
            declined: None,
            explored: 0,
            reached: "a violation was found, and not looked at again".to_owned(),
        }),
    }
}

/// The counterexample of a register.
pub(crate) fn of_blocks<S: Spec>(
    partition: &mut Partition<S>,
    mut conflict: Conflict,
    options: &Options<'_>,
    budget: &mut Budget<'_>,
) -> Decision {
    let known = partition.know_cuts(budget).is_ok();
    let exact = known
        && earliest(&partition.calls, &mut conflict, |horizon| {
            blocks::decide(partition, horizon, false, budget).ok()
        });
    let (by, seeds) = conflict;
    let start = match known {
        // The search finds what was declined.
        true if !exact && partition.calls.len() <= SEARCH_UP_TO_CALLS => Start::Searched(None),
        true => {
            let horizon = last_end(&partition.calls, &seeds);
            Start::Conflict { seeds, horizon, earliest: exact }
        }
        false => Start::Conflict { seeds, horizon: u64::MAX, earliest: false },
    };
    let core = shrink(partition, start, budget.spent(), options);
    confirm(partition, by, &core, options)
}

/// The counterexample of a partition that was searched to its end; at the farthest, the search was
/// stuck at the return of `stuck`; or of which a counterexample was found before that end.
pub(crate) fn of_search<S: Spec>(
    partition: &mut Partition<S>,
    stuck: Option<u32>,
    found: Option<Core>,
    options: &Options<'_>,
    budget: &mut Budget<'_>,
) -> Decision {
    let core = found.unwrap_or_else(|| {
        let start = match partition.know_cuts(budget) {
            Ok(()) => Start::Searched(stuck),
            Err(_) => Start::Whole,
        };
        shrink(partition, start, budget.spent(), options)
    });
    confirm(partition, SEARCH, &core, options)
}

/// Searches the counterexample once more without the help of shapes, and so without most rules,
/// before anybody is accused, also when the caller's time is up: its own steps are few. Where they
/// do not suffice, it stands as it is.
fn confirm<S: Spec>(
    partition: &mut Partition<S>,
    by: &'static str,
    core: &Core,
    options: &Options<'_>,
) -> Decision {
    let limits = Limits { steps: CONFIRMING_STEPS, ..options.limits };
    let mut budget = Budget::new(limits, &|| false);
    if core.calls.len() <= MOST_LOOKED_AT_AGAIN {
        let problem = Problem::plain(partition, &core.calls);
        let (found, progress) = search(partition, &problem, Rules::ALL, &mut budget);
        if let Found::Legal(_) = found {
            return mistaken(partition, by, core, "a search without shapes", progress.explored);
        }
    }
    // The explanation cuts, too.
    let known =
        partition.know_cuts(&mut Budget::new(Limits { steps: u64::MAX, ..limits }, &|| false));
    debug_assert!(known.is_ok(), "a budget without end has an end");
    Decision::Invalid { by, violation: Box::new(explain(partition, by, core, options)) }
}

/// Two of us do not agree: nobody is accused.
fn mistaken<S: Spec>(
    partition: &Partition<S>,
    by: &'static str,
    core: &Core,
    other: &str,
    explored: u64,
) -> Decision {
    Decision::Unknown(UnknownPartition {
        key: partition.key.clone(),
        reason: format!(
            "{by} called {} of its operations illegal, and {other} does not call them so: this is \
             a mistake of the checker or of the spec",
            core.calls.len()
        ),
        halt: None,
        declined: None,
        explored,
        reached: "all of it".to_owned(),
    })
}
