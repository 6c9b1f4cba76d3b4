//! Which sets of calls are sound: the rule of the parent module, on shapes.

use super::kept::Kept;
use super::left_out::LeftOut;
use super::past::Past;
use crate::Spec;
use crate::budget::{Budget, Halt};
use crate::partition::{Leave, Need, Partition, StateId};

/// What the rule needs to know of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    place: u32,
    start: u64,
    /// None if it is open at the horizon.
    pub(super) end: Option<u64>,
    pub(super) need: Need,
    pub(super) leave: Leave,
    /// The latest end of the calls before the items on which it depends.
    pub(super) before: Option<u64>,
}

impl Item {
    /// A call as it stands at the horizon; none if it can have had no effect and was not answered.
    pub(super) fn new<S: Spec>(
        partition: &Partition<S>,
        place: usize,
        horizon: u64,
    ) -> Option<Self> {
        let (effect, answered) = partition.seen_from(place, horizon);
        let (need, leave) = (effect.need(), effect.leave());
        let call = &partition.calls[place];
        let end = call.answer.as_ref().map(|answer| answer.end).filter(|_| answered);
        let (place, start, before) = (place as u32, call.start, None);
        let item = Self { place, start, end, need, leave, before };
        (end.is_some() || leave != Leave::Unchanged).then_some(item)
    }

    /// Whether it needs nothing, and leaves what it leaves whatever it finds.
    fn depends_on_nothing(&self) -> bool {
        self.need == Need::Nothing && self.leave != Leave::Unclear
    }

    /// Whether it certainly left a state of its own.
    fn is_mutator(&self) -> bool {
        matches!(self.leave, Leave::Always(_)) && self.end.is_some()
    }

    /// The states that it needs or leaves.
    fn states(&mut self) -> impl Iterator<Item = &mut StateId> {
        let needed = match &mut self.need {
            Need::Exactly(state) | Need::AnythingBut(state) => Some(state),
            Need::Nothing | Need::Unclear => None,
        };
        let left = match &mut self.leave {
            Leave::Always(state) => Some(state),
            Leave::Unchanged | Leave::Unclear => None,
        };
        needed.into_iter().chain(left)
    }
}

/// A set in the making, and the room that takes: a shrink makes hundreds, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) kept: Kept,
    /// Members of which it is still to be seen what they depend on.
    work: Vec<usize>,
    left_out: LeftOut<Vec<Option<u64>>>,
    /// A set, and what is left out by it.
    whole: Kept,
    others: LeftOut<Vec<Option<u64>>>,
}

/// Every call up to the horizon that can have had an effect or was answered, or the last few of
/// them.
#[derive(Debug)]
pub(crate) struct Evidence {
    horizon: u64,
    /// In the order of their starts. States are numbered anew: only those that items name count.
    items: Vec<Item>,
    /// Those that certainly left a state of their own, in the order of their ends.
    mutators: Vec<usize>,
    /// Items that leave something: those of which it is unclear what, then those that leave the
    /// first state, then the second, and so on.
    leavers: Vec<usize>,
    /// Where the leavers of each state begin, and where they all end.
    runs: Vec<usize>,
    /// Whether any calls came before.
    pub(crate) is_window: bool,
    /// Whether a call that needs exactly a state can be shielded, too. It can, but a read of 3 is
    /// easier to believe wrong with the write of 3 beside it.
    pub(crate) terse: bool,
}

impl Evidence {
    /// Every call.
    pub(crate) fn new<S: Spec>(partition: &Partition<S>, horizon: u64) -> Self {
        Self::ending(partition, horizon, usize::MAX)
    }

    /// Only the last `most` calls that started up to the horizon.
    pub(crate) fn ending<S: Spec>(partition: &Partition<S>, horizon: u64, most: usize) -> Self {
        Past::before(partition, horizon, most).window(partition, horizon, most)
    }

    /// These items, in the order of their starts.
    pub(super) fn of(mut items: Vec<Item>, horizon: u64, is_window: bool) -> Self {
        let states = number_states(&mut items);
        let mut mutators: Vec<usize> =
            (0..items.len()).filter(|item| items[*item].is_mutator()).collect();
        mutators.sort_by_key(|item| items[*item].end);
        // The place of the run of an item; the first one is that of the unclear.
        let run = |item: &Item| match item.leave {
            Leave::Unchanged => None,
            Leave::Unclear => Some(0),
            Leave::Always(state) => Some(state as usize + 1),
        };
        let mut runs = vec![0; states + 2];
        items.iter().filter_map(run).for_each(|run| runs[run + 1] += 1);
        for run in 1..runs.len() {
            runs[run] += runs[run - 1];
        }
        let (mut ends, mut leavers) = (runs.clone(), vec![0; runs[states + 1]]);
        for (place, item) in items.iter().enumerate() {
            if let Some(run) = run(item) {
                leavers[ends[run]] = place;
                ends[run] += 1;
            }
        }
        runs.remove(0);
        Self { horizon, items, mutators, leavers, runs, is_window, terse: false }
    }

