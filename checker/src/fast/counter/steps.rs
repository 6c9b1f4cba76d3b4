//! Which add is which step, or one or two reads for which there is no assignment.
//!
//! # Why two reads are enough
//!
//! An assignment fails in one of these ways, and each is illegal with the reads it names and the
//! adds alone:
//!
//! - A read counts more adds than there are.
//! - A window is empty: a read had ended before one of fewer adds began.
//! - At step k no add is left, and none was passed over. Then all that can be a step up to k, which
//!   are all that started by U(k), are fewer than k: too few for the read that set U(k).
//! - At some step an add that must be is passed over: its last step, call it j, is behind. Go back from
//!   j to the first step i such that steps i to j were all given to adds whose last step is j or
//!   before. At i - 1 no such add was there to be chosen, so all of them, and the one passed over,
//!   start after U(i - 1) and end before L(j + 1): j - i + 2 adds between the end of a read of i - 1 or
//!   more and the start of a read of j or fewer. If i is 1, the latter alone has too few.

use super::reading::{Add, Read, UNENDED};
use crate::{Budget, Halt};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The places of reads that cannot both be, or of one that cannot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conflict {
    pub(super) first: u32,
    pub(super) second: Option<u32>,
}

/// Adds that happen, by their places, each with an instant. The k-th instant, sorted, is step k.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) instants: Vec<(u64, u32)>,
}

/// The windows of the steps. Steps are counted from 1; the one after the greatest value read stands
/// for all that follow.
struct Windows {
    /// The latest start of a read of a smaller value, and that read; 0 if there is none.
    from: Vec<(u64, u32)>,
    /// The earliest end of a read of at least this value, and that read.
    until: Vec<(u64, u32)>,
}

impl Windows {
    fn new(reads: &[Read], greatest: usize, budget: &mut Budget<'_>) -> Result<Self, Halt> {
        let mut from = vec![(0, 0); greatest + 2];
        let mut until = vec![(UNENDED, 0); greatest + 2];
        for (place, read) in reads.iter().enumerate() {
            budget.spend(1)?;
            let (value, place) = (read.value as usize, place as u32);
            from[value + 1] = from[value + 1].max((read.start, place));
            until[value] = until[value].min((read.end, place));
        }
        for step in 1..from.len() {
            budget.spend(1)?;
            from[step] = from[step].max(from[step - 1]);
        }
        for step in (1..until.len()).rev() {
            budget.spend(1)?;
            until[step - 1] = until[step - 1].min(until[step]);
        }
        Ok(Self { from, until })
    }

    /// A step that can be at no time.
    fn empty(&self) -> Option<Conflict> {
        let mut windows = self.from.iter().zip(&self.until).skip(1);
        let (from, until) = windows.find(|(from, until)| until.0 < from.0)?;
        Some(Conflict { first: until.1, second: Some(from.1) })
    }

    /// The last step that an add can be that ended so; 0 if it can be none.
    fn last_by(&self, end: u64) -> usize {
        self.from[1..].partition_point(|(start, _)| *start <= end)
    }

    /// An add whose last step was `last` was passed over. `given` has the last step of the add that
    /// each step was given.
    fn passed(&self, last: usize, given: &[usize]) -> Conflict {
        let earlier = given[..last].iter().rev().take_while(|other| **other <= last).count();
        let before = last - earlier;
        let second = (before > 0).then(|| self.until[before].1);
        Conflict { first: self.from[last + 1].1, second }
    }
}

/// Assigns adds (in the order of their starts) to steps, or says which reads do not allow it.
pub(super) fn assign(
    adds: &[Add],
    reads: &[Read],
    budget: &mut Budget<'_>,
) -> Result<Result<Assignment, Conflict>, Halt> {
    let greatest = reads.iter().enumerate().max_by_key(|(_, read)| read.value);
    let steps = match greatest {
        Some((place, read)) if read.value > adds.len() as u64 => {
            return Ok(Err(Conflict { first: place as u32, second: None }));
        }
        Some((_, read)) => read.value as usize,
        None => 0,
    };
    let windows = Windows::new(reads, steps, budget)?;
    if let Some(conflict) = windows.empty() {
        return Ok(Err(conflict));
    }
    let beyond = windows.from[steps + 1].0;
    // With the last step that each can be: those that must be up to the greatest value come first.
    let mut waiting: BinaryHeap<Reverse<(usize, usize)>> = BinaryHeap::new();
    let mut arriving = adds.iter().enumerate().peekable();
    let mut given = Vec::with_capacity(steps);
    let mut instants = Vec::with_capacity(adds.len());
    for step in 1..=steps + 1 {
        while let Some((add, span)) =
            arriving.next_if(|(_, add)| add.start <= windows.until[step].0)
        {
            budget.spend(1)?;
            waiting.push(Reverse((windows.last_by(span.end), add)));
        }
        budget.spend(1)?;
        if step > steps {
            break;
        }
        let Some(Reverse((last, add))) = waiting.pop() else {
            return Ok(Err(Conflict { first: windows.until[step].1, second: None }));
        };
        if last < step {
            return Ok(Err(windows.passed(last, &given)));
        }
        given.push(last);
        instants.push((windows.from[step].0.max(adds[add].start), add as u32));
    }
    // What is left comes after the greatest value read.
    if let Some(Reverse((last, _))) = waiting.peek().filter(|next| next.0.0 <= steps) {
        return Ok(Err(windows.passed(*last, &given)));
    }
    let left = waiting.into_iter().map(|Reverse((_, add))| add);
    let left = left.filter(|add| adds[*add].end < UNENDED);
    instants.extend(left.map(|add| (beyond.max(adds[add].start), add as u32)));
    Ok(Ok(Assignment { instants }))
}
