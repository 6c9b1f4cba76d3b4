//! A small part of an illegal partition that is illegal for the same reason.
//!
//! Leaving calls out of a history can make an illegal one of a legal one: without the write, the
//! read that saw it is wrong. So a part counts as a counterexample only if it is *sound*: were the
//! whole legal, so would be the part.
//!
//! # Why a part is sound
//!
//! First the end is cut at the earliest *horizon* at which the history is already illegal; calls
//! open there may have happened or not. A history is legal only if all its prefixes are.
//!
//! Of what is left, take a legal order, and leave out of it all calls that the part leaves out.
//! Every kept call then follows the same last *mutator* (call that leaves a state of its own) as
//! before, unless that mutator was left out. So the shortened order is legal if no kept call
//! *depends on* a call left out, where
//!
//! - nothing depends on a call that leaves the state as it was: reads, mismatches;
//! - a call that needs nothing, a write, depends on nothing;
//! - a call that needs exactly a state (a read of 3, a cas from 3, also one of unknown outcome,
//!   which could not have had its effect otherwise) depends on every call that leaves that state;
//! - a call that needs a state to be gone (a mismatch) depends on every call that leaves another;
//! - a call of which neither is known depends on every call that may change anything;
//! - except those that are *shielded*: `d` ended before `m` started and `m` ended before `o`
//!   started, where `m` is kept and certainly left a state of its own. Then `d` is the last mutator
//!   before `o` in no order at all.
//!
//! (For a call that needs exactly a state that exception is made only if the counterexample is long
//! without: a stale read is easier to believe with the write that it saw.)
//!
//! A kept call of unknown outcome that no longer takes effect is left out of the order as well; it
//! was optional.
//!
//! At the end the calls open at the horizon get their answers back, for the file of the
//! counterexample: an illegal set of calls stays illegal if more is known of them.
//!
//! # How it looks for one
//!
//! Where an algorithm has pointed at calls in conflict, those and what they rely on are sound and
//! illegal, and are the start. Otherwise the search says where it was stuck at the farthest, and
//! the last few calls before that are tried, then some more. A search that takes long is
//! interrupted for that ([`guess`]): often it need not be finished.
//!
//! The call whose return is the horizon is in every sound counterexample. So: try it with each
//! other call of the start, completing each try to a sound set; whichever is found, or else the
//! start, is then reduced call by call (each with the calls that depend on it) until nothing more
//! can go; and, where shields count, the call at the horizon is tried with each two others of what
//! is left. Every set is searched anew, unless what was searched before says what it is (`known`).
//!
//! All that may take some multiple of what the verdict took, so that the proof is there soon after
//! it.

mod evidence;
mod kept;
mod known;
mod left_out;
mod past;
#[cfg(test)]
mod tests;

use crate::budget::{Budget, Halt, Limits};
use crate::partition::Partition;
use crate::problem::Problem;
use crate::search::{Found, Rules, search};
use crate::{Call, Options, Spec};
pub(crate) use evidence::{Draft, Evidence};
pub(crate) use kept::Kept;
use known::Known;
pub(crate) use past::Past;

/// A sound counterexample.
pub(crate) struct Core {
    /// Places in the partition, ascending.
    pub(crate) calls: Vec<u32>,
    /// Whether, under the rule that was used, no single call more can be left out.
    pub(crate) exact: bool,
}

