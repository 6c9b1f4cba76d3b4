//! The search agrees with those that are slow and easy to believe.

use super::draw::{Draw, Family, history};
use super::{EMPTY, Mute, Plain, is_valid, mute};
use crate::budget::Budget;
use crate::oracle::{ended_before, is_legal};
use crate::problem::Problem;
use crate::search::{Found, Rules, search};
use crate::specs::register::{Op, Ret};
use crate::{Answer, Call};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use std::collections::HashMap;

/// What stateright says; it knows no times, only the order in which it is told.
fn stateright_says(calls: &[Call<Plain>]) -> bool {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (place, call) in calls.iter().enumerate() {
        events.push((call.start, false, place));
        events.extend(call.answer.as_ref().map(|answer| (answer.end, true, place)));
    }
    events.sort_unstable();
    let mut tester = LinearizabilityTester::new(EMPTY);
    for (_, returns, place) in events {
        let call = &calls[place];
        if returns {
            let answer = call.answer.as_ref().expect("it returns");
            tester.on_return(call.process, answer.ret.clone()).expect("a process is sequential");
        } else {
            tester.on_invoke(call.process, call.op.clone()).expect("a process is sequential");
        }
    }
    tester.is_consistent()
}

/// Every operation of a register with every answer, over null and three values.
pub(super) fn menu() -> Vec<(Op<u8>, Option<Ret<u8>>)> {
    let values = [None, Some(1), Some(2), Some(3)];
    let mut menu = vec![(Op::Read, None), (Op::Delete, None), (Op::Delete, Some(Ret::Done))];
    for value in values {
        menu.push((Op::Read, Some(Ret::Value(value))));
    }
    for to in 1..=3 {
        menu.push((Op::Write(to), None));
        menu.push((Op::Write(to), Some(Ret::Done)));
        for from in values {
            for ret in [None, Some(Ret::Swapped), Some(Ret::Mismatch)] {
                menu.push((Op::Cas(from, to), ret));
            }
        }
    }
    menu
}

/// Values are named in the order in which they are first mentioned: all others are renamings.
pub(super) fn is_canonical(chosen: &[(Op<u8>, Option<Ret<u8>>)]) -> bool {
    let mut known = 0;
    let mut mention = |value: Option<u8>| {
        let value = value.unwrap_or(0);
        let fits = value <= known + 1;
        known = known.max(value);
        fits
    };
    chosen.iter().all(|(op, ret)| match (op, ret) {
        (Op::Read, Some(Ret::Value(value))) => mention(*value),
        (Op::Write(value), _) => mention(Some(*value)),
        (Op::Cas(from, to), _) => mention(*from) && mention(Some(*to)),
        _ => true,
    })
}

/// The starts and ends of three calls, the last of which or none is the second worker's.
pub(super) fn timings() -> Vec<([(u64, u64); 3], bool)> {
    let mut timings = vec![([(0, 1), (2, 3), (4, 5)], false)];
    for start in 0..6 {
        for end in start + 1..6 {
            let mut rest = (0..6).filter(|time| *time != start && *time != end);
            let mut next = || rest.next().expect("four are left");
            let (first, second) = ((next(), next()), (next(), next()));
            timings.push(([first, second, (start, end)], true));
        }
    }
    timings
}

/// The calls, or none if the same history comes up with other timings.
pub(super) fn build(
    chosen: &[(Op<u8>, Option<Ret<u8>>)],
    timing: &[(u64, u64); 3],
    two: bool,
) -> Option<Vec<Call<Plain>>> {
    let mut calls = Vec::new();
    // The first two are the first worker's; after an unknown outcome it is another process.
    let mut process = 0;
    for (place, ((op, ret), (start, end))) in chosen.iter().zip(timing).enumerate() {
        if ret.is_none() && *end != start + 1 {
            return None;
        }
        let number = if two && place == 2 { 9 } else { process };
        let answer = ret.clone().map(|ret| Answer { end: *end, ret });
        process += u64::from(answer.is_none());
        let op = op.clone();
        calls.push(Call { index: *start, process: number, start: *start, op, answer });
    }
    Some(calls)
}

#[test]
fn all_histories_of_three_operations_of_two_processes() {
    let menu = menu();
    let timings = timings();
    let (mut count, mut illegal) = (0_u64, 0_u64);
    for a in &menu {
        for b in &menu {
            for c in &menu {
                let chosen = [a.clone(), b.clone(), c.clone()];
                if !is_canonical(&chosen) {
                    continue;
                }
                for (timing, two) in &timings {
                    let Some(calls) = build(&chosen, timing, *two) else { continue };
                    let legal = is_legal(&EMPTY, &calls);
                    assert_eq!(search_says(&calls), legal, "{calls:#?}");
                    assert_eq!(stateright_says(&calls), legal, "stateright: {calls:#?}");
                    count += 1;
                    illegal += u64::from(!legal);
                }
            }
        }
    }
    println!("{count} histories of 3 operations of 2 processes, {illegal} illegal: all agree");
    assert!(count > 100_000 && illegal > 10_000);
}

/// The bare search, without the shrink of what is illegal.
pub(super) fn search_says<S: crate::Spec<Op = Op<u8>, Ret = Ret<u8>> + From<Plain>>(
    calls: &[Call<S>],
) -> bool {
    search_with(calls, Rules::ALL)
}

