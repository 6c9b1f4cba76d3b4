//! The checkers that stand beside ours: stateright's tester and the one of `todc-utils`.
//!
//! Both are given the same calls and the same specs. Neither knows keys, so a history of many keys
//! is split for them, by key, before their time starts to run. `todc-utils` knows no unknown
//! outcomes: a call of unknown outcome is told to it as one that ended after everything else, with
//! an answer that is always right. Stateright's tester knows calls in flight.
//!
//! Both only say yes or no.

use crate::families::Start;
use checker::{Call, Ruling};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use std::marker::PhantomData;
use todc_utils::{Action, History, Specification, WGLChecker};

/// Something that happens in a history: a call starts or ends.
type Event = (u64, bool, usize);

/// Starts and ends in their order; of those at one coordinate the starts come first, since equal
/// coordinates are concurrent.
fn events<S: Start>(calls: &[Call<S>]) -> Vec<Event> {
    let starts = calls.iter().enumerate().map(|(place, call)| (call.start, false, place));
    let ends = calls
        .iter()
        .enumerate()
        .filter_map(|(place, call)| Some((call.answer.as_ref()?.end, true, place)));
    let mut events: Vec<Event> = starts.chain(ends).collect();
    events.sort_unstable();
    events
}

fn ruling(legal: bool) -> Ruling {
    if legal { Ruling::Valid } else { Ruling::Invalid }
}

/// What stateright's tester says.
pub(crate) fn stateright<S: Start>(calls: &[Call<S>]) -> Result<Ruling, String> {
    let mut tester = LinearizabilityTester::new(S::start());
    for (_, ends, place) in events(calls) {
        let call = &calls[place];
        match call.answer.as_ref().filter(|_| ends) {
            Some(answer) => tester.on_return(call.process, answer.ret.clone())?,
            None => tester.on_invoke(call.process, call.op.clone())?,
        };
    }
    Ok(ruling(tester.is_consistent()))
}

/// Our spec as one of `todc-utils`, whose operation carries its answer.
struct Adapted<S>(PhantomData<S>);

impl<S: Start> Specification for Adapted<S> {
    type State = S;
    type Operation = (S::Op, Option<S::Ret>);

    fn init() -> S {
        S::start()
    }

    fn apply((op, ret): &Self::Operation, state: &S) -> (bool, S) {
        let mut next = state.clone();
        let valid = match ret {
            Some(ret) => next.is_valid_step(op, ret),
            None => {
                next.invoke(op);
                true
            }
        };
        (valid, next)
    }
}

/// What `todc-utils` says.
pub(crate) fn todc<S: Start>(calls: &[Call<S>]) -> Ruling {
    if calls.is_empty() {
        return Ruling::Valid;
    }
    let operation = |place: usize| {
        let call: &Call<S> = &calls[place];
        (call.op.clone(), call.answer.as_ref().map(|answer| answer.ret.clone()))
    };
    let mut actions = Vec::with_capacity(2 * calls.len());
    for (_, ends, place) in events(calls) {
        let action = if ends { Action::Response } else { Action::Call };
        actions.push((calls[place].process as usize, action(operation(place))));
    }
    for (place, call) in calls.iter().enumerate().filter(|(_, call)| call.answer.is_none()) {
        actions.push((call.process as usize, Action::Response(operation(place))));
    }
    ruling(WGLChecker::<Adapted<S>>::is_linearizable(History::from_actions(actions)))
}
