//! Every history of a few operations, once up to renaming.
//!
//! Nothing that is judged here looks at anything of time but which call came before which, so one
//! example of each such order will do (`spans`), and of those that differ only in how the calls
//! are numbered, one. Calls of an order that can be exchanged for each other, and the two values,
//! are exchanged in every way, and only the first of the histories that come of it is kept.
//!
//! At most three answered calls are open at once: there are three workers. A call of unknown outcome
//! comes before nothing, and its worker goes on at once as another process.

use super::super::fast::spans;
use super::super::lists_replay::Item;
use super::Subject;
use crate::{Answer, Call, Spec};
use std::collections::BTreeSet;

/// So many work at once.
const WORKERS: usize = 3;

/// What real time says of some calls.
struct Timing {
    spans: Vec<(u64, u64)>,
    /// The ways to exchange calls for each other.
    symmetries: Vec<Vec<usize>>,
}

impl Timing {
    fn precedes(&self, a: usize, b: usize) -> bool {
        self.spans[a].1 < self.spans[b].0
    }

    /// Whether call `a` comes before call `b`, for all of them as renumbered.
    fn relation(&self, numbers: &[usize]) -> Vec<bool> {
        let pairs = numbers.iter().flat_map(|a| numbers.iter().map(move |b| (*a, *b)));
        pairs.map(|(a, b)| self.precedes(a, b)).collect()
    }
}

/// One of each kind.
fn timings(size: usize) -> Vec<Timing> {
    let numberings = permutations(size);
    let mut known = BTreeSet::new();
    let mut timings = Vec::new();
    for spans in spans(size) {
        let mut timing = Timing { spans, symmetries: Vec::new() };
        let relation = timing.relation(&numberings[0]);
        let relations = || numberings.iter().map(|numbers| timing.relation(numbers));
        if known.insert(relations().min()) {
            let same = numberings.iter().zip(relations()).filter(|(_, other)| *other == relation);
            timing.symmetries = same.map(|(numbers, _)| numbers.clone()).collect();
            timings.push(timing);
        }
    }
    timings
}

/// All permutations, the one that changes nothing first.
fn permutations(size: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in 0..size {
        let longer = |short: Vec<usize>| {
            let rest: Vec<usize> = (0..size).filter(|number| !short.contains(number)).collect();
            rest.into_iter().map(move |number| [&short[..], &[number]].concat())
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}

/// Asks about every history of so many operations.
pub(super) fn every<S: Spec, D: Subject<S>>(size: usize, mut ask: impl FnMut(&[Call<S>])) {
    let menu = D::menu();
    let number = |item: Item<S>| menu.iter().position(|other| *other == item);
    let exchanged: Vec<usize> =
        menu.iter().map(|item| number(D::exchanged(item)).expect("a menu is whole")).collect();
    for timing in timings(size) {
        for code in 0..menu.len().pow(size as u32) {
            let chosen: Vec<usize> =
                (0..size).map(|place| code / menu.len().pow(place as u32) % menu.len()).collect();
            if is_first(&chosen, &timing, &exchanged)
                && let Some(calls) = build(&menu, &chosen, &timing)
            {
                ask(&calls);
            }
        }
    }
}

/// Whether no exchange of calls or values makes an earlier choice of it.
fn is_first(chosen: &[usize], timing: &Timing, exchanged: &[usize]) -> bool {
    timing.symmetries.iter().all(|numbers| {
        let moved = || numbers.iter().map(|number| chosen[*number]);
        chosen.iter().copied().le(moved())
            && chosen.iter().copied().le(moved().map(|item| exchanged[item]))
    })
}

/// The calls; none if the same history comes up with another timing, or needs a fourth worker.
fn build<S: Spec>(menu: &[Item<S>], chosen: &[usize], timing: &Timing) -> Option<Vec<Call<S>>> {
    let mut calls: Vec<Call<S>> = Vec::with_capacity(chosen.len());
    // When each worker's last call ended.
    let mut workers: [Option<u64>; WORKERS] = [None; WORKERS];
    for (place, &item) in chosen.iter().enumerate() {
        let ((op, ret), (start, end)) = (menu[item].clone(), timing.spans[place]);
        let process = match ret {
            None if (0..chosen.len()).any(|other| timing.precedes(place, other)) => return None,
            None => WORKERS + place,
            Some(_) => {
                let idle = |ended: &Option<u64>| ended.is_none_or(|ended| ended < start);
                let worker = workers.iter().position(idle)?;
                workers[worker] = Some(end);
                worker
            }
        } as u64;
        let answer = ret.map(|ret| Answer { end, ret });
        calls.push(Call { index: place as u64, process, start, op, answer });
    }
    Some(calls)
}

#[test]
fn timings_are_all_there() {
    // The interval orders, which Fishburn counted.
    assert_eq!([1, 2, 3, 4].map(|size| timings(size).len()), [1, 2, 5, 15]);
    let numbered = |timing: &Timing| 24 / timing.symmetries.len();
    assert_eq!(timings(4).iter().map(numbered).sum::<usize>(), 207, "of calls with names");
}
