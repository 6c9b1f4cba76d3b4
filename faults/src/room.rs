//! Whether the fault budget has room for one more fault, among all that were placed so far.
//!
//! Faults are short against a run, so those beside a new one are found by their start: no placed fault lasts longer
//! than the longest so far. A question costs the logarithm of all faults and the few that are beside it.

use crate::claims::Load;
use crate::fault::Fault;
use std::collections::BTreeMap;
use std::time::Duration;

/// A fault's place in time, from the first moment at which it can strike.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) fault: &'static dyn Fault,
    pub(crate) load: Load,
    pub(crate) start: Duration,
    /// Until when it counts against the budget.
    pub(crate) counted: Duration,
    /// When its heal is over, at the latest.
    pub(crate) end: Duration,
}

/// Names a placed fault.
pub(crate) type Place = (Duration, usize);

/// All placed faults.
pub(crate) struct Room {
    down: usize,
    spans: BTreeMap<Place, Span>,
    longest: Duration,
    added: usize,
}

impl Room {
    /// Nothing placed yet, and room for so many nodes that are down at once.
    pub(crate) fn new(down: usize) -> Self {
        Self { down, spans: BTreeMap::new(), longest: Duration::ZERO, added: 0 }
    }

    /// Places a fault, whether or not there is room for it.
    pub(crate) fn take(&mut self, span: Span) -> Place {
        self.longest = self.longest.max(span.end.saturating_sub(span.start));
        self.added += 1;
        let place = (span.start, self.added);
        self.spans.insert(place, span);
        place
    }

    /// Takes a fault back.
    pub(crate) fn give_back(&mut self, place: Place) {
        self.spans.remove(&place);
    }

    /// Whether the budget is kept at every moment at which `new` could be in effect. The load only
    /// rises where a fault starts, so those moments are enough.
    pub(crate) fn has(&self, new: &Span) -> bool {
        let from = (new.start.saturating_sub(self.longest), 0);
        let near = self.spans.range(from..(new.end, 0)).map(|(_, span)| span);
        let beside: Vec<&Span> = near.filter(|other| new.start < other.end).collect();
        let same = |other: &&Span| other.fault.name() == new.fault.name();
        if !new.fault.several_at_once() && beside.iter().any(same) {
            return false;
        }
        if new.load == Load::Outage || beside.iter().any(|other| other.load == Load::Outage) {
            return beside.is_empty();
        }
        let starts = beside.iter().map(|other| other.start).chain([new.start]);
        starts.filter(|&at| at >= new.start && at < new.counted).all(|at| {
            let active = beside.iter().filter(|other| other.start <= at && at < other.counted);
            let load: usize = active.map(|other| other.load.nodes()).sum();
            load + new.load.nodes() <= self.down
        })
    }
}
