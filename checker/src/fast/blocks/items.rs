//! The calls, reduced to what blocks are made of.

use super::End;
use crate::Spec;
use crate::budget::Budget;
use crate::partition::{Effect, Leave, Need, Partition, StateId};

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
    /// [`NEVER`] if its outcome is unknown.
    pub(super) end: u64,
    effect: Effect,
}

impl Item {
    /// Whether its outcome is known.
    pub(super) fn is_answered(&self) -> bool {
        self.end != NEVER
    }

    /// What it does.
    pub(super) fn role(&self) -> Role {
        // `Items` has no others.
        role(self.effect).unwrap_or(Role::Free)
    }

    /// The state it leaves, if that is one of its own.
    pub(super) fn leaves(&self) -> Option<StateId> {
        match self.effect.leave() {
            Leave::Always(state) if self.effect.need() != Need::Exactly(state) => Some(state),
            Leave::Always(_) | Leave::Unchanged | Leave::Unclear => None,
        }
    }

    /// The state it needs, if that is exactly one.
    pub(super) fn needs(&self) -> Option<StateId> {
        match self.effect.need() {
            Need::Exactly(state) => Some(state),
            Need::Nothing | Need::AnythingBut(_) | Need::Unclear => None,
        }
    }
}

/// The calls that started up to a horizon, by their places.
pub(super) struct Items {
    pub(super) all: Vec<Item>,
    pub(super) states: usize,
    /// How many leave a state of their own.
    pub(super) mutators: usize,
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
        let mut items = Self {
            all: Vec::with_capacity(count),
            states,
            mutators: 0,
            has_cas: false,
            has_mismatch: false,
        };
        for place in 0..count {
            let call = &partition.calls[place];
            let (effect, answered) = partition.seen_from(place, horizon);
            let end = call.answer.as_ref().filter(|_| answered).map_or(NEVER, |a| a.end + 1);
            let role = role(effect).ok_or(End::Declined(
                "what some operation does cannot be told without running it",
            ))?;
            items.mutators += usize::from(matches!(role, Role::Write(_) | Role::Cas(..)));
            items.has_cas |= matches!(role, Role::Cas(..));
            items.has_mismatch |= answered && matches!(role, Role::Mismatch(_));
            if call.start >= NEVER - 1 || answered && end == NEVER {
                return Err(End::Declined("a coordinate is too large"));
            }
            items.all.push(Item { start: call.start + 1, end, effect });
        }
        Ok(items)
    }

    /// The number of the initial state as a source.
    pub(super) fn initial(&self) -> u32 {
        self.all.len() as u32
    }
}

fn role(effect: Effect) -> Option<Role> {
    Some(match (effect.need(), effect.leave()) {
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
