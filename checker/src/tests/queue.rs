//! The algorithm for queues against the slow checkers.

use super::draw::{Draw, Family};
use super::fast::{Tally, agree_with_oracle, agree_with_search, assert_heeds_budget, find, spans};
use super::replay::assert_order;
use super::simulate::{Calls, simulate};
use crate::specs::queue::{Op, Queue, Ret};
use crate::{Answer, Call, Finding, Leaves, Limits, Needs, SequentialSpec, Spec};
use std::collections::VecDeque;

type Plain = Queue<u64>;

const EMPTY: Plain = Queue(VecDeque::new());

/// A call of its own process. Without an answer its outcome is unknown, and `end` nothing.
fn call(index: u64, start: u64, end: u64, op: Op<u64>, ret: Option<Ret<u64>>) -> Call<Plain> {
    Call { index, process: index, start, op, answer: ret.map(|ret| Answer { end, ret }) }
}

fn enqueue(start: u64, end: u64, item: u64) -> Call<Plain> {
    call(start, start, end, Op::Enqueue(item), Some(Ret::Done))
}

fn dequeue(start: u64, end: u64, item: Option<u64>) -> Call<Plain> {
    call(start, start, end, Op::Dequeue, Some(Ret::Item(item)))
}

fn lost(start: u64, op: Op<u64>) -> Call<Plain> {
    call(start, start, 0, op, None)
}

fn draw_history(family: Family, draw: &mut Draw) -> Vec<Call<Plain>> {
    let operation = |index, draw: &mut Draw| match draw.percent(45) {
        true => Op::Enqueue(index),
        false => Op::Dequeue,
    };
    let wrong = |op: &Op<u64>, draw: &mut Draw| match op {
        Op::Enqueue(_) => Ret::Done,
        Op::Dequeue if draw.percent(30) => Ret::Item(None),
        Op::Dequeue => Ret::Item(Some(draw.below(family.operations))),
    };
    simulate(&EMPTY, &Calls { operation: &operation, wrong: &wrong }, family, draw)
}

fn family(draw: &mut Draw, operations: u64, unknown: u64) -> Family {
    Family {
        clients: 2 + draw.below(3),
        operations,
        values: 0,
        unknown_percent: if unknown > 0 { draw.below(unknown) } else { 0 },
        wrong_percent: draw.below(25),
        tie_percent: draw.below(50),
    }
}

#[test]
fn small_histories_agree_with_every_order() {
    let mut draw = Draw::new(1);
    let (mut known, mut unknown) = (Tally::default(), Tally::default());
    for _ in 0..20_000 {
        let operations = 2 + draw.below(6);
        let of = family(&mut draw, operations, 0);
        agree_with_oracle(&EMPTY, &draw_history(of, &mut draw), &mut known);
        let of = family(&mut draw, operations, 40);
        agree_with_oracle(&EMPTY, &draw_history(of, &mut draw), &mut unknown);
    }
    known.assert_covers("all outcomes known", 0);
    unknown.assert_covers("some outcomes unknown", 3);
}

/// Declining is only for unknown dequeues beside answers that the queue was empty.
#[test]
fn without_empty_answers_unknown_dequeues_are_decided() {
    let mut draw = Draw::new(2);
    let mut tally = Tally::default();
    for _ in 0..30_000 {
        let operations = 3 + draw.below(6);
        let of = family(&mut draw, operations, 60);
        let mut calls = draw_history(of, &mut draw);
        calls.retain(|call| call.answer.as_ref().is_none_or(|is| is.ret != Ret::Item(None)));
        agree_with_oracle(&EMPTY, &calls, &mut tally);
    }
    tally.assert_covers("no empty answers", 0);
}

#[test]
fn longer_histories_agree_with_the_search() {
    let mut draw = Draw::new(3);
    let mut tally = Tally::default();
    for _ in 0..1_500 {
        let operations = 10 + draw.below(31);
        let unknown = draw.below(2) * 10;
        let mut of = family(&mut draw, operations, unknown);
        of.wrong_percent /= 8;
        agree_with_search(&EMPTY, &draw_history(of, &mut draw), &mut tally);
    }
    tally.assert_covers("against the search", 10);
}

