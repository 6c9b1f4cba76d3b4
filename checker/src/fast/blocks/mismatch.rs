//! Mismatches: calls that need any state but one.
//!
//! Each is looked at alone, with what holds in *every* order of the rest:
//!
//! - A source is *in force* at least from the first end to the last start among itself, its
//!   readers and the cas that needs it. A mismatch that is open at some moment at which another
//!   state is in force has its moment there.
//! - If only one mutator leaves the state, the state is gone for good once any mutator that
//!   started after that one's end has ended; and it is not there before that one started (unless
//!   it is the initial one).
//! - A mismatch that begins and ends while the very state is in force has no moment: illegal.
//!
//! What is none of these might need some order of the rest and not another: declined.

use super::End;
use super::clusters::{Clusters, Span};
use super::items::{BEFORE, Item, Items, NEVER, Role};
use super::sources::{Makers, Sources};
use crate::budget::Budget;
use crate::partition::StateId;
use crate::problem::NONE;

/// A source while it is in force.
struct Reign {
    from: (u64, u32),
    to: (u64, u32),
    source: u32,
    state: StateId,
}

/// Decides every answered mismatch, or declines.
pub(super) fn check(
    items: &Items,
    sources: &Sources,
    clusters: &Clusters,
    budget: &mut Budget<'_>,
) -> Result<(), End> {
    if !items.has_mismatch {
        return Ok(());
    }
    budget.spend(4 * items.all.len() as u64)?;
    let reigns = reigns(items, sources, clusters);
    let gone = Gone::new(items);
    for (place, item) in (0_u32..).zip(&items.all) {
        let Role::Mismatch(state) = item.role() else { continue };
        if !item.is_answered() || is_absent(item, state, items, sources, &gone) {
            continue;
        }
        // The first reign that is not over, and the one after it, begin while this is open?
        let first = reigns.partition_point(|reign| reign.to.0 < item.start);
        let begun = |reign: &&Reign| reign.from.0 <= item.end;
        let mut open = reigns[first..].iter().take_while(begun).take(2);
        if open.any(|reign| reign.state != state) {
            continue;
        }
        let covers = |reign: &&Reign| reign.from.0 < item.start && item.end < reign.to.0;
        return Err(match reigns.get(first).filter(covers) {
            Some(reign) => {
                let calls = [place, reign.from.1, reign.to.1, reign.source];
                let real = |place: &u32| (*place as usize) < items.all.len();
                End::Illegal(calls.into_iter().filter(real).collect())
            }
            None => End::Declined(
                "a cas that found another value may need one of several orders of the rest",
            ),
        });
    }
    Ok(())
}

/// When each source is in force for certain; no two overlap, so they are sorted by both ends.
fn reigns(items: &Items, sources: &Sources, clusters: &Clusters) -> Vec<Reign> {
    let mut reigns = Vec::new();
    for &head in &clusters.heads {
        let mut source = head;
        while source != NONE {
            let Span { mut first_end, mut last_start } =
                clusters.readers[source as usize].span(items);
            let item = items.all.get(source as usize);
            first_end = first_end.min((item.map_or(BEFORE, |item| item.end), source));
            let next = clusters.next[source as usize];
            if let Some(cas) = items.all.get(next as usize) {
                last_start = last_start.max((cas.start, next));
            }
            if first_end.0 < last_start.0 {
                let state = item.and_then(Item::leaves).unwrap_or(0);
                reigns.push(Reign { from: first_end, to: last_start, source, state });
            }
            source = next;
        }
    }
    debug_assert!(sources.happened.len() == items.all.len());
    reigns.sort_by_key(|reign| (reign.from.0, reign.to.0));
    reigns
}

/// Whether the state is certainly not there at some moment of the call, by its only maker alone.
fn is_absent(item: &Item, state: StateId, items: &Items, sources: &Sources, gone: &Gone) -> bool {
    let maker = match sources.makers[state as usize] {
        Makers::Nobody => return true,
        Makers::Several => return false,
        Makers::One(maker) => maker,
    };
    match items.all.get(maker as usize) {
        // Nobody saw it, so it is left out.
        Some(_) if !sources.happened[maker as usize] => true,
        Some(made) => item.start <= made.start || gone.after(made.end) <= item.end,
        None => gone.after(BEFORE) <= item.end,
    }
}

/// For each moment, when the first answered mutator that starts after it has ended.
struct Gone {
    starts: Vec<u64>,
    /// The earliest end from here on.
    ends: Vec<u64>,
}

impl Gone {
    fn new(items: &Items) -> Self {
        let mutators =
            items.all.iter().filter(|item| item.is_answered() && item.leaves().is_some());
        let (starts, mut ends): (Vec<u64>, Vec<u64>) =
            mutators.map(|item| (item.start, item.end)).unzip();
        for place in (1..ends.len()).rev() {
            ends[place - 1] = ends[place - 1].min(ends[place]);
        }
        Self { starts, ends }
    }

    fn after(&self, moment: u64) -> u64 {
        let first = self.starts.partition_point(|start| *start <= moment);
        self.ends.get(first).copied().unwrap_or(NEVER)
    }
}
