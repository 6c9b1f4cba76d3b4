//! What is asked of any algorithm made for one data type: every order replayed, every proof judged
//! again, every ruling compared with that of all orders or of the plain search.

use super::draw::{Draw, Family};
use crate::oracle::is_legal;
use crate::{Answer, Budget, Call, Finding, Limits, SequentialSpec, Spec};

/// What became of many histories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) legal: u64,
    pub(crate) illegal: u64,
    pub(crate) declined: u64,
}

impl Tally {
    /// Asks the algorithm about a history and compares what it says with what is.
    pub(crate) fn ask<S: Spec>(&mut self, initial: &S, calls: &[Call<S>]) {
        match find(initial, calls) {
            Finding::Declined(_) => self.declined += 1,
            Finding::Legal { order, .. } => {
                replay(initial, calls, &order);
                self.legal += 1;
            }
            Finding::Illegal { calls: proof, by } => {
                assert!(proof.is_sorted_by(|a, b| a < b), "{by}: {proof:?}");
                // With any other calls of the history they are illegal as well, and with all.
                for also in 0..4_u32 {
                    let kept = |place: &u32| {
                        proof.contains(place) || also == 3 || also > 0 && place % 2 == also - 1
                    };
                    let places = (0..calls.len() as u32).filter(kept);
                    let some: Vec<Call<S>> =
                        places.map(|place| calls[place as usize].clone()).collect();
                    assert!(!is_legal(initial, &some), "{by}: {proof:?} of {calls:#?}");
                }
                self.illegal += 1;
            }
        }
    }
}

/// What the algorithm says.
pub(crate) fn find<S: Spec>(initial: &S, calls: &[Call<S>]) -> Finding {
    let mut budget = Budget::new(Limits::default(), &|| false);
    initial.specialised(calls, true, &mut budget).expect("small histories are within the budget")
}

/// An order names no call twice, leaves out no answered one, respects real time, and is legal.
fn replay<S: Spec>(initial: &S, calls: &[Call<S>], order: &[u32]) {
    let mut state = initial.clone();
    let mut done = vec![false; calls.len()];
    let mut latest_start = 0;
    for &place in order {
        let call = &calls[place as usize];
        assert!(!std::mem::replace(&mut done[place as usize], true), "{place} twice: {order:?}");
        let end = call.answer.as_ref().map_or(u64::MAX, |answer| answer.end);
        assert!(latest_start <= end, "{place} comes too late in {order:?} of {calls:#?}");
        latest_start = latest_start.max(call.start);
        match &call.answer {
            Some(Answer { ret, .. }) => {
                assert!(state.is_valid_step(&call.op, ret), "{place} in {order:?} of {calls:#?}");
            }
            None => drop(state.invoke(&call.op)),
        }
    }
    let all = calls.iter().zip(&done).all(|(call, done)| *done || call.answer.is_none());
    assert!(all, "an answered call is missing in {order:?} of {calls:#?}");
}

/// An operation with its answer.
pub(crate) type Item<S> = (<S as SequentialSpec>::Op, Option<<S as SequentialSpec>::Ret>);

/// Every history of as many operations as `size`, each of its own process and one of the menu.
pub(crate) fn every<S: Spec>(menu: &[Item<S>], size: usize, mut ask: impl FnMut(&[Call<S>])) {
    let timings = timings(size);
    for number in 0..menu.len().pow(size as u32) {
        let chosen: Vec<&Item<S>> = (0..size)
            .map(|place| &menu[number / menu.len().pow(place as u32) % menu.len()])
            .collect();
        for timing in &timings {
            let call = |((op, ret), (start, end)): (&Item<S>, &(u64, u64))| Call {
                index: *start,
                process: *start,
                start: *start,
                op: op.clone(),
                answer: ret.clone().map(|ret| Answer { end: *end, ret }),
            };
            let pairs = chosen.iter().copied().zip(timing);
            ask(&pairs.map(call).collect::<Vec<Call<S>>>());
        }
    }
}

/// Every way for so many calls to overlap, in the order of their starts.
fn timings(size: usize) -> Vec<Vec<(u64, u64)>> {
    fn extend(open: &mut Vec<(u64, u64)>, time: u64, size: usize, all: &mut Vec<Vec<(u64, u64)>>) {
        if open.len() < size {
            open.push((time, u64::MAX));
            extend(open, time + 1, size, all);
            open.pop();
        }
        for call in 0..open.len() {
            if open[call].1 == u64::MAX {
                open[call].1 = time;
                extend(open, time + 1, size, all);
                open[call].1 = u64::MAX;
            }
        }
        if time == 2 * size as u64 {
            all.push(open.clone());
        }
    }
    let mut all = Vec::new();
    extend(&mut Vec::new(), 0, size, &mut all);
    all
}

