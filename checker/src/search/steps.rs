//! What a call does to a state: by its shape, or by trying it.

use crate::Spec;
use crate::hash::Table;
use crate::partition::{Interner, Leave, Need, Partition, StateId};
use crate::problem::{Problem, Row};

/// Remembers every step that had to be tried: the same calls meet the same states again and again.
pub(super) struct Steps<'a, S: Spec> {
    partition: &'a Partition<S>,
    states: Interner<S>,
    tried: Table<(StateId, u32), Vec<StateId>>,
    /// Steps that copying and making states took and nobody has paid for.
    unpaid: u64,
}

/// So much of a state is copied, compared and hashed in the time of a step.
const BYTES_A_STEP: u64 = 16;

impl<'a, S: Spec> Steps<'a, S> {
    pub(super) fn new(partition: &'a Partition<S>, problem: &Problem) -> Self {
        let mut states = Interner::default();
        if !problem.shaped {
            for state in &partition.states {
                states.number(state.clone());
            }
        }
        Self { partition, states, tried: Table::default(), unpaid: 0 }
    }

    /// How many bytes it takes, about.
    pub(super) fn bytes(&self) -> u64 {
        let tried = self.tried.capacity() * size_of::<((StateId, u32), Vec<StateId>)>();
        self.states.bytes() + (tried + 4 * self.tried.len()) as u64
    }

    /// What large states cost since this was asked last.
    pub(super) fn take_unpaid(&mut self) -> u64 {
        std::mem::take(&mut self.unpaid)
    }

    /// The states that a row may lead to from this one: none if it is not possible.
    pub(super) fn after(&mut self, place: u32, row: &Row, state: StateId) -> Vec<StateId> {
        let possible = match row.need {
            Need::Nothing => true,
            Need::Exactly(needed) => needed == state,
            Need::AnythingBut(avoided) => avoided != state,
            Need::Unclear => return self.attempt(place, row, state),
        };
        match row.leave {
            _ if !possible => Vec::new(),
            Leave::Unchanged => vec![state],
            Leave::Always(after) => vec![after],
            Leave::Unclear => self.attempt(place, row, state),
        }
    }

    fn attempt(&mut self, place: u32, row: &Row, state: StateId) -> Vec<StateId> {
        if let Some(known) = self.tried.get(&(state, place)) {
            return known.clone();
        }
        let call = &self.partition.calls[row.call as usize];
        let mut before = self.states.states[state as usize].clone();
        let copied = before.heap_bytes();
        let after = match call.answer.as_ref().filter(|_| row.answered) {
            None => before.successors(&call.op),
            Some(answer) if before.is_valid_step(&call.op, &answer.ret) => vec![before],
            Some(_) => Vec::new(),
        };
        let bytes = copied + after.iter().map(Spec::heap_bytes).sum::<u64>();
        self.unpaid += bytes / BYTES_A_STEP;
        let after: Vec<StateId> =
            after.into_iter().map(|state| self.states.number(state)).collect();
        self.tried.insert((state, place), after.clone());
        after
    }
}
