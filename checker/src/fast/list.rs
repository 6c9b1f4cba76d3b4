//! A list to which each element is appended at most once, and which is read whole.
//!
//! Such a list only grows at its end, so every read shows a prefix of the longest read, and the
//! longest read is the order of the appends it shows; all others come after it. Appends and reads
//! are layers by that order, a read of so many elements right after the append of the last of them,
//! and real time is asked by [`arrange`]. An append of unknown outcome happened if its element was
//! read, at any time after it started; if it was not, it may be taken never to have happened.
//!
//! A proof keeps the appends of all that its reads show. Appends of other elements may go: they
//! come after all that is shown, and without them the reads that are kept stay right.
//!
//! It takes time linear in the total size of the reads, and n log n in the appends. It declines
//! lists to which an element is appended twice: then a read does not say by whom.

use super::layers::{Arranged, Placed, Span, arrange, illegal};
use super::lookup::Lookup;
use crate::Finding;
use crate::budget::{Budget, Halt};

const NAME: &str = "list";

/// Bytes held for each call, at most: what is collected of it, sorted, and placed.
pub(crate) const BYTES_PER_CALL: u64 = 240;

/// A read that was answered.
pub(crate) type Read<'a, T> = (Span, &'a [T]);

/// Decides appends and answered reads of a list that begins as `initial`.
pub(crate) fn list<T: Ord>(
    initial: &[T],
    appends: Vec<(Span, &T)>,
    mut reads: Vec<Read<'_, T>>,
    budget: &mut Budget<'_>,
) -> Result<Finding, Halt> {
    budget.spend((appends.len() + initial.len()) as u64)?;
    let mut there: Vec<&T> = initial.iter().collect();
    there.sort_unstable();
    let Some(appends) = Lookup::new(appends, |element| there.binary_search(&element).is_ok())
    else {
        return Ok(Finding::Declined("an element is appended more than once"));
    };
    reads.sort_by_key(|(span, _)| span.end);
    let history = History { initial, appends, reads };
    let longest = match history.longest(budget)? {
        Ok(longest) => longest,
        Err(reads) => return Ok(history.proof(&reads, &[])),
    };
    let positions = match history.positions(longest, budget)? {
        Ok(positions) => positions,
        Err(calls) => return Ok(illegal(NAME, calls)),
    };
    match arrange(history.place(longest, &positions), budget)? {
        Arranged::Order(order) => Ok(Finding::Legal { by: NAME, order }),
        Arranged::Conflict { early, late } => Ok(history.conflict(early, late)),
    }
}

/// What is looked at: reads in the order of their ends.
struct History<'a, T> {
    initial: &'a [T],
    appends: Lookup<'a, T>,
    reads: Vec<Read<'a, T>>,
}

impl<'a, T: Ord> History<'a, T> {
    /// The longest list that was read, or the first reads of which no list has both as prefixes.
    fn longest(&self, budget: &mut Budget<'_>) -> Result<Result<&'a [T], Vec<Read<'a, T>>>, Halt> {
        let mut longest: Option<Read<'a, T>> = None;
        for &read in &self.reads {
            let elements = read.1;
            budget.spend(1 + elements.len() as u64)?;
            if !elements.starts_with(self.initial) {
                return Ok(Err(vec![read]));
            }
            match longest {
                Some(longest) if longest.1.starts_with(elements) => {}
                Some(shorter) if !elements.starts_with(shorter.1) => {
                    return Ok(Err(vec![shorter, read]));
                }
                _ => longest = Some(read),
            }
        }
        Ok(Ok(longest.map_or(self.initial, |(_, elements)| elements)))
    }

    /// For each append the place of its element in the longest list, its length if it is not in it;
    /// or calls that prove that the list shows what nobody appended, or shows it twice.
    fn positions(
        &self,
        longest: &[T],
        budget: &mut Budget<'_>,
    ) -> Result<Result<Vec<usize>, Vec<Span>>, Halt> {
        let mut positions = vec![longest.len(); self.appends.len()];
        for (position, element) in longest.iter().enumerate().skip(self.initial.len()) {
            budget.spend(1)?;
            let append = self.appends.find(element);
            match append {
                Some(append) if positions[append] == longest.len() => positions[append] = position,
                _ => {
                    let append = append.map(|append| self.appends.span(append));
                    let first = self.reads.iter().find(|(_, shown)| shown.len() > position);
                    return Ok(Err(append.into_iter().chain(first.map(|read| read.0)).collect()));
                }
            }
        }
        Ok(Ok(positions))
    }

    /// The append of the element at place p in layer 2p + 1, a read of n elements in layer 2n, and
    /// what is not in the longest list after all.
    fn place(&self, longest: &[T], positions: &[usize]) -> Vec<Placed> {
        let appends = self.appends.spans().zip(positions);
        let happened =
            appends.filter(|(span, position)| span.answered || **position < longest.len());
        let mut placed: Vec<Placed> = happened
            .map(|(span, position)| Placed { layer: 2 * *position as u64 + 1, span })
            .collect();
        let reads = self.reads.iter();
        placed.extend(
            reads.map(|(span, shown)| Placed { layer: 2 * shown.len() as u64, span: *span }),
        );
        placed
    }

    /// What proves that two calls cannot be in this order: reads that tell it, and all they need.
    fn conflict(&self, early: Placed, late: Placed) -> Finding {
        let pair = [early.span, late.span];
        let mut shown: Vec<Read<'a, T>> =
            self.reads.iter().filter(|read| pair.contains(&read.0)).copied().collect();
        if shown.is_empty() {
            // Two appends: a read shows the one that began too late, and the other later or not.
            let shows = |read: &&Read<'a, T>| 2 * read.1.len() as u64 > early.layer;
            shown.extend(self.reads.iter().filter(shows).min_by_key(|read| read.1.len()));
        }
        self.proof(&shown, &pair)
    }

    /// These calls, with the appends of all that these reads show.
    fn proof(&self, reads: &[Read<'_, T>], others: &[Span]) -> Finding {
        let shown = reads.iter().flat_map(|(_, elements)| elements.iter());
        let appends = shown.filter_map(|element| self.appends.find(element));
        let mut calls: Vec<Span> = appends.map(|append| self.appends.span(append)).collect();
        calls.extend(reads.iter().map(|read| read.0));
        calls.extend(others);
        illegal(NAME, calls)
    }
}
