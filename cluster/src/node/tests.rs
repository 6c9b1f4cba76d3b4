//! One node alone, on the disk that forgets: what it acknowledged and what it says when the disk fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use super::pending::PENDING_MAX;
use super::snapshots::transfer;
use super::*;
use crate::bug::Bugs;
use crate::kv::{Action, Command};
use crate::proto::admin_client::AdminClient;
use crate::proto::kv_client::KvClient;
use crate::proto::{
    ErrorCode, OpenSessionRequest, Read, Reason, Request, Response, Role, SnapshotOffer,
    StatusRequest, TakeSnapshotRequest, Write, open_session_response, request, response,
};
use crate::raft::Position;
use crate::snapshot::Pace;
use crate::wal::Memory;

/// A node on a thread of its own, as a process would be.
struct Node {
    address: SocketAddr,
    peer: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), NodeError>>,
}

impl Node {
    fn start(disk: &Memory) -> Node {
        Node::start_with(disk, Duration::from_millis(20), 0)
    }

    fn start_with(disk: &Memory, election: Duration, snapshot_entries: u64) -> Node {
        crate::log::silence();
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, address) = std::sync::mpsc::channel();
        let disk = Arc::new(disk.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut config = Config::new(1, "unused");
                config.heartbeat = Duration::from_millis(10);
                config.election = election;
                config.segment_size = if (1..15).contains(&snapshot_entries) { 512 } else { 4096 };
                config.snapshot_entries = snapshot_entries;
                let listeners = Listeners::bind(config.listen_peer, config.listen_client).await?;
                let open = (listeners.client.local_addr()?, listeners.peer.local_addr()?);
                let announce = move || ready.send(open).map_err(io::Error::other);
                serve(config, disk, listeners, announce, async { drop(stopped.await) }).await
            })
        });
        let Ok((address, peer)) = address.recv_timeout(Duration::from_secs(5)) else {
            panic!("the node does not start: {:?}", thread.join().unwrap());
        };
        Node { address, peer, stop, thread }
    }

    async fn client(&self) -> KvClient<Channel> {
        KvClient::connect(format!("http://{}", self.address)).await.unwrap()
    }

    fn stop(self) -> Result<(), NodeError> {
        drop(self.stop);
        self.thread.join().unwrap()
    }
}

fn read(key: &str) -> request::Operation {
    request::Operation::Read(Read { key: Bytes::copy_from_slice(key.as_bytes()), consistency: 0 })
}

fn write(key: &str) -> request::Operation {
    let key = Bytes::copy_from_slice(key.as_bytes());
    request::Operation::Write(Write { value: key.clone(), key })
}

async fn execute(client: &mut KvClient<Channel>, operation: request::Operation) -> Response {
    let request = Request { operation: Some(operation), ..Request::default() };
    let call = client.execute(request);
    timeout(Duration::from_secs(5), call).await.unwrap().unwrap().into_inner()
}

