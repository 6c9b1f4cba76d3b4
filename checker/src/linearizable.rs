//! The check: split by key, decide the keys on a few threads, gather what they say.
//!
//! The keys that look hardest are begun first, and those that are not decided by a first look wait
//! until all others were looked at. A key that spends its budget, or whose check panics,
//! is unknown and named, and the others keep their rulings. A violation in any key is a violation
//! of the history: once one is proven, the keys that are hard get no more time, so that the proof
//! need not wait for them.

use crate::budget::{Budget, Limits, Pool};
use crate::hash::Table;
use crate::partition::sort;
use crate::route::{Decision, decide};
use crate::{Call, Judgement, Order, Spec, UnknownPartition};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// Whether to give an order of each valid key, as a certificate.
    pub certify: bool,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("limits", &self.limits)
            .field("threads", &self.threads)
            .field("coordinates", &self.coordinates)
            .field("certify", &self.certify)
            .finish_non_exhaustive()
    }
}

/// Steps for a first look at a key among many, a hundredth of a second: a violation in an easy key
/// is proven before the hard ones are begun.
const FIRST_STEPS: u64 = 300_000;
/// And these for each of its calls: an algorithm that takes so few is not a search.
const STEPS_PER_CALL: u64 = 60;
/// A call of unknown outcome is as hard as so many others.
const SIZE_OF_UNKNOWN: usize = 50;
/// Whether some order of the calls that respects real time is legal from `initial`.
///
/// Calls of one process must not overlap. A call that certainly did not happen is left out by the
/// caller, except that a failed comparison is an answer: an observation.
#[must_use]
pub fn linearizable<S: Spec>(initial: &S, calls: Vec<Call<S>>, options: &Options<'_>) -> Judgement {
    let keys = split(calls);
    let alone = keys.len() == 1;
    let part = |(key, calls): (Option<String>, Vec<Call<S>>)| {
        // A key alone is looked at first whatever its size.
        let unknown = match alone {
            true => 0,
            false => calls.iter().filter(|call| call.answer.is_none()).count(),
        };
        Part { key, size: calls.len() + SIZE_OF_UNKNOWN * unknown, calls }
    };
    let parts = keys.into_iter().map(part).collect();
    linearizable_parts(initial, parts, &|calls| calls, options)
}

/// What [`linearizable_parts`] is to check under one key.
#[derive(Clone, Debug)]
pub struct Part<C> {
    /// Its name; each comes once.
    pub key: Option<String>,
    /// How hard it looks; the hardest is begun first.
    pub size: usize,
    /// What `load` makes the calls of.
    pub calls: C,
}

/// The same for a history that is split already, of which each part's calls are made when its turn
/// comes, on the thread that decides it: so that a million calls need not be there all at once.
#[must_use]
pub fn linearizable_parts<S: Spec, C: Send>(
    initial: &S,
    mut parts: Vec<Part<C>>,
    load: &(dyn Fn(C) -> Vec<Call<S>> + Sync),
    options: &Options<'_>,
) -> Judgement {
    parts.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.key.cmp(&b.key)));
    let run = Run {
        initial,
        options,
        pool: Arc::default(),
        violated: AtomicBool::new(false),
        decisions: Mutex::new(Vec::with_capacity(parts.len())),
        hard: Mutex::default(),
    };
    let partitions = parts.len();
    let workers = options.threads.clamp(1, partitions.max(1));
    let queue = Mutex::new(parts.into_iter());
    on_threads(workers, || {
        loop {
            let Some(part) = unpoisoned(&queue).next() else { break };
            let limits = run.first_limits(partitions, part.size);
            run.decide(part.key, || load(part.calls), limits);
        }
    });
    let hard = std::mem::take(&mut *unpoisoned(&run.hard));
    let queue = Mutex::new(hard.into_iter());
    on_threads(workers, || {
        loop {
            let Some((key, calls)) = unpoisoned(&queue).next() else { break };
            run.decide(key, || calls, options.limits);
        }
    });
    Judgement::gather(run.decisions.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Does the same on so many threads.
fn on_threads(workers: usize, work: impl Fn() + Sync) {
    if workers == 1 {
        return work();
    }
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(&work);
        }
    });
}

