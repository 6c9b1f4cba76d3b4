//! The legal order that blocks in order give, as a certificate.
//!
//! Blocks one after another, each layer by layer, a layer by the starts of its calls. No call then
//! ended before one that stands earlier started, so the latest start so far is a moment at which
//! each call may take effect. Mismatches, and calls that anything suits, are put in at such
//! moments: the first while they are open at which the state suits them. There is one: `mismatch`
//! has seen to it for every order.

use super::End;
use super::clusters::Clusters;
use super::items::{Items, Role};
use super::sources::Sources;
use crate::budget::Budget;
use crate::partition::StateId;
use crate::problem::NONE;

/// A call in the order, with when it takes effect and the state after it.
struct Place {
    call: u32,
    moment: u64,
    state: StateId,
}

/// The order, as places of calls.
pub(super) fn order(
    items: &Items,
    sources: &Sources,
    clusters: &Clusters,
    arranged: &[u32],
    budget: &mut Budget<'_>,
) -> Result<Vec<u32>, End> {
    budget.spend(4 * items.all.len() as u64)?;
    let base = base(items, sources, clusters, arranged);
    let mut inserted: Vec<(usize, u64, u32)> = Vec::new();
    for (call, item) in (0_u32..).zip(&items.all) {
        let avoided = match item.role() {
            Role::Mismatch(state) if item.is_answered() => Some(state),
            Role::Free if item.is_answered() => None,
            _ => continue,
        };
        // In front of which place of the base, and when.
        let mut at = base.partition_point(|place| place.moment < item.start);
        let mut moment = item.start;
        let state = |at: usize| at.checked_sub(1).map_or(0, |before| base[before].state);
        while avoided == Some(state(at)) {
            budget.spend(1)?;
            match base.get(at).filter(|place| place.moment <= item.end) {
                Some(place) => moment = moment.max(place.moment),
                None => return Err(End::Declined("no moment was found for a mismatch")),
            }
            at += 1;
        }
        inserted.push((at, moment, call));
    }
    inserted.sort_unstable();
    let mut order = Vec::with_capacity(base.len() + inserted.len());
    let mut next = inserted.into_iter().peekable();
    for (at, place) in base.iter().enumerate() {
        while let Some((.., call)) = next.next_if(|(before, ..)| *before <= at) {
            order.push(call);
        }
        order.push(place.call);
    }
    order.extend(next.map(|(.., call)| call));
    Ok(order)
}

fn base(items: &Items, sources: &Sources, clusters: &Clusters, arranged: &[u32]) -> Vec<Place> {
    let mut readers: Vec<(u32, u32)> = (0_u32..)
        .zip(&items.all)
        .filter(|(place, item)| item.leaves().is_none() && sources.of[*place as usize] != NONE)
        .map(|(place, _)| (sources.of[place as usize], place))
        .collect();
    readers.sort_unstable();
    let mut base: Vec<Place> = Vec::with_capacity(items.all.len());
    for block in arranged {
        let mut source = clusters.heads[*block as usize];
        while source != NONE {
            let state = items.all.get(source as usize).and_then(|item| item.leaves()).unwrap_or(0);
            let mut push = |call: u32| {
                let before = base.last().map_or(0, |place| place.moment);
                let moment = before.max(items.all[call as usize].start);
                base.push(Place { call, moment, state });
            };
            if source != items.initial() {
                push(source);
            }
            let first = readers.partition_point(|(of, _)| *of < source);
            for (_, reader) in readers[first..].iter().take_while(|(of, _)| *of == source) {
                push(*reader);
            }
            source = clusters.next[source as usize];
        }
    }
    base
}
