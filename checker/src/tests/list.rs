//! Lists, and transactions on several of them.

use super::draw::{Draw, Family};
use super::lists_replay::{
    Item, Source, Tally, every, find, history, larger, oracle, searched, small,
};
use crate::specs::list::{List, Micro, Op, Ret, Transactions};
use crate::{Answer, Budget, Call, Finding, Limits, Ruling, Spec};
use std::collections::BTreeMap;
use std::sync::Arc;

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

/// Appends of new elements and reads, some of elements that are there already if asked for.
struct Drawn {
    repeats: bool,
}

impl Source<Small> for Drawn {
    fn operation(&mut self, _: u64, _: u64, count: u64, draw: &mut Draw) -> Op<u8> {
        match draw.below(10) {
            0..=4 => Op::Append(count as u8),
            5 if self.repeats => Op::Append(draw.below(1 + count) as u8),
            _ => Op::Read,
        }
    }

    fn wrong(&mut self, _: &Op<u8>, ret: Ret<u8>, draw: &mut Draw) -> Ret<u8> {
        let Ret::Items(items) = ret else { return ret };
        Ret::Items(spoiled(items, draw))
    }
}

/// One element less, one more, or two in another order.
fn spoiled(mut items: Vec<u8>, draw: &mut Draw) -> Vec<u8> {
    let place = draw.below(1 + items.len() as u64) as usize;
    match draw.below(4) {
        0 => drop(items.pop()),
        1 if place < items.len() => drop(items.remove(place)),
        2 if place + 1 < items.len() => items.swap(place, place + 1),
        _ => items.insert(place, draw.below(8) as u8),
    }
    items
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
    every(&menu, 3, |calls| tally.ask(&List(vec![]), calls, oracle));
    every(&menu, 3, |calls| tally.ask(&List(vec![3]), calls, oracle));
    menu.truncate(9);
    every(&menu, 4, |calls| tally.ask(&List(vec![]), calls, oracle));
    println!("all histories of 3 and of 4 operations of a list: {tally:?}");
    assert!(tally.legal > 10_000 && tally.illegal > 100_000);
}

#[test]
fn random_small_histories() {
    let (mut unique, mut repeats) = (Tally::default(), Tally::default());
    for seed in 0..40_000 {
        let draw = &mut Draw::new(seed);
        let family = small(seed, draw);
        let initial = List(if seed % 5 == 0 { vec![70, 60] } else { vec![] });
        let tally = if seed % 8 == 0 { &mut repeats } else { &mut unique };
        let calls = history(&initial, family, &mut Drawn { repeats: seed % 8 == 0 }, draw);
        tally.ask(&initial, &calls, oracle);
    }
    println!("random histories of a list: {unique:?}; with repeats: {repeats:?}");
    assert!(unique.legal > 10_000 && unique.illegal > 5_000 && unique.declined == 0);
    assert!(repeats.declined > 0 && repeats.declined < repeats.count());
}

#[test]
fn random_larger_histories() {
    let mut tally = Tally::default();
    for seed in 0..1_500 {
        let draw = &mut Draw::new(seed);
        let family = larger(seed, draw);
        let calls = history(&List(vec![]), family, &mut Drawn { repeats: false }, draw);
        tally.ask(&List(vec![]), &calls, searched);
    }
    println!("larger histories of a list: {tally:?}");
    assert!(tally.legal > 400 && tally.illegal > 200 && tally.declined == 0);
    assert!(tally.too_hard < tally.illegal);
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
    let found = initial.specialised(&calls, &mut budget);
    assert!(matches!(found, Ok(Finding::Legal { order, .. }) if order.len() == calls.len()));
    let mut budget = Budget::new(Limits { steps: count, ..Limits::default() }, &|| false);
    assert!(initial.specialised(&calls, &mut budget).is_err());
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

fn key(number: u64) -> Arc<str> {
    Arc::from(["x", "y", "z"][number as usize])
}

fn nothing() -> Whole {
    Transactions(BTreeMap::new())
}

/// Transactions of so many things on so many keys.
struct Several {
    things: u64,
    keys: u64,
}

impl Source<Whole> for Several {
    fn operation(&mut self, _: u64, _: u64, count: u64, draw: &mut Draw) -> Vec<Micro<u8>> {
        let things = 1 + draw.below(self.things);
        let micro = |thing| match (draw.percent(50), key(draw.below(self.keys))) {
            (true, key) => Micro::Append(key, (self.things * count + thing) as u8),
            (false, key) => Micro::Read(key),
        };
        (0..things).map(micro).collect()
    }

    fn wrong(
        &mut self,
        _: &Vec<Micro<u8>>,
        mut ret: Vec<Vec<u8>>,
        draw: &mut Draw,
    ) -> Vec<Vec<u8>> {
        if let Some(last) = ret.pop() {
            ret.push(spoiled(last, draw));
        }
        ret
    }
}

#[test]
fn transactions_of_one_thing_are_a_list() {
    let mut tally = Tally::default();
    for seed in 0..10_000 {
        let draw = &mut Draw::new(seed);
        let family = small(seed, draw);
        let initial = Transactions([(key(0), vec![9; usize::from(seed % 5 == 0)])].into());
        let calls = history(&initial, family, &mut Several { things: 1, keys: 1 }, draw);
        tally.ask(&initial, &calls, oracle);
    }
    println!("transactions of one thing: {tally:?}");
    assert!(tally.legal > 2_000 && tally.illegal > 1_000 && tally.declined * 10 < tally.count());
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
        let calls = history(&nothing(), family, &mut Several { things, keys: 2 }, draw);
        let judgement = super::judge(&nothing(), &calls);
        let legal = oracle(&nothing(), &calls) == Some(true);
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
