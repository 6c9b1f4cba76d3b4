//! What one recorded operation costs: two stamps, two lines, two calls of `write(2)`, and the same with eight threads
//! at the one lock. Figures are in docs/performance.md.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use harness::recorder::Recorder;
use history::{Header, NodeId};
use std::hint::black_box;
use std::time::{Duration, Instant};
use workloads::{Completion, Invocation};

const THREADS: u32 = 8;

fn recorder() -> Recorder {
    let file = tempfile::tempfile().expect("a temporary file");
    Recorder::start(file, &Header::new("kv")).expect("a header line")
}

fn operation(recorder: &Recorder, process: history::Process) {
    let invocation =
        Invocation { f: "write", key: Some("k17".to_owned()), value: serde_json::json!(123_456) };
    let call = recorder.invoke(process, &invocation, Some(NodeId(2))).expect("a line");
    let done = Completion::Ok(invocation.value);
    black_box(recorder.complete(call, &done, Some(NodeId(2))).expect("a line"));
}

fn alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recorder");
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(3));
    group.bench_function("one operation", |bencher| {
        let recorder = recorder();
        let process = recorder.process();
        bencher.iter(|| operation(&recorder, process));
    });
    group.bench_function("one operation of eight threads", |bencher| {
        bencher.iter_custom(|count| {
            let recorder = recorder();
            let each = count / u64::from(THREADS) + 1;
            let start = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        let process = recorder.process();
                        (0..each).for_each(|_| operation(&recorder, process));
                    });
                }
            });
            start.elapsed().mul_f64(count as f64 / (each * u64::from(THREADS)) as f64)
        });
    });
    group.finish();
}

criterion_group!(benches, alone);
criterion_main!(benches);