/// Nothing that holds these locks can panic half-way through a change.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By key; all together if any call has none.
fn split<S: Spec>(calls: Vec<Call<S>>) -> Keys<S> {
    let mut numbers: Table<String, usize> = Table::default();
    let mut sizes = Vec::new();
    let mut homes = Vec::with_capacity(calls.len());
    for call in &calls {
        let Some(key) = S::key(&call.op) else { return vec![(None, calls)] };
        let home = *numbers.entry(key).or_insert(sizes.len());
        homes.push(home as u32);
        match sizes.get_mut(home) {
            Some(size) => *size += 1,
            None => sizes.push(1),
        }
    }
    let mut keys: Keys<S> =
        sizes.into_iter().map(|size| (None, Vec::with_capacity(size))).collect();
    for (key, home) in numbers {
        keys[home].0 = Some(key);
    }
    for (call, home) in calls.into_iter().zip(homes) {
        keys[home as usize].1.push(call);
    }
    keys
}

/// Keys, each with its calls.
type Keys<S> = Vec<(Option<String>, Vec<Call<S>>)>;

/// What the threads of one check share.
struct Run<'a, S: Spec> {
    initial: &'a S,
    options: &'a Options<'a>,
    pool: Arc<Pool>,
    violated: AtomicBool,
    decisions: Mutex<Vec<(Option<String>, Decision)>>,
    /// Keys that a first look did not decide.
    hard: Mutex<Keys<S>>,
}

impl<S: Spec> Run<'_, S> {
    /// What a key may take at the first look.
    fn first_limits(&self, partitions: usize, size: usize) -> Limits {
        let limits = self.options.limits;
        match partitions {
            1 => limits,
            _ => {
                let steps = FIRST_STEPS + STEPS_PER_CALL * size as u64;
                Limits { steps: limits.steps.min(steps), ..limits }
            }
        }
    }

    fn decide(&self, key: Option<String>, load: impl FnOnce() -> Vec<Call<S>>, limits: Limits) {
        let name = key.clone();
        let options = self.options;
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let mut calls = load();
            sort(&mut calls);
            let budget = Budget::sharing(limits, options.stop, &self.pool);
            let mut budget = budget.unless(&self.violated);
            decide(self.initial, key, calls, options, &mut budget)
        }));
        let (decision, calls) =
            decided.unwrap_or_else(|panic| (panicked(name.clone(), &*panic), Vec::new()));
        let unknown = matches!(decision, Decision::Unknown(_)) && !calls.is_empty();
        if unknown && limits.steps < options.limits.steps {
            unpoisoned(&self.hard).push((name, calls));
            return;
        }
        if let Decision::Invalid { .. } = decision {
            self.violated.store(true, Ordering::Relaxed);
        }
        unpoisoned(&self.decisions).push((name, decision));
    }
}

fn panicked(key: Option<String>, panic: &(dyn Any + Send)) -> Decision {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it did not say why");
    Decision::Unknown(UnknownPartition {
        key,
        reason: format!("the check panicked: {said}"),
        halt: None,
        declined: None,
        explored: 0,
        reached: "nothing is known of how far it got".to_owned(),
    })
}

impl Judgement {
    fn gather(decisions: Vec<(Option<String>, Decision)>) -> Self {
        let mut judgement = Self { partitions: decisions.len(), ..Self::default() };
        for (key, decision) in decisions {
            match decision {
                Decision::Valid { by, order } => {
                    judgement.valid += 1;
                    *judgement.algorithms.entry(by).or_default() += 1;
                    judgement.orders.extend(order.map(|operations| Order { key, operations }));
                }
                Decision::Invalid { by, violation } => {
                    *judgement.algorithms.entry(by).or_default() += 1;
                    judgement.violations.push(*violation);
                }
                Decision::Unknown(unknown) => judgement.unknown.push(unknown),
            }
        }
        judgement.conclude();
        judgement
    }
}
