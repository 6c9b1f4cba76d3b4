//! Histories like those of a cluster under partitions: many clients on one key, many of them stuck
//! at once and then without an answer. A correct run of this kind must not end unknown.

use super::draw::Draw;
use super::options;
use crate::budget::Budget;
use crate::problem::Problem;
use crate::search::{Found, Rules, search};
use crate::specs::register::{Op, Register, Ret};
use crate::{Answer, Call, Judgement, Limits, Options, Ruling, SequentialSpec, linearizable};

type Wide = Register<u64>;

/// A worker: its process, its open call, the answer once it took effect, the value it saw last.
#[derive(Clone, Default)]
struct Worker {
    process: u64,
    open: Option<usize>,
    answer: Option<Ret<u64>>,
    seen: Option<u64>,
}

/// Every 1,500 moments a partition of 500 begins, in which more than half of the workers are stuck;
/// when it heals, half of the stuck calls stay without an answer. `lost` calls took effect or not
/// at random.
fn partitioned(workers: u64, operations: usize, draw: &mut Draw) -> Vec<Call<Wide>> {
    let mut state = Register(None);
    let mut calls: Vec<Call<Wide>> = Vec::new();
    let mut all: Vec<Worker> =
        (0..workers).map(|process| Worker { process, ..Worker::default() }).collect();
    let mut fresh = workers;
    for time in 1.. {
        let phase = time % 1_500;
        let place = draw.below(workers) as usize;
        let stuck = |place: usize| (place as u64) < workers * 3 / 5;
        if phase == 1_499 {
            for worker in all.iter_mut().enumerate().filter(|(place, _)| stuck(*place)) {
                let worker = worker.1;
                if worker.open.is_some() && draw.percent(50) {
                    *worker = Worker { process: fresh, seen: worker.seen, ..Worker::default() };
                    fresh += 1;
                }
            }
        }
        // Those stuck may still take effect; they get no answer.
        if phase >= 1_000 && stuck(place) && (all[place].open.is_none() || !draw.percent(2)) {
            continue;
        }
        let worker = &mut all[place];
        match (worker.open, worker.answer.take()) {
            (None, _) if calls.len() == operations => return calls,
            (None, _) => {
                let op = operation(time, worker.seen, draw);
                worker.open = Some(calls.len());
                let process = worker.process;
                calls.push(Call { index: time, process, start: time, op, answer: None });
            }
            (Some(open), None) => worker.answer = Some(state.invoke(&calls[open].op)),
            (Some(_), answer @ Some(_)) if phase >= 1_000 && stuck(place) => worker.answer = answer,
            (Some(open), Some(ret)) => {
                if let Ret::Value(value) = ret {
                    worker.seen = value;
                }
                calls[open].answer = Some(Answer { end: time, ret });
                worker.open = None;
            }
        }
    }
    calls
}

fn operation(time: u64, seen: Option<u64>, draw: &mut Draw) -> Op<u64> {
    match draw.below(20) {
        0..=8 => Op::Read,
        9..=13 => Op::Write(time),
        14..=18 => Op::Cas(seen, time),
        _ => Op::Delete,
    }
}

fn judge(calls: Vec<Call<Wide>>) -> Judgement {
    // A tenth of what a user gets.
    let limits = Limits { steps: 200_000_000, bytes: 256 << 20 };
    linearizable(&Register(None), calls, &Options { limits, ..options() })
}

#[test]
fn partitions_with_many_clients_on_one_key_are_decided() {
    for seed in 0..10 {
        let calls = partitioned(25, 4_000, &mut Draw::new(seed));
        let unknown = calls.iter().filter(|call| call.answer.is_none()).count();
        let judgement = judge(calls);
        assert_eq!(
            judgement.ruling,
            Ruling::Valid,
            "seed {seed}, {unknown} unknown: {judgement:?}"
        );
    }
}

