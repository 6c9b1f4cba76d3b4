//! Whether an order that an algorithm calls legal is.

use crate::oracle::ended_before;
use crate::{Call, Spec};

/// Asserts that the order has each answered call once and no call twice, respects real time, and is
/// what the spec answers.
pub(crate) fn assert_order<S: Spec>(initial: &S, calls: &[Call<S>], order: &[u32]) {
    let mut state = initial.clone();
    let mut done = vec![false; calls.len()];
    for (count, place) in order.iter().enumerate() {
        let call = &calls[*place as usize];
        assert!(!std::mem::replace(&mut done[*place as usize], true), "twice: {call:?}");
        let mut sooner = order[..count].iter().map(|place| &calls[*place as usize]);
        let late = sooner.find(|sooner| ended_before(call, sooner));
        assert!(late.is_none(), "{call:?} comes after {late:?} in {order:?} of {calls:?}");
        match &call.answer {
            None => {
                assert_eq!(state.successors(&call.op).len(), 1, "it has one outcome");
                state.invoke(&call.op);
            }
            Some(answer) => {
                let mut tried = state.clone();
                let right = tried.is_valid_step(&call.op, &answer.ret);
                assert!(right, "{call:?} in {state:?}, {order:?} of {calls:?}");
                state = tried;
            }
        }
    }
    let missing = calls.iter().zip(done).find(|(call, done)| call.answer.is_some() && !done);
    assert!(missing.is_none(), "{missing:?} is not in {order:?}");
}
