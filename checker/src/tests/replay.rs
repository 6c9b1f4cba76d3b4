//! Whether an order that an algorithm calls legal is.

use crate::oracle::ended_before;
use crate::{Call, Spec};

/// Asserts that the order has each answered call once and no call twice, respects real time, and is
/// what the spec answers.
pub(crate) fn assert_order<S: Spec>(initial: &S, calls: &[Call<S>], order: &[u32]) {
    let mut state = initial.clone();
    let mut done = vec![false; calls.len()];
    // Of the calls so far, the latest start: whoever ended before it comes too late.
    let mut latest: Option<&Call<S>> = None;
    for place in order {
        let call = &calls[*place as usize];
        assert!(!std::mem::replace(&mut done[*place as usize], true), "twice: {call:?}");
        let late = latest.is_some_and(|latest| ended_before(call, latest));
        assert!(!late, "{call:?} comes after {latest:?} in {order:?} of {calls:?}");
        latest = latest.filter(|latest| latest.start > call.start).or(Some(call));
        match &call.answer {
            None => assert_eq!(state.successors(&call.op).len(), 1, "it has one outcome"),
            Some(answer) => {
                let mut tried = state.clone();
                let right = tried.is_valid_step(&call.op, &answer.ret);
                assert!(right, "{call:?} in {state:?}, {order:?} of {calls:?}");
            }
        }
        state.invoke(&call.op);
    }
    let missing = calls.iter().zip(done).find(|(call, done)| call.answer.is_some() && !done);
    assert!(missing.is_none(), "{missing:?} is not in {order:?}");
}
