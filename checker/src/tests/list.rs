//! Lists, and transactions on several of them.

use super::differential::subjects::transactions::{Several, key};
use super::draw::{Draw, Family};
use super::fast::assert_heeds_budget;
use super::lists_replay::{Item, Tally, every, find, history, small};
use crate::oracle::is_legal;
use crate::specs::list::{List, Micro, Op, Ret, Transactions};
use crate::{Answer, Budget, Call, Finding, Limits, Ruling, Spec};
use std::collections::BTreeMap;

type Small = List<u8>;
type Whole = Transactions<u8>;

fn call(start: u64, end: u64, op: Op<u8>, ret: Ret<u8>) -> Call<Small> {
    Call { index: start, process: start, start, op, answer: Some(Answer { end, ret }) }
}

fn append(start: u64, end: u64, element: u8) -> Call<Small> {
    call(start, end, Op::Append(element), Ret::Done)
}

fn read(start: u64, end: u64, elements: &[u8]) -> Call<Small> {
    call(start, end, Op::Read, Ret::Items(elements.to_vec()))
}

fn reads() -> Vec<Vec<u8>> {
    vec![vec![], vec![1], vec![2], vec![1, 2], vec![2, 1], vec![1, 1], vec![3, 1]]
}

#[test]
fn all_small_histories() {
    let mut menu: Vec<Item<Small>> = Vec::new();
    for element in [1, 2] {
        menu.push((Op::Append(element), Some(Ret::Done)));
        menu.push((Op::Append(element), None));
    }
    menu.extend(reads().into_iter().map(|items| (Op::Read, Some(Ret::Items(items)))));
    let mut tally = Tally::default();
    every(&menu, 3, |calls| tally.ask(&List(vec![]), calls));
    every(&menu, 3, |calls| tally.ask(&List(vec![3]), calls));
    menu.truncate(9);
    every(&menu, 4, |calls| tally.ask(&List(vec![]), calls));
    println!("all histories of 3 and of 4 operations of a list: {tally:?}");
    assert!(tally.legal > 10_000 && tally.illegal > 100_000);
}

fn proof(calls: &[Call<Small>]) -> Vec<u32> {
    match find(&List(vec![]), calls) {
        Finding::Illegal { calls, by: "list" } => calls,
        other => panic!("{other:?}"),
    }
}

#[test]
fn proofs_keep_what_their_reads_rely_on() {
    // What nobody appended needs nobody else; what is there twice needs the one who did.
    assert_eq!(proof(&[append(0, 1, 1), read(2, 3, &[1, 9])]), [1]);
    assert_eq!(proof(&[append(0, 1, 1), append(2, 3, 2), read(4, 5, &[1, 2, 1])]), [0, 2]);
    // Two reads that no list has both shown; the fourth element is shown by neither.
    let forked = [
        append(0, 9, 1),
        append(1, 9, 2),
        append(2, 9, 3),
        read(3, 8, &[1, 2]),
        read(4, 8, &[1, 3]),
        append(5, 6, 4),
    ];
    assert_eq!(proof(&forked), [0, 1, 2, 3, 4]);
    // The shortest read that shows the order of two appends is enough.
    let swapped = [
        append(0, 1, 1),
        append(2, 3, 2),
        append(4, 9, 3),
        read(5, 9, &[2, 1]),
        read(6, 9, &[2, 1, 3]),
    ];
    assert_eq!(proof(&swapped), [0, 1, 3]);
    // A stale read.
    let stale = [append(0, 1, 1), append(2, 3, 2), read(4, 5, &[1]), read(6, 7, &[1, 2])];
    assert_eq!(proof(&stale), [0, 1, 2]);
}

