//! The calls, reduced to what blocks are made of.

use super::End;
use crate::Spec;
use crate::budget::Budget;
use crate::partition::{Leave, Need, Partition, StateId};

/// An end that never came.
pub(super) const NEVER: u64 = u64::MAX;
/// The start and end of the initial state. Coordinates here are one more than those of the calls.
pub(super) const BEFORE: u64 = 0;

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing that anybody can tell.
    Free,
    /// Needs this state and leaves it.
    Reader(StateId),
    /// Needs this state to be gone.
    Mismatch(StateId),
    /// Leaves this state, whatever there was.
    Write(StateId),
    /// Needs the first, leaves the second.
    Cas(StateId, StateId),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) role: Role,
    /// Whether it is known to have happened: its outcome is known, and soon also whether somebody
    /// saw it.
    pub(super) answered: bool,
}

impl Item {
    /// The state it leaves, if that is one of its own.
    pub(super) fn leaves(&self) -> Option<StateId> {
        match self.role {
            Role::Write(state) | Role::Cas(_, state) => Some(state),
            Role::Free | Role::Reader(_) | Role::Mismatch(_) => None,
        }
    }

    /// The state it needs, if that is exactly one.
    pub(super) fn needs(&self) -> Option<StateId> {
        match self.role {
            Role::Reader(state) | Role::Cas(state, _) => Some(state),
            Role::Free | Role::Write(_) | Role::Mismatch(_) => None,
        }
    }
}

/// The calls that started up to a horizon, by their places.
pub(super) struct Items {
    pub(super) all: Vec<Item>,
    pub(super) states: usize,
    pub(super) has_cas: bool,
    pub(super) has_mismatch: bool,
}

impl Items {
    pub(super) fn new<S: Spec>(
        partition: &Partition<S>,
        horizon: u64,
        budget: &mut Budget<'_>,
    ) -> Result<Self, End> {
        let count = partition.calls.partition_point(|call| call.start <= horizon);
        budget.spend(count as u64)?;
        let states = partition.states.len();
        let mut items =
            Self { all: Vec::with_capacity(count), states, has_cas: false, has_mismatch: false };
        for place in 0..count {
            let call = &partition.calls[place];
            let (shape, answered) = partition.seen_from(place, horizon);
            let end = call.answer.as_ref().filter(|_| answered).map_or(NEVER, |a| a.end + 1);
            let role = role(shape).ok_or(End::Declined(
                "what some operation does cannot be told without running it",
            ))?;
            items.has_cas |= matches!(role, Role::Cas(..));
            items.has_mismatch |= answered && matches!(role, Role::Mismatch(_));
            if call.start >= NEVER - 1 || answered && end == NEVER {
                return Err(End::Declined("a coordinate is too large"));
            }
            items.all.push(Item { start: call.start + 1, end, role, answered });
        }
        Ok(items)
    }

    /// The number of the initial state as a source.
    pub(super) fn initial(&self) -> u32 {
        self.all.len() as u32
    }
}

fn role(shape: (Need, Leave)) -> Option<Role> {
    Some(match shape {
        (Need::Nothing, Leave::Unchanged) => Role::Free,
        (Need::Exactly(state), Leave::Unchanged) => Role::Reader(state),
        (Need::Exactly(from), Leave::Always(to)) if from == to => Role::Reader(from),
        (Need::Exactly(from), Leave::Always(to)) => Role::Cas(from, to),
        (Need::AnythingBut(state), Leave::Unchanged) => Role::Mismatch(state),
        (Need::Nothing, Leave::Always(state)) => Role::Write(state),
        (Need::AnythingBut(_), Leave::Always(_)) | (Need::Unclear, _) | (_, Leave::Unclear) => {
            return None;
        }
    })
}
