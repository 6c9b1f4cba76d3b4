//! How fast our own histories are read, by threads.
//!
//! Run with `cargo bench -p history`. The file lies in memory and comes from a fixed seed: ten clients, a hundred keys,
//! each call answered. Throughput is in bytes of the file.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use history::{Event, Header, Kind, Nanos, NodeId, Process, Writer, read_jsonl_parallel};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};
use std::hint::black_box;
use std::io;

const OPERATIONS: usize = 200_000;
const CLIENTS: u64 = 10;
const KEYS: u64 = 100;

fn invocation(client: u64, below: &mut dyn FnMut(u64) -> u64) -> Event {
    let (f, value) = match below(20) {
        0..=8 => ("read", Value::Null),
        9..=14 => ("write", json!(below(100_000))),
        15..=18 => ("cas", json!([below(100_000), below(100_000)])),
        _ => ("delete", Value::Null),
    };
    Event {
        index: 0,
        time: Nanos(0),
        process: Process::Client(client),
        kind: Kind::Invoke,
        f: f.to_owned(),
        key: Some(format!("k{}", below(KEYS))),
        value,
        node: Some(NodeId(1 + below(5) as u16)),
        error: None,
    }
}

fn file() -> io::Result<Vec<u8>> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut below = |bound: u64| random.next_u64() % bound;
    let mut open: Vec<Option<Event>> = vec![None; CLIENTS as usize];
    let mut writer = Writer::new(Vec::new(), &Header::new("kv"))?;
    let mut time = 1_000_000;
    for index in 0..2 * OPERATIONS as u64 {
        let client = below(CLIENTS);
        time += below(40_000);
        let event = match open[client as usize].take() {
            None => {
                let invocation = invocation(client, &mut below);
                open[client as usize] = Some(invocation.clone());
                invocation
            }
            Some(invocation) if invocation.f == "read" => {
                Event { kind: Kind::Ok, value: json!(below(100_000)), ..invocation }
            }
            Some(invocation) if invocation.f == "cas" && below(3) == 0 => {
                Event { kind: Kind::Fail, error: Some("mismatch".to_owned()), ..invocation }
            }
            Some(invocation) => Event { kind: Kind::Ok, ..invocation },
        };
        writer.append(&Event { index, time: Nanos(time), ..event })?;
    }
    Ok(writer.into_inner())
}

fn reading(criterion: &mut Criterion) {
    let file = file().expect("memory takes every write");
    let mut group = criterion.benchmark_group("read_jsonl");
    group.throughput(Throughput::Bytes(file.len() as u64)).sample_size(20);
    for threads in [1, 2, 4] {
        group.bench_function(BenchmarkId::new("threads", threads), |bencher| {
            bencher.iter(|| read_jsonl_parallel(black_box(&file[..]), threads));
        });
    }
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
