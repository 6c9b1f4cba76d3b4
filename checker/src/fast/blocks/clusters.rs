//! The blocks: what belongs together, whether it is legal inside, and what real time says of each.

use super::End;
use super::items::{BEFORE, Item, Items, NEVER};
use super::sources::Sources;
use crate::budget::Budget;
use crate::fast::zones::Zone;
use crate::problem::NONE;

/// The earliest end and the latest start of some calls, and whose they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first_end: (u64, u32),
    pub(super) last_start: (u64, u32),
}

impl Span {
    const NOTHING: Self = Self { first_end: (NEVER, NONE), last_start: (BEFORE, NONE) };

    pub(super) fn add(&mut self, place: u32, item: &Item) {
        if item.end < self.first_end.0 {
            self.first_end = (item.end, place);
        }
        if item.start > self.last_start.0 {
            self.last_start = (item.start, place);
        }
    }

    fn join(&mut self, other: Self) {
        self.first_end = self.first_end.min(other.first_end);
        self.last_start = self.last_start.max(other.last_start);
    }
}

/// The same by the calls alone: there is one of these for every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    first_end: u32,
    last_start: u32,
}

impl Marks {
    const NOTHING: Self = Self { first_end: NONE, last_start: NONE };

    fn of(span: Span) -> Self {
        Self { first_end: span.first_end.1, last_start: span.last_start.1 }
    }

    fn add(&mut self, place: u32, items: &Items) {
        let mut span = self.span(items);
        span.add(place, &items.all[place as usize]);
        *self = Self::of(span);
    }

    /// With the times, where each call is one of the items or there is none.
    pub(super) fn span(self, items: &Items) -> Span {
        let item = |place: u32| items.all.get(place as usize);
        Span {
            first_end: (item(self.first_end).map_or(NEVER, |item| item.end), self.first_end),
            last_start: (item(self.last_start).map_or(BEFORE, |item| item.start), self.last_start),
        }
    }
}

/// All blocks.
pub(super) struct Clusters {
    /// For each source, the initial state last: the cas that needs its state.
    pub(super) next: Vec<u32>,
    /// For each source: its readers.
    pub(super) readers: Vec<Marks>,
    /// For each block, its first source.
    pub(super) heads: Vec<u32>,
    /// For each block, what real time says of it.
    pub(super) zones: Vec<Zone>,
    marks: Vec<Marks>,
}

impl Clusters {
    pub(super) fn new(
        items: &Items,
        sources: &Sources,
        budget: &mut Budget<'_>,
    ) -> Result<Self, End> {
        let sites = items.all.len() + 1;
        // Each block has a first source.
        let most = items.mutators + 1;
        budget.spend(2 * sites as u64)?;
        let mut clusters = Self {
            next: vec![NONE; sites],
            readers: vec![Marks::NOTHING; sites],
            heads: Vec::with_capacity(most),
            zones: Vec::with_capacity(most),
            marks: Vec::with_capacity(most),
        };
        let mut glued = clusters.gather(items, sources)?;
        if clusters.readers[sites - 1] != Marks::NOTHING || clusters.next[sites - 1] != NONE {
            clusters.build(items, items.initial(), &mut glued)?;
        }
        for (place, item) in (0_u32..).zip(&items.all) {
            let starts = sources.happened[place as usize]
                && item.leaves().is_some()
                && sources.of[place as usize] == NONE;
            if starts {
                clusters.build(items, place, &mut glued)?;
            }
        }
        match glued {
            0 => Ok(clusters),
            _ => Err(End::Illegal(clusters.circle(items, sources))),
        }
    }

    /// Puts readers and cas to their sources. Returns how many cas there are.
    fn gather(&mut self, items: &Items, sources: &Sources) -> Result<usize, End> {
        let mut glued = 0;
        for (place, item) in (0_u32..).zip(&items.all) {
            let source = sources.of[place as usize];
            if source == NONE || !sources.happened[place as usize] {
                continue;
            }
            if item.leaves().is_none() {
                self.readers[source as usize].add(place, items);
                continue;
            }
            glued += 1;
            let other = std::mem::replace(&mut self.next[source as usize], place);
            if other != NONE {
                return Err(End::Illegal(with(source, &[other, place], items)));
            }
        }
        Ok(glued)
    }

    /// Walks one block from its first source.
    fn build(&mut self, items: &Items, head: u32, glued: &mut usize) -> Result<(), End> {
        let mut span = Span::NOTHING;
        let mut latest = (BEFORE, NONE);
        let mut source = head;
        loop {
            let mut own = Span::NOTHING;
            match items.all.get(source as usize) {
                Some(item) => own.add(source, item),
                None => own.first_end = (BEFORE, NONE),
            }
            for layer in [own, self.readers[source as usize].span(items)] {
                // Something later in the block ended before something earlier in it started.
                if layer.first_end.0 < latest.0 {
                    let both = [layer.first_end.1, latest.1];
                    return Err(End::Illegal(with(source, &both, items)));
                }
                latest = latest.max(layer.last_start);
                span.join(layer);
            }
            match self.next[source as usize] {
                NONE => break,
                cas => source = cas,
            }
            *glued -= 1;
        }
        self.heads.push(head);
        self.marks.push(Marks::of(span));
        self.zones.push(Zone { first_end: span.first_end.0, last_start: span.last_start.0 });
        Ok(())
    }

    /// Some cas of which each needs what another leaves.
    fn circle(&self, items: &Items, sources: &Sources) -> Vec<u32> {
        let mut reached = vec![false; items.all.len() + 1];
        for &head in &self.heads {
            let mut source = head;
            while source != NONE {
                reached[source as usize] = true;
                source = self.next[source as usize];
            }
        }
        let is_stray = |place: &u32| {
            sources.of[*place as usize] != NONE
                && sources.happened[*place as usize]
                && items.all[*place as usize].leaves().is_some()
                && !reached[*place as usize]
        };
        let first = (0..items.all.len() as u32).find(is_stray);
        let mut circle: Vec<u32> = Vec::new();
        let mut place = first.unwrap_or(NONE);
        while place != NONE && !std::mem::replace(&mut reached[place as usize], true) {
            circle.push(place);
            place = sources.of[place as usize];
        }
        circle
    }

    /// The calls that make two blocks each come before the other.
    pub(super) fn conflict(&self, a: u32, b: u32) -> End {
        let marks = [a, b].map(|block| self.marks[block as usize]);
        let calls = marks.iter().flat_map(|marks| [marks.first_end, marks.last_start]);
        let heads = [a, b].map(|block| self.heads[block as usize]);
        let real = |place: &u32| *place != NONE && (*place as usize) < self.next.len() - 1;
        End::Illegal(calls.chain(heads).filter(real).collect())
    }
}

/// These calls and their source, if it is a call.
pub(super) fn with(source: u32, calls: &[u32], items: &Items) -> Vec<u32> {
    let is_call = |place: &u32| (*place as usize) < items.all.len();
    calls.iter().copied().chain([source]).filter(is_call).collect()
}
