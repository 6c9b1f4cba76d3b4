//! Strings whose texts can be told apart.

use super::draw::{Draw, Family};
use super::fast::assert_heeds_budget;
use super::lists_replay::{Item, Source, Tally, every, find, history, small};
use crate::oracle::is_legal;
use crate::specs::string::{Op, Ret, Text};
use crate::{Answer, Budget, Call, Finding, Limits, Ruling, Spec};

fn call(start: u64, end: u64, op: Op, ret: Ret) -> Call<Text> {
    Call { index: start, process: start, start, op, answer: Some(Answer { end, ret }) }
}

fn append(start: u64, end: u64, text: &str) -> Call<Text> {
    call(start, end, Op::Append(text.to_owned()), Ret::Done)
}

fn write(start: u64, end: u64, text: &str) -> Call<Text> {
    call(start, end, Op::Write(text.to_owned()), Ret::Done)
}

fn read(start: u64, end: u64, string: &str) -> Call<Text> {
    call(start, end, Op::Read, Ret::Value(string.to_owned()))
}

fn empty() -> Text {
    Text::default()
}

#[test]
fn all_small_histories() {
    let mut menu: Vec<Item<Text>> = Vec::new();
    for (op, asked) in [("a", true), ("b", true), ("w", false), ("", false)] {
        let op = if asked { Op::Append(op.to_owned()) } else { Op::Write(op.to_owned()) };
        menu.extend([None, Some(Ret::Done)].map(|ret| (op.clone(), ret)));
    }
    let shown = ["", "a", "w", "ab", "ba", "wa", "aa", "aw", "x"];
    menu.extend(shown.map(|string| (Op::Read, Some(Ret::Value(string.to_owned())))));
    let mut tally = Tally::default();
    every(&menu, 3, |calls| tally.ask(&empty(), calls));
    // Four of fewer kinds.
    let few: Vec<Item<Text>> = [0, 1, 3, 5, 9, 10, 11, 13].map(|kind| menu[kind].clone()).into();
    every(&few, 4, |calls| tally.ask(&empty(), calls));
    println!("all histories of 3 and of 4 operations of a string: {tally:?}");
    assert!(tally.legal > 10_000 && tally.illegal > 100_000, "{tally:?}");
}

fn proof(calls: &[Call<Text>]) -> Vec<u32> {
    match find(&empty(), calls) {
        Finding::Illegal { calls, by: "string" } => calls,
        other => panic!("{other:?}"),
    }
}

#[test]
fn proofs_keep_what_their_reads_rely_on() {
    // What nobody brings.
    let unknown = [append(0, 1, "a"), append(2, 3, "b"), append(4, 5, "c"), read(6, 7, "a?b")];
    assert_eq!(proof(&unknown), [0, 3]);
    // Twice, and a write behind something.
    assert_eq!(proof(&[append(0, 1, "a"), append(2, 3, "b"), read(4, 5, "aa")]), [0, 2]);
    assert_eq!(proof(&[write(0, 1, "w"), append(2, 3, "a"), read(4, 5, "aw")]), [0, 1, 2]);
    // The write that made it empty is what the read relies on.
    let emptied = [write(0, 1, "w"), write(2, 3, ""), append(4, 5, "a"), read(6, 7, "aa")];
    assert_eq!(proof(&emptied), [1, 2, 3]);
    // Two reads that no string has both shown.
    let forked = [
        append(0, 9, "a"),
        append(1, 9, "b"),
        append(2, 9, "c"),
        read(3, 8, "ab"),
        read(4, 8, "ac"),
        append(5, 6, "d"),
    ];
    assert_eq!(proof(&forked), [0, 1, 2, 3, 4]);
    // The shortest read that shows the order of two appends is enough.
    let swapped = [
        append(0, 1, "a"),
        append(2, 3, "b"),
        append(4, 9, "c"),
        read(5, 9, "ba"),
        read(6, 9, "bac"),
    ];
    assert_eq!(proof(&swapped), [0, 1, 3]);
    // An append that nobody sees is in the way of one that is seen.
    let between = [append(0, 1, "a"), append(2, 3, "b"), append(4, 5, "c"), read(6, 7, "ac")];
    assert_eq!(proof(&between), [0, 1, 2, 3]);
}

