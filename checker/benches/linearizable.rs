//! How long a check takes, by clients, operations and ruling.
//!
//! Run with `cargo bench -p checker`. Histories come from a fixed seed: clients that are always
//! busy, each call taking effect at a moment of its own between its start and its end. An illegal
//! one has a last read of an overwritten value, so every state before it must be ruled out; its
//! time includes the shrink.

use checker::specs::keyed::Keyed;
use checker::specs::register::{Op, Register, Ret};
use checker::{
    Answer, Call, Coordinates, Judgement, Limits, Options, Ruling, SequentialSpec, linearizable,
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

type Kv = Keyed<Register<u64>>;

/// What a history is like.
#[derive(Clone, Copy)]
struct Family {
    clients: usize,
    operations: usize,
    keys: u64,
    unknown_per_thousand: u64,
    stale: bool,
}

fn history(family: Family) -> Vec<Call<Kv>> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut below = |bound: u64| random.next_u64() % bound;
    let mut states = vec![Register(None); family.keys as usize];
    let mut clients: Vec<(u64, Option<usize>, Option<Ret<u64>>)> =
        (0..family.clients as u64).map(|process| (process, None, None)).collect();
    let mut calls: Vec<Call<Kv>> = Vec::new();
    let (mut time, mut fresh) = (0, family.clients as u64);
    loop {
        time += 1;
        let client = &mut clients[below(family.clients as u64) as usize];
        match client {
            (process, open @ None, _) => {
                if calls.len() == family.operations {
                    break;
                }
                let key = below(family.keys);
                let value = time;
                let op = match below(20) {
                    0..=8 => Op::Read,
                    9..=14 => Op::Write(value),
                    15..=18 => Op::Cas(states[key as usize].0, value),
                    _ => Op::Delete,
                };
                *open = Some(calls.len());
                calls.push(Call {
                    index: time,
                    process: *process,
                    start: time,
                    op: (Arc::from(format!("k{key}")), op),
                    answer: None,
                });
            }
            (process, open @ Some(_), answer @ None) => {
                let (key, op) = &calls[open.unwrap_or_default()].op;
                let key: usize = key[1..].parse().unwrap_or_default();
                *answer = Some(states[key].invoke(op));
                if below(1_000) < family.unknown_per_thousand {
                    *process = fresh;
                    fresh += 1;
                    (*open, *answer) = (None, None);
                }
            }
            (_, open @ Some(_), answer @ Some(_)) => {
                if let (Some(open), Some(ret)) = (open.take(), answer.take()) {
                    calls[open].answer = Some(Answer { end: time, ret });
                }
            }
        }
    }
    if family.stale {
        add_stale_read(&mut calls, time);
    }
    calls
}

/// Two writes to the first key, and a read of the first of them.
fn add_stale_read(calls: &mut Vec<Call<Kv>>, time: u64) {
    let ops = [
        (Op::Write(time), Ret::Done),
        (Op::Write(time + 1), Ret::Done),
        (Op::Read, Ret::Value(Some(time))),
    ];
    for (start, (op, ret)) in (time..).step_by(2).zip(ops) {
        calls.push(Call {
            index: start + 1,
            process: u64::MAX,
            start: start + 1,
            op: (Arc::from("k0"), op),
            answer: Some(Answer { end: start + 2, ret }),
        });
    }
}

fn check(calls: Vec<Call<Kv>>, threads: usize) -> Judgement {
    let options = Options {
        limits: Limits::default(),
        threads,
        coordinates: Coordinates::Positions,
        stop: &|| false,
        label: &|_| None,
        certify: false,
    };
    linearizable(&Keyed(Register(None)), calls, &options)
}

fn measure(criterion: &mut Criterion, name: &str, threads: usize, family: Family) {
    let calls = history(family);
    let expected = if family.stale { Ruling::Invalid } else { Ruling::Valid };
    assert_eq!(check(calls.clone(), threads).ruling, expected, "{name}");
    let ruling = if family.stale { "illegal" } else { "legal" };
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(calls.len() as u64));
    group.bench_function(BenchmarkId::new(ruling, family.operations), |bencher| {
        bencher.iter_batched(
            || calls.clone(),
            |calls| black_box(check(calls, threads)),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn register(criterion: &mut Criterion) {
    for clients in [5, 10, 20] {
        for operations in [1_000, 10_000] {
            for stale in [false, true] {
                let family =
                    Family { clients, operations, keys: 1, unknown_per_thousand: 0, stale };
                measure(criterion, &format!("register, {clients} clients"), 1, family);
            }
        }
    }
}

fn kv(criterion: &mut Criterion) {
    for stale in [false, true] {
        let family =
            Family { clients: 50, operations: 30_000, keys: 100, unknown_per_thousand: 10, stale };
        measure(criterion, "kv, 50 clients, 100 keys, 1 % unknown", 2, family);
        let family = Family { operations: 6_000, keys: 2, unknown_per_thousand: 2, ..family };
        measure(criterion, "kv, 50 clients, 2 keys, 0.2 % unknown", 2, family);
    }
}

criterion_group!(benches, register, kv);
criterion_main!(benches);
