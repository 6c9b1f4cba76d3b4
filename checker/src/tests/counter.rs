//! The algorithm for counters against the slow checkers.

use super::draw::{Draw, Family};
use super::fast::{Tally, agree_with_oracle, agree_with_search, assert_heeds_budget, find, spans};
use super::replay::assert_order;
use super::simulate::{Calls, simulate};
use crate::specs::counter::{Counter, Op, Ret};
use crate::{Answer, Call, Finding, SequentialSpec, Spec};

/// A call of its own process. Without an answer its outcome is unknown, and `end` nothing.
fn call(index: u64, start: u64, end: u64, op: Op, ret: Option<Ret>) -> Call<Counter> {
    Call { index, process: index, start, op, answer: ret.map(|ret| Answer { end, ret }) }
}

fn add(start: u64, end: u64) -> Call<Counter> {
    call(start, start, end, Op::Add(1), Some(Ret::Done))
}

fn read(start: u64, end: u64, value: i64) -> Call<Counter> {
    call(start, start, end, Op::Read, Some(Ret::Value(value)))
}

fn draw_history(initial: i64, amount: i64, family: Family, draw: &mut Draw) -> Vec<Call<Counter>> {
    let operation = |_, draw: &mut Draw| match draw.percent(50) {
        true => Op::Add(amount),
        false => Op::Read,
    };
    let wrong = |op: &Op, draw: &mut Draw| match op {
        Op::Add(_) => Ret::Done,
        Op::Read => Ret::Value(initial + amount * draw.below(1 + family.operations / 2) as i64),
    };
    simulate(&Counter(initial), &Calls { operation: &operation, wrong: &wrong }, family, draw)
}

fn family(draw: &mut Draw, clients: u64, operations: u64) -> Family {
    Family {
        clients: 2 + draw.below(clients - 1),
        operations,
        values: 0,
        unknown_percent: draw.below(2) * draw.below(40),
        wrong_percent: draw.below(25),
        tie_percent: draw.below(50),
    }
}

#[test]
fn small_histories_agree_with_every_order() {
    let mut draw = Draw::new(1);
    let mut tally = Tally::default();
    for _ in 0..40_000 {
        let operations = 2 + draw.below(6);
        let of = family(&mut draw, 4, operations);
        let initial = draw.below(3) as i64;
        let amount = [1, 1, 1, -1, 3][draw.below(5) as usize];
        let calls = draw_history(initial, amount, of, &mut draw);
        agree_with_oracle(&Counter(initial), &calls, &mut tally);
    }
    tally.assert_covers("small histories", 0);
}

/// Spans drawn at random, wide and narrow, reach matchings that busy clients do not.
#[test]
fn random_spans_agree_with_every_order() {
    let mut draw = Draw::new(2);
    let mut tally = Tally::default();
    for _ in 0..60_000 {
        let mut calls: Vec<Call<Counter>> = (0..2 + draw.below(7))
            .map(|index| {
                let start = draw.below(12);
                let widest = if draw.percent(40) { 12 } else { 3 };
                let end = start + draw.below(widest);
                let known = !draw.percent(8);
                match draw.percent(60) {
                    true => call(index, start, end, Op::Add(1), known.then_some(Ret::Done)),
                    false => {
                        let ret = Ret::Value(draw.below(5) as i64);
                        call(index, start, end, Op::Read, known.then_some(ret))
                    }
                }
            })
            .collect();
        calls.sort_by_key(|call| (call.start, call.index));
        agree_with_oracle(&Counter(0), &calls, &mut tally);
    }
    tally.assert_covers("random spans", 0);
}

#[test]
fn longer_histories_agree_with_the_search() {
    let mut draw = Draw::new(3);
    let mut tally = Tally::default();
    for _ in 0..1_500 {
        let operations = 10 + draw.below(31);
        let mut of = family(&mut draw, 6, operations);
        of.unknown_percent /= 4;
        of.wrong_percent /= 8;
        let calls = draw_history(0, 1, of, &mut draw);
        agree_with_search(&Counter(0), &calls, &mut tally);
    }
    tally.assert_covers("against the search", 0);
}