/// More than this many calls are not tried in pairs.
const PAIRS_UP_TO_CALLS: usize = 60;
/// Nor one by one.
const SINGLES_UP_TO_CALLS: usize = 500;
/// How many calls at the end are tried first.
const SHORTEST_END: usize = 32;
/// And how many at most.
const LONGEST_END: usize = 512;
/// How many ends are tried before the search is finished.
const MOST_ENDS: usize = 64;
/// So few calls are tried one by one at once.
const FEW_CALLS: usize = 16;
/// A set of so few calls is not worth more search.
const SMALL_CALLS: usize = 3;
/// A counterexample of more calls may leave out the writes of values that are read, where that is
/// sound.
const READABLE_CALLS: usize = 8;
/// Steps that shrinking may take: so many times those of the verdict,
const STEPS_PER_STEP: u64 = 3;
/// but at least these, less than a tenth of a second,
const LEAST_STEPS: u64 = 1_500_000;
/// and at most these, some seconds.
const MOST_STEPS: u64 = 100_000_000;
/// One of them is enough to compare so many words of sets.
const WORDS_A_STEP: u64 = 16;

/// The calls in conflict may rely on so many others, before only those are kept that nothing hides.
const MANY_CALLS: usize = 64;

/// What is known of an illegal partition.
pub(crate) enum Start {
    /// The search was stuck at the return of this call, at the farthest.
    Searched(Option<u32>),
    /// Nothing, and there can be no cuts.
    Whole,
    /// These calls are in conflict, up to and including `horizon`.
    Conflict {
        seeds: Vec<u32>,
        horizon: u64,
        /// Whether nothing before the horizon is illegal.
        earliest: bool,
    },
}

/// Shrinks an illegal partition, whose verdict took `spent` steps.
pub(crate) fn shrink<S: Spec>(
    partition: &Partition<S>,
    start: Start,
    spent: u64,
    options: &Options<'_>,
) -> Core {
    let mut budget = Budget::new(limits(spent, options), options.stop);
    if let Start::Searched(Some(stuck)) = start
        && let Some(core) = at_end(partition, stuck, &mut budget)
    {
        return core;
    }
    let (seeds, (horizon, earliest)) = match start {
        Start::Searched(stuck) => (Vec::new(), cut(partition, stuck, &mut budget)),
        Start::Whole => (Vec::new(), (u64::MAX, false)),
        Start::Conflict { seeds, horizon, earliest } => (seeds, (horizon, earliest)),
    };
    let mut shrinker = Shrinker::new(partition, Evidence::new(partition, horizon), &mut budget);
    let begun = match seeds.is_empty() {
        true => shrinker.begin_at_end().map(|_| ()),
        false => shrinker.begin_with(&seeds),
    };
    shrinker.finish(begun, earliest)
}

/// What a shrink may take after a verdict that took `spent` steps.
fn limits(spent: u64, options: &Options<'_>) -> Limits {
    let steps = spent.saturating_mul(STEPS_PER_STEP).clamp(LEAST_STEPS, MOST_STEPS);
    Limits { steps: steps.min(options.limits.steps), ..options.limits }
}

/// A counterexample among a few calls around the place where a search that is not finished was
/// stuck, if `budget` is enough to find one there.
///
/// Everything before that place is legal, because the search came so far. It may be stuck somewhat
/// before the calls that are to blame, since some of its rules look ahead, so the next few returns
/// are tried as the end, too.
pub(crate) fn guess<S: Spec>(
    partition: &Partition<S>,
    stuck: u32,
    budget: &mut Budget<'_>,
    options: &Options<'_>,
) -> Option<Core> {
    let first = partition.calls[stuck as usize].answer.as_ref()?.end;
    budget.spend(2 * partition.calls.len() as u64).ok()?;
    let end = |call: &Call<S>| call.answer.as_ref().map(|answer| answer.end);
    let mut ends: Vec<u64> =
        partition.calls.iter().filter_map(end).filter(|end| *end >= first).collect();
    ends.sort_unstable();
    ends.dedup();
    ends.truncate(MOST_ENDS);
    // Before every window there is much the same.
    let past = Past::before(partition, first, LONGEST_END);
    let mut last = SHORTEST_END;
    loop {
        for (place, &horizon) in ends.iter().enumerate() {
            budget.spend(past.steps(partition, horizon)).ok()?;
            let evidence = past.window(partition, horizon, last);
            let mut shrinker = Shrinker::new(partition, evidence, budget);
            if shrinker.begin_with_all().ok()? {
                let earliest =
                    place == 0 || is_legal_up_to(partition, ends[place - 1], shrinker.budget);
                let limits = limits(shrinker.budget.spent(), options);
                let budget = &mut Budget::new(limits, options.stop);
                let shrinker = Shrinker { budget, ..shrinker };
                return Some(shrinker.finish(Ok(()), earliest));
            }
        }
        if last >= LONGEST_END.min(partition.calls.len()) {
            return None;
        }
        last *= 2;
    }
}

