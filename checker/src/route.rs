//! Which algorithm decides a partition: the fastest that is exact on it.
//!
//! First the one that the data type has of its own, then the one for registers (`fast::blocks`),
//! then the search, which always fits. The first two decline what they cannot decide exactly.

use crate::budget::{Budget, Halt};
use crate::fast::blocks;
use crate::partition::{Partition, are_ordinary};
use crate::problem::Problem;
use crate::proof;
use crate::search::{Found, Progress, Rules, search};
use crate::shrink::{self, Core};
use crate::spec::NO_ALGORITHM;
use crate::{Call, Finding, Options, Spec, UnknownPartition, Violation};

/// Name of the search for people.
pub(crate) const SEARCH: &str = "search";

/// What one partition turned out to be.
pub(crate) enum Decision {
    Valid {
        by: &'static str,
        /// If a certificate was asked for: indexes of invocations.
        order: Option<Vec<u64>>,
    },
    Invalid {
        by: &'static str,
        violation: Box<Violation>,
    },
    Unknown(UnknownPartition),
}

/// Decides one partition; its calls are sorted. If that is left unknown, they are handed back.
pub(crate) fn decide<S: Spec>(
    initial: &S,
    key: Option<String>,
    calls: Vec<Call<S>>,
    options: &Options<'_>,
    budget: &mut Budget<'_>,
) -> (Decision, Vec<Call<S>>) {
    let decided = |decision| (decision, Vec::new());
    let mut declined = None;
    // Special algorithms know neither the ties within a process nor the end of all numbers.
    let special = are_ordinary(&calls);
    if special {
        match initial.specialised(&calls, options.certify, budget) {
            Err(halt) => {
                return halted(budget, key, calls, (halt, declined, Progress::default()));
            }
            Ok(Finding::Declined(why)) => declined = Some(why),
            Ok(Finding::Legal { by, order }) => return decided(legal(&calls, by, &order, options)),
            Ok(Finding::Illegal { by, calls: proof }) => {
                let conflict = (by, proof);
                return decided(proof::of_data_type(
                    initial, key, calls, conflict, options, budget,
                ));
            }
        }
    }
    let mut partition = match Partition::new(initial, key.clone(), calls, budget) {
        Ok(partition) => partition,
        Err((halt, calls)) => {
            return halted(budget, key, calls, (halt, declined, Progress::default()));
        }
    };
    if special {
        partition.know_apart();
        match blocks::decide(&partition, u64::MAX, options.certify, budget) {
            Err(halt) => {
                let progress = Progress::default();
                return halted(budget, key, partition.calls, (halt, declined, progress));
            }
            // Of two reasons, that of an algorithm made for these calls tells more.
            Ok(Finding::Declined(why)) => {
                declined = declined.filter(|told| *told != NO_ALGORITHM).or(Some(why));
            }
            Ok(Finding::Legal { by, order }) => {
                return decided(legal(&partition.calls, by, &order, options));
            }
            Ok(Finding::Illegal { by, calls }) => {
                return decided(proof::of_blocks(&mut partition, (by, calls), options, budget));
            }
        }
    }
    match run_search(&mut partition, options, budget) {
        Ok((Found::Legal(order), ..)) => decided(legal(&partition.calls, SEARCH, &order, options)),
        Ok((Found::Illegal, progress, core)) => {
            let stuck = progress.stuck;
            decided(proof::of_search(&mut partition, stuck, core, options, budget))
        }
        Ok((Found::Halted(halt), progress, _)) => {
            halted(budget, key, partition.calls, (halt, declined, progress))
        }
        Err(halt) => halted(budget, key, partition.calls, (halt, declined, Progress::default())),
    }
}

/// What is said of calls that the budget did not suffice for: why it ended, why no special algorithm decided, how far
/// the search got.
fn halted<S: Spec>(
    budget: &Budget<'_>,
    key: Option<String>,
    calls: Vec<Call<S>>,
    (halt, declined, progress): (Halt, Option<&'static str>, Progress),
) -> (Decision, Vec<Call<S>>) {
    let answered = calls.iter().filter(|call| call.answer.is_some()).count();
    let unknown = Decision::Unknown(UnknownPartition {
        key,
        reason: budget.explain(halt),
        halt: Some(halt),
        declined,
        explored: progress.explored,
        reached: format!(
            "{} of {answered} answered operations were put in order",
            progress.returns
        ),
    });
    (unknown, calls)
}

/// Steps, and for each call, until the search is taken to be stuck for good.
const STEPS_TO_GUESS: u64 = 50_000;
const STEPS_PER_CALL_TO_GUESS: u64 = 20;

/// Searches; if that takes long, looks at the calls where it is stuck by themselves, before it goes
/// on. An illegal history seldom needs more: to see that a read is stale, the whole search goes
/// through all there is before it, and the last few calls are enough.
fn run_search<S: Spec>(
    partition: &mut Partition<S>,
    options: &Options<'_>,
    budget: &mut Budget<'_>,
) -> Result<(Found, Progress, Option<Core>), Halt> {
    let all: Vec<u32> = (0..partition.calls.len() as u32).collect();
    let problem = Problem::new(partition, &all, u64::MAX);
    budget.keep(partition.bytes() + problem.bytes())?;
    let few = STEPS_TO_GUESS + STEPS_PER_CALL_TO_GUESS * all.len() as u64;
    let (found, progress) =
        budget.at_most(few, |budget| search(partition, &problem, Rules::ALL, budget));
    if found != Found::Halted(Halt::Steps) {
        problem.leave(partition);
        return Ok((found, progress, None));
    }
    // It may also have been stopped meanwhile.
    if let Err(halt) = budget.spend(0) {
        return Ok((Found::Halted(halt), progress, None));
    }
    let mut core = None;
    if let Some(stuck) = progress.stuck {
        if let Err(halt) = partition.know_cuts(budget) {
            return Ok((Found::Halted(halt), progress, None));
        }
        core = budget.at_most(few, |budget| shrink::guess(partition, stuck, budget, options));
        if core.as_ref().is_some_and(|core| core.calls.len() <= proof::MOST_CONFIRMED) {
            return Ok((Found::Illegal, progress, core));
        }
    }
    // A larger one is not searched without shapes, so the whole search has to agree.
    let (found, whole) = search(partition, &problem, Rules::ALL, budget);
    let explored = progress.explored + whole.explored;
    let farther = if whole.returns < progress.returns { progress } else { whole };
    Ok((found, Progress { explored, ..farther }, core))
}

fn legal<S: Spec>(
    calls: &[Call<S>],
    by: &'static str,
    order: &[u32],
    options: &Options<'_>,
) -> Decision {
    let name = |place: &u32| calls[*place as usize].index;
    Decision::Valid { by, order: options.certify.then(|| order.iter().map(name).collect()) }
}
