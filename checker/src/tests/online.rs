//! The online checker says what the offline one says, and never too early.

mod edges;
mod shapes;

use super::draw::{Draw, Family, history};
use super::{EMPTY, Mute, Plain, judge, mute};
use crate::online::{Checker, Held, Notice, Refusal};
use crate::oracle::is_legal;
use crate::specs::keyed::Keyed;
use crate::specs::register::{Op, Register, Ret};
use crate::{Answer, Call, Limits, Ruling, SequentialSpec, Spec};
use std::sync::Arc;

/// One notice about a call, the call by its place.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tell {
    Start(usize),
    End(usize),
    GiveUp(usize),
}

/// In which order a recorder may tell of these calls: by time, anyhow where times are equal, each
/// process in its order. Of some unknown calls nobody ever says that they are.
fn telling<S: SequentialSpec>(calls: &[Call<S>], draw: &mut Draw) -> Vec<Tell> {
    let mut processes: Vec<(u64, Vec<(u64, Tell)>)> = Vec::new();
    for (place, call) in calls.iter().enumerate() {
        let known = processes.iter().position(|(process, _)| *process == call.process);
        let known = known.unwrap_or_else(|| {
            processes.push((call.process, Vec::new()));
            processes.len() - 1
        });
        let events = &mut processes[known].1;
        events.push((call.start, Tell::Start(place)));
        match &call.answer {
            Some(answer) => events.push((answer.end, Tell::End(place))),
            None if draw.percent(80) => {
                events.push((call.start + draw.below(12), Tell::GiveUp(place)));
            }
            None => {}
        }
    }
    let mut next = vec![0; processes.len()];
    let mut order = Vec::new();
    loop {
        let head = |process: usize| processes[process].1.get(next[process]).copied();
        let heads: Vec<_> = (0..next.len()).filter_map(|it| Some((head(it)?, it))).collect();
        let Some(earliest) = heads.iter().map(|((time, _), _)| *time).min() else { return order };
        let first: Vec<_> = heads.iter().filter(|((time, _), _)| *time == earliest).collect();
        let ((_, tell), process) = *first[draw.below(first.len() as u64) as usize];
        order.push(tell);
        next[process] += 1;
    }
}

fn notice<S>(calls: &[Call<S>], tell: Tell) -> Notice<S>
where
    S: SequentialSpec<Op: Clone, Ret: Clone>,
{
    match tell {
        Tell::Start(place) => {
            let Call { index, process, start, op, .. } = calls[place].clone();
            Notice::Invoke { index, process, time: start, op }
        }
        Tell::End(place) => {
            let Answer { end, ret } = calls[place].answer.clone().expect("it ended");
            Notice::Return { process: calls[place].process, time: end, ret }
        }
        Tell::GiveUp(place) => Notice::Unknown { process: calls[place].process },
    }
}

/// What is known of the calls after some of the telling.
fn known<S>(calls: &[Call<S>], told: &[Tell]) -> Vec<Call<S>>
where
    S: SequentialSpec<Op: Clone, Ret: Clone>,
{
    let mut known = Vec::new();
    for (place, call) in calls.iter().enumerate() {
        if told.contains(&Tell::Start(place)) {
            let answer = call.answer.clone().filter(|_| told.contains(&Tell::End(place)));
            known.push(Call { answer, ..call.clone() });
        }
    }
    known
}

fn tell<S: Spec>(initial: &S, calls: &[Call<S>], order: &[Tell]) -> Checker<S> {
    let mut checker = Checker::new(initial.clone(), Limits::default());
    for next in order {
        checker.push(notice(calls, *next)).expect("it can be");
    }
    checker
}

fn family(seed: u64, draw: &mut Draw, operations: u64) -> Family {
    Family {
        clients: 2 + draw.below(5),
        operations: operations / 2 + draw.below(operations / 2 + 1),
        values: seed % 5,
        unknown_percent: [0, 8, 25][(seed / 5 % 3) as usize],
        wrong_percent: [0, 5, 25][(seed / 15 % 3) as usize],
        tie_percent: [0, 40, 80][(seed / 45 % 3) as usize],
    }
}

#[test]
fn every_prefix_of_small_histories_is_judged_as_every_order_judges_it() {
    let (mut prefixes, mut illegal) = (0, 0);
    for seed in 0..1_500 {
        let draw = &mut Draw::new(2_000_000 + seed);
        let calls = history(family(seed, draw, 8), draw);
        let order = telling(&calls, draw);
        for told in (0..=order.len()).map(|length| &order[..length]) {
            let legal = is_legal(&EMPTY, &known(&calls, told));
            let checker = tell(&EMPTY, &calls, told);
            if let Some(violation) = checker.violation() {
                assert!(!legal, "too early, seed {seed}, {violation:?}: {told:?} {calls:#?}");
            }
            let said = checker.finish().ruling == Ruling::Valid;
            assert_eq!(said, legal, "seed {seed}: {told:?} {calls:#?}");
            let said = tell(&Mute(EMPTY), &mute(&calls), told).finish().ruling == Ruling::Valid;
            assert_eq!(said, legal, "mute, seed {seed}: {told:?} {calls:#?}");
            prefixes += 1;
            illegal += usize::from(!legal);
        }
    }
    println!("{prefixes} prefixes, {illegal} illegal: all agree with every order");
    assert!(illegal > 700);
}