/// Every history of up to four calls, whatever real time says.
#[test]
fn all_histories_of_four_calls_agree_with_every_order() {
    let mut menu = vec![(Op::Add(1), None), (Op::Add(1), Some(Ret::Done)), (Op::Read, None)];
    menu.extend((-1..=3).map(|value| (Op::Read, Some(Ret::Value(value)))));
    let mut tally = Tally::default();
    for spans in [spans(2), spans(3), spans(4)].concat() {
        for number in 0..menu.len().pow(spans.len() as u32) {
            let chosen = |place| number / menu.len().pow(place as u32) % menu.len();
            let calls: Vec<Call<Counter>> = (0..spans.len())
                .map(|place| {
                    let ((start, end), (op, ret)) = (spans[place], menu[chosen(place)]);
                    call(place as u64, start, end, op, ret)
                })
                .collect();
            agree_with_oracle(&Counter(0), &calls, &mut tally);
        }
    }
    tally.assert_covers("four calls", 0);
}

#[test]
fn large_histories_have_orders_that_replay() {
    let mut draw = Draw::new(4);
    for (unknown_percent, clients) in [(0, 1), (0, 50), (5, 50)] {
        let family = Family {
            clients,
            operations: 3_000,
            values: 0,
            unknown_percent,
            wrong_percent: 0,
            tie_percent: 20,
        };
        let calls = draw_history(5, -1, family, &mut draw);
        let found = find(&Counter(5), &calls);
        let Finding::Legal { order, .. } = found else { panic!("{clients}: {found:?}") };
        assert_order(&Counter(5), &calls, &order);
        assert_heeds_budget(&Counter(5), &calls);
    }
}

/// A wide add may be the first step or the second, but the narrow one is neither for both reads.
#[test]
fn an_early_add_is_not_counted_late() {
    let calls = [add(0, 100), read(10, 10, 1), add(50, 51), read(60, 60, 1)];
    assert_eq!(proof(&calls), [0, 1, 2, 3]);
}

fn proof(calls: &[Call<Counter>]) -> Vec<u32> {
    match find(&Counter(0), calls) {
        Finding::Illegal { calls, .. } => calls,
        found => panic!("{found:?}"),
    }
}

#[test]
fn proofs_are_few_reads_and_every_add_they_can_see() {
    let calls = [add(0, 1), read(2, 3, 1), read(4, 5, 0), add(6, 7), read(8, 9, 7)];
    assert_eq!(proof(&calls), [0, 2], "the first thing that is wrong");
    assert_eq!(proof(&[read(0, 1, 0), read(2, 3, 1), add(4, 5)]), [1], "of the future");
    let many = [add(0, 1), add(0, 9), add(2, 3), add(4, 5), read(6, 7, 1), read(8, 9, 2)];
    assert_eq!(proof(&many), [0, 2, 4], "one too many, and no more");
    let pair = [add(0, 30), add(1, 2), read(3, 4, 2), add(5, 6), add(7, 40), read(9, 10, 2)];
    assert_eq!(proof(&pair), [0, 1, 2, 3, 5], "all before the first, one between");
    assert_eq!(proof(&[read(0, 1, -1)]), [0], "below the initial value");
}

#[test]
fn what_it_cannot_decide_is_declined() {
    let declined = |initial, calls: &[Call<Counter>]| {
        matches!(find(&Counter(initial), calls), Finding::Declined(_))
    };
    let amount = |start, amount| call(start, start, start + 1, Op::Add(amount), Some(Ret::Done));
    assert!(declined(0, &[amount(0, 1), amount(2, 2)]));
    assert!(declined(0, &[amount(0, 0)]));
    assert!(declined(i64::MAX, &[amount(0, 1)]), "it may overflow");
    assert!(declined(0, &[add(5, 4)]), "it ends before it starts");
    assert!(declined(0, &[add(0, u64::MAX)]));
}

/// A value that no machine could count to costs nothing.
#[test]
fn absurd_reads_are_illegal_at_once() {
    for value in [i64::MIN, i64::MAX] {
        assert_eq!(proof(&[add(0, 1), read(2, 3, value)]), [0, 1]);
    }
}

#[test]
fn the_counter_stays_in_its_range() {
    let mut counter = Counter(i64::MAX - 1);
    assert_eq!(counter.invoke(&Op::Add(1)), Ret::Done);
    assert_eq!(counter.invoke(&Op::Add(1)), Ret::Overflow);
    assert!(!counter.is_valid_step(&Op::Add(1), &Ret::Done));
    assert_eq!(counter, Counter(i64::MAX));
}

#[test]
fn calls_and_states_have_words() {
    assert_eq!(Counter::describe(&Op::Add(-3), Some(&Ret::Done)), "add -3");
    assert_eq!(Counter::describe(&Op::Add(3), Some(&Ret::Overflow)), "add 3 → overflow");
    assert_eq!(Counter::describe(&Op::Read, Some(&Ret::Value(3))), "read → 3");
    assert_eq!(Counter::describe(&Op::Read, None), "read");
    assert_eq!(Counter(4).describe_state(), "4");
}