/// Whether everything up to this coordinate is known to be legal.
fn is_legal_up_to<S: Spec>(partition: &Partition<S>, end: u64, budget: &mut Budget<'_>) -> bool {
    let all: Vec<u32> = (0..partition.calls.len() as u32).collect();
    let problem = Problem::new(partition, &all, end);
    matches!(search(partition, &problem, Rules::ALL, budget).0, Found::Legal(_))
}

/// The counterexample that ends where a finished search was stuck, if a few calls before that are
/// illegal already, or all if there are no more. Nothing before it is.
fn at_end<S: Spec>(partition: &Partition<S>, stuck: u32, budget: &mut Budget<'_>) -> Option<Core> {
    let horizon = partition.calls[stuck as usize].answer.as_ref()?.end;
    let evidence = Evidence::ending(partition, horizon, LONGEST_END);
    let mut shrinker = Shrinker::new(partition, evidence, budget);
    let found = shrinker.begin_at_end().ok()? || shrinker.is_illegal_whole().ok()?;
    found.then(|| shrinker.finish(Ok(()), true))
}

/// The earliest coordinate up to which the partition is illegal, and whether it is known to be the
/// earliest.
fn cut<S: Spec>(
    partition: &Partition<S>,
    stuck: Option<u32>,
    budget: &mut Budget<'_>,
) -> (u64, bool) {
    let end = |call: &Call<S>| call.answer.as_ref().map(|answer| answer.end);
    let mut ends: Vec<u64> = partition.calls.iter().filter_map(end).collect();
    ends.sort_unstable();
    ends.dedup();
    let all: Vec<u32> = (0..partition.calls.len() as u32).collect();
    // Legal up to every end before `low`, illegal up to the one at `high`. The search passed all
    // returns before the one at which it was stuck; most often it could not have passed that one
    // whatever came later, too.
    let stuck = stuck.and_then(|place| end(&partition.calls[place as usize]));
    let mut low = stuck.map_or(0, |end| ends.partition_point(|other| *other < end));
    let mut high = ends.len().saturating_sub(1);
    let mut next = low;
    while low < high {
        let problem = Problem::new(partition, &all, ends[next]);
        match search(partition, &problem, Rules::ALL, budget).0 {
            Found::Legal(_) => low = next + 1,
            Found::Illegal => high = next,
            Found::Halted(_) => return (ends[high], false),
        }
        next = low.midpoint(high);
    }
    (ends.get(high).copied().unwrap_or(u64::MAX), true)
}

struct Shrinker<'a, 'b, S: Spec> {
    partition: &'a Partition<S>,
    evidence: Evidence,
    budget: &'a mut Budget<'b>,
    /// The smallest sound and illegal set so far.
    best: Kept,
    known: Known,
    /// Calls without which nothing is illegal, unless it keeps another of them: those that return at the horizon, if
    /// all before it is legal. None is known if there are none.
    last: Vec<usize>,
    /// The set that is tried, and where its calls are.
    draft: Draft,
    places: Vec<u32>,
}

impl<'a, 'b, S: Spec> Shrinker<'a, 'b, S> {
    /// Begins with all there is.
    fn new(partition: &'a Partition<S>, evidence: Evidence, budget: &'a mut Budget<'b>) -> Self {
        let (best, known, last) = (evidence.all(), Known::default(), Vec::new());
        let (draft, places) = (Draft::default(), Vec::new());
        Self { partition, evidence, budget, best, known, last, draft, places }
    }