#[test]
fn larger_histories_are_judged_as_offline_and_not_too_early() {
    let (mut illegal, mut early) = (0, 0);
    let rounds = 6_000;
    for seed in 0..rounds {
        let draw = &mut Draw::new(3_000_000 + seed);
        let calls = history(family(seed, draw, 60), draw);
        let order = telling(&calls, draw);
        let legal = super::is_valid(&EMPTY, &calls);
        let mut checker = Checker::new(EMPTY, Limits::default());
        for (told, next) in (1..).zip(&order) {
            let knew = checker.violation().is_some();
            let notice = notice(&calls, *next);
            if let Notice::Invoke { time, .. } | Notice::Return { time, .. } = &notice
                && draw.percent(20)
            {
                checker.push(Notice::Wait { time: *time }).expect("it can be");
            }
            checker.push(notice).expect("it can be");
            if checker.violation().is_some() && !knew {
                let so_far = known(&calls, &order[..told]);
                assert!(!super::is_valid(&EMPTY, &so_far), "too early, seed {seed}: {calls:#?}");
                early += usize::from(told < order.len());
            }
        }
        let summary = checker.finish();
        assert_eq!(summary.ruling == Ruling::Valid, legal, "seed {seed}: {calls:#?}");
        assert!(summary.undecided.is_empty());
        illegal += usize::from(!legal);
    }
    println!("{rounds} histories, {illegal} illegal, {early} of them said so before the end");
    assert!(illegal > 500 && early > illegal / 2);
}

/// The same calls on a key, by processes of its own.
fn on_key(key: u64, calls: Vec<Call<Plain>>) -> Vec<Call<Keyed<Plain>>> {
    let name: Arc<str> = format!("k{key}").into();
    let apart = |number: u64| 1_000 * key + number;
    let mut keyed = Vec::new();
    for Call { index, process, start, op, answer } in calls {
        let (index, process, op) = (apart(index), apart(process), (Arc::clone(&name), op));
        keyed.push(Call { index, process, start, op, answer });
    }
    keyed
}

#[test]
fn the_same_keys_are_violated_as_offline() {
    let mut illegal = 0;
    for seed in 0..1_000 {
        let draw = &mut Draw::new(4_000_000 + seed);
        let mut calls = Vec::new();
        for key in 0..1 + draw.below(4) {
            calls.extend(on_key(key, history(family(seed + key, draw, 30), draw)));
        }
        let order = telling(&calls, draw);
        let judgement = judge(&Keyed(EMPTY), &calls);
        let mut offline: Vec<_> = judgement.violations.into_iter().map(|found| found.key).collect();
        let summary = tell(&Keyed(EMPTY), &calls, &order).finish();
        let mut online: Vec<_> = summary.violations.iter().map(|found| found.key.clone()).collect();
        offline.sort();
        online.sort();
        assert_eq!(online, offline, "seed {seed}: {calls:#?}");
        assert_eq!(
            (summary.ruling, summary.keys, summary.valid),
            (judgement.ruling, judgement.partitions as u64, judgement.valid as u64)
        );
        illegal += online.len();
    }
    assert!(illegal > 300);
}

#[test]
fn what_did_not_happen_leaves_no_trace() {
    for seed in 0..500 {
        let draw = &mut Draw::new(5_000_000 + seed);
        let calls = history(family(seed, draw, 30), draw);
        let order = telling(&calls, draw);
        let plain = tell(&EMPTY, &calls, &order).finish();
        let mut checker = Checker::new(EMPTY, Limits::default());
        // Some writes that fail, open for a while.
        let (mut time, mut failing) = (0, Vec::new());
        for next in order {
            let told = notice(&calls, next);
            if let Notice::Invoke { time: at, .. } | Notice::Return { time: at, .. } = &told {
                time = *at;
            }
            checker.push(told).expect("it can be");
            if draw.percent(30) {
                let process = 10_000 + draw.below(3);
                let op = Op::Write(99);
                let refused = checker.push(Notice::Invoke { index: 0, process, time, op });
                failing.extend(refused.is_ok().then_some(process));
            }
            if draw.percent(30)
                && let Some(process) = failing.pop()
            {
                checker.push(Notice::Fail { process }).expect("it is open");
            }
        }
        for process in failing {
            checker.push(Notice::Fail { process }).expect("it is open");
        }
        assert_eq!(checker.finish(), plain);
    }
}
