//! When the queue can have been empty.
//!
//! An item whose enqueue had ended and whose dequeue had not begun was certainly in the queue: the
//! queue was empty at no instant strictly between the two. These stays are open intervals; what
//! their union leaves of the span of a dequeue that answered null is closed, so that, if there is an
//! instant left, one is the start of that dequeue or the end of a stay.
//!
//! Any instants that are left will do, together with any order of the items that respects them:
//! `ordering` has the proof.

use super::{Items, NEVER, Span, Wrong};
use crate::{Budget, Halt};

/// When the queue was certainly not empty.
pub(super) struct Stays {
    /// Items whose dequeue is not known are counted as there until then.
    certain: u64,
    /// Open intervals that neither overlap nor share an inner instant, ascending.
    union: Vec<(u64, u64)>,
}

impl Stays {
    pub(super) fn new(
        history: &Items,
        certain: u64,
        budget: &mut Budget<'_>,
    ) -> Result<Self, Halt> {
        let mut stays = Self { certain, union: Vec::new() };
        if history.empty.is_empty() {
            return Ok(stays);
        }
        for item in &history.by_end {
            budget.spend(1)?;
            let (from, until) = stays.of(history, *item);
            match stays.union.last_mut() {
                _ if until <= from => {}
                Some((_, last)) if from < *last => *last = until.max(*last),
                _ => stays.union.push((from, until)),
            }
        }
        Ok(stays)
    }

    /// Between which instants an item was certainly there.
    fn of(&self, history: &Items, item: u32) -> (u64, u64) {
        let item = &history.items[item as usize];
        let until = item.leaves();
        (item.enqueue.end, if until == NEVER { self.certain } else { until })
    }

    /// An instant of the span at which the queue can have been empty.
    fn instant(&self, empty: &Span) -> Option<u64> {
        let before = self.union.partition_point(|(from, _)| *from < empty.start);
        match before.checked_sub(1).map(|last| self.union[last].1) {
            Some(until) if until > empty.start => (until <= empty.end).then_some(until),
            _ => Some(empty.start),
        }
    }

    /// An instant for each dequeue that found nothing, in their order; none if there is none for one.
    pub(super) fn instants(
        &self,
        history: &Items,
        budget: &mut Budget<'_>,
    ) -> Result<Option<Vec<u64>>, Halt> {
        let mut instants = Vec::with_capacity(history.empty.len());
        for empty in &history.empty {
            budget.spend(1)?;
            let Some(instant) = self.instant(empty) else { return Ok(None) };
            instants.push(instant);
        }
        Ok(Some(instants))
    }

    /// Of the dequeues that found nothing and cannot have, the one that ended first, with a chain of
    /// items that were there in turn.
    pub(super) fn blocked(
        &self,
        history: &Items,
        budget: &mut Budget<'_>,
    ) -> Result<Option<Wrong>, Halt> {
        let mut first: Option<&Span> = None;
        for empty in &history.empty {
            budget.spend(1)?;
            let earlier = first.is_none_or(|first| empty.end < first.end);
            if earlier && self.instant(empty).is_none() {
                first = Some(empty);
            }
        }
        let Some(empty) = first else { return Ok(None) };
        let mut calls = vec![empty.place];
        // Everything before `covered` is, and then the item that covers it and stays longest.
        let (mut covered, mut longest) = (empty.start, None);
        let mut items = history.by_end.iter().peekable();
        while covered <= empty.end {
            while let Some(item) = items.next_if(|item| self.of(history, **item).0 < covered) {
                budget.spend(1)?;
                longest = longest.max(Some((self.of(history, *item).1, *item)));
            }
            let Some((until, item)) = longest.filter(|(until, _)| *until > covered) else { break };
            let item = &history.items[item as usize];
            calls.push(item.enqueue.place);
            calls.extend(item.dequeue.map(|dequeue| dequeue.place));
            covered = until;
        }
        Ok(Some(Wrong { end: empty.end, calls }))
    }
}
