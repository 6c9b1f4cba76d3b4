//! The hub beside haproxy and a direct connection, in one run: what each adds to a round trip of 1 KiB, how many it
//! carries, and what that costs in processor time; then how near a slow link comes to what was asked of it, and how
//! long a fault call takes until nothing passes any more.
//!
//! `cargo bench -p faults --bench compare`; the figures are in `docs/performance.md`. Client and echo run on a thread
//! each and are the same for all three. Rounds take turns, so that whatever else the machine does hits all alike.
//! Without haproxy its rows are left out, and that is said.
//!
//! It deliberately asserts nothing: machines differ.

#![expect(clippy::print_stdout, reason = "a benchmark that prints its own table")]

use faults::proxy::{Hub, Upstream};
use faults::{Heal, Link, Pace, Plan, Rule};
use history::NodeId;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MESSAGE_BYTES: usize = 1024;
const CONNECTIONS: [usize; 3] = [1, 64, 256];
const ROUNDS: usize = 7;
/// Of one path in one round.
const SPAN: Duration = Duration::from_millis(700);
/// How long some megabytes may take on their way.
const BULK_LIMIT: Duration = Duration::from_secs(60);
const CALLS: u64 = 1000;

fn alone<T>(doing: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, doing)
}

/// Answers every message with itself.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("a socket option");
    std::thread::spawn(move || {
        alone(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a reactor");
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::task::spawn_local(async move {
                    let mut message = [0; MESSAGE_BYTES];
                    while stream.read_exact(&mut message).await.is_ok()
                        && stream.write_all(&message).await.is_ok()
                    {}
                });
            }
        });
    });
    address
}

/// One way from client to echo, and the threads whose time it costs.
struct Path {
    name: &'static str,
    address: SocketAddr,
    /// `schedstat` of each of its threads: nanoseconds on a processor, first.
    clocks: Vec<std::path::PathBuf>,
}

impl Path {
    fn spent(&self) -> u64 {
        let read = |path: &std::path::PathBuf| -> Option<u64> {
            std::fs::read_to_string(path).ok()?.split(' ').next()?.parse().ok()
        };
        self.clocks.iter().filter_map(read).sum()
    }
}

fn threads(pid: &str, named: Option<&str>) -> Vec<std::path::PathBuf> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let chosen = tasks.filter(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        named.is_none_or(|wanted| name.trim() == wanted)
    });
    chosen.map(|task| task.path().join("schedstat")).collect()
}

