//! Which mutator each call saw, where only one is possible.

use super::End;
use super::items::{BEFORE, Item, Items, NEVER};
use crate::budget::Budget;
use crate::hash::Table;
use crate::partition::StateId;
use crate::problem::NONE;

/// Who leaves a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Makers {
    Nobody,
    One(u32),
    /// More than one; the place of the list in [`Sources::lists`], once somebody asks.
    Several,
}

/// What was found.
#[derive(Default)]
pub(super) struct Sources {
    /// For each call that happened and needs a state, whom it saw; [`Items::initial`] for the
    /// initial state. [`NONE`] for the others.
    pub(super) of: Vec<u32>,
    /// For each call, whether it happened.
    pub(super) happened: Vec<bool>,
    pub(super) makers: Vec<Makers>,
    /// For each call that had several makers to choose from, the mutator that hid all but one.
    hiders: Table<u32, u32>,
    /// For each call of unknown outcome that happened, who saw it.
    witnesses: Table<u32, u32>,
}

impl Sources {
    /// Adds to calls in conflict what made their sources and their happening certain.
    pub(super) fn complete(&self, items: &Items, calls: &mut Vec<u32>) {
        let mut next = 0;
        let mut known: Table<u32, ()> = calls.iter().map(|place| (*place, ())).collect();
        while let Some(place) = calls.get(next).copied() {
            next += 1;
            let source = self.of[place as usize];
            let reasons = [self.hiders.get(&place), self.witnesses.get(&place), Some(&source)];
            for &reason in reasons.into_iter().flatten() {
                if (reason as usize) < items.all.len() && known.insert(reason, ()).is_none() {
                    calls.push(reason);
                }
            }
        }
    }
}

/// Finds the source of every call that needs one, and with it the calls of unknown outcome that
/// happened. What was found is in `sources` also if there is an end.
pub(super) fn trace(
    items: &Items,
    sources: &mut Sources,
    budget: &mut Budget<'_>,
) -> Result<(), End> {
    budget.spend(2 * items.all.len() as u64)?;
    let mut makers = vec![Makers::Nobody; items.states];
    makers[0] = Makers::One(items.initial());
    for (place, item) in (0_u32..).zip(&items.all) {
        if let Some(state) = item.leaves() {
            let makers = &mut makers[state as usize];
            *makers = if *makers == Makers::Nobody { Makers::One(place) } else { Makers::Several };
        }
    }
    sources.makers = makers;
    sources.happened = items.all.iter().map(Item::is_answered).collect();
    sources.of = vec![NONE; items.all.len()];
    let mut tracer = Tracer { items, sources, candidates: None };
    let mut seen: Vec<u32> = Vec::new();
    for place in 0..items.all.len() as u32 {
        if items.all[place as usize].is_answered() {
            tracer.find(place, &mut seen, budget)?;
        }
        while let Some(place) = seen.pop() {
            tracer.find(place, &mut seen, budget)?;
        }
    }
    Ok(())
}

struct Tracer<'a> {
    items: &'a Items,
    sources: &'a mut Sources,
    candidates: Option<Candidates>,
}

impl Tracer<'_> {
    /// Notes the source of one call. One that is found to have happened by this goes to `seen`.
    fn find(
        &mut self,
        place: u32,
        seen: &mut Vec<u32>,
        budget: &mut Budget<'_>,
    ) -> Result<(), End> {
        let Some(state) = self.items.all[place as usize].needs() else { return Ok(()) };
        let source = match self.sources.makers[state as usize] {
            Makers::Nobody => return Err(End::Illegal(vec![place])),
            Makers::One(maker) => maker,
            Makers::Several => {
                if self.candidates.is_none() {
                    self.candidates = Some(Candidates::new(self.items, self.sources, budget)?);
                }
                let Some(candidates) = &self.candidates else { return Ok(()) };
                if let Some(hider) = candidates.hider(self.items, place) {
                    self.sources.hiders.insert(place, hider);
                }
                candidates.only(self.items, place, state, budget)?
            }
        };
        self.sources.of[place as usize] = source;
        if let Some(happened) = self.sources.happened.get_mut(source as usize)
            && !*happened
        {
            *happened = true;
            self.sources.witnesses.insert(source, place);
            seen.push(source);
        }
        Ok(())
    }
}

/// What decides between several mutators that leave one state.
struct Candidates {
    /// For each state with several makers those, in the order of their starts, each with the
    /// latest end so far.
    lists: Vec<Vec<(u32, u64)>>,
    /// The ends of the answered mutators, ascending, each with the latest start so far and whose
    /// it is.
    ends: Vec<(u64, u64, u32)>,
}

impl Candidates {
    fn new(items: &Items, sources: &Sources, budget: &mut Budget<'_>) -> Result<Self, End> {
        budget.spend(4 * items.all.len() as u64)?;
        let mut lists: Vec<Vec<(u32, u64)>> = vec![Vec::new(); items.states];
        if sources.makers[0] == Makers::Several {
            lists[0].push((items.initial(), BEFORE));
        }
        let mut ends = Vec::new();
        for (place, item) in (0_u32..).zip(&items.all) {
            let Some(state) = item.leaves() else { continue };
            if sources.makers[state as usize] == Makers::Several {
                let list = &mut lists[state as usize];
                let latest = list.last().map_or(BEFORE, |(_, latest)| *latest);
                list.push((place, latest.max(item.end)));
            }
            if item.is_answered() {
                ends.push((item.end, item.start, place));
            }
        }
        ends.sort_unstable();
        for place in 1..ends.len() {
            if ends[place].1 < ends[place - 1].1 {
                (ends[place].1, ends[place].2) = (ends[place - 1].1, ends[place - 1].2);
            }
        }
        Ok(Self { lists, ends })
    }

    /// The mutator that started last among those that ended before a call started.
    fn hider(&self, items: &Items, place: u32) -> Option<u32> {
        let start = items.all[place as usize].start;
        let before = self.ends.partition_point(|(end, ..)| *end < start);
        before.checked_sub(1).map(|last| self.ends[last].2)
    }

    /// The only mutator that the call at `place` can have seen in this state.
    fn only(
        &self,
        items: &Items,
        place: u32,
        state: StateId,
        budget: &mut Budget<'_>,
    ) -> Result<u32, End> {
        let call = &items.all[place as usize];
        let hider = self.hider(items, place);
        let hidden = hider.map_or(BEFORE, |hider| items.all[hider as usize].start);
        let list = &self.lists[state as usize];
        let span = |maker: u32| {
            items.all.get(maker as usize).map_or((BEFORE, BEFORE), |item| (item.start, item.end))
        };
        // Those that started after the call ended are not even looked at: there may be many.
        let began = list.partition_point(|(maker, _)| span(*maker).0 <= call.end);
        let mut only = None;
        for &(maker, latest) in list[..began].iter().rev() {
            budget.spend(1)?;
            // Nobody earlier ended late enough to be seen.
            if latest < hidden {
                break;
            }
            if span(maker).1 < hidden || maker == place {
                continue;
            }
            if only.is_some() {
                return Err(End::Declined(
                    "some operation needs a value that several writes left, and may have seen either",
                ));
            }
            only = Some(maker);
        }
        debug_assert!(call.end == NEVER || call.end >= call.start);
        only.ok_or_else(|| End::Illegal(vec![place]))
    }
}
