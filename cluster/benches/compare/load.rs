//! Clients that are always busy, and what they saw in a window of time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::proto::session_request::Call;
use cluster::proto::session_response::Answer as Answered;
use cluster::proto::{SessionRequest, SessionResponse};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;

use crate::Result;
use crate::client::{Client, Who, acknowledged, connect, read, write};
use crate::cpu::{self, Used};
use crate::processes::Cluster;

/// Keys that are written and read.
const KEYS: u64 = 10_000;
/// Bytes of a value.
const VALUE: usize = 256;
/// Connections that unary clients share.
const CONNECTIONS: usize = 32;
/// What is dropped at the beginning of a window: connections, caches, the pace of batches.
const WARM_UP: Duration = Duration::from_secs(1);
/// Pause after an operation that failed.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// What clients do, each one operation after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Unary writes by so many clients.
    Write(usize),
    /// Unary linearizable reads by so many clients.
    Read(usize),
    /// Writes on so many session streams, so many outstanding on each.
    WriteStream(usize, usize),
    /// Linearizable reads, the same way.
    ReadStream(usize, usize),
}

/// What was seen in one window.
#[derive(Clone)]
pub(crate) struct Window {
    pub(crate) used: Used,
    /// Of operations that ended in the window, in microseconds, ascending.
    latencies_us: Vec<u32>,
    pub(crate) failures: u64,
    /// Syncs of all logs in and around the window, if the cluster says.
    pub(crate) syncs: Option<u64>,
}

impl Window {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies_us.len() as f64 / self.used.seconds
    }

    /// Processor time of all servers for one operation, in microseconds.
    pub(crate) fn servers_us(&self) -> f64 {
        self.used.servers_us as f64 / self.latencies_us.len().max(1) as f64
    }

    /// The latency that so many in a hundred stay below, in milliseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let place = (self.latencies_us.len() * percent / 100).min(self.latencies_us.len() - 1);
        f64::from(self.latencies_us[place]) / 1e3
    }
}

/// What the clients of a window have seen so far.
#[derive(Default)]
pub(crate) struct Meter {
    recording: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    latencies_us: Vec<u32>,
    failures: u64,
    /// Failures by what was said.
    complaints: BTreeMap<String, u64>,
}

impl Meter {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operation ended.
    fn done(&self, began: Instant, result: &Result<()>) {
        if !self.recording.load(Ordering::Relaxed) {
            return;
        }
        let mut seen = self.seen();
        match result {
            Ok(()) => {
                let took = began.elapsed().as_micros();
                seen.latencies_us.push(u32::try_from(took).unwrap_or(u32::MAX));
            }
            Err(error) => {
                seen.failures += 1;
                *seen.complaints.entry(error.to_string()).or_default() += 1;
            }
        }
    }
}

/// Keys in an order of no meaning, the same for everyone.
#[derive(Clone)]
struct Keys(u64);

impl Keys {
    fn next(&mut self) -> Bytes {
        // Knuth's generator of MMIX; its high bits are good enough to spread load.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        key((self.0 >> 33) % KEYS)
    }
}

