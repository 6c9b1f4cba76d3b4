//! Sets: read whole, and asked element by element.

use super::draw::{Draw, Family};
use super::fast::assert_heeds_budget;
use super::lists_replay::{Item, Source, Tally, every, find, history, small};
use crate::oracle::is_legal;
use crate::specs::keyed::Keyed;
use crate::specs::member::{self, Member};
use crate::specs::set::{Op, Ret, Set};
use crate::{Answer, Budget, Call, Finding, Limits, Ruling, Spec};
use std::collections::BTreeSet;
use std::sync::Arc;

type Small = Set<u8>;

fn of(elements: &[u8]) -> BTreeSet<u8> {
    elements.iter().copied().collect()
}

fn empty() -> Small {
    Set(BTreeSet::new())
}

fn items(elements: &[u8]) -> Ret<u8> {
    Ret::Items(of(elements))
}

fn call(start: u64, end: u64, op: Op<u8>, ret: Ret<u8>) -> Call<Small> {
    Call { index: start, process: start, start, op, answer: Some(Answer { end, ret }) }
}

fn add(start: u64, end: u64, element: u8) -> Call<Small> {
    call(start, end, Op::Add(element), Ret::Done)
}

fn read(start: u64, end: u64, elements: &[u8]) -> Call<Small> {
    call(start, end, Op::Read, items(elements))
}

#[test]
fn all_small_histories() {
    let mut menu: Vec<Item<Small>> = Vec::new();
    for element in [1, 2] {
        menu.push((Op::Add(element), Some(Ret::Done)));
        menu.push((Op::Add(element), None));
    }
    for shown in [&[] as &[u8], &[1], &[2], &[1, 2]] {
        menu.push((Op::Read, Some(items(shown))));
    }
    let mut tally = Tally::default();
    every(&menu, 3, |calls| tally.ask(&empty(), calls));
    every(&menu, 3, |calls| tally.ask(&Set(of(&[1])), calls));
    every(&menu, 4, |calls| tally.ask(&empty(), calls));
    println!("all histories of 3 and of 4 operations of a set: {tally:?}");
    assert!(tally.legal > 10_000 && tally.illegal > 100_000);
}

fn proof(calls: &[Call<Small>]) -> Vec<u32> {
    match find(&empty(), calls) {
        Finding::Illegal { calls, by: "set" } => calls,
        other => panic!("{other:?}"),
    }
}

#[test]
fn proofs_keep_what_their_reads_rely_on() {
    // A read that shows an element nobody adds needs nobody else.
    assert_eq!(proof(&[add(0, 1, 1), read(2, 3, &[1, 9]), add(4, 5, 2)]), [1]);
    // Two reads that show different halves, of three adds that are shown and one that is not.
    let halves = [
        add(0, 9, 1),
        add(1, 9, 2),
        add(2, 9, 3),
        read(3, 8, &[1, 2]),
        read(4, 8, &[1, 3]),
        add(5, 6, 4),
    ];
    assert_eq!(proof(&halves), [0, 1, 2, 3, 4]);
    // The same where the larger read ends first.
    let sizes = [add(0, 9, 1), add(1, 9, 2), add(2, 9, 3), read(3, 7, &[2, 3]), read(4, 8, &[1])];
    assert_eq!(proof(&sizes), [0, 1, 2, 3, 4]);
    // An add that had ended before a read that lacks it began: the other add is shown, and stays.
    let lost = [add(0, 1, 1), add(2, 3, 2), read(4, 5, &[2]), add(6, 7, 3)];
    assert_eq!(proof(&lost), [0, 1, 2]);
    // The later of two adds is shown and the earlier is not, by a read open all along.
    let swapped = [read(0, 9, &[2]), add(1, 2, 1), add(3, 4, 2), add(5, 6, 3)];
    assert_eq!(proof(&swapped), [0, 1, 2]);
    // Of two conflicts, the one that was there first.
    let two = [add(0, 1, 1), read(2, 3, &[]), add(4, 5, 2), read(6, 7, &[1])];
    assert_eq!(proof(&two), [0, 1]);
}

