//! Which sets of calls are sound: the rule of the parent module, on shapes.

use crate::Spec;
use crate::budget::{Budget, Halt};
use crate::hash::Table;
use crate::partition::{Leave, Need, Partition, StateId};
use std::rc::Rc;

/// What the rule needs to know of a call.
#[derive(Clone, Copy, Debug)]
struct Item {
    place: u32,
    start: u64,
    /// None if it is open at the horizon.
    end: Option<u64>,
    need: Need,
    leave: Leave,
}

impl Item {
    /// A call as it stands at the horizon; none if it can have had no effect and was not answered.
    fn new<S: Spec>(partition: &Partition<S>, place: usize, horizon: u64) -> Option<Self> {
        let ((need, leave), answered) = partition.seen_from(place, horizon);
        let call = &partition.calls[place];
        let end = call.answer.as_ref().map(|answer| answer.end).filter(|_| answered);
        let item = Self { place: place as u32, start: call.start, end, need, leave };
        (end.is_some() || leave != Leave::Unchanged).then_some(item)
    }
}

/// The first calls of a partition, in a form that many windows after them can share.
#[derive(Debug)]
pub(crate) struct Past {
    /// The calls before this place,
    len: usize,
    /// of which these stand at all horizons from some one on as they do at that one;
    settled: Rc<LeftOut>,
    /// and these were answered after it.
    others: Vec<usize>,
}

impl Past {
    /// All but the last `most` calls that started up to `horizon`, as seen from there and later.
    pub(crate) fn before<S: Spec>(partition: &Partition<S>, horizon: u64, most: usize) -> Self {
        let len = started(partition, horizon).saturating_sub(most);
        let (mut settled, mut others) = (LeftOut::default(), Vec::new());
        for (place, call) in partition.calls[..len].iter().enumerate() {
            if call.answer.as_ref().is_some_and(|answer| answer.end > horizon) {
                others.push(place);
            } else if let Some(item) = Item::new(partition, place, horizon) {
                settled.add(&item);
            }
        }
        Self { len, settled: Rc::new(settled), others }
    }

    /// The last `most` calls that started up to `horizon`; those of the past are none of them.
    pub(crate) fn window<S: Spec>(
        &self,
        partition: &Partition<S>,
        horizon: u64,
        most: usize,
    ) -> Evidence {
        let started = started(partition, horizon);
        let first = started.saturating_sub(most).max(self.len);
        let mut before = LeftOut::default();
        let between = self.others.iter().copied().chain(self.len..first);
        for item in between.filter_map(|place| Item::new(partition, place, horizon)) {
            before.add(&item);
        }
        let items: Vec<Item> =
            (first..started).filter_map(|place| Item::new(partition, place, horizon)).collect();
        let is_mutator = |item: &Item| matches!(item.leave, Leave::Always(_)) && item.end.is_some();
        let mut mutators: Vec<usize> =
            (0..items.len()).filter(|item| is_mutator(&items[*item])).collect();
        mutators.sort_by_key(|item| items[*item].end);
        let leaver = |(place, item): (usize, &Item)| match item.leave {
            Leave::Unchanged => None,
            Leave::Unclear => Some((None, place)),
            Leave::Always(state) => Some((Some(state), place)),
        };
        let mut leavers: Vec<_> = items.iter().enumerate().filter_map(leaver).collect();
        leavers.sort_unstable();
        let settled = Rc::clone(&self.settled);
        let is_window = first > 0;
        Evidence { horizon, items, mutators, leavers, settled, before, is_window, terse: false }
    }

    /// Steps that [`Self::window`] takes.
    pub(crate) fn steps<S: Spec>(&self, partition: &Partition<S>, horizon: u64) -> u64 {
        (self.others.len() + started(partition, horizon).saturating_sub(self.len)) as u64 + 1
    }
}

/// How many calls started up to the horizon.
fn started<S: Spec>(partition: &Partition<S>, horizon: u64) -> usize {
    partition.calls.partition_point(|call| call.start <= horizon)
}