#[test]
fn an_append_that_nobody_sees_is_anywhere_else() {
    let legal = |calls: &[Call<Text>]| match find(&empty(), calls) {
        Finding::Legal { by: "string", .. } => true,
        Finding::Illegal { .. } => false,
        other => panic!("{other:?}"),
    };
    // Before the write, but not after what was read of it.
    assert!(legal(&[append(0, 9, "a"), write(1, 2, "w"), read(10, 11, "w")]));
    assert!(!legal(&[write(0, 1, "w"), append(2, 3, "a"), read(4, 5, "w")]));
    assert!(legal(&[append(0, 1, "a"), append(2, 5, "b"), read(3, 4, "a")]));
}

#[test]
fn texts_that_cannot_be_told_apart_are_declined() {
    let declined = |calls: &[Call<Text>]| matches!(find(&empty(), calls), Finding::Declined(_));
    // Which of the two is shown?
    assert!(declined(&[append(0, 9, "a"), append(1, 9, "a"), read(2, 9, "a")]));
    assert!(declined(&[append(0, 9, "a"), write(1, 9, "a"), read(2, 9, "a")]));
    assert!(declined(&[append(0, 1, "a"), append(2, 3, "ab"), append(4, 5, "b")]));
    assert!(declined(&[append(0, 1, "")]));
    // What nobody sees may be the same.
    assert!(!declined(&[append(0, 9, "a"), append(1, 9, "a"), write(2, 9, "a")]));
    assert!(!declined(&[write(0, 1, "a"), write(2, 3, "a"), write(4, 5, ""), write(6, 7, "")]));
}

/// Of two appends of one text, one is ruled out by a read that had ended, by who made what is before it, or by what
/// there was before it.
#[test]
fn repeated_texts_are_told_apart_by_time() {
    let early = [append(0, 1, "a"), read(2, 3, "a"), append(4, 5, "a"), append(6, 7, "b")];
    let late = [append(0, 1, "a"), write(2, 3, "w"), append(4, 5, "a"), append(6, 7, "b")];
    let all: [u32; 5] = [0, 1, 2, 3, 4];
    for (calls, right, wrong, why) in
        [(&early, "aab", "ab", &all[..]), (&late, "wab", "wb", &all[1..])]
    {
        let with = |string| calls.iter().cloned().chain([read(8, 9, string)]).collect::<Vec<_>>();
        assert!(matches!(find(&empty(), &with(right)), Finding::Legal { .. }), "{right}");
        assert_eq!(proof(&with(wrong)), why, "{wrong}");
    }
    // The write made it: the append came after something.
    let written = [append(0, 1, "b"), write(2, 9, "a"), append(3, 9, "a"), read(4, 9, "a")];
    assert!(matches!(find(&empty(), &written), Finding::Legal { .. }));
}

/// Where a state comes again, a later append may make what an earlier one made: nobody is accused.
#[test]
fn states_that_come_again_are_made_again() {
    let emptied =
        [append(0, 1, "a"), read(2, 3, "a"), write(4, 5, ""), append(6, 7, "a"), read(8, 9, "a")];
    let rewritten = [
        write(0, 1, "w"),
        append(2, 3, "a"),
        read(4, 5, "wa"),
        write(6, 7, "w"),
        append(8, 9, "a"),
        read(10, 11, "wa"),
    ];
    let written =
        [write(0, 1, "a"), read(2, 3, "a"), write(4, 5, ""), append(6, 7, "a"), read(8, 9, "a")];
    for calls in [&emptied[..], &rewritten, &written] {
        let found = find(&empty(), calls);
        assert!(!matches!(found, Finding::Illegal { .. }), "{found:?} of {calls:#?}");
        assert_eq!(super::judge(&empty(), calls).ruling, Ruling::Valid);
    }
    // Nor in a history that is too long to be searched again.
    let mut calls = rewritten.to_vec();
    let mut string = "wa".to_owned();
    for number in 0..70 {
        let text = format!("{number},");
        string.push_str(&text);
        calls.push(append(12 + 2 * number, 13 + 2 * number, &text));
    }
    calls.push(read(200, 201, &string));
    assert_eq!(super::judge(&empty(), &calls).ruling, Ruling::Valid);
}

