//! Which sets of calls are sound: the rule of the parent module, on shapes.

use crate::Spec;
use crate::budget::{Budget, Halt};
use crate::partition::{Leave, Need, Partition};

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

/// Every call up to the horizon that can have had an effect or was answered.
#[derive(Debug)]
pub(crate) struct Evidence {
    horizon: u64,
    items: Vec<Item>,
    /// Whether a call that needs exactly a state can be shielded, too. It can, but a read of 3 is
    /// easier to believe wrong with the write of 3 beside it.
    pub(crate) terse: bool,
}

/// A set of items.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    has: Vec<bool>,
    count: usize,
}

impl Kept {
    fn none(items: usize) -> Self {
        Self { has: vec![false; items], count: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn has(&self, item: usize) -> bool {
        self.has[item]
    }

    pub(crate) fn members(&self) -> Vec<usize> {
        (0..self.has.len()).filter(|item| self.has[*item]).collect()
    }

    fn add(&mut self, item: usize) {
        self.count += usize::from(!self.has[item]);
        self.has[item] = true;
    }

    fn remove(&mut self, item: usize) {
        self.count -= usize::from(self.has[item]);
        self.has[item] = false;
    }
}

impl Evidence {
    pub(crate) fn new<S: Spec>(partition: &Partition<S>, horizon: u64) -> Self {
        let mut items = Vec::new();
        for (place, call) in partition.calls.iter().enumerate() {
            if call.start > horizon {
                break;
            }
            let ((need, leave), answered) = partition.seen_from(place, horizon);
            let end = call.answer.as_ref().map(|answer| answer.end).filter(|_| answered);
            if end.is_some() || leave != Leave::Unchanged {
                items.push(Item { place: place as u32, start: call.start, end, need, leave });
            }
        }
        Self { horizon, items, terse: false }
    }

    pub(crate) fn horizon(&self) -> u64 {
        self.horizon
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Every item.
    pub(crate) fn all(&self) -> Kept {
        Kept { has: vec![true; self.items.len()], count: self.items.len() }
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
            let shield = self.shield(item, &kept);
            for other in 0..self.items.len() {
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
        loop {
            let mut changed = false;
            for item in kept.members() {
                budget.spend(1 + self.items.len() as u64 / 8)?;
                let shield = self.shield(item, &kept);
                let unsound = (0..self.items.len())
                    .any(|other| !kept.has(other) && self.depends(item, other, shield));
                if unsound {
                    kept.remove(item);
                    changed = true;
                }
            }
            if !changed {
                return Ok(kept);
            }
        }
    }

    /// The latest start of a kept call that certainly left a state of its own before `item`
    /// started: what ended before that is shielded from `item`.
    fn shield(&self, item: usize, kept: &Kept) -> u64 {
        let start = self.items[item].start;
        self.items
            .iter()
            .enumerate()
            .take_while(|(_, other)| other.start < start)
            .filter(|(place, other)| {
                kept.has(*place)
                    && matches!(other.leave, Leave::Always(_))
                    && other.end.is_some_and(|end| end < start)
            })
            .map(|(_, other)| other.start)
            .max()
            .unwrap_or(0)
    }

    /// Whether leaving out `other` could make `item` impossible.
    fn depends(&self, item: usize, other: usize, shield: u64) -> bool {
        let (by, on) = (self.items[item], self.items[other]);
        let shielded = on.end.is_some_and(|end| end < shield);
        if item == other || shielded && (self.terse || !matches!(by.need, Need::Exactly(_))) {
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