#[test]
fn a_long_list_takes_steps_in_proportion() {
    let count: u64 = 20_000;
    let mut calls: Vec<Call<List<u64>>> = Vec::new();
    let mut time = 0;
    for element in 0..count {
        time += 2;
        calls.push(Call {
            index: time,
            process: element % 7,
            start: time,
            op: Op::Append(element),
            answer: Some(Answer { end: time + 1, ret: Ret::Done }),
        });
        if element % 1_000 == 999 {
            time += 2;
            let answer = Some(Answer { end: time + 1, ret: Ret::Items((0..=element).collect()) });
            calls.push(Call { index: time, process: 8, start: time, op: Op::Read, answer });
        }
    }
    let initial = List(vec![]);
    let mut budget = Budget::new(Limits { steps: 20 * count, ..Limits::default() }, &|| false);
    let found = initial.specialised(&calls, true, &mut budget);
    assert!(matches!(found, Ok(Finding::Legal { order, .. }) if order.len() == calls.len()));
    assert_heeds_budget(&initial, &calls);
}

/// States are large, so the memory of a search is mostly theirs.
#[test]
fn lists_say_how_large_they_are() {
    assert_eq!(List::<u64>(vec![]).heap_bytes(), 0);
    assert_eq!(List(vec![0_u64; 100]).heap_bytes(), 800);
    let two = Transactions([(key(0), vec![0_u64; 100]), (key(1), vec![0; 100])].into());
    assert!(two.heap_bytes() >= 1_600);
}

#[test]
fn a_violation_is_told() {
    let calls = [append(0, 1, 1), append(2, 3, 2), read(4, 5, &[1]), read(6, 7, &[1, 2])];
    let judgement = super::judge(&List(vec![]), &calls);
    assert_eq!(judgement.ruling, Ruling::Invalid);
    assert_eq!(judgement.violations[0].operations, [0, 2, 4]);
    let why = &judgement.violations[0].blocked[0].why;
    assert_eq!(why, "finds [1, 2], where it would be read → [1, 2]");
}

fn nothing() -> Whole {
    Transactions(BTreeMap::new())
}

/// What is declined is searched, split by key where each names one key only.
#[test]
fn transactions_are_checked_whole_unless_each_has_one_key() {
    let (mut illegal, mut split, mut declined) = (0, 0, 0);
    let rounds = 10_000;
    for seed in 0..rounds {
        let draw = &mut Draw::new(seed);
        let family = Family { operations: 2 + draw.below(4), ..small(seed, draw) };
        let things = 1 + seed % 3;
        let calls =
            history(&nothing(), family, &mut Several { things, keys: 2, filled: false }, draw);
        let judgement = super::judge(&nothing(), &calls);
        let legal = is_legal(&nothing(), &calls);
        assert_eq!(judgement.ruling == Ruling::Valid, legal, "seed {seed}: {calls:#?}");
        assert_ne!(judgement.ruling, Ruling::Unknown);
        illegal += u64::from(!legal);
        split += u64::from(judgement.partitions > 1);
        declined += u64::from(matches!(find(&nothing(), &calls), Finding::Declined(_)));
    }
    println!(
        "{rounds} histories of transactions, {illegal} illegal, {split} split, {declined} not lists"
    );
    assert!(illegal > 1_000 && split > 1_000 && declined > 1_000);
}

#[test]
fn a_transaction_reads_what_it_appended() {
    let op = vec![
        Micro::Append(key(0), 1),
        Micro::Read(key(0)),
        Micro::Read(key(1)),
        Micro::Append(key(0), 2),
    ];
    let mut state = nothing();
    let ret = crate::SequentialSpec::invoke(&mut state, &op);
    assert_eq!(ret, [vec![1], vec![]]);
    assert_eq!(state.describe_state(), "x [1, 2]");
    assert_eq!(nothing().describe_state(), "all empty");
    let text = Whole::describe(&op, Some(&ret));
    assert_eq!(text, "append 1 to x, read x → [1], read y → [], append 2 to x");
    assert_eq!(Whole::key(&op), None);
    assert_eq!(Whole::key(&op[..2].to_vec()), Some("x".to_owned()));
    assert_eq!(Whole::key(&vec![]), None);
}