#[test]
fn violations_among_many_unknown_outcomes_are_decided() {
    let mut sizes = Vec::new();
    for seed in 0..10 {
        let draw = &mut Draw::new(seed);
        let mut calls = partitioned(25, 1_500, draw);
        // One read in the last part repeats what an earlier one saw: a value that was written once.
        let is_read = |call: &Call<Wide>| {
            call.answer.as_ref().is_some_and(|answer| matches!(answer.ret, Ret::Value(Some(_))))
        };
        let reads: Vec<usize> = (0..calls.len()).filter(|place| is_read(&calls[*place])).collect();
        let old = calls[reads[reads.len() / 2]].answer.clone().expect("reads are answered");
        let late = reads[reads.len() - 5];
        if let Some(answer) = &mut calls[late].answer {
            answer.ret = old.ret;
        }
        let judgement = judge(calls);
        assert_eq!(judgement.ruling, Ruling::Invalid, "seed {seed}: {judgement:?}");
        sizes.push(judgement.violations[0].operations.len());
    }
    sizes.sort_unstable();
    println!("stale reads among many unknown outcomes: {sizes:?} operations of 1,500");
    assert!(sizes[5] <= 6 && sizes[8] <= 12, "{sizes:?}");
}

/// More calls open at once than one word has bits, or two: each writes, and a read of each follows.
#[test]
fn windows_wider_than_two_words_are_searched() {
    use crate::tests::agree::search_says;
    let written = |client: u64| (client % 3 + 1) as u8;
    for reads in [vec![1, 2, 3], vec![2], vec![2, 1, 2, 1], vec![]] {
        let mut calls: Vec<Call<super::Plain>> = Vec::new();
        for client in 0..200 {
            calls.push(super::call(client, 1_000 + client, Op::Write(written(client)), Ret::Done));
        }
        // Two of these one after another saw two writes, all of which end later or had ended.
        for (place, value) in (0..).zip(&reads) {
            let start = 500 + 10 * place;
            calls.push(super::call(start, start + 5, Op::Read, Ret::Value(Some(*value))));
        }
        assert!(search_says(&calls), "{reads:?}");
        calls.push(super::call(2_000, 2_001, Op::Read, Ret::Value(Some(2))));
        assert!(search_says(&calls), "{reads:?}, then 2");
        calls.push(super::call(2_010, 2_011, Op::Read, Ret::Value(Some(3))));
        assert!(!search_says(&calls), "{reads:?}, then 2 and 3");
    }
}

/// Adds of different amounts, all open at once, and a read that counts all but one. Almost every
/// set of them is a state of its own: what goes in breadth goes through all sets.
#[test]
fn sums_of_many_open_adds_are_not_searched_in_breadth() {
    use crate::specs::counter::{Counter, Op, Ret};
    for (adds, missed) in [(12, 1), (16, 5), (20, 9), (24, 13)] {
        let call = |start, end, op, ret| Call {
            index: start,
            process: start,
            start,
            op,
            answer: Some(Answer { end, ret }),
        };
        let mut calls: Vec<Call<Counter>> =
            (0..adds).map(|n| call(n, 1_000 + n, Op::Add(1 << n), Ret::Done)).collect();
        let sum = (1 << adds) - 1 - (1 << missed);
        calls.push(call(500, 501, Op::Read, Ret::Value(sum)));
        let partition = super::partition(&Counter(0), &calls);
        let all: Vec<u32> = (0..calls.len() as u32).collect();
        let problem = Problem::new(&partition, &all, u64::MAX);
        let limits = Limits { steps: 100_000, ..Limits::default() };
        let mut budget = Budget::new(limits, &|| false);
        let (found, progress) = search(&partition, &problem, Rules::ALL, &mut budget);
        println!("{adds} adds: {} steps, {} configurations", budget.spent(), progress.explored);
        assert!(matches!(found, Found::Legal(_)), "{adds} adds: {found:?}");
    }
}