#[test]
fn timings_are_all_there() {
    assert_eq!([1, 2, 3, 4].map(|size| timings(size).len()), [1, 3, 15, 105]);
}

/// What is drawn for one data type.
pub(crate) trait Source<S: Spec> {
    /// What a process does next; `nth` counts what it did before, `count` what all did.
    fn operation(&mut self, process: u64, nth: u64, count: u64, draw: &mut Draw) -> S::Op;
    /// Another answer than the one that is right.
    fn wrong(&mut self, op: &S::Op, ret: S::Ret, draw: &mut Draw) -> S::Ret;
    /// Whether an operation waits in this state.
    fn waits(&self, state: &S, op: &S::Op) -> bool {
        let _ = (state, op);
        false
    }
}

/// One that calls, and what it is about.
struct Client {
    process: u64,
    nth: u64,
    open: Option<usize>,
    ended: u64,
}

/// A history on which each call took effect somewhere between its start and its end, with some
/// answers and some times changed afterwards.
pub(crate) fn history<S: Spec>(
    initial: &S,
    family: Family,
    source: &mut impl Source<S>,
    draw: &mut Draw,
) -> Vec<Call<S>> {
    let mut state = initial.clone();
    let mut calls: Vec<Call<S>> = Vec::new();
    let mut answers: Vec<Option<S::Ret>> = Vec::new();
    let client = |process| Client { process, nth: 0, open: None, ended: 0 };
    let mut clients: Vec<Client> = (0..family.clients).map(client).collect();
    let mut time = 1;
    for _ in 0..family.operations * 20 {
        time += u64::from(!draw.percent(family.tie_percent));
        let fresh = calls.len() as u64 + family.clients;
        let client = &mut clients[draw.below(family.clients) as usize];
        let Some(open) = client.open else {
            if calls.len() as u64 == family.operations {
                continue;
            }
            time += u64::from(client.ended == time);
            let Client { process, nth, .. } = *client;
            let op = source.operation(process, nth, calls.len() as u64, draw);
            client.open = Some(calls.len());
            calls.push(Call { index: fresh, process, start: time, op, answer: None });
            answers.push(None);
            continue;
        };
        let Some(ret) = answers[open].take() else {
            if source.waits(&state, &calls[open].op) {
                continue;
            }
            answers[open] = Some(state.invoke(&calls[open].op));
            if draw.percent(family.unknown_percent) {
                *client = Client { process: 1_000 + open as u64, nth: 0, open: None, ended: 0 };
            }
            continue;
        };
        let wrong = draw.percent(family.wrong_percent);
        let ret = if wrong { source.wrong(&calls[open].op, ret, draw) } else { ret };
        calls[open].answer = Some(Answer { end: time, ret });
        *client = Client { open: None, nth: client.nth + 1, ended: time, ..*client };
    }
    for place in 0..calls.len() {
        if draw.percent(family.wrong_percent) {
            shift(&mut calls, place, draw);
        }
    }
    calls.sort_by_key(|call| (call.start, call.index));
    calls
}

/// Moves a call in time, unless its process would then do two things at once.
fn shift<S: Spec>(calls: &mut [Call<S>], place: usize, draw: &mut Draw) {
    let (back, by) = (draw.percent(50), 1 + draw.below(6));
    let moved = |time: u64| if back { time.saturating_sub(by) } else { time + by };
    let (start, end) =
        (moved(calls[place].start), calls[place].answer.as_ref().map(|a| moved(a.end)));
    let touches = |other: &Call<S>| {
        let other_end = other.answer.as_ref().map_or(u64::MAX, |answer| answer.end);
        start <= other_end && other.start <= end.unwrap_or(u64::MAX)
    };
    let process = calls[place].process;
    let same =
        |(at, other): (usize, &Call<S>)| at != place && other.process == process && touches(other);
    if !calls.iter().enumerate().any(same) {
        calls[place].start = start;
        if let (Some(answer), Some(end)) = (&mut calls[place].answer, end) {
            answer.end = end;
        }
    }
}

/// Small histories of many kinds.
pub(crate) fn small(seed: u64, draw: &mut Draw) -> Family {
    Family {
        clients: 2 + draw.below(3),
        operations: 2 + draw.below(7),
        values: 0,
        unknown_percent: [0, 10, 30][(seed % 3) as usize],
        wrong_percent: [0, 10, 25][(seed / 3 % 3) as usize],
        tie_percent: [0, 40][(seed / 9 % 2) as usize],
    }
}

/// Histories too large for all orders.
pub(crate) fn larger(seed: u64, draw: &mut Draw) -> Family {
    Family {
        clients: 2 + draw.below(4),
        operations: 10 + draw.below(31),
        wrong_percent: [0, 3, 6][(seed / 3 % 3) as usize],
        ..small(seed, draw)
    }
}
