//! Group commit on the disk of this machine: one durable batch of 1, 16, 64 or 256 entries of 256 bytes.
//!
//! `cargo bench -p cluster --bench wal`. It writes to the system's directory for temporary files, so
//! `TMPDIR` chooses the disk; on a file system in memory a sync costs nothing and the figures mean nothing.

use std::sync::Arc;

use cluster::bug::Bugs;
use cluster::raft::{Batch, Entry, Payload};
use cluster::wal::{Directory, Wal};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// A log that writes batches and waits for each.
struct Log {
    wal: Wal,
    index: u64,
    ticket: u64,
    // Removed when dropped, after the log.
    _directory: tempfile::TempDir,
}

impl Log {
    fn open() -> Log {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        let disk = Directory::open(directory.path()).expect("a new directory is nobody's");
        let (wal, ..) =
            Wal::open(Arc::new(disk), 1, 64 << 20, Bugs::NONE).expect("an empty log opens");
        Log { wal, index: 0, ticket: 0, _directory: directory }
    }

    fn batch(&mut self, entries: u64) -> Batch {
        self.ticket += 1;
        let first = self.index + 1;
        self.index += entries;
        let payload = Payload::Command([7; 256].into());
        let entry = |index| Entry { term: 1, index, payload: payload.clone() };
        let entries = (first..=self.index).map(entry).collect();
        Batch { ticket: self.ticket, entries, ..Batch::default() }
    }

    fn commit(&self, batch: Batch) {
        let ticket = batch.ticket;
        self.wal.append(batch).expect("the log takes one batch");
        let mut progress = self.wal.progress();
        while progress.borrow_and_update().durable < ticket {
            assert_eq!(progress.borrow().failed, None);
            std::thread::yield_now();
        }
    }
}

fn group_commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("group commit");
    for entries in [1, 16, 64, 256] {
        let log = std::cell::RefCell::new(Log::open());
        group.throughput(Throughput::Elements(entries));
        group.bench_function(format!("{entries} entries"), |bencher| {
            bencher.iter_batched(
                || log.borrow_mut().batch(entries),
                |batch| log.borrow().commit(batch),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, group_commit);
criterion_main!(benches);