/// Executes until this node leads.
async fn insist(client: &mut KvClient<Channel>, operation: request::Operation) -> Response {
    for _ in 0..500 {
        let response = execute(client, operation.clone()).await;
        match &response.outcome {
            Some(response::Outcome::Error(e)) if e.code() == ErrorCode::NotLeader => {}
            _ => return response,
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the node did not lead within 5 s");
}

#[tokio::test]
async fn a_request_for_no_service_or_method_is_unimplemented() {
    let node = Node::start(&Memory::new());
    let channel = Channel::from_shared(format!("http://{}", node.address)).unwrap();
    let channel = channel.connect().await.unwrap();
    for path in ["/cluster.v1.Nobody/Execute", "/cluster.v1.AdminX/Status", "/cluster.v1.Admin/X"] {
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let codec = crate::codec::Codec::<StatusRequest, Response>::default();
        let path = path.parse().unwrap();
        let answer = client.unary(tonic::Request::new(StatusRequest {}), path, codec).await;
        assert_eq!(answer.unwrap_err().code(), tonic::Code::Unimplemented);
    }
    node.stop().unwrap();
}

/// Writes some keys, cuts the power after each few, and counts acknowledged keys that are gone.
async fn lost_at_power_cut(lie: bool, snapshot_entries: u64) -> usize {
    let start = |disk: &Memory| Node::start_with(disk, Duration::from_millis(20), snapshot_entries);
    let disk = Memory::new();
    start(&disk).stop().unwrap();
    if lie {
        disk.lie(true);
    }
    let mut acknowledged = Vec::new();
    for life in 0..4 {
        let node = start(&disk);
        let mut client = node.client().await;
        for number in 0..5 {
            let key = format!("{life}-{number}");
            let response = insist(&mut client, write(&key)).await;
            assert!(matches!(response.outcome, Some(response::Outcome::Done(_))), "{response:?}");
            acknowledged.push(key);
        }
        let image = disk.image();
        node.stop().unwrap();
        disk.restore(image);
    }
    let node = start(&disk);
    let mut client = node.client().await;
    let mut lost = 0;
    for key in acknowledged {
        let response = insist(&mut client, read(&key)).await;
        let Some(response::Outcome::Read(result)) = response.outcome else {
            panic!("{response:?}")
        };
        lost += usize::from(result.value.as_deref() != Some(key.as_bytes()));
    }
    node.stop().unwrap();
    lost
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_at_a_power_cut() {
    assert_eq!(lost_at_power_cut(false, 0).await, 0);
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_at_a_power_cut_while_the_log_is_compacted() {
    for snapshot_entries in [1, 2, 5] {
        assert_eq!(lost_at_power_cut(false, snapshot_entries).await, 0);
    }
}

#[tokio::test]
async fn a_snapshot_on_demand_covers_what_is_applied_and_survives() {
    let disk = Memory::new();
    let node = Node::start(&disk);
    let mut admin = AdminClient::connect(format!("http://{}", node.address)).await.unwrap();
    let mut client = node.client().await;
    insist(&mut client, write("a")).await;
    let take = |mut admin: AdminClient<Channel>| async move {
        admin.take_snapshot(TakeSnapshotRequest {}).await.unwrap().into_inner()
    };
    let first = take(admin.clone()).await;
    assert!(first.error.is_none() && first.index > 0, "{first:?}");
    assert_eq!(take(admin.clone()).await.index, first.index, "there is nothing to add");
    insist(&mut client, write("b")).await;
    // Two at once are both answered.
    let (second, third) = tokio::join!(take(admin.clone()), take(admin.clone()));
    assert_eq!((second.error, third.error), (None, None));
    assert!(second.index > first.index && third.index >= second.index);
    let status = admin.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.snapshot.unwrap().index, third.index);
    assert_eq!((status.truncations, status.configured), (0, 0));
    node.stop().unwrap();
    let node = Node::start(&disk);
    let mut admin = AdminClient::connect(format!("http://{}", node.address)).await.unwrap();
    let status = admin.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.snapshot.unwrap().index, third.index);
    node.stop().unwrap();
}

#[tokio::test]
async fn a_log_whose_snapshot_is_gone_or_damaged_is_not_started() {
    let disk = Memory::new();
    let node = Node::start_with(&disk, Duration::from_millis(20), 2);
    let mut client = node.client().await;
    let written = || {
        let names = disk.names().unwrap().into_iter();
        names.filter(|name| name.starts_with("snapshot-")).max()
    };
    // Snapshots are written beside. Once there is one of a later state, the log has begun to forget.
    let state_of = |name: String| name.split('-').nth(1).and_then(|index| index.parse().ok());
    let patience = Instant::now() + Duration::from_secs(20);
    while written().and_then(state_of).unwrap_or(0_u64) < 12 && Instant::now() < patience {
        insist(&mut client, write("a")).await;
    }
    node.stop().unwrap();
    let name = &written().expect("a snapshot every two entries");
    let mut bytes = disk.read(name).unwrap();
    bytes[40] ^= 1;
    let refused = || {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let config = Config::new(1, "unused");
            let listeners = Listeners::bind(config.listen_peer, config.listen_client).await?;
            // One that is not refused ends by itself, with nothing to unwrap.
            let stop = sleep(Duration::from_secs(5));
            serve(config, disk, listeners, || Ok(()), stop).await
        })
    };
    let is_damage =
        |error: NodeError| (error.exit_code() == 65).then(|| error.to_string()).unwrap();
    disk.put(name, bytes);
    let thread = std::thread::scope(|scope| scope.spawn(refused).join().unwrap());
    assert!(is_damage(thread.unwrap_err()).contains("is damaged"));
    disk.remove(name).unwrap();
    let thread = std::thread::scope(|scope| scope.spawn(refused).join().unwrap());
    assert!(is_damage(thread.unwrap_err()).contains("the log begins after entry"));
}

#[tokio::test]
async fn without_fdatasync_acknowledged_writes_are_lost() {
    assert!(lost_at_power_cut(true, 0).await > 0, "a disk that ignores sync went unnoticed");
}

