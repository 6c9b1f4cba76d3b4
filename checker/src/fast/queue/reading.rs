//! Which dequeue took which item.
//!
//! Finds what one item shows alone: an answer of the wrong kind, a dequeue of what nobody enqueued,
//! two dequeues of one item, a dequeue that ended before the enqueue of its item started. Of those,
//! the one that was plain first is kept; the items are read to the end, since another pattern may
//! have been plain before.

use super::hasher::BuildItemHasher;
use super::{Item, Items, Span, UNENDED, Wrong};
use crate::specs::queue::{Op, Queue, Ret};
use crate::specs::register::Value;
use crate::{Budget, Call, Halt};
use std::collections::HashMap;

/// The items and what is wrong with one of them; or why these calls cannot be read as items.
type Read = Result<(Items, Option<Wrong>), &'static str>;

pub(super) fn read<T: Value>(
    calls: &[Call<Queue<T>>],
    budget: &mut Budget<'_>,
) -> Result<Read, Halt> {
    let mut reader = Reader::default();
    let mut item_of: HashMap<&T, u32, BuildItemHasher> =
        HashMap::with_capacity_and_hasher(calls.len() / 2, BuildItemHasher::default());
    // Most dequeues start after the enqueue of their item; these find it at hand.
    let mut early = Vec::new();
    for (place, call) in calls.iter().enumerate() {
        budget.spend(1)?;
        let Some(span) = span(place as u32, call) else {
            return Ok(Err("a call ends before it starts, or at the end of time"));
        };
        match (&call.op, call.answer.as_ref().map(|answer| &answer.ret)) {
            (Op::Enqueue(item), ret) => {
                let number = reader.items.items.len() as u32;
                if item_of.insert(item, number).is_some() {
                    return Ok(Err("an item is enqueued more than once"));
                }
                reader.items.items.push(Item { enqueue: span, dequeue: None });
                if ret.is_some_and(|ret| *ret != Ret::Done) {
                    reader.wrong(span.end, vec![span.place]);
                }
            }
            (Op::Dequeue, None) => reader.items.unknown.push(span),
            (Op::Dequeue, Some(Ret::Item(None))) => reader.items.empty.push(span),
            (Op::Dequeue, Some(Ret::Done)) => reader.wrong(span.end, vec![span.place]),
            (Op::Dequeue, Some(Ret::Item(Some(item)))) => match item_of.get(item) {
                Some(item) => reader.take(*item as usize, span),
                None => early.push((item, span)),
            },
        }
    }
    for (item, span) in early {
        budget.spend(1)?;
        match item_of.get(item) {
            Some(item) => reader.take(*item as usize, span),
            None => reader.wrong(span.end, vec![span.place]),
        }
    }
    drop(item_of);
    reader.finish(budget).map(Ok)
}

/// None if it is no span, or cannot be told from a call that never ended.
fn span<T: Value>(place: u32, call: &Call<Queue<T>>) -> Option<Span> {
    let end = call.answer.as_ref().map_or(UNENDED, |answer| answer.end);
    let known = call.start < UNENDED && (call.answer.is_none() || end < UNENDED);
    (known && call.start <= end).then_some(Span { place, start: call.start, end })
}

#[derive(Default)]
struct Reader {
    items: Items,
    wrong: Option<Wrong>,
}

impl Reader {
    fn wrong(&mut self, end: u64, calls: Vec<u32>) {
        if self.wrong.as_ref().is_none_or(|wrong| end < wrong.end) {
            self.wrong = Some(Wrong { end, calls });
        }
    }

    fn take(&mut self, item: usize, dequeue: Span) {
        let Item { enqueue, dequeue: other } = self.items.items[item];
        if let Some(other) = other {
            let calls = vec![enqueue.place, other.place, dequeue.place];
            return self.wrong(other.end.max(dequeue.end), calls);
        }
        self.items.items[item].dequeue = Some(dequeue);
        if dequeue.end < enqueue.start {
            self.wrong(dequeue.end, vec![enqueue.place, dequeue.place]);
        }
    }

    /// Drops the enqueues that need not have happened, and sorts.
    fn finish(mut self, budget: &mut Budget<'_>) -> Result<(Items, Option<Wrong>), Halt> {
        let items = &mut self.items.items;
        items.retain(|item| item.dequeue.is_some() || item.enqueue.end < UNENDED);
        let mut by_end: Vec<u32> = (0..items.len() as u32).collect();
        budget.spend(by_end.len() as u64)?;
        by_end.sort_by_key(|item| items[*item as usize].enqueue.end);
        self.items.by_end = by_end;
        Ok((self.items, self.wrong))
    }
}
