//! Locks, with fencing tokens and without.

use super::fast::assert_heeds_budget;
use super::lists_replay::{Item, Tally, every, find};
use crate::oracle::is_legal;
use crate::specs::lock::{Lock, Op, Ret};
use crate::{Answer, Budget, Call, Finding, Limits, Ruling, SequentialSpec, Spec};

const FREE: Lock = Lock { holder: None, token: None };
fn call(start: u64, end: u64, op: Op, ret: Ret) -> Call<Lock> {
    Call { index: start, process: start, start, op, answer: Some(Answer { end, ret }) }
}

fn acquire(start: u64, end: u64, owner: u64, token: Option<i64>) -> Call<Lock> {
    call(start, end, Op::Acquire(owner), Ret::Token(token))
}

fn release(start: u64, end: u64, owner: u64) -> Call<Lock> {
    call(start, end, Op::Release(owner), Ret::Done)
}

#[test]
fn all_small_histories() {
    let mut menu: Vec<Item<Lock>> = Vec::new();
    for owner in [0, 1] {
        let token = |token| (Op::Acquire(owner), Some(Ret::Token(token)));
        menu.extend([token(Some(1)), token(Some(2)), (Op::Acquire(owner), None)]);
        menu.extend([(Op::Release(owner), Some(Ret::Done)), (Op::Release(owner), None)]);
        menu.push(token(None));
    }
    let mut tally = Tally::default();
    every(&menu, 3, |calls| tally.ask(&FREE, calls));
    every(&menu, 3, |calls| tally.ask(&Lock { holder: None, token: Some(1) }, calls));
    menu.retain(|(op, ret)| ret.is_some() || matches!(op, Op::Release(_)));
    menu.retain(|(_, ret)| !matches!(ret, Some(Ret::Token(None))));
    every(&menu, 4, |calls| tally.ask(&FREE, calls));
    println!("all histories of 3 and of 4 operations of a lock: {tally:?}");
    assert!(tally.legal > 1_000 && tally.illegal > 30_000);
}

#[test]
fn all_timings_of_holds_of_three_owners() {
    let mut tally = Tally::default();
    for tokens in [[None, None], [Some(1), Some(2)], [Some(2), Some(1)]] {
        for unknown in [false, true] {
            let mut menu: Vec<Item<Lock>> = Vec::new();
            for (owner, token) in (0..).zip(tokens) {
                menu.push((Op::Acquire(owner), Some(Ret::Token(token))));
                menu.push((Op::Release(owner), (!unknown || owner == 1).then_some(Ret::Done)));
            }
            menu.push((Op::Acquire(2), None));
            every(&menu, 4, |calls| tally.ask(&FREE, calls));
        }
    }
    println!("all timings of two holds: {tally:?}");
    assert!(tally.legal > 3_000 && tally.illegal > 50_000);
}

fn proof(calls: &[Call<Lock>]) -> Vec<u32> {
    match find(&FREE, calls) {
        Finding::Illegal { calls, .. } => calls,
        other => panic!("{other:?}"),
    }
}

#[test]
fn proofs_are_whole_holds() {
    let other = [acquire(0, 1, 1, Some(1)), release(2, 3, 1)];
    let with = |calls: &[Call<Lock>]| proof(&[&other, calls].concat());
    // Granted while it was held.
    let twice = [
        acquire(4, 5, 2, Some(2)),
        acquire(6, 7, 3, Some(3)),
        release(8, 9, 2),
        release(10, 11, 3),
    ];
    assert_eq!(with(&twice), [2, 3, 4, 5]);
    // A token given out of turn, and one given twice.
    let fenced = [
        acquire(4, 5, 2, Some(7)),
        release(6, 7, 2),
        acquire(8, 9, 3, Some(5)),
        release(10, 11, 3),
    ];
    assert_eq!(with(&fenced), [2, 3, 4, 5]);
    assert_eq!(with(&[acquire(4, 5, 2, Some(1))]), [0, 1, 2]);
    // Never released, and then granted.
    assert_eq!(with(&[acquire(4, 5, 2, Some(7)), acquire(6, 7, 3, Some(8))]), [2, 3]);
    // Released twice.
    assert_eq!(with(&[release(4, 5, 1)]), [0, 1, 2]);
    // The same without tokens.
    let overlap = [acquire(0, 1, 1, None), acquire(2, 3, 2, None), release(4, 5, 1)];
    assert_eq!(proof(&overlap), [0, 1, 2]);
}

