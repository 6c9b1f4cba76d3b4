//! One history, and all who can judge it.
//!
//! - every order, one after another, if there are at most [`ORDERS`] operations;
//! - stateright's tester, if there are at most [`TOLD`]; it takes equal times for concurrent as we
//!   do, but not within one process;
//! - the bare search, with all its rules and without the help of shapes;
//! - the algorithm of the data type, and the one for registers;
//! - the whole check, with certificates.
//!
//! Orders are replayed. What is called illegal is looked at alone: the calls that an algorithm
//! points at, and the operations of a counterexample, which are also checked once more. That those
//! are chosen soundly shows in that no legal history is accused.
//!
//! A larger history that a search cannot decide in [`STEPS`] is judged by those who can. If it is
//! illegal the whole check is not asked: making its counterexample small would take most of the
//! time.

use super::super::replay::assert_order;
use super::super::{options, partition};
use crate::fast::blocks;
use crate::oracle::is_legal;
use crate::partition::touch;
use crate::problem::Problem;
use crate::search::{Found, Rules, search};
use crate::shrink::{Draft, Evidence};
use crate::{Budget, Call, Finding, Limits, Options, Ruling, Spec, linearizable};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use std::collections::BTreeMap;

/// All orders of so many operations are tried.
const ORDERS: usize = 8;
/// So many are told to stateright.
const TOLD: usize = 6;
/// Steps after which a search is not waited for.
const STEPS: u64 = 100_000;

/// How often who said what.
#[derive(Debug, Default)]
pub(super) struct Tally {
    legal: u64,
    illegal: u64,
    /// Judged by trying all orders, and by stateright.
    by_orders: u64,
    by_stateright: u64,
    /// By algorithm: legal and illegal.
    decided: BTreeMap<&'static str, [u64; 2]>,
    declined: u64,
    /// Too hard for anybody.
    undecided: u64,
}

impl Tally {
    /// Asks everybody. `which` names the history.
    pub(super) fn ask<S: Spec>(
        &mut self,
        initial: &S,
        calls: &[Call<S>],
        which: &dyn Fn() -> String,
    ) {
        let mut agreed: Option<(&str, bool)> = None;
        let mut hear = |who: &'static str, legal: Option<bool>| {
            let Some(legal) = legal else { return agreed.map(|(_, ruling)| ruling) };
            let (first, ruling) = *agreed.get_or_insert((who, legal));
            assert_eq!(
                legal,
                ruling,
                "{who} (left) and {first} (right) disagree on whether it is legal: {}: {calls:#?}",
                which()
            );
            Some(ruling)
        };
        if calls.len() <= ORDERS {
            hear("every order", Some(is_legal(initial, calls)));
            self.by_orders += 1;
        }
        if calls.len() <= TOLD && !touch(calls) {
            hear("stateright", Some(stateright_says(initial, calls)));
            self.by_stateright += 1;
        }
        hear("the search", searched(initial, calls, true));
        let mut ruling = hear("the search without shapes", searched(initial, calls, false));
        let mut declined = true;
        for (by, legal) in
            [special(initial, calls), of_blocks(initial, calls)].into_iter().flatten()
        {
            ruling = hear(by, Some(legal));
            self.decided.entry(by).or_default()[usize::from(!legal)] += 1;
            declined = false;
        }
        self.declined += u64::from(declined);
        if calls.len() <= ORDERS || ruling == Some(true) {
            ruling = hear("the whole check", checked(initial, calls));
        }
        match ruling {
            Some(true) => self.legal += 1,
            Some(false) => self.illegal += 1,
            None => self.undecided += 1,
        }
    }

    /// Prints what there was, and asserts that it shows something.
    pub(super) fn conclude(&self, what: &str, algorithms: &[&str], declined_percent: u64) {
        let histories = self.legal + self.illegal + self.undecided;
        let mut decided: Vec<String> = Vec::new();
        for (by, [legal, illegal]) in &self.decided {
            decided.push(format!("{by} {} ({illegal} illegal)", legal + illegal));
        }
        println!(
            "{what}: {histories}, {} illegal; by every order {}, stateright {}, {}; \
             declined {}; too hard {}; disagreements 0",
            self.illegal,
            self.by_orders,
            self.by_stateright,
            decided.join(", "),
            self.declined,
            self.undecided
        );
        assert!(self.legal > 0 && self.illegal > 0, "{what}: nothing was legal, or illegal");
        assert!(!self.decided.is_empty(), "{what}: no algorithm decided anything");
        for by in algorithms {
            let [legal, illegal] = self.decided.get(by).copied().unwrap_or_default();
            assert!(legal > 0 && illegal > 0, "{what}: {by}: {legal} legal, {illegal} illegal");
        }
        let most = histories * declined_percent;
        assert!(self.declined * 100 <= most, "{what}: what should be decided is declined");
        assert!(self.undecided * 100 < histories, "{what}: too many were too hard");
    }
}