/// The same with some rules off.
pub(super) fn search_with<S: crate::Spec<Op = Op<u8>, Ret = Ret<u8>> + From<Plain>>(
    calls: &[Call<S>],
    rules: Rules,
) -> bool {
    let partition = super::partition(&S::from(EMPTY), calls);
    let all: Vec<u32> = (0..calls.len() as u32).collect();
    let mut problem = Problem::new(&partition, &all, u64::MAX);
    if !rules.symmetry {
        problem.separate();
    }
    let mut budget = Budget::new(crate::Limits::default(), &|| false);
    match search(&partition, &problem, rules, &mut budget).0 {
        Found::Legal(order) => {
            replay(&partition.calls, &order);
            true
        }
        Found::Illegal => false,
        Found::Halted(halt) => panic!("halted: {halt:?}"),
    }
}

impl From<Plain> for Mute<Plain> {
    fn from(state: Plain) -> Self {
        Self(state)
    }
}

/// A witness is a legal order of every answered call, respects real time, and repeats nothing.
pub(super) fn replay<S: crate::Spec<Op = Op<u8>, Ret = Ret<u8>> + From<Plain>>(
    calls: &[Call<S>],
    order: &[u32],
) {
    let mut state = S::from(EMPTY);
    let mut place_of = HashMap::new();
    for (place, call) in order.iter().enumerate() {
        assert!(place_of.insert(*call, place).is_none(), "twice in {order:?}");
        let call = &calls[*call as usize];
        match &call.answer {
            Some(answer) => {
                assert!(state.is_valid_step(&call.op, &answer.ret), "{order:?}: {calls:#?}")
            }
            None => drop(state.invoke(&call.op)),
        }
    }
    for (a, before) in calls.iter().enumerate() {
        let place = place_of.get(&(a as u32));
        assert!(place.is_some() || before.answer.is_none(), "{a} is missing in {order:?}");
        for (b, after) in calls.iter().enumerate() {
            if let (Some(first), Some(second)) = (place, place_of.get(&(b as u32)))
                && ended_before(before, after)
            {
                assert!(first < second, "{a} after {b} in {order:?}: {calls:#?}");
            }
        }
    }
}

pub(super) fn small(seed: u64, draw: &mut Draw) -> Family {
    Family {
        clients: 2 + draw.below(4),
        operations: 3 + draw.below(6),
        values: seed % 4,
        unknown_percent: [20, 35][(seed / 12 % 2) as usize],
        wrong_percent: [0, 10, 30][(seed / 4 % 3) as usize],
        tie_percent: if seed.is_multiple_of(2) { 0 } else { 40 },
    }
}

#[test]
fn shapes_change_no_ruling_on_larger_histories() {
    let mut illegal = 0;
    let rounds = 3_000;
    for seed in 0..rounds {
        let draw = &mut Draw::new(1_000_000 + seed);
        let family = Family {
            clients: 3 + draw.below(4),
            operations: 20 + draw.below(30),
            values: seed % 6,
            unknown_percent: [0, 5, 15][(seed % 3) as usize],
            wrong_percent: [0, 4][(seed / 3 % 2) as usize],
            tie_percent: [0, 30][(seed / 6 % 2) as usize],
        };
        let calls = history(family, draw);
        let legal = search_says(&calls);
        assert_eq!(search_says(&mute(&calls)), legal, "seed {seed}: {calls:#?}");
        assert!(legal || family.wrong_percent > 0, "seed {seed} is legal by construction");
        illegal += u64::from(!legal);
    }
    println!(
        "{rounds} random histories of up to 50 operations, {illegal} illegal: shapes change nothing"
    );
    assert!(illegal > 100);
}

#[test]
fn hundreds_of_calls_open_at_once() {
    // All writes are open while each is read in turn: the reads say in which order they took
    // effect.
    let writes = (0..200_u64).map(|n| super::call(n, 10_000 + n, Op::Write(n as u8), Ret::Done));
    let reads = (0..200_u64).map(|n| {
        let value = (n * 7 % 200) as u8;
        super::call(1_000 + 2 * n, 1_001 + 2 * n, Op::Read, Ret::Value(Some(value)))
    });
    let mut calls: Vec<Call<Plain>> = writes.chain(reads).collect();
    assert!(is_valid(&EMPTY, &calls));
    // One value read again after another came between.
    calls.push(super::call(3_000, 3_001, Op::Read, Ret::Value(Some(7))));
    assert!(!is_valid(&EMPTY, &calls));
}

#[test]
fn a_delete_of_nothing_may_hide_a_write() {
    // Found by random histories. Only a delete between the write and the cas explains them, and
    // where it is needed the state is none already.
    let calls = [
        super::call(4, 13, Op::Write(2), Ret::Done),
        super::unknown(5, Op::Delete),
        super::call(9, 12, Op::Cas(None, 5), Ret::Swapped),
        super::call(14, 21, Op::Read, Ret::Value(Some(5))),
    ];
    assert!(is_legal(&EMPTY, &calls));
    assert!(is_valid(&EMPTY, &calls));
}

#[test]
fn a_mismatch_may_need_a_write_that_nobody_read() {
    let trap = vec![
        super::call(0, 1, Op::Write(1), Ret::Done),
        super::unknown(2, Op::Write(2)),
        super::call(4, 5, Op::Cas(Some(1), 9), Ret::Mismatch),
    ];
    assert!(is_valid(&EMPTY, &trap));
    let without: Vec<Call<Plain>> = [trap[0].clone(), trap[2].clone()].into();
    assert!(!is_valid(&EMPTY, &without));
}

#[test]
fn at_equal_times_a_process_keeps_its_order() {
    let mut write = super::call(0, 5, Op::Write(1), Ret::Done);
    let mut read = super::call(5, 9, Op::Read, Ret::Value(None));
    assert!(is_valid(&EMPTY, &[write.clone(), read.clone()]), "two processes are concurrent");
    write.process = 3;
    read.process = 3;
    assert!(!is_valid(&EMPTY, &[write, read]), "one process is not");
}
