//! What a large state costs a running cluster of three nodes, each a process of its own, on the disk of this machine.
//!
//! `cargo bench -p cluster --bench state -- snapshot` loads 1 GiB (or as many MiB as the next argument says) and
//! prints how long writes take while every node writes a snapshot of it, and when none does: the same processes, the
//! same state and the same writers, in turns. For that, snapshots are due after four times the default, because
//! otherwise one of so large a state would always be being written.
//! `cargo bench -p cluster --bench state -- memory` loads a million keys of 256 bytes (or as many as the next argument
//! says) and prints the resident memory of each node, before and after a restart of one, and how long that takes.
//!
//! `TMPDIR` chooses the disk. The client is in this process and uses the same processors as the nodes; the load of the
//! machine is printed, because with others on it the figures mean little.

#![expect(clippy::print_stdout, reason = "a bench says what it measured")]
#![expect(clippy::unwrap_used, reason = "a bench may fail where it stands")]

#[path = "../tests/nodes/child.rs"]
mod child;

use std::collections::BTreeMap;
use std::fmt;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use child::Addresses;
use cluster::node::{self, Config};
use cluster::proto::admin_client::AdminClient;
use cluster::proto::kv_client::KvClient;
use cluster::proto::{Request, Role, StatusRequest, StatusResponse, Write, request, response};
use tokio::time::sleep;
use tonic::transport::Channel;

const SETTINGS: &str = "CLUSTER_BENCH_NODE";
/// Writers that load the state, each with one request at a time.
const LOADERS: u64 = 128;
/// Writers that are measured.
const WRITERS: u64 = 16;
/// How long to measure without a snapshot, and with one, at least.
const SPAN: Duration = Duration::from_secs(25);
/// How long that may take.
const ENOUGH: Duration = Duration::from_secs(400);
/// How much less often than by default snapshots are due while their cost is measured.
const SELDOM: u64 = 4;
/// Longest wait for anything else.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    if let Ok(settings) = std::env::var(SETTINGS) {
        return run_as_node(&settings);
    }
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let size = |default| arguments.get(1).map_or(default, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match arguments.first().map(String::as_str) {
        Some("snapshot") => runtime.block_on(snapshot(size(1024))),
        Some("memory") => runtime.block_on(memory(size(1_000_000))),
        _ => println!("say what to measure: snapshot [MiB], or memory [KEYS]"),
    }
}

fn run_as_node(settings: &str) {
    let [id, data, peer, client, bytes, peers] = settings.split('|').collect::<Vec<_>>()[..] else {
        panic!("{settings}")
    };
    let mut config = Config::new(id.parse().unwrap(), data);
    config.listen_peer = peer.parse().unwrap();
    config.listen_client = client.parse().unwrap();
    config.parent_death_signal = true;
    config.snapshot_bytes = bytes.parse().unwrap();
    config.peers = child::read_peers(peers);
    node::run(config).unwrap();
}

/// Three nodes; dropping it kills them.
struct Cluster {
    directory: tempfile::TempDir,
    addresses: Addresses,
    running: BTreeMap<u64, Child>,
    /// Bytes of commands after which a snapshot is taken.
    snapshot_bytes: u64,
}

impl Cluster {
    fn start(snapshot_bytes: u64) -> Cluster {
        let directory = tempfile::tempdir().unwrap();
        let addresses = child::addresses(3);
        let mut cluster =
            Cluster { directory, addresses, running: BTreeMap::new(), snapshot_bytes };
        (1..=3).for_each(|id| cluster.run(id));
        cluster
    }

    fn run(&mut self, id: u64) {
        let data = self.directory.path().join(format!("n{id}"));
        let others = self.addresses.iter().filter(|(other, _)| **other != id);
        let peers = child::tell_peers(others.map(|(other, (peer, _))| (other, *peer)));
        let (peer, client) = self.addresses[&id];
        let (data, bytes) = (data.display(), self.snapshot_bytes);
        let settings = format!("{id}|{data}|{peer}|{client}|{bytes}|{peers}");
        self.running.insert(id, child::start(&[], SETTINGS, &settings));
    }

    fn kill(&mut self, id: u64) {
        child::kill(self.running.remove(&id).unwrap());
    }

    async fn status(&self, id: u64) -> Option<StatusResponse> {
        let mut admin =
            AdminClient::connect(format!("http://{}", self.addresses[&id].1)).await.ok()?;
        Some(admin.status(StatusRequest {}).await.ok()?.into_inner())
    }

