//! Items that nobody is known to have taken, and yet must be gone.
//!
//! If `x` was enqueued before an item that was later dequeued, it was taken before that dequeue
//! ended; if it was enqueued before a dequeue started that answered null, before that one ended.
//! The earliest such end is the deadline of `x`. Only a dequeue of unknown outcome can have taken
//! `x`, one each, and only one that started by the deadline.
//!
//! So the items with a deadline are given the unknown dequeues in the order in which those started,
//! the most urgent item first. If that fails at a deadline, as many items as were given a dequeue
//! and one more had to be taken by then, and no further unknown dequeue had started: no order is
//! legal. If it succeeds, each item can be taken in time, and none needs to overtake another: what
//! was enqueued earlier has an earlier deadline.
//!
//! The proof of a failure is these items, what set their deadlines, and every unknown dequeue that
//! started in time, since a dequeue left out could be the one that explains an item.

use super::{Item, Items, Span, Wrong};
use crate::{Budget, Halt};

/// An observation that everything before it was gone.
struct Witness {
    /// What was enqueued before this was gone by `end`.
    start: u64,
    end: u64,
    /// The dequeue, and the enqueue of its item if it took one.
    calls: (u32, Option<u32>),
}

/// Which items were lost to which unknown dequeues, or why there are too few of those.
type Explained = Result<Vec<(u32, Span)>, Wrong>;

pub(super) fn explain(history: &Items, budget: &mut Budget<'_>) -> Result<Explained, Halt> {
    let items = &history.items;
    let stayed = |item: &&u32| items[**item as usize].dequeue.is_none();
    // Whose enqueue ended earlier is at least as urgent.
    let lost: Vec<u32> = history.by_end.iter().filter(stayed).copied().collect();
    if lost.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let (witnesses, earliest) = witnesses(history, budget)?;
    let mut unknown = history.unknown.iter();
    let mut taken = Vec::new();
    let mut calls = Vec::new();
    for item in lost {
        budget.spend(1)?;
        let Item { enqueue, .. } = items[item as usize];
        let after = witnesses.partition_point(|witness| witness.start <= enqueue.end);
        let Some(witness) = earliest.get(after).map(|witness| &witnesses[*witness as usize]) else {
            break; // No deadline; none after it has one.
        };
        calls.extend([enqueue.place, witness.calls.0]);
        calls.extend(witness.calls.1);
        match unknown.next().filter(|dequeue| dequeue.start <= witness.end) {
            None => return Ok(Err(Wrong { end: witness.end, calls })),
            Some(dequeue) => {
                calls.push(dequeue.place);
                taken.push((item, *dequeue));
            }
        }
    }
    Ok(Ok(taken))
}

/// The witnesses in the order of their starts, and for each the one that ends first of it and those
/// after it.
fn witnesses(history: &Items, budget: &mut Budget<'_>) -> Result<(Vec<Witness>, Vec<u32>), Halt> {
    let mut witnesses = Vec::with_capacity(history.items.len() + history.empty.len());
    for Item { enqueue, dequeue } in &history.items {
        budget.spend(1)?;
        witnesses.extend(dequeue.map(|dequeue| Witness {
            start: enqueue.start,
            end: dequeue.end,
            calls: (dequeue.place, Some(enqueue.place)),
        }));
    }
    for empty in &history.empty {
        budget.spend(1)?;
        witnesses.push(Witness { start: empty.start, end: empty.end, calls: (empty.place, None) });
    }
    // Stable: two sorted runs are only merged.
    witnesses.sort_by_key(|witness| witness.start);
    let mut earliest: Vec<u32> = (0..witnesses.len() as u32).collect();
    for place in (1..earliest.len()).rev() {
        budget.spend(1)?;
        let (this, next) = (earliest[place - 1], earliest[place]);
        if witnesses[next as usize].end <= witnesses[this as usize].end {
            earliest[place - 1] = next;
        }
    }
    Ok((witnesses, earliest))
}