/// Every call up to the horizon that can have had an effect or was answered, or the last few of
/// them.
#[derive(Debug)]
pub(crate) struct Evidence {
    horizon: u64,
    /// In the order of their starts.
    items: Vec<Item>,
    /// Those that certainly left a state of their own, in the order of their ends.
    mutators: Vec<usize>,
    /// The state that an item leaves and the item, in that order; `None` where it is unclear which.
    leavers: Vec<(Option<StateId>, usize)>,
    /// What came before the items: much that windows share, and the rest.
    settled: Rc<LeftOut>,
    before: LeftOut,
    /// Whether any calls came before.
    pub(crate) is_window: bool,
    /// Whether a call that needs exactly a state can be shielded, too. It can, but a read of 3 is
    /// easier to believe wrong with the write of 3 beside it.
    pub(crate) terse: bool,
}

/// Of calls that are left out, the ends of those that ended last: what is not shielded from them
/// is not shielded from all.
#[derive(Debug, Default)]
struct LeftOut {
    /// By the state they left; `u64::MAX` is open.
    by_state: Table<StateId, u64>,
    /// The two states of the latest ends.
    latest: [Option<(u64, StateId)>; 2],
    /// Of those of which it is not clear what they left.
    unclear: Option<u64>,
}

impl LeftOut {
    fn add(&mut self, item: &Item) {
        let end = item.end.unwrap_or(u64::MAX);
        match item.leave {
            Leave::Unchanged => {}
            Leave::Unclear => self.unclear = self.unclear.max(Some(end)),
            Leave::Always(state) => {
                let latest = self.by_state.entry(state).or_insert(end);
                *latest = end.max(*latest);
                let new = Some((*latest, state));
                let [first, second] = self.latest;
                self.latest = match (first, second) {
                    (Some((_, known)), _) if known == state => [new, second],
                    _ if new > first => [new, first],
                    (_, Some((_, known))) if known == state => [first, new],
                    _ => [first, second.max(new)],
                };
            }
        }
    }

    /// The latest end of those on which a call depends.
    fn latest_for(&self, item: &Item) -> Option<u64> {
        let [first, second] = self.latest.map(|latest| latest.map(|(end, _)| end));
        let by_state = match (item.need, item.leave) {
            (Need::Unclear, _) | (_, Leave::Unclear) => first,
            (Need::Nothing, _) => return None,
            (Need::Exactly(state), _) => self.by_state.get(&state).copied(),
            (Need::AnythingBut(state), _) => match self.latest[0] {
                Some((_, left)) if left == state => second,
                _ => first,
            },
        };
        by_state.max(self.unclear)
    }
}

/// A set of items.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kept {
    /// A bit for each.
    words: Vec<u64>,
    count: usize,
}

