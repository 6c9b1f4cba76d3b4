//! Histories of a lock.
//!
//! An acquire waits until the lock is free, so when it takes effect is not its own to say, and
//! locks are made otherwise than the rest: hold by hold. Each client acquires, releases, and
//! acquires again. A free lock goes to one of the clients that wait for it, drawn evenly, at the
//! moment at which it came free or was first asked for. What is known of it a while later: the call
//! ends when the answer has come back. Every hold has a token greater than the one before.

use crate::generate::{Crowd, Random};
use checker::specs::lock::{Lock, Op, Ret};
use checker::{Answer, Call};

/// A legal history, in the order of the starts. No outcome is unknown.
pub(crate) fn locks(crowd: Crowd) -> Vec<Call<Lock>> {
    let mut random = Random::new(crowd.seed);
    let mut starts: Vec<u64> = (0..crowd.clients).map(|_| random.length()).collect();
    let (mut free, mut token) = (0, 0);
    let mut calls = Vec::with_capacity(crowd.operations);
    while calls.len() < crowd.operations {
        let client = next(&starts, free, &mut random);
        let owner = client as u64;
        let mut call = |op, start, end, ret| {
            let answer = Some(Answer { end, ret });
            calls.push(Call { index: 0, process: owner, start, op, answer });
        };
        token += 1;
        let acquired = free.max(starts[client]) + random.length();
        call(Op::Acquire(owner), starts[client], acquired, Ret::Token(Some(token)));
        let releasing = acquired + 1;
        let released = releasing + random.length();
        call(Op::Release(owner), releasing, released, Ret::Done);
        free = releasing + random.below(released - releasing + 1);
        starts[client] = released + 1;
    }
    calls.sort_by_key(|call| call.start);
    for (index, call) in (0..).zip(&mut calls) {
        call.index = index;
    }
    calls
}

/// One of those that wait, or who comes first.
fn next(starts: &[u64], free: u64, random: &mut Random) -> usize {
    let waiting = || (0..starts.len()).filter(|client| starts[*client] <= free);
    match waiting().count() as u64 {
        0 => (0..starts.len()).min_by_key(|client| starts[*client]).unwrap_or(0),
        number => waiting().nth(random.below(number) as usize).unwrap_or(0),
    }
}