#[tokio::test]
async fn a_node_whose_log_fails_says_unknown_and_ends() {
    let disk = Memory::new();
    let node = Node::start(&disk);
    let mut client = node.client().await;
    insist(&mut client, write("before")).await;
    disk.fail();
    let response = execute(&mut client, write("after")).await;
    let Some(response::Outcome::Error(error)) = response.outcome else { panic!("{response:?}") };
    assert_eq!(error.code(), ErrorCode::UnknownOutcome);
    assert_eq!(error.reason(), Reason::StorageFailed);
    let error = node.thread.join().unwrap().unwrap_err();
    assert!(matches!(error, NodeError::Storage(_)), "{error}");
    assert_eq!(error.exit_code(), 74);
}

#[tokio::test]
async fn a_write_beyond_the_bound_is_refused_at_once_and_definitely() {
    let disk = Memory::new();
    // A leader whose disk stands still gives up after an election timeout: not before this is over.
    let node = Node::start_with(&disk, Duration::from_secs(1), 0);
    let mut client = node.client().await;
    insist(&mut client, write("k")).await;
    disk.stall(true);
    let mut calls = tokio::task::JoinSet::new();
    let clients = [node.client().await, node.client().await, node.client().await, client];
    for number in 0..PENDING_MAX + 2000 {
        let mut client = clients[number % clients.len()].clone();
        calls.spawn(async move { execute(&mut client, write("k")).await });
    }
    let mut refused = 0;
    while let Some(response) = calls.join_next().await {
        let response = response.unwrap();
        if let Some(response::Outcome::Error(error)) = &response.outcome
            && error.reason() == Reason::Overloaded
        {
            assert_eq!(error.code(), ErrorCode::DefinitelyNotApplied);
            refused += 1;
            // Not before: what is sent after the disk has moved need not be refused.
            if refused == 1000 {
                disk.stall(false);
            }
        } else {
            // One that was taken in: nothing comes of it before the disk moves, or the node gives up to lead.
            assert!(refused > 0, "{response:?}");
            disk.stall(false);
        }
    }
    assert!(refused >= 1000, "{refused} refused");
    node.stop().unwrap();
}

#[test]
fn settings_that_cannot_work_are_refused_with_a_sentence() {
    let refuse = |change: fn(&mut Config)| {
        let mut config = Config::new(1, "data");
        change(&mut config);
        config.validate().unwrap_err().to_string()
    };
    assert!(refuse(|c| c.id = 0).contains("must not be 0"));
    assert!(refuse(|c| c.election = c.heartbeat).contains("at least twice the heartbeat"));
    assert!(refuse(|c| c.peers.extend([(1, c.listen_peer)])).contains("its own peer"));
    assert!(refuse(|c| c.lease_drift_ppm = Some(500_001)).contains("before the next heartbeat"));
    assert!(refuse(|c| c.segment_size = 1).contains("at least 512 bytes"));
}

