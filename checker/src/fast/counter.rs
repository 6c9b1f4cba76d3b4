//! Whether a history of a counter is legal, where every add adds the same amount.
//!
//! The value then says how many adds came before a read: a read of value v, counted in amounts from
//! the initial one, belongs between add v and add v + 1 of the legal order. Call the moment of its
//! add k *step k*; steps do not go back in time. Reads of v can be put between steps v and v + 1
//! exactly if step v is not after the first of them to end and step v + 1 not before the last of them
//! to start. So step k has a window:
//!
//! - it is not before L(k), the latest start of a read of a value below k;
//! - it is not after U(k), the earliest end of a read of k or more.
//!
//! Both only grow with k. Nothing else restricts the steps, so the history is legal exactly if adds
//! can be assigned to steps such that
//!
//! - steps 1 to K, the greatest value read, have an add each;
//! - each add has an instant in its span and in the window of its step. If those instants are not in
//!   the order of the steps, sorting them does it, because the windows only grow;
//! - the answered adds that are left can be steps after K, which are not before L(K + 1): an
//!   answered add that ended before that *must* be one of the steps up to K. Others may be, and one
//!   of unknown outcome (it ended never) need not have happened.
//!
//! The steps an add can be are consecutive: from the first with U(k) not before its start, to the
//! last with L(k) not after its end. So both demands are about matchings of a convex bipartite
//! graph. If one matching covers all steps, and one all adds that must be, then one covers both
//! (Mendelsohn and Dulmage). Going through the steps and giving each the add whose last possible step
//! comes first finds it: it is a greatest matching for the steps (Glover); and since the last steps of
//! all adds that must be come before those of the others, no other takes the place of one of them,
//! and among themselves they all find one if they can (earliest deadline first). `steps` does that.
//!
//! # The proof of an illegal history
//!
//! One read or two are wrong; `steps` says which and why no more are needed.
//!
//! - *Too few counted*: between an earlier read (or the beginning) and a later one, more adds began
//!   and ended than the later one counts more. So many adds are chosen as are one too many; others
//!   could only make it worse. Beside them, so that the earlier read is right alone, stand all adds
//!   that started before it ended. If the later read counts less than the earlier, no add between is
//!   needed.
//! - *Too many counted*: a read counts more adds than had started when it ended. All of those are
//!   chosen, since one left out could be one that it counts.
//!
//! Other reads change nothing and are left out.
//!
//! Reads are considered in the order of their ends, and the first that makes the history illegal is
//! part of the proof, so it is about the first moment at which something was wrong; it is all of the
//! proof if it is illegal without other reads.
//!
//! # What it does not do
//!
//! Adds of different amounts are the search's: which of them a read has seen is a subset-sum. So are
//! histories whose sums may leave 64 bits.
//!
//! O(n log n) time, linear memory; to find the first wrong read, log n times that.

mod reading;
mod steps;

use crate::specs::counter::Counter;
use crate::{Budget, Call, Finding, Halt};
use reading::{Add, Adds, Counts, Read};
use steps::{Assignment, Conflict};

const NAME: &str = "counter";

/// Bytes held for each call, about.
const BYTES_PER_CALL: u64 = 160;

/// Decides calls of a counter; see [`crate::Spec::specialised`].
pub(crate) fn counter(
    initial: &Counter,
    calls: &[Call<Counter>],
    budget: &mut Budget<'_>,
) -> Result<Finding, Halt> {
    budget.hold(calls.len() as u64 * BYTES_PER_CALL)?;
    let Counts { adds, mut reads } = match reading::read(*initial, calls, budget)? {
        Adds::Counted(counts) => counts,
        Adds::Misanswered(place) => {
            return Ok(Finding::Illegal { by: NAME, calls: vec![place] });
        }
        Adds::Unclear(reason) => return Ok(Finding::Declined(reason)),
    };
    reads.sort_by_key(|read| read.end);
    let mut conflict = match steps::assign(&adds, &reads, budget)? {
        Ok(assignment) => {
            let order = order(&adds, &mut reads, assignment, budget)?;
            return Ok(Finding::Legal { by: NAME, order });
        }
        Err(conflict) => conflict,
    };
    // More reads only make it worse: the first so many that are illegal.
    let (mut legal, mut illegal) = (0, reads.len());
    while legal + 1 < illegal {
        let half = legal.midpoint(illegal);
        match steps::assign(&adds, &reads[..half], budget)? {
            Ok(_) => legal = half,
            Err(found) => (illegal, conflict) = (half, found),
        }
    }
    let last = illegal - 1;
    if steps::assign(&adds, &reads[last..illegal], budget)?.is_err() {
        conflict = Conflict { first: last as u32, second: None };
    }
    let calls = proof(&adds, &reads, conflict);
    Ok(Finding::Illegal { by: NAME, calls })
}

/// The reads of a conflict and the adds that it takes to see it.
fn proof(adds: &[Add], reads: &[Read], conflict: Conflict) -> Vec<u32> {
    let [mut early, mut late] =
        [Some(conflict.first), conflict.second].map(|read| read.map(|read| reads[read as usize]));
    if early.zip(late).is_none_or(|(early, late)| late.end < early.start) {
        std::mem::swap(&mut early, &mut late);
    }
    let seen = |add: &Add| early.is_some_and(|read| add.start <= read.end);
    let between = |add: &Add| late.is_some_and(|read| add.end < read.start) && !seen(add);
    let value = |read: Option<Read>| read.map_or(0, |read| read.value);
    // More than the later read allows.
    let many = value(late).saturating_add(1).saturating_sub(value(early)) as usize;
    let mut calls: Vec<u32> =
        adds.iter().filter(|add| between(add)).map(|add| add.place).take(many).collect();
    if early.is_none() && calls.len() < many {
        // A single read of more than there was.
        let could = adds.iter().filter(|add| late.is_some_and(|read| add.start <= read.end));
        calls = could.map(|add| add.place).collect();
    }
    calls.extend(adds.iter().filter(|add| seen(add)).map(|add| add.place));
    calls.extend([early, late].into_iter().flatten().map(|read| read.place));
    calls.sort_unstable();
    calls
}

/// The certificate: adds by their instants, after each so many the reads of that value.
fn order(
    adds: &[Add],
    reads: &mut [Read],
    mut assignment: Assignment,
    budget: &mut Budget<'_>,
) -> Result<Vec<u32>, Halt> {
    assignment.instants.sort_unstable();
    reads.sort_unstable_by_key(|read| (read.value, read.start));
    let mut reads = reads.iter().peekable();
    let mut order = Vec::with_capacity(adds.len() + reads.len());
    let steps = assignment.instants.iter().map(|(_, add)| adds[*add as usize].place);
    for (value, add) in (0_u64..).zip(steps.map(Some).chain([None])) {
        while let Some(read) = reads.next_if(|read| read.value == value) {
            budget.spend(1)?;
            order.push(read.place);
        }
        budget.spend(1)?;
        order.extend(add);
    }
    Ok(order)
}