#[test]
fn a_release_of_unknown_outcome_lets_others_acquire() {
    let mut lost = release(2, 3, 1);
    lost.answer = None;
    for [first, second] in [[None, None], [Some(1), Some(2)]] {
        let calls = [acquire(0, 1, 1, first), lost.clone(), acquire(9, 10, 2, second)];
        let found = find(&FREE, &calls);
        assert!(matches!(&found, Finding::Legal { order, .. } if *order == [0, 1, 2]), "{found:?}");
    }
}

#[test]
fn what_cannot_be_paired_is_declined() {
    let declined = |calls: &[Call<Lock>]| matches!(find(&FREE, calls), Finding::Declined(_));
    let mut unknown = acquire(0, 1, 1, None);
    unknown.answer = None;
    assert!(declined(&[unknown, release(4, 5, 1)]), "the acquire may have happened");
    assert!(declined(&[acquire(0, 1, 1, Some(1)), acquire(2, 3, 2, None)]), "half have tokens");
    assert!(declined(&[acquire(0, 3, 1, None), release(2, 4, 1)]), "two at once");
    assert!(declined(&[call(0, 1, Op::Acquire(1), Ret::Refused)]), "refused");
}

/// An acquire of unknown outcome takes the lowest token, and so leaves the most to be given.
#[test]
fn an_unknown_acquire_forbids_the_fewest_tokens() {
    let mut unknown = acquire(2, 3, 2, None);
    unknown.answer = None;
    let rest = |token| {
        let first = Lock { holder: None, token: Some(1) };
        let calls = [unknown.clone(), release(4, 5, 2), acquire(6, 7, 3, Some(token))];
        let legal = super::is_valid(&first, &calls);
        assert_eq!(is_legal(&first, &calls), legal);
        legal
    };
    assert!(rest(3) && !rest(2), "2 was taken, or nothing could have been released");
    let mut full = Lock { holder: None, token: Some(i64::MAX) };
    assert_eq!(full.invoke(&Op::Acquire(1)), Ret::Refused);
    assert_eq!(full.holder, None);
}

#[test]
fn many_holds_take_steps_in_proportion() {
    let count: u64 = 20_000;
    for tokens in [false, true] {
        let mut calls = Vec::new();
        for hold in 0..count {
            let (owner, time) = (hold % 9, 4 * hold);
            calls.push(acquire(time, time + 1, owner, tokens.then_some(2 * hold as i64)));
            calls.push(release(time + 2, time + 3, owner));
        }
        let mut budget = Budget::new(Limits { steps: 10 * count, ..Limits::default() }, &|| false);
        let found = FREE.specialised(&calls, true, &mut budget);
        assert!(matches!(found, Ok(Finding::Legal { order, .. }) if order.len() == calls.len()));
        assert_heeds_budget(&FREE, &calls);
    }
}

#[test]
fn a_violation_is_told() {
    let calls = [acquire(0, 1, 3, Some(33)), acquire(2, 3, 4, Some(34)), release(4, 5, 3)];
    let judgement = super::judge(&FREE, &calls);
    assert_eq!(judgement.ruling, Ruling::Invalid);
    assert_eq!(judgement.violations[0].operations, [0, 2, 4]);
    let blocked = &judgement.violations[0].blocked[0];
    assert_eq!(blocked.text, "acquire → 34");
    assert_eq!(blocked.why, "finds held by c3, token 33, where it would be acquire refused");
}
