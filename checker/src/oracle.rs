//! Every order, one after another: the slowest checker there is, and the one that is easy to
//! believe.

use crate::{Call, Spec};

/// Whether some order of the calls is legal, by trying them all.
pub(crate) fn is_legal<S: Spec>(initial: &S, calls: &[Call<S>]) -> bool {
    extend(initial, calls, &mut vec![false; calls.len()])
}

fn extend<S: Spec>(state: &S, calls: &[Call<S>], done: &mut Vec<bool>) -> bool {
    if calls.iter().zip(&*done).all(|(call, done)| *done || call.answer.is_none()) {
        return true;
    }
    for next in 0..calls.len() {
        let waits = |(other, done): (&Call<S>, &bool)| !done && ended_before(other, &calls[next]);
        if done[next] || calls.iter().zip(&*done).any(waits) {
            continue;
        }
        let call = &calls[next];
        let after = match &call.answer {
            None => state.successors(&call.op),
            Some(answer) => {
                let mut tried = state.clone();
                if tried.is_valid_step(&call.op, &answer.ret) { vec![tried] } else { Vec::new() }
            }
        };
        done[next] = true;
        if after.iter().any(|after| extend(after, calls, done)) {
            return true;
        }
        done[next] = false;
    }
    false
}

/// Equal coordinates are concurrent, except that a process does one thing after another.
pub(crate) fn ended_before<S: Spec>(a: &Call<S>, b: &Call<S>) -> bool {
    a.answer.as_ref().is_some_and(|answer| {
        answer.end < b.start || answer.end == b.start && a.process == b.process && a.index < b.index
    })
}