    async fn until(&self, id: u64, holds: impl Fn(&StatusResponse) -> bool) -> StatusResponse {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            match self.status(id).await {
                Some(status) if holds(&status) => return status,
                _ => sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("node {id} did not come to that within {PATIENCE:?}")
    }

    async fn leader(&self) -> u64 {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            for id in 1..=3 {
                let status = self.status(id).await;
                if status.is_some_and(|status| status.role() == Role::Leader) {
                    return id;
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody leads")
    }

    async fn client(&self, id: u64) -> KvClient<Channel> {
        KvClient::connect(format!("http://{}", self.addresses[&id].1)).await.unwrap()
    }

    /// Resident and highest memory of a node in MiB.
    fn memory(&self, id: u64) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running[&id].id()));
        let status = status.unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
        };
        (field("VmRSS:"), field("VmHWM:"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let ids: Vec<u64> = self.running.keys().copied().collect();
        ids.into_iter().for_each(|id| self.kill(id));
    }
}

/// Writes one key; whether it was acknowledged.
async fn write(client: &mut KvClient<Channel>, key: u64, size: usize) -> bool {
    // No two values alike, and not one that anything could compress.
    let value =
        Bytes::from((0..size).map(|at| (key as usize * 31 + at * 7) as u8).collect::<Vec<_>>());
    let key = Bytes::from(format!("key-{key:012}"));
    let operation = Some(request::Operation::Write(Write { key, value }));
    // If the leader changes, a long load goes on.
    let request = Request { operation, forward: true, ..Request::default() };
    let response = client.execute(request).await;
    matches!(response.map(|r| r.into_inner().outcome), Ok(Some(response::Outcome::Done(_))))
}

/// Writes this many keys, each at least once.
async fn load(cluster: &Cluster, keys: u64, size: usize) -> Duration {
    let (start, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let client = cluster.client(cluster.leader().await).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..LOADERS {
        let (mut client, next) = (client.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let key = next.fetch_add(1, Relaxed);
                if key >= keys {
                    return;
                }
                while !write(&mut client, key, size).await {
                    sleep(Duration::from_millis(50)).await;
                }
            }
        });
    }
    tasks.join_all().await;
    start.elapsed()
}