    fn finish(mut self, begun: Result<(), Halt>, earliest: bool) -> Core {
        if earliest {
            self.last = self.evidence.at_horizon();
        }
        let mut finished = begun.and_then(|()| self.run(earliest));
        if self.best.len() > READABLE_CALLS && finished.is_ok() && !self.evidence.terse {
            self.evidence.terse = true;
            finished = self.run(earliest);
        }
        let calls = self.evidence.places(&self.best).collect();
        Core { calls, exact: earliest && finished.is_ok() }
    }

    /// Begins with the calls in conflict and what they rely on, if that is illegal.
    fn begin_with(&mut self, seeds: &[u32]) -> Result<(), Halt> {
        let seeds = self.evidence.items_at(seeds);
        let most = seeds.len() + MANY_CALLS;
        if self.evidence.complete(&seeds, most, &mut self.draft, self.budget)?
            && self.is_better()?
        {
            return Ok(());
        }
        self.evidence.terse = true;
        self.attempt(&seeds)?;
        self.evidence.terse = self.best.len() > SINGLES_UP_TO_CALLS;
        Ok(())
    }

    /// Begins with all that is sound with nothing before it, if that is illegal. Says whether it is.
    fn begin_with_all(&mut self) -> Result<bool, Halt> {
        self.evidence.terse = true;
        self.attempt_without(&[])
    }

    /// Begins with as few of the last calls as are illegal with nothing before them. Says whether
    /// there are such.
    fn begin_at_end(&mut self) -> Result<bool, Halt> {
        let count = self.evidence.len();
        let mut last = SHORTEST_END;
        self.evidence.terse = true;
        while last < count {
            let dropped: Vec<usize> = (0..count - last).collect();
            if self.attempt_without(&dropped)? {
                return Ok(true);
            }
            last *= 2;
        }
        if self.evidence.is_window && self.begin_with_all()? {
            return Ok(true);
        }
        self.evidence.terse = false;
        Ok(false)
    }

    /// Whether all there is, with nothing before it, is illegal: then that is the start.
    fn is_illegal_whole(&mut self) -> Result<bool, Halt> {
        let all = self.evidence.all();
        Ok(!self.evidence.is_window && self.is_illegal(&all)?)
    }

    fn run(&mut self, grow: bool) -> Result<(), Halt> {
        if grow {
            self.grow()?;
        }
        self.reduce_both_ways()?;
        let most = if self.evidence.shields_any(&self.best) { PAIRS_UP_TO_CALLS } else { 0 };
        if grow && self.best.len() > SMALL_CALLS + 1 && self.best.len() <= most {
            let before = self.best.len();
            self.grow_by_pairs()?;
            if self.best.len() < before {
                self.reduce_both_ways()?;
            }
        }
        Ok(())
    }

    /// Reducing from either end gives different sets; both are tried from the same start. Where one of them finds
    /// nothing that can go, so would the other.
    fn reduce_both_ways(&mut self) -> Result<(), Halt> {
        let start = self.best.clone();
        self.reduce(false)?;
        if self.best.len() > SMALL_CALLS && self.best != start {
            let forward = std::mem::replace(&mut self.best, start);
            let backward = self.reduce(true);
            if backward.is_err() || forward.len() <= self.best.len() {
                self.best = forward;
            }
        }
        Ok(())
    }

