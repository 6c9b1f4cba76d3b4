//! Which dequeue took which item.
//!
//! Finds what one item shows alone: an answer of the wrong kind, a dequeue of what nobody enqueued,
//! two dequeues of one item, a dequeue that ended before the enqueue of its item started. Of those,
//! the one that was plain first is kept; the items are read to the end, since another pattern may
//! have been plain before.

use super::{Item, Items, Span, UNENDED, Wrong};
use crate::hash::hash_of;
use crate::specs::queue::{Op, Queue, Ret};
use crate::specs::register::Value;
use crate::{Budget, Call, Halt};
use hashbrown::HashTable;

/// The items and what is wrong with one of them; or why these calls cannot be read as items.
type Read = Result<(Items, Option<Wrong>), &'static str>;

pub(super) fn read<T: Value>(
    calls: &[Call<Queue<T>>],
    budget: &mut Budget<'_>,
) -> Result<Read, Halt> {
    let mut reader = Reader::new(calls);
    // Most dequeues start after the enqueue of their item; these find it at hand.
    let mut early = Vec::new();
    for (place, call) in calls.iter().enumerate() {
        budget.spend(1)?;
        let Some(span) = span(place as u32, call) else {
            return Ok(Err("a call ends before it starts, or at the end of time"));
        };
        match (&call.op, call.answer.as_ref().map(|answer| &answer.ret)) {
            (Op::Enqueue(item), ret) => {
                if !reader.put(item, span) {
                    return Ok(Err("an item is enqueued more than once"));
                }
                if ret.is_some_and(|ret| *ret != Ret::Done) {
                    reader.wrong(span.end, vec![span.place]);
                }
            }
            (Op::Dequeue, None) => reader.items.unknown.push(span),
            (Op::Dequeue, Some(Ret::Item(None))) => reader.items.empty.push(span),
            (Op::Dequeue, Some(Ret::Done)) => reader.wrong(span.end, vec![span.place]),
            (Op::Dequeue, Some(Ret::Item(Some(item)))) => match reader.find(item) {
                Some(number) => reader.take(number, span),
                None => early.push((item, span)),
            },
        }
    }
    for (item, span) in early {
        budget.spend(1)?;
        match reader.find(item) {
            Some(number) => reader.take(number, span),
            None => reader.wrong(span.end, vec![span.place]),
        }
    }
    reader.finish(budget).map(Ok)
}

/// None if it is no span, or cannot be told from a call that never ended.
fn span<T: Value>(place: u32, call: &Call<Queue<T>>) -> Option<Span> {
    let end = call.answer.as_ref().map_or(UNENDED, |answer| answer.end);
    let known = call.start < UNENDED && (call.answer.is_none() || end < UNENDED);
    (known && call.start <= end).then_some(Span { place, start: call.start, end })
}

struct Reader<'a, T: Value> {
    calls: &'a [Call<Queue<T>>],
    items: Items,
    /// The places in `items` of all items, found by what they are. With numbers only, most of it stays near the
    /// processor; it does not withstand items made to collide: they make the check slow (it still asks whether to
    /// stop), never wrong.
    numbers: HashTable<u32>,
    wrong: Option<Wrong>,
}

/// The item of an enqueue.
fn item<T: Value>(calls: &[Call<Queue<T>>], enqueue: Span) -> Option<&T> {
    match &calls[enqueue.place as usize].op {
        Op::Enqueue(item) => Some(item),
        Op::Dequeue => None,
    }
}

impl<'a, T: Value> Reader<'a, T> {
    fn new(calls: &'a [Call<Queue<T>>]) -> Self {
        let numbers = HashTable::with_capacity(calls.len() / 2);
        Self { calls, items: Items::default(), numbers, wrong: None }
    }

    fn find(&self, wanted: &T) -> Option<usize> {
        let is = |number: &u32| {
            item(self.calls, self.items.items[*number as usize].enqueue) == Some(wanted)
        };
        self.numbers.find(hash_of(wanted), is).map(|number| *number as usize)
    }

    /// Notes an enqueue; false if the item was enqueued before.
    fn put(&mut self, new: &T, enqueue: Span) -> bool {
        if self.find(new).is_some() {
            return false;
        }
        let Self { calls, items: Items { items, .. }, numbers, .. } = self;
        let number = items.len() as u32;
        items.push(Item { enqueue, dequeue: None });
        let hash = |number: &u32| item(calls, items[*number as usize].enqueue).map_or(0, hash_of);
        numbers.insert_unique(hash_of(new), number, hash);
        true
    }

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
        self.numbers = HashTable::new();
        let items = &mut self.items.items;
        items.retain(|item| item.dequeue.is_some() || item.enqueue.end < UNENDED);
        let mut by_end: Vec<u32> = (0..items.len() as u32).collect();
        budget.spend(by_end.len() as u64)?;
        by_end.sort_by_key(|item| items[*item as usize].enqueue.end);
        self.items.by_end = by_end;
        Ok((self.items, self.wrong))
    }
}