/// What stateright says; it knows no times, only the order in which it is told.
fn stateright_says<S: Spec>(initial: &S, calls: &[Call<S>]) -> bool {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (place, call) in calls.iter().enumerate() {
        events.push((call.start, false, place));
        events.extend(call.answer.as_ref().map(|answer| (answer.end, true, place)));
    }
    events.sort_unstable();
    let mut tester = LinearizabilityTester::new(initial.clone());
    for (_, returns, place) in events {
        let call = &calls[place];
        let told = match call.answer.as_ref().filter(|_| returns) {
            Some(answer) => tester.on_return(call.process, answer.ret.clone()),
            None => tester.on_invoke(call.process, call.op.clone()),
        };
        told.expect("a process is sequential");
    }
    tester.is_consistent()
}

/// What the bare search says, none if it is too hard.
fn searched<S: Spec>(initial: &S, calls: &[Call<S>], shapes: bool) -> Option<bool> {
    let partition = partition(initial, calls);
    let all: Vec<u32> = (0..calls.len() as u32).collect();
    let problem = match shapes {
        true => Problem::new(&partition, &all, u64::MAX),
        false => Problem::plain(&partition, &all),
    };
    let mut budget = Budget::new(Limits { steps: STEPS, ..Limits::default() }, &|| false);
    match search(&partition, &problem, Rules::ALL, &mut budget).0 {
        Found::Legal(order) => {
            assert_order(initial, &partition.calls, &order);
            Some(true)
        }
        Found::Illegal => Some(false),
        Found::Halted(halt) => {
            assert!(calls.len() > ORDERS, "{halt:?}: {calls:#?}");
            None
        }
    }
}

/// What the algorithm of the data type says, none if it declines.
fn special<S: Spec>(initial: &S, calls: &[Call<S>]) -> Option<(&'static str, bool)> {
    if touch(calls) {
        return None;
    }
    let mut budget = Budget::new(Limits::default(), &|| false);
    let mut find =
        |certify| initial.specialised(calls, certify, &mut budget).expect("the budget is large");
    // Most checks ask for no order: what is found must not hang on that.
    let (bare, found) = (find(false), find(true));
    assert_alike(&bare, &found, calls);
    match found {
        Finding::Declined(_) => None,
        Finding::Legal { by, order } => {
            assert_order(initial, calls, &order);
            Some((by, true))
        }
        Finding::Illegal { by, calls: proof } => {
            assert!(proof.is_sorted_by(|a, b| a < b), "{by}: {proof:?}");
            let part: Vec<Call<S>> =
                proof.iter().map(|place| calls[*place as usize].clone()).collect();
            assert_illegal(initial, &part, calls);
            // Whatever it relies on is in it, so it stays illegal beside any other calls.
            for beside in 0..2 {
                let kept = |place: &u32| proof.contains(place) || place % 2 == beside;
                let places = (0..calls.len() as u32).filter(kept);
                let more: Vec<Call<S>> =
                    places.map(|place| calls[place as usize].clone()).collect();
                assert_illegal(initial, &more, calls);
            }
            Some((by, false))
        }
    }
}