/// Every history of up to four calls on two items, whatever real time says.
#[test]
fn all_histories_of_four_calls_agree_with_every_order() {
    let mut menu = vec![(Op::Dequeue, None), (Op::Dequeue, Some(Ret::Item(None)))];
    for item in [1, 2] {
        menu.push((Op::Enqueue(item), None));
        menu.push((Op::Enqueue(item), Some(Ret::Done)));
        menu.push((Op::Dequeue, Some(Ret::Item(Some(item)))));
    }
    let (mut tally, mut repeated) = (Tally::default(), 0);
    for spans in [spans(2), spans(3), spans(4)].concat() {
        for number in 0..menu.len().pow(spans.len() as u32) {
            let chosen = |place| number / menu.len().pow(place as u32) % menu.len();
            let calls: Vec<Call<Plain>> = (0..spans.len())
                .map(|place| {
                    let ((start, end), (op, ret)) = (spans[place], menu[chosen(place)].clone());
                    call(place as u64, start, end, op, ret)
                })
                .collect();
            let enqueues = |item| calls.iter().filter(|call| call.op == Op::Enqueue(item)).count();
            if enqueues(1) > 1 || enqueues(2) > 1 {
                assert!(matches!(find(&EMPTY, &calls), Finding::Declined(_)));
                repeated += 1;
            } else {
                agree_with_oracle(&EMPTY, &calls, &mut tally);
            }
        }
    }
    println!("{repeated} with a repeated item");
    tally.assert_covers("four calls", 5);
}

/// Chains of enough items for the general parts: stays that hand over, epochs, many clients.
#[test]
fn large_histories_have_orders_that_replay() {
    let mut draw = Draw::new(4);
    for unknown_percent in [0, 5] {
        for clients in [1, 5, 50] {
            let family = Family {
                clients,
                operations: 3_000,
                values: 0,
                unknown_percent,
                wrong_percent: 0,
                tie_percent: 20,
            };
            let mut calls = draw_history(family, &mut draw);
            if unknown_percent > 0 {
                calls
                    .retain(|call| call.answer.as_ref().is_none_or(|is| is.ret != Ret::Item(None)));
            }
            let found = find(&EMPTY, &calls);
            let Finding::Legal { order, .. } = found else { panic!("{clients}: {found:?}") };
            assert_order(&EMPTY, &calls, &order);
            assert_heeds_budget(&EMPTY, &calls);
        }
    }
}

fn proof(calls: &[Call<Plain>]) -> Vec<u32> {
    match find(&EMPTY, calls) {
        Finding::Illegal { calls, .. } => calls,
        found => panic!("{found:?}"),
    }
}

#[test]
fn proofs_are_the_pattern() {
    let noise = [enqueue(1, 2, 90), dequeue(3, 4, Some(90))];
    let with = |calls: &[Call<Plain>]| proof(&[&noise, calls].concat());
    assert_eq!(with(&[dequeue(10, 11, Some(5))]), [2], "nobody enqueued it");
    let twice = [enqueue(10, 11, 5), dequeue(12, 13, Some(5)), dequeue(14, 15, Some(5))];
    assert_eq!(with(&twice), [2, 3, 4]);
    assert_eq!(with(&[dequeue(10, 11, Some(5)), enqueue(12, 13, 5)]), [2, 3], "before");
    let overtaken = [
        enqueue(10, 11, 5),
        enqueue(12, 13, 6),
        dequeue(14, 15, Some(6)),
        dequeue(16, 17, Some(5)),
    ];
    assert_eq!(with(&overtaken), [2, 3, 4, 5]);
    assert_eq!(with(&overtaken[..3]), [2, 3, 4], "one was lost");
    let chain = [
        enqueue(10, 11, 5),
        dequeue(12, 40, None),
        enqueue(13, 14, 6),
        dequeue(20, 30, Some(5)),
        dequeue(41, 50, Some(6)),
    ];
    assert_eq!(with(&chain), [2, 3, 4, 5, 6], "one was always there");
    assert_eq!(with(&[enqueue(10, 11, 5), dequeue(12, 13, None)]), [2, 3]);
}

/// The proof is about what was wrong first.
#[test]
fn the_first_violation_is_the_proof() {
    let calls = [
        enqueue(0, 1, 1),
        enqueue(2, 3, 2),
        dequeue(4, 5, Some(2)),
        dequeue(6, 7, Some(9)),
        dequeue(8, 9, None),
    ];
    assert_eq!(proof(&calls), [0, 1, 2]);
}

/// Three items must be gone and two dequeues may have taken one each.
#[test]
fn unknown_dequeues_are_counted() {
    let mut calls = vec![
        enqueue(0, 1, 1),
        enqueue(2, 3, 2),
        enqueue(4, 5, 3),
        enqueue(6, 7, 4),
        lost(8, Op::Dequeue),
        lost(9, Op::Dequeue),
        dequeue(10, 11, Some(4)),
        lost(12, Op::Dequeue),
    ];
    assert_eq!(proof(&calls), [0, 1, 2, 3, 4, 5, 6]);
    calls.insert(0, lost(0, Op::Dequeue));
    let Finding::Legal { order, .. } = find(&EMPTY, &calls) else { panic!("three are enough") };
    assert_order(&EMPTY, &calls, &order);
}

