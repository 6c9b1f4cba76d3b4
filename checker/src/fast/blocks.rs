//! Registers: reads, writes, compare-and-sets and deletes, where it is clear which call each read
//! saw.
//!
//! A *mutator* leaves a state of its own (a write, a delete, a cas that swapped); a *reader* needs
//! exactly one state and leaves it (a read); a cas is both. If every call that needs a state has
//! only one mutator that it can have seen, its *source*, then the history is legal if and only if
//! an order exists in which each such call follows its source with no mutator between; that much
//! is decided in O(n log n), as Gibbons and Korach (1997) do it for unique writes.
//!
//! # Who is the source
//!
//! `sources` has the rule. A state that one mutator leaves (a unique write) has that one. Of
//! several (deletes, writes of a repeated value) those are out that started after the call ended,
//! and those that had ended before another mutator started that had ended before the call started:
//! that one, or a later one, comes between in every order. If two are left, this algorithm
//! declines.
//!
//! # Unknown outcomes
//!
//! A call of unknown outcome that is nobody's source is left out: it is optional, and in a legal
//! order with it nobody sees it, so the order without it is legal. (Mismatches may, see below.) One
//! that is a source happened; it never ended, and what it needs has a source in turn.
//!
//! # Blocks
//!
//! A source, its readers, the cas that needs its state, the readers of what that leaves, and so on
//! are contiguous in every legal order: any other mutator between would end the state that the
//! next of them needs. Two cas with one source cannot both be, nor can cas in a circle. The calls
//! of a block are ordered by *layers* (source, readers, cas, its readers, …); that respects real
//! time unless a call ended before one of an earlier layer started. Given that, blocks need only
//! be put one after another: `zones` has when that is possible. The initial state is a source that
//! ended before everything.
//!
//! # Mismatches
//!
//! A mismatch needs any state but one. `mismatch` decides those for which the rest of the history
//! already says enough, whatever its order: there is a moment for it in every order, or in none.
//! Where some cannot be told, this algorithm declines. With unknown calls left out fewer mismatches
//! can be told, and no false ones.
//!
//! What it does not do: it never chooses between sources. Repeated values under high concurrency
//! are the search's.

mod clusters;
mod items;
mod mismatch;
mod order;
mod sources;

use crate::budget::{Budget, Halt};
use crate::fast::zones::arrange;
use crate::partition::Partition;
use crate::{Finding, Spec};
use clusters::Clusters;
use items::Items;
use sources::{Sources, trace};

/// Name for people where every block is one source and its readers.
const ZONES: &str = "zones";
/// The same where cas glue them together.
const BLOCKS: &str = "blocks";
/// Bytes a call takes here, at most.
const BYTES_PER_CALL: u64 = 160;

/// Why a history cannot go on here.
enum End {
    /// The calls at these places cannot all be, nor can they with whatever their soundness asks
    /// for.
    Illegal(Vec<u32>),
    Declined(&'static str),
    Halted(Halt),
}

impl From<Halt> for End {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt)
    }
}

/// Decides the calls up to and including the coordinate `horizon`. The calls of an illegal finding
/// are those in conflict and not yet all that they rely on; a legal one has an order only if
/// `certify`.
pub(crate) fn decide<S: Spec>(
    partition: &Partition<S>,
    horizon: u64,
    certify: bool,
    budget: &mut Budget<'_>,
) -> Result<Finding, Halt> {
    let by = |glued| if glued { BLOCKS } else { ZONES };
    let mut glued = false;
    match settle(partition, horizon, certify, &mut glued, budget) {
        Ok(order) => Ok(Finding::Legal { by: by(glued), order }),
        Err(End::Illegal(mut calls)) => {
            calls.sort_unstable();
            calls.dedup();
            Ok(Finding::Illegal { by: by(glued), calls })
        }
        Err(End::Declined(why)) => Ok(Finding::Declined(why)),
        Err(End::Halted(halt)) => Err(halt),
    }
}

fn settle<S: Spec>(
    partition: &Partition<S>,
    horizon: u64,
    certify: bool,
    glued: &mut bool,
    budget: &mut Budget<'_>,
) -> Result<Vec<u32>, End> {
    budget.hold(BYTES_PER_CALL * partition.calls.len() as u64)?;
    let items = Items::new(partition, horizon, budget)?;
    *glued = items.has_cas;
    let mut sources = Sources::default();
    let ordered = put_in_order(&items, &mut sources, certify, budget);
    ordered.map_err(|end| match end {
        End::Illegal(mut calls) => {
            sources.complete(&items, &mut calls);
            End::Illegal(calls)
        }
        other => other,
    })
}

fn put_in_order(
    items: &Items,
    sources: &mut Sources,
    certify: bool,
    budget: &mut Budget<'_>,
) -> Result<Vec<u32>, End> {
    trace(items, sources, budget)?;
    let clusters = Clusters::new(items, sources, budget)?;
    budget.spend(items.all.len() as u64)?;
    let arranged = arrange(&clusters.zones).map_err(|(a, b)| clusters.conflict(a, b))?;
    mismatch::check(items, sources, &clusters, budget)?;
    if !certify {
        return Ok(Vec::new());
    }
    order::order(items, sources, &clusters, &arranged.order(), budget)
}
