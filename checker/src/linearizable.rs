//! The check: split by key, decide the keys on a few threads, gather what they say.
//!
//! The keys that look hardest are begun first. A key that spends its budget, or whose check panics,
//! is unknown and named, and the others keep their rulings; a violation in any key is a violation
//! of the history.

use crate::budget::{Budget, Limits};
use crate::explain::explain;
use crate::partition::Partition;
use crate::problem::Problem;
use crate::search::{Found, search};
use crate::shrink::{Core, shrink};
use crate::{Call, Finding, Judgement, Ruling, Spec, UnknownPartition, Violation};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// What the numbers in `Call::start` and `Answer::end` are, for the sentences of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates {
    /// Nanoseconds of one clock: an explanation says by how much one operation preceded another.
    Nanoseconds,
    /// Places in a sequence.
    Positions,
}

/// How to check.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// How much may be spent.
    pub limits: Limits,
    /// How many keys are decided at once; 0 counts as 1.
    pub threads: usize,
    /// What the coordinates are.
    pub coordinates: Coordinates,
    /// Asked in every loop; once it says true, what is undecided stays unknown. The caller owns the
    /// clock.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// Who called whom, for the sentences of an explanation, by the index of the invocation:
    /// `c1 → n3`.
    pub label: &'a (dyn Fn(u64) -> Option<String> + Sync),
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("limits", &self.limits)
            .field("threads", &self.threads)
            .field("coordinates", &self.coordinates)
            .finish_non_exhaustive()
    }
}

/// Steps for looking at a counterexample once more; a fraction of a second.
const CONFIRMING_STEPS: u64 = 5_000_000;

/// What one key turned out to be.
enum Decision {
    Valid,
    Invalid(Violation),
    Unknown(UnknownPartition),
}

/// Whether some order of the calls that respects real time is legal from `initial`.
///
/// Calls of one process must not overlap. A call that certainly did not happen is left out by the
/// caller, except that a failed comparison is an answer: an observation.
#[must_use]
pub fn linearizable<S: Spec>(initial: &S, calls: Vec<Call<S>>, options: &Options<'_>) -> Judgement {
    let mut keys: Vec<(Option<String>, Vec<Call<S>>)> = split(calls).into_iter().collect();
    keys.sort_by_key(|(_, calls)| std::cmp::Reverse(weight(calls)));
    let workers = options.threads.clamp(1, keys.len().max(1));
    let limits = Limits { bytes: options.limits.bytes / workers as u64, ..options.limits };
    let options = Options { limits, ..*options };
    let decisions = Mutex::new(Vec::with_capacity(keys.len()));
    let queue = Mutex::new(keys.into_iter());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some((key, calls)) = unpoisoned(&queue).next() else { break };
                    let decision = decide_or_catch(initial, key, calls, &options);
                    unpoisoned(&decisions).push(decision);
                }
            });
        }
    });
    gather(decisions.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Nothing that holds these locks can panic half-way through a change.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By key; all together if any call has none.
fn split<S: Spec>(calls: Vec<Call<S>>) -> BTreeMap<Option<String>, Vec<Call<S>>> {
    let mut split: BTreeMap<Option<String>, Vec<Call<S>>> = BTreeMap::new();
    let keyed = calls.iter().all(|call| S::key(&call.op).is_some());
    for call in calls {
        let key = if keyed { S::key(&call.op) } else { None };
        split.entry(key).or_default().push(call);
    }
    split
}

/// How much work the calls of a key look like.
fn weight<S: Spec>(calls: &[Call<S>]) -> usize {
    let unknown = calls.iter().filter(|call| call.answer.is_none()).count();
    calls.len() + 50 * unknown
}

fn decide_or_catch<S: Spec>(
    initial: &S,
    key: Option<String>,
    calls: Vec<Call<S>>,
    options: &Options<'_>,
) -> Decision {
    let name = key.clone();
    let decided =
        catch_unwind(AssertUnwindSafe(|| decide(&Partition::new(initial, key, calls), options)));
    decided.unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("it did not say why");
        Decision::Unknown(UnknownPartition {
            key: name,
            reason: format!("the check panicked: {said}"),
            explored: 0,
            reached: "nothing is known of how far it got".to_owned(),
        })
    })
}

