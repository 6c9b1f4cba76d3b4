//! Whether a history of a first-in, first-out queue is legal, by looking at pairs of items.
//!
//! Every item must be enqueued at most once, so that a dequeue says whose it is. An item is then
//! two spans, its enqueue and its dequeue, and a legal order is an order of the items with moments
//! for both. Write `x.out` for the dequeue of `x`; if nothing took `x`, it starts and ends never.
//!
//! # What is wrong with an illegal history
//!
//! 1. A dequeue took what nobody enqueued, what another dequeue took, or ended before the enqueue
//!    of its item started. `reading` finds these.
//! 2. `x` was enqueued before `y`, and `y` was taken before the dequeue of `x` started. If `x` was
//!    taken at all, `overtaking` finds it, else `losses`.
//! 3. A dequeue answered null, and at each instant of it some item was certainly in the queue: its
//!    enqueue had ended, its dequeue not begun. `emptiness` finds it.
//!
//! There is nothing else. Say `x` goes before `y` where its enqueue or its dequeue came before that
//! of `y`: items in any order that respects this relation can be put at moments greedily, each
//! enqueue and each dequeue as early as those before it allow. The relation is the union of two
//! interval orders. Of four spans of one such order with a before b and c before d, a is before d or
//! c is before b, so a cycle that alternates between the two can be shortened until it has two
//! items; and a cycle of two is pattern 2. `ordering` adds the dequeues that found nothing and finds
//! such an order; it is the certificate.
//!
//! # What has no answer
//!
//! An enqueue of unknown outcome ended whenever its item was taken; if it never was, the enqueue
//! need not have happened. A dequeue of unknown outcome may have taken any item, or nothing.
//! `losses` knows which items must have been taken so, and by when; it gives them such dequeues,
//! the most urgent first. If these are too few, no order is legal, by counting. If not, pattern 2 can
//! only be between items whose dequeues are known, and those patterns hold whatever else was taken.
//!
//! So unknown dequeues are decided exactly where no dequeue answered null. Beside one that did, an
//! item that is in the way may have been taken by an unknown dequeue, and this declines unless items
//! of known fate alone, or lost items before the first unknown dequeue started, leave no room.
//!
//! # What it does not do
//!
//! Items enqueued twice, and queues that are not empty at first, are the search's.
//!
//! A few sorts and passes over the calls: O(n log n) time, linear memory.

mod emptiness;
mod losses;
mod ordering;
mod overtaking;
mod reading;

use crate::specs::queue::Queue;
use crate::specs::register::Value;
use crate::{Budget, Call, Finding, Halt};
use emptiness::Stays;

const NAME: &str = "queue";

/// Later than every coordinate: the dequeue of an item that nobody took.
const NEVER: u64 = u64::MAX;

/// Later than every coordinate, but before never: the end of a call of unknown outcome.
const UNENDED: u64 = u64::MAX - 1;

/// Bytes held for each call, about.
const BYTES_PER_CALL: u64 = 160;

/// A call: where it is among the calls, when it started and ended.
#[derive(Clone, Copy, Debug)]
struct Span {
    place: u32,
    start: u64,
    end: u64,
}

/// An item that was in the queue, as far as is known.
#[derive(Clone, Debug)]
struct Item {
    enqueue: Span,
    dequeue: Option<Span>,
}

impl Item {
    /// When its dequeue started.
    fn leaves(&self) -> u64 {
        self.dequeue.map_or(NEVER, |dequeue| dequeue.start)
    }
}

/// A history, by item.
#[derive(Debug, Default)]
struct Items {
    /// In the order in which their enqueues started. Those of unknown outcome are only here if
    /// somebody took them.
    items: Vec<Item>,
    /// The places of `items` in the order in which their enqueues ended.
    by_end: Vec<u32>,
    /// Dequeues that found nothing, in the order of their starts.
    empty: Vec<Span>,
    /// Dequeues of unknown outcome, in the order of their starts.
    unknown: Vec<Span>,
}

/// Calls that are illegal alone.
#[derive(Debug)]
struct Wrong {
    /// When that was plain: the end of the answer that cannot be.
    end: u64,
    calls: Vec<u32>,
}

/// Decides calls of a queue; see [`crate::Spec::specialised`].
pub(crate) fn queue<T: Value>(
    initial: &Queue<T>,
    calls: &[Call<Queue<T>>],
    certify: bool,
    budget: &mut Budget<'_>,
) -> Result<Finding, Halt> {
    if !initial.0.is_empty() {
        return Ok(Finding::Declined("the queue is not empty at first"));
    }
    budget.hold(calls.len() as u64 * BYTES_PER_CALL)?;
    let (mut history, misread) = match reading::read(calls, budget)? {
        Ok(read) => read,
        Err(reason) => return Ok(Finding::Declined(reason)),
    };
    let (taken, lost) = match losses::explain(&history, budget)? {
        Ok(taken) => (taken, None),
        Err(lost) => (Vec::new(), Some(lost)),
    };
    let overtaken = overtaking::find(&history, budget)?;
    let certain = history.unknown.first().map_or(NEVER, |dequeue| dequeue.start);
    let blocked = Stays::new(&history, certain, budget)?.blocked(&history, budget)?;
    let wrong = [misread, lost, overtaken, blocked].into_iter().flatten();
    if let Some(mut first) = wrong.min_by_key(|wrong| wrong.end) {
        first.calls.sort_unstable();
        first.calls.dedup();
        return Ok(Finding::Illegal { by: NAME, calls: first.calls });
    }
    for (item, dequeue) in taken {
        history.items[item as usize].dequeue = Some(dequeue);
    }
    let Some(instants) = Stays::new(&history, NEVER, budget)?.instants(&history, budget)? else {
        return Ok(Finding::Declined(
            "which items the unanswered dequeues took decides when the queue was empty",
        ));
    };
    if !certify {
        return Ok(Finding::Legal { by: NAME, order: Vec::new() });
    }
    Ok(match ordering::order(&history, &instants, budget)? {
        Some(order) => Finding::Legal { by: NAME, order },
        None => Finding::Declined("no pattern is wrong and yet no order was found"),
    })
}