    fn is_illegal(&mut self, kept: &Kept) -> Result<bool, Halt> {
        if !self.last.is_empty() && !self.last.iter().any(|call| kept.has(*call)) {
            return Ok(false);
        }
        let (known, compared) = self.known.is_illegal(kept);
        self.budget.spend(1 + compared / WORDS_A_STEP)?;
        if let Some(known) = known {
            return Ok(known);
        }
        self.places.clear();
        self.places.extend(self.evidence.places(kept));
        let problem = Problem::new(self.partition, &self.places, self.evidence.horizon());
        self.budget.spend(self.places.len() as u64 + 8)?;
        let (found, _) = search(self.partition, &problem, Rules::ALL, self.budget);
        problem.leave(self.partition);
        let illegal = match found {
            Found::Halted(halt) => return Err(halt),
            Found::Illegal => true,
            Found::Legal(_) => false,
        };
        self.known.learn(kept, illegal);
        Ok(illegal)
    }

    /// Whether the best has none of the last calls without these.
    fn is_legal_without(&self, dropped: &[usize]) -> bool {
        let goes = |call: &usize| !self.best.has(*call) || dropped.contains(call);
        !self.last.is_empty() && self.last.iter().all(goes)
    }

    /// Tries the calls at the horizon alone and with one other call.
    fn grow(&mut self) -> Result<(), Halt> {
        let members = self.best.members();
        for stuck in self.evidence.at_horizon() {
            if self.attempt(&[stuck])? {
                return Ok(());
            }
            if members.len() > SINGLES_UP_TO_CALLS {
                continue;
            }
            // The nearest calls are the likeliest to be to blame.
            for &other in members.iter().rev() {
                self.attempt(&[stuck, other])?;
                if self.best.len() <= SMALL_CALLS {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Tries the calls at the horizon with two others of the best, from which nothing more can go.
    ///
    /// Every sound part of that is legal, so this is of use only where the completion of some of
    /// its calls may be no part of it: where shields count, since fewer calls have fewer shields.
    fn grow_by_pairs(&mut self) -> Result<(), Halt> {
        let members = self.best.members();
        for stuck in self.evidence.at_horizon() {
            for (place, &one) in members.iter().enumerate().rev() {
                for &other in members[..place].iter().rev() {
                    self.attempt(&[stuck, one, other])?;
                }
                if self.best.len() <= SMALL_CALLS + 1 {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes the smallest sound set with these calls for the best, if it is smaller and illegal.
    fn attempt(&mut self, calls: &[usize]) -> Result<bool, Halt> {
        let most = self.best.len();
        Ok(self.evidence.complete(calls, most, &mut self.draft, self.budget)?
            && self.is_better()?)
    }

    /// Takes a sound set without these calls for the best, if it is illegal.
    fn attempt_without(&mut self, dropped: &[usize]) -> Result<bool, Halt> {
        self.evidence.without(&self.best, dropped, &mut self.draft, self.budget)?;
        Ok(!self.draft.kept.is_empty() && self.is_better()?)
    }

    /// Takes the draft for the best, if it is illegal.
    fn is_better(&mut self) -> Result<bool, Halt> {
        let mut kept = std::mem::take(&mut self.draft.kept);
        let illegal = self.is_illegal(&kept)?;
        if illegal {
            std::mem::swap(&mut self.best, &mut kept);
        }
        self.draft.kept = kept;
        Ok(illegal)
    }

    /// Leaves out what can be left out, in large pieces first, then call by call.
    ///
    /// Each call needs to be tried once. If the best without it is legal, so is every later best
    /// without it, which is a sound part of that; and so is the best without any piece that it is in.
    fn reduce(&mut self, backward: bool) -> Result<(), Halt> {
        let count = self.best.len();
        let mut piece = if count > FEW_CALLS { count.div_ceil(2) } else { 1 };
        loop {
            let mut order = self.best.members();
            if backward {
                order.reverse();
            }
            for calls in order.chunks(piece) {
                let dropped: Vec<usize> =
                    calls.iter().copied().filter(|call| self.best.has(*call)).collect();
                if dropped.is_empty() || self.is_legal_without(&dropped) {
                    continue;
                }
                self.attempt_without(&dropped)?;
            }
            if piece == 1 {
                return Ok(());
            }
            piece = piece.div_ceil(4).min(piece - 1).max(1);
        }
    }
}