/// What was lost had to be taken by the end of the dequeue that overtook it. A dequeue of unknown
/// outcome that starts at that very coordinate can have been the one, a later one cannot.
#[test]
fn an_unknown_dequeue_that_starts_too_late_explains_no_loss() {
    let overtaken = [enqueue(0, 1, 1), enqueue(2, 3, 2), dequeue(4, 5, Some(2))];
    let with = |unknown| [&overtaken[..], &[lost(unknown, Op::Dequeue)]].concat();
    assert_eq!(proof(&with(6)), [0, 1, 2]);
    let found = find(&EMPTY, &with(5));
    let Finding::Legal { order, .. } = found else { panic!("in time: {found:?}") };
    assert_order(&EMPTY, &with(5), &order);
}

/// The two calls are the proof. At one coordinate either may have been first.
#[test]
fn nothing_is_taken_before_its_enqueue_starts() {
    let calls = |start| [dequeue(0, 2, Some(1)), enqueue(start, 9, 1)];
    assert_eq!(proof(&calls(3)), [0, 1]);
    let found = find(&EMPTY, &calls(2));
    let Finding::Legal { order, .. } = found else { panic!("at once: {found:?}") };
    assert_eq!(order, [1, 0]);
}

#[test]
fn what_it_cannot_decide_is_declined() {
    let declined = |initial: &Plain, calls: &[Call<Plain>]| {
        matches!(find(initial, calls), Finding::Declined(_))
    };
    assert!(declined(&Queue(VecDeque::from([1])), &[]));
    assert!(declined(&EMPTY, &[enqueue(0, 1, 1), enqueue(2, 3, 1)]));
    assert!(declined(&EMPTY, &[enqueue(5, 4, 1)]), "it ends before it starts");
    assert!(declined(&EMPTY, &[enqueue(0, u64::MAX, 1), dequeue(1, 2, Some(1))]));
}

#[test]
fn shapes_say_what_the_queue_does() {
    let states = [vec![], vec![1], vec![2, 1]].map(|items| Queue(VecDeque::from(items)));
    let rets = [None, Some(Ret::Done), Some(Ret::Item(None)), Some(Ret::Item(Some(1)))];
    for (state, ret) in states.iter().flat_map(|state| rets.iter().map(move |ret| (state, ret))) {
        for op in [Op::Enqueue(7), Op::Dequeue] {
            let shape = Plain::shape(&op, ret.as_ref());
            let mut after = state.clone();
            let answer = after.invoke(&op);
            let happens = ret.as_ref().map_or(after != *state, |ret| *ret == answer);
            match shape.needs {
                Needs::Nothing => assert!(happens),
                Needs::Exactly(needed) => assert_eq!(happens, needed == *state),
                Needs::AnythingBut(avoided) => assert_eq!(happens, avoided != *state),
                Needs::Unclear => {}
            }
            if happens && shape.leaves == Leaves::Unchanged {
                assert_eq!(after, *state);
            }
        }
    }
}

#[test]
fn calls_and_states_have_words() {
    assert_eq!(Plain::describe(&Op::Enqueue(3), Some(&Ret::Done)), "enqueue 3");
    assert_eq!(Plain::describe(&Op::Dequeue, Some(&Ret::Item(Some(3)))), "dequeue → 3");
    assert_eq!(Plain::describe(&Op::Dequeue, Some(&Ret::Item(None))), "dequeue → null");
    assert_eq!(Plain::describe(&Op::Dequeue, None), "dequeue");
    assert_eq!(Queue(VecDeque::from([1, 2])).describe_state(), "[1, 2]");
}

/// What a verdict names is why the algorithm for queues could not decide, not the one for registers.
#[test]
fn an_undecided_queue_says_why_it_was_searched() {
    let mut calls: Vec<_> = (0..40).map(|place| enqueue(place, 100 + place, place % 20)).collect();
    calls.push(dequeue(200, 201, None));
    let limits = Limits { steps: 20_000, ..Limits::default() };
    let options = crate::Options { limits, ..super::options() };
    let judgement = crate::linearizable(&EMPTY, calls, &options);
    assert_eq!(judgement.unknown[0].declined, Some("an item is enqueued more than once"));
}
