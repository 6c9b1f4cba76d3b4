//! Zones and blocks agree with every order and with the search, their orders replay, and their
//! conflicts are illegal alone.

use super::agree::{build, is_canonical, menu, replay, search_says, timings};
use super::draw::{Draw, Family, history};
use super::{EMPTY, Plain};
use crate::budget::Budget;
use crate::fast::blocks::decide;
use crate::oracle::is_legal;
use crate::partition::touch;
use crate::shrink::{Draft, Evidence};
use crate::specs::register::{Op, Ret};
use crate::{Call, Finding, Limits};

/// What blocks say, none if they decline.
fn blocks_say(calls: &[Call<Plain>]) -> Option<bool> {
    let partition = super::partition(&EMPTY, calls);
    if touch(&partition.calls) {
        return None;
    }
    let mut budget = Budget::new(Limits::default(), &|| false);
    match decide(&partition, u64::MAX, true, &mut budget).expect("the budget is large") {
        Finding::Legal { order, .. } => {
            replay(&partition.calls, &order);
            Some(true)
        }
        Finding::Illegal { calls: conflict, .. } => {
            let evidence = Evidence::new(&partition, u64::MAX);
            let seeds = evidence.items_at(&conflict);
            assert_eq!(seeds.len(), conflict.len(), "{conflict:?}");
            let draft = &mut Draft::default();
            let whole = evidence.complete(&seeds, usize::MAX, draft, &mut budget);
            assert_eq!(whole, Ok(true), "the budget is large, and there is no most");
            let part: Vec<Call<Plain>> = evidence
                .places(&draft.kept)
                .map(|place| partition.calls[place as usize].clone())
                .collect();
            assert!(!search_says(&part), "{conflict:?} is legal alone: {calls:#?}");
            Some(false)
        }
        Finding::Declined(_) => None,
    }
}

/// How often what was said.
#[derive(Debug, Default)]
struct Tally {
    legal: u64,
    illegal: u64,
    declined: u64,
}

impl Tally {
    fn compare(&mut self, said: Option<bool>, legal: bool, calls: &[Call<Plain>]) {
        match said {
            None => self.declined += 1,
            Some(said) => {
                assert_eq!(said, legal, "{calls:#?}");
                self.legal += u64::from(legal);
                self.illegal += u64::from(!legal);
            }
        }
    }

    fn count(&self) -> u64 {
        self.legal + self.illegal + self.declined
    }
}

#[test]
fn all_histories_of_three_operations() {
    let (menu, timings) = (menu(), timings());
    let mut tally = Tally::default();
    for a in &menu {
        for b in &menu {
            for c in &menu {
                let chosen = [a.clone(), b.clone(), c.clone()];
                if !is_canonical(&chosen) {
                    continue;
                }
                for (timing, two) in &timings {
                    let Some(calls) = build(&chosen, timing, *two) else { continue };
                    tally.compare(blocks_say(&calls), is_legal(&EMPTY, &calls), &calls);
                }
            }
        }
    }
    println!("all histories of 3 operations: {tally:?}");
    assert!(tally.legal > 10_000 && tally.illegal > 10_000);
    assert!(tally.declined < tally.count() / 7, "{tally:?}");
}

#[test]
fn larger_histories_of_unique_values() {
    let mut tally = Tally::default();
    for seed in 0..4_000 {
        let draw = &mut Draw::new(5_000_000 + seed);
        let family = Family {
            clients: 2 + draw.below(6),
            operations: 20 + draw.below(30),
            values: 0,
            unknown_percent: [0, 5, 15][(seed % 3) as usize],
            wrong_percent: [0, 2][(seed / 3 % 2) as usize],
            tie_percent: [0, 30][(seed / 6 % 2) as usize],
        };
        let mut calls = history(family, draw);
        if seed % 4 > 0 {
            // Without deletes and mismatches nothing has to be declined.
            calls.retain(|call| {
                let ret = call.answer.as_ref().map(|answer| &answer.ret);
                call.op != Op::Delete && ret != Some(&Ret::Mismatch)
            });
        }
        let said = blocks_say(&calls);
        assert!(said.is_some() || seed % 4 == 0 || family.tie_percent > 0, "{calls:#?}");
        tally.compare(said, search_says(&calls), &calls);
    }
    println!("histories of up to 50 operations with unique values: {tally:?}");
    assert!(tally.legal > 300 && tally.illegal > 1_000, "{tally:?}");
}

/// A value that is written again and again takes no longer for it: the steps go by the calls.
#[test]
fn repeated_values_of_one_client_take_few_steps() {
    let count = 20_000;
    let mut calls = Vec::new();
    for place in 0..count {
        let value = (place / 2 % 2) as u8;
        let (op, ret) = match place % 2 {
            0 => (Op::Write(value), Ret::Done),
            _ => (Op::Read, Ret::Value(Some(value))),
        };
        calls.push(super::call(2 * place, 2 * place + 1, op, ret));
    }
    let partition = super::partition(&EMPTY, &calls);
    let limits = Limits { steps: 40 * count, ..Limits::default() };
    let mut budget = Budget::new(limits, &|| false);
    let found = decide(&partition, u64::MAX, false, &mut budget);
    assert!(matches!(found, Ok(Finding::Legal { .. })), "{found:?}");
}
