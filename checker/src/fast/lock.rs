//! A lock whose holders release what they acquired.
//!
//! An owner does one thing after another, so its calls say by themselves which release ends which
//! *hold*. Holds do not overlap, so a legal order is an order of the holds. With fencing tokens that
//! order is known: it is that of the tokens, and acquire and release of each hold are layers whose
//! real time is asked by [`layers::arrange`]. Without tokens holds are blocks, put one after another
//! by [`zones::arrange`]; one that is never released reaches to infinity.
//!
//! Of unknown outcome, a release happened: that only lets others acquire, and if nobody does, it
//! harms nobody. An acquire did not: all it could do is to keep others out, because its owner never
//! calls again.
//!
//! A proof consists of whole holds. The others may go: a legal order stays legal without them.
//!
//! It declines owners that call again while a call is open or after one of unknown outcome, locks
//! that are held to begin with, and histories in which only some acquires were given a token.

use super::layers::{self, Arranged, Placed, Span, illegal};
use super::zones::{self, Zone};
use crate::Finding;
use crate::budget::{Budget, Halt};

/// Bytes held for each call, at most: what it did, and where its hold is placed.
pub(crate) const BYTES_PER_CALL: u64 = 220;

/// What a call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It acquired, and was given this token, if any.
    Acquire(Option<i64>),
    /// It released.
    Release,
}

/// A call of an owner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deed {
    pub(crate) owner: u64,
    pub(crate) action: Action,
    pub(crate) span: Span,
}

/// From an acquire that was answered to the release, if there is one.
#[derive(Clone, Copy, Debug)]
struct Hold {
    token: Option<i64>,
    acquire: Span,
    release: Option<Span>,
}

impl Hold {
    fn spans(self) -> impl Iterator<Item = Span> {
        [Some(self.acquire), self.release].into_iter().flatten()
    }
}

/// Decides calls of a lock that is free to begin with, its last token being `token`.
pub(crate) fn lock(
    token: Option<i64>,
    mut deeds: Vec<Deed>,
    budget: &mut Budget<'_>,
) -> Result<Finding, Halt> {
    // Stable, so that the calls of each owner stay in the order of their starts.
    deeds.sort_by_key(|deed| deed.owner);
    let mut holds = Vec::with_capacity(deeds.len() / 2 + 1);
    for calls in deeds.chunk_by(|a, b| a.owner == b.owner) {
        budget.spend(calls.len() as u64)?;
        if let Err(finding) = pair(calls, &mut holds) {
            return Ok(finding);
        }
    }
    // Budget for the sorting to come.
    budget.spend(holds.len() as u64)?;
    let tokens = holds.iter().filter(|hold| hold.token.is_some()).count();
    if tokens == 0 {
        Ok(untold(&holds))
    } else if tokens == holds.len() {
        told(token, holds, budget)
    } else {
        Ok(Finding::Declined("only some of the acquires were given a token"))
    }
}

/// Adds the holds of one owner, unless its calls are illegal by themselves or not to be paired.
fn pair(calls: &[Deed], holds: &mut Vec<Hold>) -> Result<(), Finding> {
    if calls.windows(2).any(|pair| pair[0].span.end >= pair[1].span.start) {
        return Err(Finding::Declined("an owner calls again before its last call has ended"));
    }
    let mut last: Option<Hold> = None;
    for Deed { action, span, .. } in calls {
        match (*action, &mut last) {
            (Action::Acquire(_), _) if !span.answered => {}
            (Action::Acquire(_), Some(Hold { acquire, release: None, .. })) => {
                return Err(illegal("lock", [*acquire, *span]));
            }
            (Action::Acquire(token), _) => {
                holds.extend(last);
                last = Some(Hold { token, acquire: *span, release: None });
            }
            (Action::Release, Some(Hold { release: release @ None, .. })) => *release = Some(*span),
            (Action::Release, _) if !span.answered => {}
            (Action::Release, last) => {
                let before = last.iter().flat_map(|hold| hold.spans());
                return Err(illegal("lock", before.chain([*span])));
            }
        }
    }
    holds.extend(last);
    Ok(())
}

/// Holds in the order of their tokens.
fn told(
    token: Option<i64>,
    mut holds: Vec<Hold>,
    budget: &mut Budget<'_>,
) -> Result<Finding, Halt> {
    const NAME: &str = "lock by tokens";
    holds.sort_by_key(|hold| (hold.token, hold.acquire.start));
    if let Some(first) = holds.first().filter(|first| first.token <= token) {
        return Ok(illegal(NAME, [first.acquire]));
    }
    let wrong = |a: &Hold, b: &Hold| a.token == b.token || a.release.is_none();
    let pairs = holds.windows(2).filter(|pair| wrong(&pair[0], &pair[1]));
    if let Some(pair) = pairs.min_by_key(|pair| pair[0].acquire.end.max(pair[1].acquire.end)) {
        return Ok(illegal(NAME, pair.iter().flat_map(|hold| hold.spans())));
    }
    let mut placed = Vec::with_capacity(2 * holds.len());
    for (layer, hold) in (0..).zip(&holds) {
        let spans = hold.spans().zip([2 * layer, 2 * layer + 1]);
        placed.extend(spans.map(|(span, layer)| Placed { layer, span }));
    }
    Ok(match layers::arrange(placed, budget)? {
        Arranged::Order(order) => Finding::Legal { by: NAME, order },
        Arranged::Conflict { early, late } => {
            let pair = [early, late].map(|placed| holds[(placed.layer / 2) as usize]);
            illegal(NAME, pair.into_iter().flat_map(Hold::spans))
        }
    })
}

/// Holds in any order that real time allows.
fn untold(holds: &[Hold]) -> Finding {
    const NAME: &str = "lock by holds";
    let zones: Vec<Zone> = holds
        .iter()
        .map(|hold| Zone {
            first_end: hold.acquire.end,
            last_start: hold.release.map_or(u64::MAX, |release| release.start),
        })
        .collect();
    match zones::arrange(&zones) {
        Ok(arranged) => {
            let order = arranged.order().into_iter().flat_map(|hold| holds[hold as usize].spans());
            Finding::Legal { by: NAME, order: order.map(|span| span.call).collect() }
        }
        Err((a, b)) => {
            let pair = [a, b].map(|hold| holds[hold as usize]);
            illegal(NAME, pair.into_iter().flat_map(Hold::spans))
        }
    }
}