    pub(crate) fn horizon(&self) -> u64 {
        self.horizon
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Every item.
    pub(crate) fn all(&self) -> Kept {
        Kept::all(self.items.len())
    }

    /// The items whose return is the horizon.
    pub(crate) fn at_horizon(&self) -> Vec<usize> {
        (0..self.items.len()).filter(|item| self.items[*item].end == Some(self.horizon)).collect()
    }

    /// The items at these places of the partition.
    pub(crate) fn items_at(&self, places: &[u32]) -> Vec<usize> {
        places
            .iter()
            .filter_map(|place| self.items.binary_search_by_key(place, |item| item.place).ok())
            .collect()
    }

    /// Where the items of a set are in the partition.
    pub(crate) fn places(&self, kept: &Kept) -> impl Iterator<Item = u32> {
        kept.iter().map(|item| self.items[item].place)
    }

    /// Makes of the draft the given items and all that must be kept with them. False if those are
    /// `most` or more.
    pub(crate) fn complete(
        &self,
        items: &[usize],
        most: usize,
        draft: &mut Draft,
        budget: &mut Budget<'_>,
    ) -> Result<bool, Halt> {
        let Draft { kept, work, .. } = draft;
        kept.empty(self.items.len());
        work.clear();
        work.extend_from_slice(items);
        for &item in items {
            kept.add(item);
        }
        while let Some(place) = work.pop() {
            budget.spend(1 + self.items.len() as u64 / 8)?;
            let item = &self.items[place];
            if item.depends_on_nothing() {
                continue;
            }
            let shield = if self.heeds_shields(item) { self.shield(place, kept) } else { 0 };
            if item.before.is_some_and(|end| end >= shield) {
                return Ok(false);
            }
            for &other in self.suspects(item).into_iter().flatten() {
                let shielded = self.items[other].end.is_some_and(|end| end < shield);
                if other != place && !shielded && !kept.has(other) {
                    kept.add(other);
                    work.push(other);
                    if kept.len() >= most {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(kept.len() < most)
    }

    /// Makes of the draft a sound set without the given items: whatever depends on what is left out
    /// is left out too. All drafts of one are of the same evidence.
    pub(crate) fn without(
        &self,
        whole: &Kept,
        dropped: &[usize],
        draft: &mut Draft,
        budget: &mut Budget<'_>,
    ) -> Result<(), Halt> {
        self.leave_out_but(whole, draft);
        let Draft { kept, left_out, .. } = draft;
        kept.copy(whole);
        for &item in dropped {
            kept.remove(item);
            left_out.add(&self.items[item]);
        }
        // Again if something went that left a state: it may have shielded what was looked at
        // before, or be what that depends on. Nothing depends on what left all as it was.
        let mut changed = true;
        while changed {
            budget.spend(1 + self.items.len() as u64 / 2)?;
            changed = false;
            let (mut latest_shield, mut ended, mut next) = (0, 0, 0);
            while let Some(place) = kept.first_from(next) {
                next = place + 1;
                let item = &self.items[place];
                if item.depends_on_nothing() {
                    continue;
                }
                let heeds = self.heeds_shields(item);
                while heeds
                    && let Some(&mutator) = self.mutators.get(ended)
                    && self.items[mutator].end < Some(item.start)
                {
                    if kept.has(mutator) {
                        latest_shield = latest_shield.max(self.items[mutator].start);
                    }
                    ended += 1;
                }
                let shield = if heeds { latest_shield } else { 0 };
                let latest = left_out.latest_for(item).max(item.before);
                if latest.is_some_and(|end| end >= shield) {
                    kept.remove(place);
                    left_out.add(item);
                    changed |= item.leave != Leave::Unchanged;
                }
            }
        }
        Ok(())
    }

    /// Leaves out all but a set. Many drafts begin with the same set, one after the other.
    fn leave_out_but(&self, whole: &Kept, draft: &mut Draft) {
        if draft.whole != *whole || whole.is_empty() {
            draft.whole.copy(whole);
            draft.others.empty(self.runs.len() - 1);
            for place in (0..self.items.len()).filter(|place| !whole.has(*place)) {
                draft.others.add(&self.items[place]);
            }
        }
        draft.left_out.copy(&draft.others);
    }

    /// The latest start of a kept call that certainly left a state of its own before `item`
    /// started: what ended before that is shielded from `item`.
    fn shield(&self, item: usize, kept: &Kept) -> u64 {
        let start = self.items[item].start;
        let hides = |other: usize| {
            let other = &self.items[other];
            other.is_mutator() && other.end < Some(start)
        };
        kept.last_before(item, hides).map_or(0, |mutator| self.items[mutator].start)
    }

    /// Whether a shield hides anything from some call of a set.
    pub(crate) fn shields_any(&self, kept: &Kept) -> bool {
        kept.iter()
            .map(|item| &self.items[item])
            .any(|item| !item.depends_on_nothing() && self.heeds_shields(item))
    }

    /// Whether a shield hides anything from this call.
    fn heeds_shields(&self, item: &Item) -> bool {
        self.terse || !matches!(item.need, Need::Exactly(_))
    }

    /// The items on which this one depends unless it is shielded from them, in two runs; itself may
    /// be among them.
    fn suspects(&self, item: &Item) -> [&[usize]; 2] {
        let start = |state: StateId| self.runs[state as usize];
        let end = |state: StateId| self.runs[state as usize + 1];
        match (item.need, item.leave) {
            (Need::Unclear, _) | (_, Leave::Unclear) => [&self.leavers, &[]],
            (Need::Nothing, _) => [&[], &[]],
            (Need::Exactly(state), _) => {
                [&self.leavers[..self.runs[0]], &self.leavers[start(state)..end(state)]]
            }
            (Need::AnythingBut(state), _) => {
                [&self.leavers[..start(state)], &self.leavers[end(state)..]]
            }
        }
    }
}

/// Numbers the states that items name from 0 on, in the order of their old numbers. Says how many
/// there are.
fn number_states(items: &mut [Item]) -> usize {
    let mut states: Vec<StateId> =
        items.iter_mut().flat_map(Item::states).map(|state| *state).collect();
    states.sort_unstable();
    states.dedup();
    for state in items.iter_mut().flat_map(Item::states) {
        *state = states.partition_point(|other| *other < *state) as StateId;
    }
    states.len()
}