#[test]
fn a_large_set_takes_steps_in_proportion() {
    let count: u64 = 20_000;
    let mut calls: Vec<Call<Set<u64>>> = Vec::new();
    let mut push = |op, ret| {
        let start = 2 * calls.len() as u64;
        let answer = Some(Answer { end: start + 1, ret });
        calls.push(Call { index: start, process: start % 7, start, op, answer });
    };
    for element in 0..count {
        push(Op::Add(element), Ret::Done);
        if (element + 1) % (count / 20) == 0 {
            push(Op::Read, Ret::Items((0..=element).collect()));
        }
    }
    let initial = Set(BTreeSet::new());
    let work = count + 20 * count;
    let mut budget = Budget::new(Limits { steps: 3 * work, ..Limits::default() }, &|| false);
    let found = initial.specialised(&calls, true, &mut budget);
    assert!(matches!(found, Ok(Finding::Legal { order, .. }) if order.len() == calls.len()));
    assert_heeds_budget(&initial, &calls);
}

/// States are large, so the memory of a search is mostly theirs.
#[test]
fn a_set_says_how_large_it_is() {
    assert_eq!(empty().heap_bytes(), 0);
    assert!(Set((0..1_000_u64).collect()).heap_bytes() >= 8_000);
}

#[test]
fn a_violation_is_told() {
    let judgement = super::judge(&empty(), &[add(0, 1, 1), add(2, 3, 2), read(4, 5, &[2])]);
    assert_eq!(judgement.ruling, Ruling::Invalid);
    assert_eq!(judgement.violations[0].operations, [0, 2, 4]);
    let why = &judgement.violations[0].blocked[0].why;
    assert_eq!(why, "finds {1, 2}, where it would be read → {1, 2}");
}

/// The members and the whole set agree where both can be asked.
#[test]
fn element_by_element_is_the_same() {
    let mut illegal = 0;
    for seed in 0..10_000 {
        let draw = &mut Draw::new(seed);
        let family = Family { values: 2, ..small(seed, draw) };
        let mut members = Members;
        let initial = Set(if seed % 2 == 0 { of(&[1]) } else { of(&[]) });
        let whole = history(&initial, family, &mut members, draw);
        let legal = is_legal(&initial, &whole);
        let split = [1, 2].map(|element| {
            let calls: Vec<_> = whole.iter().filter_map(|call| one(call, element)).collect();
            super::is_valid(&Keyed(Member(initial.0.contains(&element))), &calls)
        });
        assert_eq!(split == [true, true], legal, "seed {seed}: {whole:#?}");
        illegal += u64::from(!legal);
    }
    println!("10000 histories of a set element by element, {illegal} illegal");
    assert!(illegal > 1_000 && illegal < 9_000);
}

/// Operations on two elements, never on all.
struct Members;

impl Source<Small> for Members {
    fn operation(&mut self, _: u64, _: u64, _: u64, draw: &mut Draw) -> Op<u8> {
        let element = 1 + draw.below(2) as u8;
        match draw.below(5) {
            0 | 1 => Op::Add(element),
            2 => Op::Remove(element),
            _ => Op::Contains(element),
        }
    }

    fn wrong(&mut self, _: &Op<u8>, ret: Ret<u8>, _: &mut Draw) -> Ret<u8> {
        if let Ret::Bool(found) = ret { Ret::Bool(!found) } else { ret }
    }
}

/// The call as one about this element, if it is.
fn one(call: &Call<Small>, wanted: u8) -> Option<Call<Keyed<Member>>> {
    let (op, element) = match call.op {
        Op::Add(element) => (member::Op::Add, element),
        Op::Remove(element) => (member::Op::Remove, element),
        Op::Contains(element) => (member::Op::Contains, element),
        Op::Read => panic!("not element by element"),
    };
    let answer = call.answer.as_ref().map(|answer| {
        let ret = match answer.ret {
            Ret::Bool(found) => member::Ret::Bool(found),
            _ => member::Ret::Done,
        };
        Answer { end: answer.end, ret }
    });
    let op = (Arc::from(element.to_string()), op);
    (element == wanted).then_some(Call {
        index: call.index,
        process: call.process,
        start: call.start,
        op,
        answer,
    })
}
