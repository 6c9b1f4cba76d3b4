//! A legal order, if there is one: the certificate.
//!
//! Each dequeue that found nothing has an instant at which the queue can have been empty. An item is
//! over at such an instant if its dequeue can have started by then, else it is enqueued after it
//! (which it can be: else it would be there for certain). So the instants cut the items into epochs,
//! and the spans of each item are clipped to its epoch.
//!
//! Clipping creates no pair that must go both ways, so an order exists if there was one without the
//! instants. Say a clipped x is enqueued before y and the clipped y is taken before x, and they were
//! not before. Then one of the two is because of an instant t. If t ends the epoch of y, then y can
//! be over by t and x cannot. The enqueue of x ended before something of y started, so before t:
//! then x was there at t for certain, against the choice of t. If t begins the epoch of y and the
//! enqueue of x ended before t, then x is taken only after y was, which is after t: again x was there
//! at t. If t ends the epoch of x, then x can be over before y starts, and y before x: no.
//!
//! Then items are taken in turn that no other must go before: whose enqueue starts before every
//! enqueue of the others has ended, and whose dequeue starts before every dequeue of the others has
//! ended. Four sorted lists and a pointer into each find them in linear time, since what may go stays
//! free to. The moments follow greedily, and the lists of enqueues, dequeues and empty answers are
//! merged by epoch and moment.

use super::{Items, NEVER, Span};
use crate::{Budget, Halt};

/// The spans of an item within its epoch.
#[derive(Clone, Copy)]
struct Clipped {
    epoch: u32,
    enqueue: (u64, u64),
    dequeue: (u64, u64),
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
    let Some(sequence) = sequence(&clipped, budget)? else { return Ok(None) };

    let (mut enqueues, mut dequeues) = (Vec::new(), Vec::new());
    enqueues.reserve(sequence.len());
    dequeues.reserve(sequence.len());
    let (mut moment_in, mut moment_out) = (0, 0);
    for item in sequence {
        budget.spend(1)?;
        let (Clipped { epoch, enqueue, dequeue }, item) =
            (clipped[item as usize], &history.items[item as usize]);
        moment_in = enqueue.0.max(moment_in);
        moment_out = dequeue.0.max(moment_out).max(moment_in);
        enqueues.push(((epoch, moment_in), item.enqueue.place));
        dequeues.extend(item.dequeue.map(|Span { place, .. }| ((epoch, moment_out), place)));
    }
    let empty = empty.into_iter().map(|(instant, place)| {
        let epoch = cuts.partition_point(|cut| *cut < instant) as u32;
        ((epoch, NEVER), place)
    });
    // Stable: at one moment an item goes in before it comes out, and the rest is only merged.
    let mut order: Vec<((u32, u64), u32)> = enqueues;
    order.append(&mut dequeues);
    order.extend(empty);
    order.sort_by_key(|(moment, _)| *moment);
    Ok(Some(order.into_iter().map(|(_, place)| place).collect()))
}

/// What each epoch leaves of the spans of its items. An enqueue has also ended when its item is out.
fn clip(history: &Items, cuts: &[u64], budget: &mut Budget<'_>) -> Result<Vec<Clipped>, Halt> {
    let mut clipped = Vec::with_capacity(history.items.len());
    for item in &history.items {
        budget.spend(1)?;
        let enqueue = item.enqueue;
        let out = item.dequeue.map_or((NEVER, NEVER), |dequeue| (dequeue.start, dequeue.end));
        let earliest = out.0.max(enqueue.start);
        let epoch = cuts.partition_point(|cut| *cut < earliest);
        let from = epoch.checked_sub(1).map_or(0, |last| cuts[last]);
        let latest = cuts.get(epoch).copied().unwrap_or(NEVER).min(out.1);
        clipped.push(Clipped {
            epoch: epoch as u32,
            enqueue: (enqueue.start.max(from), enqueue.end.min(latest)),
            dequeue: (earliest, latest),
        });
    }
    Ok(clipped)
}

/// The items, each after all that must go before it; none if some must go before each other.
fn sequence(clipped: &[Clipped], budget: &mut Budget<'_>) -> Result<Option<Vec<u32>>, Halt> {
    let mut gone = vec![false; clipped.len()];
    let mut waits = vec![2_u8; clipped.len()];
    let mut sides = [
        Side::new(clipped, |item| item.enqueue, budget)?,
        Side::new(clipped, |item| item.dequeue, budget)?,
    ];
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
    fn new(
        clipped: &[Clipped],
        span: impl Fn(&Clipped) -> (u64, u64),
        budget: &mut Budget<'_>,
    ) -> Result<Self, Halt> {
        let mut starts = Vec::with_capacity(clipped.len());
        let mut ends = Vec::with_capacity(clipped.len());
        for (place, item) in clipped.iter().enumerate() {
            budget.spend(1)?;
            let (start, end) = span(item);
            starts.push((start, place as u32));
            ends.push((end, place as u32));
        }
        // Stable: they are nearly sorted already.
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