/// A node that writes until its disk is full, on which snapshots cannot be written either.
#[tokio::test]
async fn on_a_full_disk_writes_are_refused_reads_are_not_and_both_work_when_there_is_space() {
    let disk = Memory::new();
    let node = Node::start(&disk);
    let mut client = node.client().await;
    let mut admin = AdminClient::connect(format!("http://{}", node.address)).await.unwrap();
    insist(&mut client, write("k")).await;
    disk.fill();
    let (mut refused, mut written) = (None, 0);
    while refused.is_none() {
        let response = execute(&mut client, write("k")).await;
        match response.outcome {
            Some(response::Outcome::Done(_)) => written += 1,
            Some(response::Outcome::Error(error)) => refused = Some(error),
            other => panic!("{other:?}"),
        }
        assert!(written < 200, "a segment has 4096 bytes");
    }
    let error = refused.unwrap();
    assert_eq!((error.code(), error.reason()), (ErrorCode::DefinitelyNotApplied, Reason::DiskFull));
    let mut status = async || admin.status(StatusRequest {}).await.unwrap().into_inner();
    let before = status().await;
    assert!(before.disk_full && before.role() == Role::Leader, "{before:?}");
    let value = execute(&mut client, read("k")).await;
    assert!(matches!(value.outcome, Some(response::Outcome::Read(_))), "{value:?}");
    let session = client.open_session(OpenSessionRequest::default()).await.unwrap().into_inner();
    let Some(open_session_response::Outcome::Error(error)) = session.outcome else {
        panic!("{session:?}")
    };
    assert_eq!(error.reason(), Reason::DiskFull);

    disk.limit(None);
    for _ in 0..500 {
        if !status().await.disk_full {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    let response = execute(&mut client, write("after")).await;
    assert!(matches!(response.outcome, Some(response::Outcome::Done(_))), "{response:?}");
    assert_eq!(status().await.term, before.term, "it led all the time");
    node.stop().unwrap();
}

/// A snapshot that finds no space leaves nothing and is tried again, without a write in between.
#[tokio::test]
async fn a_snapshot_that_finds_no_space_is_taken_later() {
    let disk = Memory::new();
    let node = Node::start_with(&disk, Duration::from_millis(20), 16);
    let mut client = node.client().await;
    for number in 0..6 {
        insist(&mut client, write(&number.to_string())).await;
    }
    let snapshots = || {
        let names = disk.names().unwrap().into_iter();
        names.filter(|name| name.starts_with("snapshot")).collect::<Vec<_>>()
    };
    assert_eq!(snapshots(), [""; 0]);
    disk.fill();
    // The segment has room for so many.
    for number in 0..14 {
        let response = insist(&mut client, write(&number.to_string())).await;
        assert!(matches!(response.outcome, Some(response::Outcome::Done(_))), "{response:?}");
    }
    sleep(Duration::from_millis(100)).await;
    assert_eq!(snapshots(), [""; 0], "nothing is left of it");
    disk.limit(None);
    for _ in 0..500 {
        if !snapshots().is_empty() {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(snapshots().len(), 1);
    node.stop().unwrap();
}

/// A way to `target` that is cut once `most` bytes in all have gone there, if any are left by then.
async fn way(target: SocketAddr, most: Arc<AtomicU64>, passed: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(target).await.unwrap();
            let ((mut from, mut back), (mut answers, mut to)) =
                (near.into_split(), far.into_split());
            let (most, passed) = (Arc::clone(&most), Arc::clone(&passed));
            tokio::spawn(async move {
                let there = async {
                    let mut bytes = vec![0; 16 << 10];
                    while passed.load(Relaxed) < most.load(Relaxed)
                        && let Ok(length @ 1..) = from.read(&mut bytes).await
                        && to.write_all(&bytes[..length]).await.is_ok()
                    {
                        passed.fetch_add(length as u64, Relaxed);
                    }
                };
                let back = tokio::io::copy(&mut answers, &mut back);
                tokio::select! { () = there => {}, _ = back => {} }
            });
        }
    });
    address
}

/// A leader far away sends its snapshot; the connection breaks when three quarters have gone. What has arrived is
/// not sent again.
#[tokio::test]
async fn a_snapshot_whose_transfer_breaks_goes_on_where_it_broke() {
    let leader = Memory::new();
    let files = Files::new(Arc::new(leader.clone()), 1, Bugs::NONE);
    let pace = Pace { rate: 1 << 30, stop: Arc::default() };
    let mut store = Store::new(Bugs::NONE);
    for index in 1..=4000 {
        let (key, value) = (Bytes::from(format!("key {index}")), Bytes::from(vec![7; 2000]));
        let action = Action::Write { key, value };
        let command = Command { session: 0, sequence: 0, acknowledged: 0, action };
        store.apply(index, &command.encode());
    }
    let last = Position { term: 5, index: 4000 };
    let configuration = Arc::new(Configuration::of([1, 9]));
    let size = files.write(&Snapshot { last, configuration }, &store, &pace).unwrap();

    let disk = Memory::new();
    let node = Node::start_with(&disk, Duration::from_secs(5), 0);
    let (most, passed) = (Arc::new(AtomicU64::new(size / 4 * 3)), Arc::new(AtomicU64::new(0)));
    let address = way(node.peer, Arc::clone(&most), Arc::clone(&passed)).await;
    let offer = SnapshotOffer { cluster: 1, from: 9, to: 1, term: 5, ..SnapshotOffer::default() };
    let send = || transfer(address, offer, files.clone(), pace.clone());
    send().await.unwrap_err();
    let first = passed.load(Relaxed);
    assert!(first >= size / 4 * 3, "{first} of {size} bytes");
    most.store(u64::MAX, Relaxed);
    let mut attempts = 0;
    while let Err(error) = send().await {
        // The receiver may not have noticed yet.
        attempts += 1;
        assert!(attempts < 100, "{error}");
        sleep(Duration::from_millis(20)).await;
    }
    let all = passed.load(Relaxed);
    assert!(all > size && all < size + size / 2, "{all} bytes for a snapshot of {size}");
    let mut admin = AdminClient::connect(format!("http://{}", node.address)).await.unwrap();
    let status = admin.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.keys, status.applied), (4000, 4000));
    assert_eq!(status.snapshot.unwrap().installed, 1);
    node.stop().unwrap();
}