/// Few texts, brought again and again: what is decided is decided rightly, and enough is.
#[test]
fn repeated_texts_agree_with_all_orders() {
    let mut tally = Tally::default();
    for seed in 0..60_000 {
        let draw = &mut Draw::new(seed);
        let family = Family { operations: 3 + draw.below(6), ..small(seed, draw) };
        let calls = history(&empty(), family, &mut Few(seed % 3), draw);
        tally.ask(&empty(), &calls);
        if let Finding::Legal { .. } = find(&empty(), &calls) {
            assert!(is_legal(&empty(), &calls), "seed {seed}: {calls:#?}");
        }
    }
    println!("60000 histories of a string of few texts: {tally:?}");
    assert!(tally.legal > 10_000 && tally.illegal > 3_000, "{tally:?}");
}

/// Draws from two texts and a few writes.
struct Few(u64);

impl Source<Text> for Few {
    fn operation(&mut self, _: u64, _: u64, _: u64, draw: &mut Draw) -> Op {
        match (draw.below(8), self.0) {
            (0..=2, _) => Op::Append(["a", "b"][draw.below(2) as usize].to_owned()),
            (3, 0) => Op::Write("w".to_owned()),
            (3, 1) => Op::Write(["a", "w", ""][draw.below(3) as usize].to_owned()),
            _ => Op::Read,
        }
    }

    fn wrong(&mut self, _: &Op, ret: Ret, draw: &mut Draw) -> Ret {
        let Ret::Value(mut string) = ret else { return ret };
        match draw.below(3) {
            0 => drop(string.pop()),
            1 => string.push('a'),
            _ => string.insert(0, 'b'),
        }
        Ret::Value(string)
    }
}

/// Many calls that bring the same, and a read that is stale: no step of it goes unpaid.
#[test]
fn repeated_texts_take_steps_in_proportion() {
    let count: u64 = 3_000;
    let mut calls = Vec::new();
    for nth in 0..count {
        calls.push(write(4 * nth, 4 * nth + 1, "w"));
        calls.push(read(4 * nth + 2, 4 * nth + 3, "w"));
    }
    calls.push(read(4 * count, 4 * count + 1, ""));
    let mut budget = Budget::new(Limits { steps: 40 * count, ..Limits::default() }, &|| false);
    let found = empty().specialised(&calls, true, &mut budget);
    assert!(matches!(found, Ok(Finding::Illegal { .. })), "{found:?}");
}

#[test]
fn a_long_string_takes_steps_in_proportion() {
    let count: u64 = 5_000;
    let mut calls = Vec::new();
    let mut string = String::new();
    for number in 0..count {
        let (text, start) = (format!("{number},"), 4 * number);
        string.push_str(&text);
        calls.push(append(start, start + 1, &text));
        if number % 250 == 249 {
            calls.push(read(start + 2, start + 3, &string));
        }
    }
    let mut budget = Budget::new(Limits { steps: 40 * count, ..Limits::default() }, &|| false);
    let found = empty().specialised(&calls, true, &mut budget);
    assert!(matches!(found, Ok(Finding::Legal { order, .. }) if order.len() == calls.len()));
    assert_heeds_budget(&empty(), &calls);
}

#[test]
fn a_violation_is_told() {
    let judgement =
        super::judge(&empty(), &[append(0, 1, "a,"), append(2, 3, "b,"), read(4, 5, "b,")]);
    assert_eq!(judgement.ruling, Ruling::Invalid);
    assert_eq!(judgement.violations[0].operations, [0, 2, 4]);
    assert!(judgement.algorithms.contains_key("string"), "{judgement:?}");
}
