//! The calls of one key, with what their shapes say turned into numbers.
//!
//! Shapes are asked for once and their states numbered, so that the search and the shrink, which
//! look at many subsets of the same calls, compare integers. Calls are in the order of their
//! starts.

use crate::{Call, Leaves, Needs, Spec};
use std::collections::HashMap;

/// A state, by its place in [`Partition::states`].
pub(crate) type StateId = u32;

/// [`Needs`] in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Need {
    Nothing,
    Exactly(StateId),
    AnythingBut(StateId),
    Unclear,
}

/// [`Leaves`] in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Leave {
    Unchanged,
    Always(StateId),
    Unclear,
}

/// The calls of one key.
pub(crate) struct Partition<S: Spec> {
    pub(crate) key: Option<String>,
    /// In the order of (start, index).
    pub(crate) calls: Vec<Call<S>>,
    /// For each call, with its answer.
    pub(crate) shapes: Vec<(Need, Leave)>,
    /// For each call, as if its outcome were unknown: what a cut before its answer makes of it.
    pub(crate) open_shapes: Vec<(Need, Leave)>,
    /// For each call, the number of its operation: equal operations have equal numbers.
    pub(crate) operations: Vec<u32>,
    /// Every state a shape names, the initial one first.
    pub(crate) states: Vec<S>,
}

impl<S: Spec> Partition<S> {
    pub(crate) fn new(initial: &S, key: Option<String>, mut calls: Vec<Call<S>>) -> Self {
        calls.sort_by_key(|call| (call.start, call.index));
        let mut states = Interner::default();
        states.number(initial.clone());
        let shapes = calls
            .iter()
            .map(|call| {
                let ret = call.answer.as_ref().map(|answer| &answer.ret);
                states.shape(S::shape(&call.op, ret))
            })
            .collect();
        let open_shapes = calls.iter().map(|call| states.shape(S::shape(&call.op, None))).collect();
        let mut numbers = HashMap::new();
        let operations = calls
            .iter()
            .map(|call| {
                let next = numbers.len() as u32;
                *numbers.entry(&call.op).or_insert(next)
            })
            .collect();
        Self { key, shapes, open_shapes, operations, states: states.states, calls }
    }

    /// Whether `a` had ended when `b` started.
    pub(crate) fn precedes(&self, a: usize, b: usize) -> bool {
        let (before, after) = (&self.calls[a], &self.calls[b]);
        before.answer.as_ref().is_some_and(|answer| {
            answer.end < after.start
                || answer.end == after.start && before.process == after.process && a < b
        })
    }
}

/// Numbers states.
#[derive(Clone)]
pub(crate) struct Interner<S> {
    pub(crate) states: Vec<S>,
    numbers: HashMap<S, StateId>,
}

impl<S> Default for Interner<S> {
    fn default() -> Self {
        Self { states: Vec::new(), numbers: HashMap::new() }
    }
}

impl<S: Spec> Interner<S> {
    pub(crate) fn number(&mut self, state: S) -> StateId {
        if let Some(number) = self.numbers.get(&state) {
            return *number;
        }
        let number = self.states.len() as StateId;
        self.states.push(state.clone());
        self.numbers.insert(state, number);
        number
    }

    fn shape(&mut self, shape: crate::Shape<S>) -> (Need, Leave) {
        let need = match shape.needs {
            Needs::Nothing => Need::Nothing,
            Needs::Exactly(state) => Need::Exactly(self.number(state)),
            Needs::AnythingBut(state) => Need::AnythingBut(self.number(state)),
            Needs::Unclear => Need::Unclear,
        };
        let leave = match shape.leaves {
            Leaves::Unchanged => Leave::Unchanged,
            Leaves::Always(state) => Leave::Always(self.number(state)),
            Leaves::Unclear => Leave::Unclear,
        };
        (need, leave)
    }
}