fn key(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn value() -> Bytes {
    Bytes::from_static(&[0x5a; VALUE])
}

/// Writes every key once.
pub(crate) async fn fill(cluster: &Cluster) -> Result<()> {
    let client = cluster.members[cluster.leader().await?].connect(cluster.who).await?;
    let mut writers: JoinSet<Result<()>> = JoinSet::new();
    const WRITERS: u64 = 64;
    for first in 0..WRITERS {
        let mut client = client.clone();
        writers.spawn(async move {
            for number in (first..KEYS).step_by(WRITERS as usize) {
                client.put(key(number), value()).await?;
            }
            Ok(())
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok(())
}

/// Puts a load on the leader for a while. `idle` runs beside it and has nothing to do.
pub(crate) async fn window(
    cluster: &Cluster,
    idle: Option<&Cluster>,
    load: Load,
    length: Duration,
) -> Result<Window> {
    let leader = &cluster.members[cluster.leader().await?];
    let (servers, idle) = (cluster.pids(), idle.map(Cluster::pids).unwrap_or_default());
    let syncs = cluster.syncs().await?;
    let meter = Arc::new(Meter::default());
    let mut clients = JoinSet::new();
    match load {
        Load::Write(count) | Load::Read(count) => {
            let mut channels = Vec::new();
            for _ in 0..count.min(CONNECTIONS) {
                channels.push(connect(leader.client).await?);
            }
            for number in 0..count {
                let client = Client::new(cluster.who, channels[number % channels.len()].clone());
                clients.spawn(unary(client, load, Keys(number as u64), Arc::clone(&meter)));
            }
        }
        Load::WriteStream(streams, outstanding) | Load::ReadStream(streams, outstanding) => {
            for number in 0..streams {
                let client = leader.connect(cluster.who).await?;
                let (keys, meter) = (Keys(number as u64), Arc::clone(&meter));
                clients.spawn(async move {
                    if let Err(error) = session(client, load, outstanding, keys, &meter).await {
                        meter.seen().complaints.insert(error.to_string(), 1);
                    }
                });
            }
        }
    }
    sleep(WARM_UP).await;
    let before = cpu::sample(&servers, &idle)?;
    meter.recording.store(true, Ordering::Relaxed);
    sleep(length).await;
    meter.recording.store(false, Ordering::Relaxed);
    let used = cpu::sample(&servers, &idle)?.since(&before);
    clients.shutdown().await;
    let after = cluster.syncs().await?;
    let Seen { mut latencies_us, failures, complaints } = std::mem::take(&mut *meter.seen());
    if latencies_us.is_empty() {
        return Err(format!("{:?} {load:?}: nothing was done: {complaints:?}", cluster.who).into());
    }
    latencies_us.sort_unstable();
    let syncs = after.zip(syncs).map(|(after, before)| after - before);
    if matches!(load, Load::Write(_) | Load::WriteStream(..)) && syncs == Some(0) {
        return Err("writes were acknowledged and nothing was synced".into());
    }
    Ok(Window { used, latencies_us, failures, syncs })
}

/// One client that waits for each answer.
async fn unary(mut client: Client, load: Load, mut keys: Keys, meter: Arc<Meter>) {
    loop {
        let (key, began) = (keys.next(), Instant::now());
        let result = match load {
            Load::Read(_) => client.get(key).await,
            _ => client.put(key, value()).await,
        };
        meter.done(began, &result);
        if result.is_err() {
            sleep(AFTER_FAILURE).await;
        }
    }
}

/// A client of a stream, with so many operations outstanding at any time.
async fn session(
    client: Client,
    load: Load,
    outstanding: usize,
    mut keys: Keys,
    meter: &Meter,
) -> Result<()> {
    let Client::Ours(mut kv, _) = client else { return Err("etcd has no such stream".into()) };
    let (sender, calls) = mpsc::channel(outstanding);
    let mut next = |id| {
        let request = match load {
            Load::ReadStream(..) => read(keys.next()),
            _ => write(keys.next(), value()),
        };
        SessionRequest { id, call: Some(Call::Execute(request)) }
    };
    let mut began = vec![Instant::now(); outstanding];
    for id in 0..outstanding as u64 {
        sender.send(next(id)).await?;
    }
    let mut answers = kv.session(ReceiverStream::new(calls)).await?.into_inner();
    while let Some(SessionResponse { id, answer }) = answers.message().await? {
        let began = began.get_mut(id as usize).ok_or("an answer to nothing")?;
        let result = match answer {
            Some(Answered::Execute(response)) => acknowledged(response),
            other => Err(format!("{other:?}").into()),
        };
        meter.done(*began, &result);
        *began = Instant::now();
        sender.send(next(id)).await?;
    }
    Err("the stream ended".into())
}

/// Whose cluster a series of windows is about, and what is done to it.
#[derive(Clone, Copy)]
pub(crate) struct Series {
    pub(crate) who: Who,
    pub(crate) load: Load,
}
