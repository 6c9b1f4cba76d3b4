//! What every algorithm of its own must pass: orders are replayed, proofs are judged again, and
//! both are compared with the slow checkers.

use super::replay::assert_order;
use super::{Mute, options};
use crate::oracle::is_legal;
use crate::{Budget, Call, Finding, Halt, Limits, Ruling, Spec};
use std::collections::BTreeSet;

/// How often an algorithm said what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) legal: u64,
    pub(crate) illegal: u64,
    pub(crate) declined: u64,
}

impl Tally {
    /// Asserts that both rulings were common, and declining rarer than this.
    pub(crate) fn assert_covers(self, what: &str, declined_percent: u64) {
        println!("{what}: {self:?}");
        let all = self.legal + self.illegal + self.declined;
        assert!(self.legal * 20 >= all && self.illegal * 20 >= all, "{what}: {self:?}");
        assert!(self.declined * 100 <= all * declined_percent, "{what}: {self:?}");
    }
}

/// What the algorithm says, with a budget that is enough.
pub(crate) fn find<S: Spec>(initial: &S, calls: &[Call<S>]) -> Finding {
    let mut budget = Budget::new(Limits::default(), &|| false);
    initial.specialised(calls, true, &mut budget).expect("the budget is enough")
}

/// Asserts that it heeds a budget that is too small, of steps and of bytes, and the caller's stop.
pub(crate) fn assert_heeds_budget<S: Spec>(initial: &S, calls: &[Call<S>]) {
    let find = |limits, stop: &(dyn Fn() -> bool + Sync)| {
        initial.specialised(calls, true, &mut Budget::new(limits, stop))
    };
    let (steps, bytes) = (calls.len() as u64, calls.len() as u64);
    let few_steps = Limits { steps, ..Limits::default() };
    assert_eq!(find(few_steps, &|| false), Err(Halt::Steps));
    assert_eq!(find(Limits { bytes, ..Limits::default() }, &|| false), Err(Halt::Bytes));
    assert_eq!(find(Limits::default(), &|| true), Err(Halt::Stopped));
}

/// Asserts that the algorithm agrees with every order, tried one after another.
pub(crate) fn agree_with_oracle<S: Spec>(initial: &S, calls: &[Call<S>], tally: &mut Tally) {
    agree(initial, calls, tally, &|calls| is_legal(initial, calls));
}

/// Asserts that it agrees with the search, which is told nothing about the data type.
pub(crate) fn agree_with_search<S: Spec>(initial: &S, calls: &[Call<S>], tally: &mut Tally) {
    agree(initial, calls, tally, &|calls| search(initial, calls));
}

fn agree<S: Spec>(
    initial: &S,
    calls: &[Call<S>],
    tally: &mut Tally,
    judge: &dyn Fn(&[Call<S>]) -> bool,
) {
    match find(initial, calls) {
        Finding::Declined(_) => tally.declined += 1,
        Finding::Legal { order, .. } => {
            tally.legal += 1;
            assert_order(initial, calls, &order);
            assert!(judge(calls), "{order:?} of {calls:?}");
        }
        Finding::Illegal { calls: proof, .. } => {
            tally.illegal += 1;
            assert!(proof.is_sorted_by(|a, b| a < b), "{proof:?}");
            let proof: Vec<Call<S>> =
                proof.iter().map(|place| calls[*place as usize].clone()).collect();
            assert!(!judge(&proof), "{proof:?} of {calls:?}");
            assert!(!judge(calls), "{proof:?} of {calls:?}");
        }
    }
}

fn search<S: Spec>(initial: &S, calls: &[Call<S>]) -> bool {
    let mut mute = Vec::new();
    for Call { index, process, start, op, answer } in calls.iter().cloned() {
        mute.push(Call { index, process, start, op, answer });
    }
    let judgement = crate::linearizable(&Mute(initial.clone()), mute, &options());
    assert_ne!(judgement.ruling, Ruling::Unknown, "{calls:?}");
    judgement.ruling == Ruling::Valid
}

/// Spans of so many calls: one example of everything that real time can say about their order.
pub(crate) fn spans(calls: usize) -> Vec<Vec<(u64, u64)>> {
    let times = calls as u64;
    let choices: Vec<(u64, u64)> =
        (0..times).flat_map(|start| (start..times).map(move |end| (start, end))).collect();
    let mut known = BTreeSet::new();
    let mut spans = Vec::new();
    for number in 0..choices.len().pow(calls as u32) {
        let digit = |place| number / choices.len().pow(place as u32) % choices.len();
        let chosen: Vec<(u64, u64)> = (0..calls).map(|place| choices[digit(place)]).collect();
        let before: Vec<bool> =
            chosen.iter().flat_map(|a| chosen.iter().map(|b| a.1 < b.0)).collect();
        if chosen.is_sorted_by_key(|span| span.0) && known.insert(before) {
            spans.push(chosen);
        }
    }
    spans
}