/// haproxy with one thread, as the hub has; ended when dropped.
struct Haproxy {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn haproxy(to: SocketAddr) -> Result<(Haproxy, Path), String> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let address = free.map_err(|error| error.to_string())?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let config = folder.path().join("haproxy.cfg");
    let text = format!(
        "global\n nbthread 1\n maxconn 4000\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n \
         timeout server 60s\nfrontend in\n bind {address}\n default_backend out\nbackend out\n server echo {to}\n"
    );
    std::fs::write(&config, text).map_err(|error| error.to_string())?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().map_err(|error| format!("haproxy does not start: {error}"))?;
    let pid = child.id().to_string();
    let haproxy = Haproxy { child, _folder: folder };
    let deadline = Instant::now() + Duration::from_secs(5);
    while std::net::TcpStream::connect(address).is_err() {
        if Instant::now() > deadline {
            return Err("haproxy does not listen".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let path = Path { name: "haproxy", address, clocks: threads(&pid, None) };
    Ok((haproxy, path))
}

/// What one path did in one round.
#[derive(Clone, Copy, Default)]
struct Figures {
    /// Microseconds.
    p50: f64,
    p99: f64,
    per_second: f64,
    /// Microseconds of processor time for one round trip.
    processor: f64,
}

fn measure(path: &Path, connections: usize) -> Figures {
    alone(async {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(path.address).await.expect("the path is open");
            stream.set_nodelay(true).expect("a socket option");
            streams.push(stream);
        }
        let mut warm = Vec::new();
        drive(&mut streams, SPAN / 7, &mut warm).await;
        let (spent, begin) = (path.spent(), Instant::now());
        let mut nanoseconds = Vec::new();
        drive(&mut streams, SPAN, &mut nanoseconds).await;
        let (seconds, spent) = (begin.elapsed().as_secs_f64(), path.spent() - spent);
        nanoseconds.sort_unstable();
        let count = nanoseconds.len() as f64;
        let at = |share: f64| nanoseconds[(count * share) as usize] as f64 / 1000.0;
        Figures {
            p50: at(0.5),
            p99: at(0.99),
            per_second: count / seconds,
            processor: spent as f64 / 1000.0 / count,
        }
    })
}

/// Round trips on all connections at once, for that long.
async fn drive(streams: &mut Vec<TcpStream>, span: Duration, into: &mut Vec<u64>) {
    let end = Instant::now() + span;
    let mut tasks = Vec::new();
    for mut stream in streams.drain(..) {
        tasks.push(tokio::task::spawn_local(async move {
            let (mut message, mut times) = ([1; MESSAGE_BYTES], Vec::new());
            loop {
                let begin = Instant::now();
                if begin >= end {
                    return (stream, times);
                }
                stream.write_all(&message).await.expect("the path writes");
                stream.read_exact(&mut message).await.expect("the path answers");
                times.push(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
            }
        }));
    }
    for task in tasks {
        let (stream, times) = task.await.expect("no task panics");
        streams.push(stream);
        into.extend(times);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(paths: &[Path]) {
    println!("medians of {ROUNDS} rounds; added: to the direct round trip of the same round");
    println!(
        "conns  path      p50 µs  added µs  p99 µs  requests/s  processor µs  load {}",
        load()
    );
    for connections in CONNECTIONS {
        let mut rounds: Vec<Vec<Figures>> = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(paths.iter().map(|path| measure(path, connections)).collect());
        }
        for (place, path) in paths.iter().enumerate() {
            let of = |figure: fn(&Figures) -> f64| {
                median(rounds.iter().map(|round| figure(&round[place])).collect())
            };
            let added =
                median(rounds.iter().map(|round| round[place].p50 - round[0].p50).collect());
            println!(
                "{connections:>5}  {:<8} {:>7.1} {added:>9.1} {:>7.0} {:>11.0} {:>13.2}",
                path.name,
                of(|f| f.p50),
                of(|f| f.p99),
                of(|f| f.per_second),
                of(|f| f.processor),
            );
        }
    }
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// From a fault call to the last byte that arrives, with an independent sender and receiver, while other
/// connections are busy.
fn calls(hub: &Hub, held: Link, through: SocketAddr, busy: SocketAddr) {
    let start = Instant::now();
    let clock = move || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let (last, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let stream = std::net::TcpStream::connect(through).expect("the hub listens");
    stream.set_nodelay(true).expect("a socket option");
    let (mut writer, mut reader) = (stream.try_clone().expect("a descriptor"), stream);
    let (arrived, stopped) = (Arc::clone(&last), Arc::clone(&stop));
    // The echo sends it back over the other link; what is timed is what comes back.
    let receiving = std::thread::spawn(move || {
        let mut message = [0; MESSAGE_BYTES];
        while reader.read_exact(&mut message).is_ok() {
            arrived.store(clock(), SeqCst);
        }
    });
    let sending = std::thread::spawn(move || {
        while !stopped.load(SeqCst) && writer.write_all(&[1; MESSAGE_BYTES]).is_ok() {
            std::thread::sleep(Duration::from_micros(100));
        }
        let _ = writer.shutdown(std::net::Shutdown::Both);
    });
    let idle = Arc::clone(&stop);
    let loading = std::thread::spawn(move || {
        alone(async move {
            let mut streams = Vec::new();
            for _ in 0..8 {
                streams.push(TcpStream::connect(busy).await.expect("the hub listens"));
            }
            while !idle.load(SeqCst) {
                drive(&mut streams, Duration::from_millis(50), &mut Vec::new()).await;
            }
        });
    });
    let mut times = Vec::new();
    alone(async {
        for _ in 0..CALLS {
            let called = clock();
            hub.apply(Plan::hold([held], Heal::Deliver)).await.expect("the hub answers");
            tokio::time::sleep(Duration::from_millis(2)).await;
            times.push(last.load(SeqCst).saturating_sub(called) as f64 / 1e6);
            hub.apply(Plan::default()).await.expect("the hub answers");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    stop.store(true, SeqCst);
    for thread in [receiving, sending, loading] {
        let _ = thread.join();
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[(times.len() as f64 * share) as usize];
    println!(
        "fault call to the last byte that came back, {CALLS} calls under load: p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms",
        at(0.5),
        at(0.99),
        times[times.len() - 1],
    );
}

/// Bytes a second from the client to the echo and back over a fresh connection, for as long as `bytes` take.
async fn bulk(through: SocketAddr, bytes: usize) -> f64 {
    let stream = TcpStream::connect(through).await.expect("the hub listens");
    let (mut reader, mut writer) = stream.into_split();
    let begin = Instant::now();
    let sending = async {
        for piece in vec![7; bytes].chunks(MESSAGE_BYTES) {
            writer.write_all(piece).await.expect("the path writes");
        }
    };
    let receiving = async {
        let mut back = vec![0; bytes];
        reader.read_exact(&mut back).await.expect("the path answers");
    };
    let both = async { tokio::join!(sending, receiving) };
    tokio::time::timeout(BULK_LIMIT, both).await.expect("the path carries it in time");
    bytes as f64 / begin.elapsed().as_secs_f64()
}

/// How near a slow link comes to what was asked of it: a rate, a latency, and much data under a latency.
fn paces(hub: &Hub, slow: Link, through: &Path) {
    // The echo answers whole messages only, so all that is sent here is made of them.
    const RATE: u64 = 1 << 20;
    const LATENCY: Duration = Duration::from_millis(20);
    let rule = |rule: Rule| Plan { rules: [(slow, rule)].into(), ..Plan::default() };
    let pace = Pace { bytes_per_second: RATE, ..Pace::default() };
    alone(async {
        let mut ratios: Vec<[f64; 3]> = Vec::new();
        for _ in 0..ROUNDS {
            hub.apply(rule(Rule { pace, ..Rule::default() })).await.expect("the hub answers");
            let rate = bulk(through.address, RATE as usize).await / RATE as f64;
            hub.apply(Plan::default()).await.expect("the hub answers");
            let free = bulk(through.address, 4 << 20).await;
            hub.apply(rule(Rule::delayed(LATENCY))).await.expect("the hub answers");
            let late = bulk(through.address, 4 << 20).await;
            let mut streams =
                vec![TcpStream::connect(through.address).await.expect("the hub listens")];
            let mut times = Vec::new();
            drive(&mut streams, SPAN, &mut times).await;
            hub.apply(Plan::default()).await.expect("the hub answers");
            let p50 = median(times.iter().map(|time| *time as f64 / 1e6).collect());
            ratios.push([rate, p50, late / free]);
        }
        let of = |place: usize| median(ratios.iter().map(|round| round[place]).collect());
        println!(
            "a rate of 1 MiB/s: {:.3} of it; a latency of {} ms: p50 of a round trip {:.2} ms; much data under it: {:.2} of \
             what goes through without",
            of(0),
            LATENCY.as_millis(),
            of(1),
            of(2),
        );
    });
}

fn main() {
    // `cargo test --benches` only asks whether it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let echo = echo();
    let nodes = [NodeId(1), NodeId(2), NodeId(3)];
    let hub = Hub::start(&nodes).expect("the hub starts");
    for node in nodes {
        hub.set_upstream(node, Some(Upstream { peer: echo, client: echo }));
    }
    let port =
        |from: usize, to: usize| hub.peer_address(nodes[from], nodes[to]).expect("two nodes");
    // A thread gives itself its name when it begins to run.
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut clocks = threads("self", Some("proxies"));
    while clocks.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
        clocks = threads("self", Some("proxies"));
    }
    let mut paths = vec![
        Path { name: "direct", address: echo, clocks: Vec::new() },
        Path { name: "hub", address: port(0, 1), clocks },
    ];
    let other = match haproxy(echo) {
        Ok((haproxy, path)) => {
            paths.push(path);
            Some(haproxy)
        }
        Err(why) => {
            println!("skipped haproxy: {why} (Debian: apt-get install haproxy)");
            None
        }
    };
    compare(&paths);
    paces(&hub, Link::new(nodes[0], nodes[1]), &paths[1]);
    calls(&hub, Link::new(nodes[1], nodes[0]), port(0, 1), port(2, 1));
    drop(other);
}