/// Writers of 256 bytes over the loaded keys until `stop`; for each write when it began, and how long it took.
async fn measure(
    client: KvClient<Channel>,
    keys: u64,
    stop: Arc<AtomicBool>,
) -> Vec<(Instant, Duration)> {
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (mut client, stop) = (client.clone(), Arc::clone(&stop));
        tasks.spawn(async move {
            let (mut samples, mut key) = (Vec::new(), writer * 7919);
            while !stop.load(Relaxed) {
                key = (key * 6_364_136_223 + 1_442_695) % keys;
                let start = Instant::now();
                if write(&mut client, key, 256).await {
                    samples.push((start, start.elapsed()));
                }
            }
            samples
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// Whether any node wrote a snapshot, over time.
#[derive(Default)]
struct Seen {
    looks: Vec<(Instant, bool)>,
    /// How long one was written, and how long none was.
    spans: (Duration, Duration),
}

impl Seen {
    fn look(&mut self, writing: bool) {
        let now = Instant::now();
        let since = now - self.looks.last().map_or(now, |(last, _)| *last);
        *(if writing { &mut self.spans.0 } else { &mut self.spans.1 }) += since;
        self.looks.push((now, writing));
    }

    fn is_enough(&self) -> bool {
        self.spans.0.min(self.spans.1) >= SPAN
    }

    /// Whether one was written at this time, if that is known.
    fn at(&self, time: Instant) -> Option<bool> {
        let place = self.looks.partition_point(|(look, _)| *look < time);
        self.looks.get(place).map(|(_, writing)| *writing)
    }
}

async fn snapshot(mebibytes: u64) {
    let keys = mebibytes << 8;
    let cluster = Cluster::start(SELDOM * default_snapshot_bytes());
    println!("load of the machine before: {}", machine_load());
    let took = load(&cluster, keys, 4 << 10).await;
    println!("{mebibytes} MiB in {keys} keys of 4 KiB, written in {:.1} s", took.as_secs_f64());
    let leader = cluster.leader().await;
    let (stop, client) = (Arc::new(AtomicBool::new(false)), cluster.client(leader).await);
    let writers = tokio::spawn(measure(client, keys, Arc::clone(&stop)));
    let (mut seen, start) = (Seen::default(), Instant::now());
    while !seen.is_enough() {
        assert!(
            start.elapsed() < ENOUGH,
            "not {SPAN:?} with and without a snapshot: {:?}",
            seen.spans
        );
        let mut writing = false;
        for id in 1..=3 {
            writing |= writes(&cluster.status(id).await.unwrap());
        }
        seen.look(writing);
        sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Relaxed);
    let samples = writers.await.unwrap();
    assert_eq!(cluster.leader().await, leader, "the leader changed, and the figures are of two");
    let when = |wanted: bool| {
        let whole = |at: Instant, took| [at, at + took].map(|t| seen.at(t)) == [Some(wanted); 2];
        let chosen = samples.iter().filter(|(at, took)| whole(*at, *took));
        Quantiles::of(chosen.map(|(_, took)| *took).collect())
    };
    let (without, with) = (when(false), when(true));
    println!("{:>23} no snapshot: {without}", format!("{:.0} s", seen.spans.1.as_secs_f64()));
    println!(
        "{:>9} a snapshot on some node: {with}",
        format!("{:.0} s", seen.spans.0.as_secs_f64())
    );
    println!(
        "p99 with a snapshot: {:.2} times that without (asked for: at most 2); the longest write: {:.1} ms (asked \
         for: at most one heartbeat, 100 ms)",
        with.p99 / without.p99,
        with.longest
    );
    for id in 1..=3 {
        let status = cluster.status(id).await.unwrap();
        let (snapshot, wal) = (status.snapshot.unwrap(), status.wal.unwrap());
        println!(
            "node {id}{}: {} snapshots, the last of {} MiB, slowest {} ms; slowest sync {} ms; {} MiB resident",
            if id == leader { " (leader)" } else { "" },
            snapshot.taken,
            snapshot.bytes >> 20,
            snapshot.slowest_ms,
            wal.slowest_sync_us / 1000,
            cluster.memory(id).0,
        );
    }
    println!("load of the machine after: {}", machine_load());
}

async fn memory(keys: u64) {
    let mut cluster = Cluster::start(default_snapshot_bytes());
    println!("load of the machine before: {}", machine_load());
    let took = load(&cluster, keys, 256).await;
    println!("{keys} keys of 256 bytes, written in {:.1} s", took.as_secs_f64());
    let leader = cluster.leader().await;
    for id in 1..=3 {
        cluster.until(id, |status| status.keys >= keys && !writes(status)).await;
    }
    let describe = |cluster: &Cluster, id, what: &str| {
        let (now, most) = cluster.memory(id);
        println!("{what:>20}: {now} MiB resident, {most} MiB at most");
    };
    for id in 1..=3 {
        let snapshot = cluster.status(id).await.unwrap().snapshot.unwrap();
        let what = if id == leader { "leader" } else { "follower" };
        describe(&cluster, id, what);
        println!("{:>22}{} snapshots, slowest {} ms", "", snapshot.taken, snapshot.slowest_ms);
    }
    let follower = (1..=3).find(|id| *id != leader).unwrap();
    let applied = cluster.status(leader).await.unwrap().applied;
    cluster.kill(follower);
    let start = Instant::now();
    cluster.run(follower);
    cluster.until(follower, |_| true).await;
    let up = start.elapsed();
    cluster.until(follower, |status| status.applied >= applied).await;
    println!(
        "a follower killed and started: answers after {:.2} s, has all after {:.2} s",
        up.as_secs_f64(),
        start.elapsed().as_secs_f64()
    );
    sleep(Duration::from_secs(1)).await;
    describe(&cluster, follower, "restarted follower");
    println!("load of the machine after: {}", machine_load());
}

fn writes(status: &StatusResponse) -> bool {
    status.snapshot.is_some_and(|snapshot| snapshot.writing)
}

/// Of how long writes took, in milliseconds.
struct Quantiles {
    count: usize,
    p50: f64,
    p99: f64,
    p999: f64,
    longest: f64,
}

impl Quantiles {
    fn of(mut samples: Vec<Duration>) -> Quantiles {
        samples.sort_unstable();
        let last = samples.len().checked_sub(1).expect("clients wrote all the time");
        let at = |share: f64| samples[(last as f64 * share) as usize].as_secs_f64() * 1e3;
        let [p50, p99, p999, longest] = [0.5, 0.99, 0.999, 1.0].map(at);
        Quantiles { count: samples.len(), p50, p99, p999, longest }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quantiles { count, p50, p99, p999, longest } = self;
        write!(
            formatter,
            "{count} writes, p50 {p50:.1} ms, p99 {p99:.1} ms, p99.9 {p999:.1} ms, longest {longest:.1} ms"
        )
    }
}

/// Bytes of commands after which a snapshot is taken, unless a node is told otherwise.
fn default_snapshot_bytes() -> u64 {
    Config::new(1, "unused").snapshot_bytes
}

fn machine_load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}
