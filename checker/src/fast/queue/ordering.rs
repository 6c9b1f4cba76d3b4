//! A legal order, if there is one: the certificate.
//!
//! Each dequeue that found nothing has an instant at which the queue can have been empty. An item is
//! over at such an instant if its dequeue can have started by then, else it is enqueued after it
//! (which it can be: else it would be there for certain). So the instants cut the items into epochs.
//! A dequeue starts no sooner than its enqueue and ends no later than its epoch: with spans clipped
//! so, the items of an epoch go before those of the next because of their dequeues.
//!
//! Clipping creates no pair that must go both ways, so an order exists if there was one without the
//! instants. Say the enqueue of x ended before that of y started, and the clipped dequeue of y ends
//! before that of x starts. If y's end is its own, this is pattern 2. Else it is the end t of the
//! epoch of y, by which y was enqueued: the enqueue of x had ended before t, and its dequeue starts
//! after t, so x was there at t for certain, against the choice of t.
//!
//! Then items are taken in turn that no other must go before: whose enqueue starts before every
//! enqueue of the others has ended, and whose dequeue starts before every dequeue of the others has
//! ended. Sorted lists and a pointer into each find them in linear time, since what may go stays free
//! to. The moments follow greedily, and the lists of enqueues, dequeues and empty answers are merged
//! by epoch and moment.

use super::{Item, Items, NEVER, Span};
use crate::{Budget, Halt};

/// The dequeue of an item within its epoch.
#[derive(Clone, Copy)]
struct Clipped {
    epoch: u32,
    start: u64,
    end: u64,
}

/// The places of the calls in a legal order; `instants` has one for each empty answer.
pub(super) fn order(
    history: &Items,
    instants: &[u64],
    budget: &mut Budget<'_>,
) -> Result<Option<Vec<u32>>, Halt> {
    let mut empty: Vec<(u64, u32)> =
        instants.iter().zip(&history.empty).map(|(instant, span)| (*instant, span.place)).collect();
    empty.sort_unstable();
    let mut cuts: Vec<u64> = empty.iter().map(|(instant, _)| *instant).collect();
    cuts.dedup();
    let clipped = clip(history, &cuts, budget)?;
    let Some(sequence) = sequence(history, &clipped, budget)? else { return Ok(None) };

    let mut order: Vec<((u32, u64), u32)> = Vec::with_capacity(2 * sequence.len() + empty.len());
    let mut dequeues = Vec::with_capacity(sequence.len());
    let (mut moment_in, mut moment_out) = (0, 0);
    for item in sequence {
        budget.spend(1)?;
        let (Clipped { epoch, start, .. }, item) =
            (clipped[item as usize], &history.items[item as usize]);
        moment_in = item.enqueue.start.max(moment_in);
        moment_out = start.max(moment_out);
        order.push(((epoch, moment_in), item.enqueue.place));
        dequeues.extend(item.dequeue.map(|Span { place, .. }| ((epoch, moment_out), place)));
    }
    let empty = empty.into_iter().map(|(instant, place)| {
        let epoch = cuts.partition_point(|cut| *cut < instant) as u32;
        ((epoch, NEVER), place)
    });
    // Stable: at one moment an item goes in before it comes out, and the rest is only merged.
    order.append(&mut dequeues);
    order.extend(empty);
    order.sort_by_key(|(moment, _)| *moment);
    Ok(Some(order.into_iter().map(|(_, place)| place).collect()))
}

/// What each epoch leaves of the dequeues of its items.
fn clip(history: &Items, cuts: &[u64], budget: &mut Budget<'_>) -> Result<Vec<Clipped>, Halt> {
    let mut clipped = Vec::with_capacity(history.items.len());
    for Item { enqueue, dequeue } in &history.items {
        budget.spend(1)?;
        let (start, end) = dequeue.map_or((NEVER, NEVER), |dequeue| (dequeue.start, dequeue.end));
        let start = start.max(enqueue.start);
        let epoch = cuts.partition_point(|cut| *cut < start);
        let end = cuts.get(epoch).copied().unwrap_or(NEVER).min(end);
        clipped.push(Clipped { epoch: epoch as u32, start, end });
    }
    Ok(clipped)
}

/// The items, each after all that must go before it; none if some must go before each other.
fn sequence(
    history: &Items,
    clipped: &[Clipped],
    budget: &mut Budget<'_>,
) -> Result<Option<Vec<u32>>, Halt> {
    let mut gone = vec![false; clipped.len()];
    let mut waits = vec![2_u8; clipped.len()];
    let mut sides = [Side::enqueues(history, budget)?, Side::dequeues(clipped, budget)?];
    let mut sequence = Vec::with_capacity(clipped.len());
    let mut free = Vec::new();
    while sequence.len() < clipped.len() {
        budget.spend(1)?;
        if let Some(item) = free.pop() {
            gone[item as usize] = true;
            sequence.push(item);
            continue;
        }
        for side in &mut sides {
            side.release(&gone, &mut waits, &mut free);
        }
        if free.is_empty() {
            return Ok(None);
        }
    }
    Ok(Some(sequence))
}

/// The enqueues, or the dequeues, of the items that are left.
struct Side {
    starts: Vec<(u64, u32)>,
    ends: Vec<(u64, u32)>,
    /// Of `starts`, those before this have been released.
    released: usize,
    /// Of `ends`, those before this are of items that are gone.
    passed: usize,
}

impl Side {
    /// Both lists are in order already.
    fn enqueues(history: &Items, budget: &mut Budget<'_>) -> Result<Self, Halt> {
        let items = &history.items;
        budget.spend(items.len() as u64)?;
        let start = |(place, item): (usize, &Item)| (item.enqueue.start, place as u32);
        let end = |place: &u32| (items[*place as usize].enqueue.end, *place);
        let starts = items.iter().enumerate().map(start).collect();
        let ends = history.by_end.iter().map(end).collect();
        Ok(Self { starts, ends, released: 0, passed: 0 })
    }

    fn dequeues(clipped: &[Clipped], budget: &mut Budget<'_>) -> Result<Self, Halt> {
        budget.spend(clipped.len() as u64)?;
        let places = || clipped.iter().zip(0..);
        let mut starts: Vec<(u64, u32)> =
            places().map(|(item, place)| (item.start, place)).collect();
        let mut ends: Vec<(u64, u32)> = places().map(|(item, place)| (item.end, place)).collect();
        starts.sort_by_key(|(time, _)| *time);
        ends.sort_by_key(|(time, _)| *time);
        Ok(Self { starts, ends, released: 0, passed: 0 })
    }

    /// Notes that items wait for this side no longer, and which of them wait for nothing.
    fn release(&mut self, gone: &[bool], waits: &mut [u8], free: &mut Vec<u32>) {
        while self.ends.get(self.passed).is_some_and(|(_, item)| gone[*item as usize]) {
            self.passed += 1;
        }
        let Some((end, _)) = self.ends.get(self.passed) else { return };
        while let Some((_, item)) = self.starts.get(self.released).filter(|next| next.0 <= *end) {
            self.released += 1;
            waits[*item as usize] -= 1;
            if waits[*item as usize] == 0 {
                free.push(*item);
            }
        }
    }
}
