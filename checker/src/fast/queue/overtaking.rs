//! An item that was enqueued later and taken earlier, both beyond doubt.

use super::{Items, Wrong};
use crate::{Budget, Halt};

/// The pair that was plain first: when the later item was out.
///
/// Goes through the items in the order in which their enqueues started, and keeps, of those whose
/// enqueue had ended, the one whose dequeue started last. Items that no known dequeue took are no
/// concern of this.
pub(super) fn find(history: &Items, budget: &mut Budget<'_>) -> Result<Option<Wrong>, Halt> {
    let taken = |item: u32| {
        let item = &history.items[item as usize];
        item.dequeue.map(|dequeue| (item.enqueue, dequeue))
    };
    let mut ended = history.by_end.iter().filter_map(|item| taken(*item)).peekable();
    let mut last = None;
    let mut found: Option<Wrong> = None;
    for item in 0..history.items.len() as u32 {
        budget.spend(1)?;
        let Some((enqueue, dequeue)) = taken(item) else { continue };
        while let Some(before) = ended.next_if(|(before, _)| before.end < enqueue.start) {
            if last.is_none_or(|(_, late): (_, super::Span)| late.start < before.1.start) {
                last = Some(before);
            }
        }
        let Some((first, late)) = last else { continue };
        if dequeue.end < late.start && found.as_ref().is_none_or(|found| dequeue.end < found.end) {
            let calls = vec![first.place, enqueue.place, dequeue.place, late.place];
            found = Some(Wrong { end: dequeue.end, calls });
        }
    }
    Ok(found)
}