impl Kept {
    fn none(items: usize) -> Self {
        Self { words: vec![0; items.div_ceil(64)], count: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn has(&self, item: usize) -> bool {
        self.words[item / 64] >> (item % 64) & 1 == 1
    }

    pub(crate) fn members(&self) -> Vec<usize> {
        let mut members = Vec::with_capacity(self.count);
        for (place, &word) in self.words.iter().enumerate() {
            let mut rest = word;
            while rest != 0 {
                members.push(64 * place + rest.trailing_zeros() as usize);
                rest &= rest - 1;
            }
        }
        members
    }

    fn add(&mut self, item: usize) {
        self.count += usize::from(!self.has(item));
        self.words[item / 64] |= 1 << (item % 64);
    }

    fn remove(&mut self, item: usize) {
        self.count -= usize::from(self.has(item));
        self.words[item / 64] &= !(1 << (item % 64));
    }
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

    pub(crate) fn horizon(&self) -> u64 {
        self.horizon
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Every item.
    pub(crate) fn all(&self) -> Kept {
        let mut all = Kept::none(self.items.len());
        for item in 0..self.items.len() {
            all.add(item);
        }
        all
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
    pub(crate) fn places(&self, kept: &Kept) -> Vec<u32> {
        kept.members().into_iter().map(|item| self.items[item].place).collect()
    }

    /// The given items and all that must be kept with them; none if those are `most` or more.
    pub(crate) fn complete(
        &self,
        items: &[usize],
        most: usize,
        budget: &mut Budget<'_>,
    ) -> Result<Option<Kept>, Halt> {
        let mut kept = Kept::none(self.items.len());
        let mut work = items.to_vec();
        for &item in items {
            kept.add(item);
        }
        while let Some(item) = work.pop() {
            budget.spend(1 + self.items.len() as u64 / 8)?;
            let heeds = self.heeds_shields(&self.items[item]);
            let shield = if heeds { self.shield(item, &kept) } else { 0 };
            if self.is_window && self.is_threatened(&self.items[item], &LeftOut::default(), shield)
            {
                return Ok(None);
            }
            for &(_, other) in self.suspects(item).into_iter().flatten() {
                if !kept.has(other) && self.depends(item, other, shield) {
                    kept.add(other);
                    work.push(other);
                    if kept.len() >= most {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(Some(kept))
    }

    /// A sound set without the given items: whatever depends on what is left out is left out too.
    pub(crate) fn without(
        &self,
        kept: &Kept,
        dropped: &[usize],
        budget: &mut Budget<'_>,
    ) -> Result<Kept, Halt> {
        let mut kept = kept.clone();
        for &item in dropped {
            kept.remove(item);
        }
        let mut left_out = LeftOut::default();
        for place in (0..self.items.len()).filter(|place| !kept.has(*place)) {
            left_out.add(&self.items[place]);
        }
        // Again if something went: it may have shielded what was looked at before.
        let mut changed = true;
        while changed {
            budget.spend(1 + self.items.len() as u64 / 2)?;
            changed = false;
            let (mut shield, mut ended) = (0, 0);
            for (place, item) in self.items.iter().enumerate() {
                while let Some(&mutator) = self.mutators.get(ended)
                    && self.items[mutator].end < Some(item.start)
                {
                    if kept.has(mutator) {
                        shield = shield.max(self.items[mutator].start);
                    }
                    ended += 1;
                }
                if kept.has(place) && self.is_threatened(item, &left_out, shield) {
                    kept.remove(place);
                    left_out.add(item);
                    changed = true;
                }
            }
        }
        Ok(kept)
    }

    /// The latest start of a kept call that certainly left a state of its own before `item`
    /// started: what ended before that is shielded from `item`.
    fn shield(&self, item: usize, kept: &Kept) -> u64 {
        let start = self.items[item].start;
        self.mutators
            .iter()
            .take_while(|mutator| self.items[**mutator].end < Some(start))
            .filter(|mutator| kept.has(**mutator))
            .map(|mutator| self.items[*mutator].start)
            .max()
            .unwrap_or(0)
    }

    /// Whether a shield hides anything from this call.
    fn heeds_shields(&self, item: &Item) -> bool {
        self.terse || !matches!(item.need, Need::Exactly(_))
    }

    /// Whether one of the calls left out, or of those before, could be what makes `item` possible.
    fn is_threatened(&self, item: &Item, left_out: &LeftOut, shield: u64) -> bool {
        let shield = if self.heeds_shields(item) { shield } else { 0 };
        let latest = left_out.latest_for(item).max(self.before.latest_for(item));
        latest.max(self.settled.latest_for(item)).is_some_and(|end| end >= shield)
    }

    /// The items on which this one may depend, in two runs: it depends on no other.
    fn suspects(&self, item: usize) -> [&[(Option<StateId>, usize)]; 2] {
        let Item { need, leave, .. } = self.items[item];
        let run = |wanted: Option<StateId>| {
            let from = self.leavers.partition_point(|(state, _)| *state < wanted);
            let length = self.leavers[from..].partition_point(|(state, _)| *state == wanted);
            &self.leavers[from..from + length]
        };
        match (need, leave) {
            (Need::Unclear, _) | (_, Leave::Unclear) => [&self.leavers, &[]],
            (Need::Nothing, _) => [&[], &[]],
            (Need::Exactly(state), _) => [run(None), run(Some(state))],
            (Need::AnythingBut(_), _) => [&self.leavers, &[]],
        }
    }

    /// Whether leaving out `other` could make `item` impossible.
    fn depends(&self, item: usize, other: usize, shield: u64) -> bool {
        let (by, on) = (self.items[item], self.items[other]);
        let shielded = on.end.is_some_and(|end| end < shield);
        if item == other || shielded && self.heeds_shields(&by) {
            return false;
        }
        match (by.need, by.leave, on.leave) {
            (_, _, Leave::Unchanged) => false,
            (Need::Unclear, _, _) | (_, Leave::Unclear, _) => true,
            (Need::Nothing, ..) => false,
            (_, _, Leave::Unclear) => true,
            (Need::Exactly(needed), _, Leave::Always(left)) => needed == left,
            (Need::AnythingBut(avoided), _, Leave::Always(left)) => avoided != left,
        }
    }
}