/// What the algorithm for registers says, none if it declines. The calls it points at are illegal
/// together with what those rely on.
fn of_blocks<S: Spec>(initial: &S, calls: &[Call<S>]) -> Option<(&'static str, bool)> {
    if touch(calls) {
        return None;
    }
    let partition = partition(initial, calls);
    let mut budget = Budget::new(Limits::default(), &|| false);
    let mut decide = |certify| {
        let found = blocks::decide(&partition, u64::MAX, certify, &mut budget);
        found.expect("the budget is large")
    };
    // Most checks ask for no order: what is found must not hang on that.
    let (bare, found) = (decide(false), decide(true));
    assert_alike(&bare, &found, calls);
    match found {
        Finding::Declined(_) => None,
        Finding::Legal { by, order } => {
            assert_order(initial, &partition.calls, &order);
            Some((by, true))
        }
        Finding::Illegal { by, calls: conflict } => {
            let evidence = Evidence::new(&partition, u64::MAX);
            let seeds = evidence.items_at(&conflict);
            assert_eq!(seeds.len(), conflict.len(), "{conflict:?}");
            let draft = &mut Draft::default();
            let whole = evidence.complete(&seeds, usize::MAX, draft, &mut budget);
            assert_eq!(whole, Ok(true), "the budget is large, and there is no most");
            let places = evidence.places(&draft.kept);
            let part: Vec<Call<S>> =
                places.map(|place| partition.calls[place as usize].clone()).collect();
            assert_illegal(initial, &part, calls);
            Some((by, false))
        }
    }
}

/// Without an order and with one the same is found.
fn assert_alike<S: Spec>(bare: &Finding, found: &Finding, calls: &[Call<S>]) {
    assert_eq!(
        std::mem::discriminant(bare),
        std::mem::discriminant(found),
        "without an order {bare:?}, with one {found:?}: {calls:#?}"
    );
}

/// What is called a proof must be illegal alone.
fn assert_illegal<S: Spec>(initial: &S, part: &[Call<S>], of: &[Call<S>]) {
    let legal = match part.len() {
        0..=ORDERS => is_legal(initial, part),
        _ => searched(initial, part, false) == Some(true),
    };
    assert!(!legal, "{part:#?} is legal alone, and called a proof: {of:#?}");
}

/// What a user is told, none if it is too hard.
fn checked<S: Spec>(initial: &S, calls: &[Call<S>]) -> Option<bool> {
    let limits = Limits { steps: 10 * STEPS, ..Limits::default() };
    let options = Options { limits, certify: true, ..options() };
    let judgement = linearizable(initial, calls.to_vec(), &options);
    for order in &judgement.orders {
        let of_key = |call: &&Call<S>| order.key.is_none() || S::key(&call.op) == order.key;
        let calls: Vec<Call<S>> = calls.iter().filter(of_key).cloned().collect();
        let place = |index: &u64| calls.iter().position(|call| call.index == *index);
        let places = order.operations.iter().map(|index| place(index).expect("it is its own"));
        let places: Vec<u32> = places.map(|place| place as u32).collect();
        assert_order(initial, &calls, &places);
    }
    for violation in &judgement.violations {
        let chosen = |call: &&Call<S>| violation.operations.contains(&call.index);
        let part: Vec<Call<S>> = calls.iter().filter(chosen).cloned().collect();
        assert_eq!(part.len(), violation.operations.len());
        assert_illegal(initial, &part, calls);
        let again = linearizable(initial, part, &options);
        assert_eq!(again.ruling, Ruling::Invalid, "judged again: {again:?} of {calls:#?}");
    }
    match judgement.ruling {
        Ruling::Valid => {
            assert_eq!(judgement.orders.len(), judgement.partitions);
            Some(true)
        }
        Ruling::Invalid => Some(false),
        Ruling::Unknown => {
            assert!(calls.len() > ORDERS, "{judgement:?}: {calls:#?}");
            None
        }
    }
}
