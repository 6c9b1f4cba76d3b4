//! Each rule of the search, with and without: no ruling changes.

use super::agree::{search_with, small};
use super::draw::{Draw, Family, history};
use super::{EMPTY, Plain, mute};
use crate::budget::Budget;
use crate::problem::Problem;
use crate::search::{Found, Rules, search};
use crate::{Call, Limits};

/// All rules, none, and all but one.
fn settings() -> [(&'static str, Rules); 12] {
    let all = Rules::ALL;
    let none = Rules {
        settle: false,
        dominance: false,
        symmetry: false,
        absorb: false,
        no_way_back: false,
        patience: usize::MAX,
    };
    [
        ("all", all),
        ("none", none),
        ("no settle", Rules { settle: false, ..all }),
        ("no dominance", Rules { dominance: false, ..all }),
        ("no symmetry", Rules { symmetry: false, ..all }),
        ("no absorb", Rules { absorb: false, ..all }),
        ("no no-way-back", Rules { no_way_back: false, ..all }),
        ("no patience", Rules { patience: 0, ..all }),
        ("patience 1", Rules { patience: 1, ..all }),
        ("patience 4", Rules { patience: 4, ..all }),
        ("patience 30", Rules { patience: 30, ..all }),
        ("neither rules nor patience", Rules { patience: 0, ..none }),
    ]
}

/// Whether all settings agree on a history, and on what.
fn ruling(calls: &[Call<Plain>], seed: u64) -> bool {
    let [(_, first), others @ ..] = settings();
    let legal = search_with(calls, first);
    for (name, rules) in others {
        assert_eq!(search_with(calls, rules), legal, "{name}, seed {seed}: {calls:#?}");
    }
    assert_eq!(search_with(&mute(calls), others[0].1), legal, "mute, seed {seed}: {calls:#?}");
    legal
}

#[test]
fn rules_change_no_ruling_on_small_histories() {
    let rounds = 20_000;
    let mut illegal = 0;
    for seed in 0..rounds {
        let draw = &mut Draw::new(2_000_000 + seed);
        let family = small(seed, draw);
        illegal += u64::from(!ruling(&history(family, draw), seed));
    }
    println!("{rounds} small histories, {illegal} illegal: no rule changes a ruling");
    assert!(illegal > rounds / 10 && illegal < rounds * 9 / 10);
}

#[test]
fn rules_change_no_ruling_on_larger_histories() {
    let rounds = 1_000;
    let mut illegal = 0;
    for seed in 0..rounds {
        let draw = &mut Draw::new(3_000_000 + seed);
        let family = Family {
            clients: 3 + draw.below(3),
            operations: 12 + draw.below(14),
            values: seed % 5,
            unknown_percent: [0, 5, 15][(seed % 3) as usize],
            wrong_percent: [0, 4][(seed / 3 % 2) as usize],
            tie_percent: [0, 30][(seed / 6 % 2) as usize],
        };
        illegal += u64::from(!ruling(&history(family, draw), seed));
    }
    println!("{rounds} larger histories, {illegal} illegal: no rule changes a ruling");
    assert!(illegal > rounds / 50);
}

/// A search that left depth first goes the way it found once more, from the beginning. That costs it nothing: no limit
/// can end it once all returns were passed.
#[test]
fn an_order_once_found_is_not_lost_to_a_limit() {
    let (mut tried, mut found_early) = (0, 0);
    for seed in 0..60 {
        let family = Family {
            clients: 5,
            operations: 40,
            values: 3,
            unknown_percent: 25,
            wrong_percent: 0,
            tie_percent: 0,
        };
        let calls = history(family, &mut Draw::new(seed));
        let answered = calls.iter().filter(|call| call.answer.is_some()).count();
        let partition = super::partition(&EMPTY, &calls);
        let all: Vec<u32> = (0..calls.len() as u32).collect();
        let problem = Problem::new(&partition, &all, u64::MAX);
        let rules = Rules { patience: 1, ..Rules::ALL };
        let within = |steps| {
            let mut budget = Budget::new(Limits { steps, ..Limits::default() }, &|| false);
            let (found, progress) = search(&partition, &problem, rules, &mut budget);
            (found, progress.returns, budget.spent())
        };
        let (found, _, spent) = within(u64::MAX);
        assert!(matches!(found, Found::Legal(_)), "seed {seed}: {found:?}");
        for steps in spent.saturating_sub(120)..=spent {
            let (found, returns, _) = within(steps);
            tried += 1;
            match found {
                Found::Legal(order) => {
                    found_early += 1;
                    assert!(order.len() >= answered, "seed {seed}: a part of the order only");
                }
                Found::Halted(_) => assert!(returns < answered, "seed {seed}, {steps} steps"),
                Found::Illegal => panic!("seed {seed}, {steps} steps: illegal"),
            }
        }
    }
    println!("{tried} limits, {found_early} of them enough");
    assert!(found_early >= 60);
}