fn decide<S: Spec>(partition: &Partition<S>, options: &Options<'_>) -> Decision {
    let mut budget = Budget::new(options.limits, options.stop);
    match partition.states[0].specialised(&partition.calls, &mut budget) {
        Ok(Finding::Legal { .. }) => return Decision::Valid,
        Ok(Finding::Illegal { calls, .. }) => {
            return confirm(partition, &Core { calls, exact: true }, options);
        }
        Ok(Finding::Declined(_)) | Err(_) => {}
    }
    let all: Vec<u32> = (0..partition.calls.len() as u32).collect();
    let problem = Problem::new(partition, &all, u64::MAX);
    let (found, progress) = search(partition, &problem, &mut budget);
    match found {
        Found::Legal(_) => Decision::Valid,
        Found::Illegal => {
            let core = shrink(partition, options);
            confirm(partition, &core, options)
        }
        Found::Halted(halt) => {
            let answered = problem.rows.iter().filter(|row| row.answered).count();
            Decision::Unknown(UnknownPartition {
                key: partition.key.clone(),
                reason: budget.explain(halt),
                explored: progress.explored,
                reached: format!(
                    "{} of {answered} answered operations were put in order",
                    progress.returns
                ),
            })
        }
    }
}

/// Searches the counterexample once more without the help of shapes, and so without most rules,
/// before anybody is accused, also when the caller's time is up: its own steps are few. A
/// counterexample too large for that stands as it is.
fn confirm<S: Spec>(partition: &Partition<S>, core: &Core, options: &Options<'_>) -> Decision {
    let limits = Limits { steps: CONFIRMING_STEPS, ..options.limits };
    let mut budget = Budget::new(limits, &|| false);
    let problem = Problem::plain(partition, &core.calls);
    let (found, progress) = search(partition, &problem, &mut budget);
    match found {
        Found::Illegal | Found::Halted(_) => Decision::Invalid(explain(partition, core, options)),
        Found::Legal(_) => Decision::Unknown(UnknownPartition {
            key: partition.key.clone(),
            reason: format!(
                "the search called {} of its operations illegal, and a search without its rules calls them legal: \
                 this is a mistake of the checker or of the spec's shapes",
                core.calls.len()
            ),
            explored: progress.explored,
            reached: "all of it".to_owned(),
        }),
    }
}

fn gather(decisions: Vec<Decision>) -> Judgement {
    let mut judgement = Judgement {
        ruling: Ruling::Valid,
        algorithm: "search",
        partitions: decisions.len(),
        valid: 0,
        unknown: Vec::new(),
        violations: Vec::new(),
        message: String::new(),
    };
    for decision in decisions {
        match decision {
            Decision::Valid => judgement.valid += 1,
            Decision::Invalid(violation) => judgement.violations.push(violation),
            Decision::Unknown(unknown) => judgement.unknown.push(unknown),
        }
    }
    judgement.unknown.sort_by(|a, b| a.key.cmp(&b.key));
    // The easiest to understand first.
    judgement
        .violations
        .sort_by_key(|violation| (violation.operations.len(), violation.operations.clone()));
    if !judgement.violations.is_empty() {
        judgement.ruling = Ruling::Invalid;
    } else if !judgement.unknown.is_empty() {
        judgement.ruling = Ruling::Unknown;
    }
    judgement.message = message(&judgement);
    judgement
}

fn message(judgement: &Judgement) -> String {
    let violated: Vec<_> = judgement.violations.iter().map(|found| found.key.as_deref()).collect();
    let undecided: Vec<_> = judgement.unknown.iter().map(|found| found.key.as_deref()).collect();
    let rest = match judgement.valid {
        0 => String::new(),
        1 => " (the other key is legal)".to_owned(),
        valid => format!(" (the other {valid} keys are legal)"),
    };
    let reason = judgement.unknown.first().map_or("", |unknown| unknown.reason.as_str());
    match judgement.ruling {
        Ruling::Invalid if undecided.is_empty() => {
            format!("no order of the operations{} is legal{rest}", on(&violated))
        }
        Ruling::Invalid => format!(
            "no order of the operations{} is legal{rest}; undecided{}: {reason}",
            on(&violated),
            on(&undecided)
        ),
        Ruling::Unknown => format!("undecided{}: {reason}{rest}", on(&undecided)),
        Ruling::Valid => match judgement.partitions {
            0 => "there was nothing to check".to_owned(),
            1 => "some order of the operations is legal".to_owned(),
            partitions => format!("{} of {partitions} keys are legal", judgement.valid),
        },
    }
}

/// Which keys, if there are keys.
fn on(keys: &[Option<&str>]) -> String {
    match keys {
        [] | [None, ..] => String::new(),
        [Some(key)] => format!(" on key {key}"),
        [Some(first), Some(second)] => format!(" on keys {first} and {second}"),
        [Some(first), ..] => format!(" on {} keys ({first} and others)", keys.len()),
    }
}
