//! Nodes on threads of this process, and a client that says plainly what it was answered.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod child;
pub(crate) mod processes;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use cluster::bug::Bugs;
use cluster::node::{Config, Listeners, NodeError, serve};
use cluster::proto::admin_client::AdminClient;
use cluster::proto::kv_client::KvClient;
use cluster::proto::{
    Cas, ChangeRequest, Consistency, Delete, Error, ErrorCode, OpenSessionRequest, Read, ReadKind,
    Reason, Request, Response, Role, StatusRequest, StatusResponse, TransferRequest,
    TransferResponse, Write, change_request, open_session_response, request, response,
};
use cluster::raft::NodeId;
use cluster::wal::Directory;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

const LIMIT: Duration = Duration::from_secs(10);

/// A cluster; dropping it stops all nodes.
pub(crate) struct Nodes {
    directory: tempfile::TempDir,
    addresses: BTreeMap<NodeId, (SocketAddr, SocketAddr)>,
    running: BTreeMap<NodeId, Running>,
    /// The nodes that were there first; all others join.
    founders: BTreeSet<NodeId>,
    bugs: Bugs,
    adjust: fn(&mut Config),
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), NodeError>>,
}

impl Nodes {
    pub(crate) fn start(count: NodeId, bugs: Bugs) -> Nodes {
        Nodes::start_with(count, bugs, |_| {})
    }

    /// The same, with settings of each node's own.
    pub(crate) fn start_with(count: NodeId, bugs: Bugs, adjust: fn(&mut Config)) -> Nodes {
        cluster::log::silence();
        let port = || TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners: Vec<_> = (1..=count).map(|id| (id, port(), port())).collect();
        let address = |listener: &TcpListener| listener.local_addr().unwrap();
        let addresses = listeners.iter().map(|(id, p, c)| (*id, (address(p), address(c))));
        let mut nodes = Nodes {
            addresses: addresses.collect(),
            directory: tempfile::tempdir().unwrap(),
            running: BTreeMap::new(),
            founders: (1..=count).collect(),
            bugs,
            adjust,
        };
        for (id, peer, client) in listeners {
            nodes.run(id, peer, client);
        }
        nodes
    }

    /// Starts a new node that knows nobody, waiting to be told of the cluster.
    pub(crate) fn join(&mut self, id: NodeId) {
        let port = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (peer, client) = (port(), port());
        self.addresses.insert(id, (peer.local_addr().unwrap(), client.local_addr().unwrap()));
        self.run(id, peer, client);
    }

    /// What a leader answers to a change of the cluster.
    pub(crate) async fn change(&self, id: NodeId, change: change_request::Change) -> Option<Error> {
        let request = ChangeRequest { deadline_ms: 5000, change: Some(change) };
        let mut client = self.admin(id).await.unwrap();
        timeout(LIMIT, client.change(request)).await.unwrap().unwrap().into_inner().error
    }

    /// Repeats a change until the leader accepts it.
    pub(crate) async fn change_when_ready(&self, id: NodeId, change: change_request::Change) {
        for _ in 0..200 {
            let Some(error) = self.change(id, change.clone()).await else { return };
            let later = [Reason::NotCaughtUp, Reason::ChangePending];
            assert!(later.contains(&error.reason()), "{error:?}");
            sleep(Duration::from_millis(20)).await;
        }
        panic!("{change:?} was never accepted");
    }

    pub(crate) async fn transfer(&self, id: NodeId, to: NodeId) -> TransferResponse {
        let mut client = self.admin(id).await.unwrap();
        let request = TransferRequest { to, deadline_ms: 5000 };
        timeout(LIMIT, client.transfer(request)).await.unwrap().unwrap().into_inner()
    }

    pub(crate) fn peer_address(&self, id: NodeId) -> String {
        self.addresses[&id].0.to_string()
    }

    async fn admin(&self, id: NodeId) -> Option<AdminClient<Channel>> {
        AdminClient::connect(format!("http://{}", self.addresses[&id].1)).await.ok()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.addresses.keys().copied().collect::<Vec<_>>().into_iter()
    }

    pub(crate) fn marks(&self, id: NodeId) -> PathBuf {
        self.directory.path().join(format!("marks-{id}"))
    }

    /// Stops a node and takes its answer; it must have been in order.
    pub(crate) fn stop(&mut self, id: NodeId) {
        let Running { stop, thread } = self.running.remove(&id).unwrap();
        drop(stop);
        thread.join().unwrap().unwrap();
    }

    /// Takes everything from a node that was stopped: it starts again as if it had never run.
    pub(crate) fn wipe(&self, id: NodeId) {
        std::fs::remove_dir_all(self.directory.path().join(format!("data-{id}"))).unwrap();
    }

    /// Waits until a node has ended by itself, and takes its reason.
    pub(crate) async fn ended(&mut self, id: NodeId) -> NodeError {
        let Running { stop, thread } = self.running.remove(&id).unwrap();
        let search = async {
            while !thread.is_finished() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, search).await.expect("it runs on");
        drop(stop);
        thread.join().unwrap().unwrap_err()
    }

    /// Starts a node that was stopped, on its old data and addresses.
    pub(crate) fn start_again(&mut self, id: NodeId) {
        let (peer, client) = self.addresses[&id];
        self.run(id, TcpListener::bind(peer).unwrap(), TcpListener::bind(client).unwrap());
    }

    /// The same, but told to join instead of whom the cluster began with.
    pub(crate) fn start_again_to_join(&mut self, id: NodeId) {
        self.founders.remove(&id);
        self.start_again(id);
    }

    pub(crate) fn restart_all(&mut self) {
        self.ids().for_each(|id| self.stop(id));
        self.ids().for_each(|id| self.start_again(id));
    }

    fn run(&mut self, id: NodeId, peer: TcpListener, client: TcpListener) {
        let mut config = Config::new(id, self.directory.path().join(format!("data-{id}")));
        config.join = !self.founders.contains(&id);
        let founders = self.addresses.iter().filter(|(other, _)| self.founders.contains(other));
        let others = founders.filter(|(other, _)| **other != id && !config.join);
        config.peers = others.map(|(other, (peer, _))| (*other, *peer)).collect();
        config.heartbeat = Duration::from_millis(50);
        config.election = Duration::from_millis(150);
        config.segment_size = 64 << 10;
        config.bugs = self.bugs;
        config.marks = Some(self.marks(id));
        (self.adjust)(&mut config);
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let disk = Arc::new(Directory::open(&config.data)?);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                peer.set_nonblocking(true)?;
                client.set_nonblocking(true)?;
                let peer = tokio::net::TcpListener::from_std(peer)?;
                let client = tokio::net::TcpListener::from_std(client)?;
                let announce = move || ready.send(()).map_err(std::io::Error::other);
                let stop = async { drop(stopped.await) };
                serve(config, disk, Listeners { peer, client }, announce, stop).await
            })
        });
        is_ready.recv_timeout(LIMIT).unwrap();
        self.running.insert(id, Running { stop, thread });
    }

    /// Waits for a leader that most nodes agree on.
    pub(crate) async fn leader(&self) -> NodeId {
        let search = async {
            loop {
                let mut votes: BTreeMap<NodeId, usize> = BTreeMap::new();
                let mut claims = Vec::new();
                for id in self.running.keys() {
                    let Some(status) = self.status(*id).await else { continue };
                    *votes.entry(status.leader).or_default() += 1;
                    if status.role() == Role::Leader {
                        claims.push(*id);
                    }
                }
                let agreed = |id: &&NodeId| votes.get(id) == Some(&self.running.len());
                if let Some(leader) = claims.iter().find(agreed) {
                    return *leader;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, search).await.expect("no leader in time")
    }

    pub(crate) async fn status(&self, id: NodeId) -> Option<StatusResponse> {
        let mut client = self.admin(id).await?;
        client.status(StatusRequest {}).await.ok().map(tonic::Response::into_inner)
    }

    /// Waits until a node says so of itself.
    pub(crate) async fn until(
        &self,
        id: NodeId,
        holds: impl Fn(&StatusResponse) -> bool,
    ) -> StatusResponse {
        let search = async {
            loop {
                match self.status(id).await {
                    Some(status) if holds(&status) => return status,
                    _ => sleep(Duration::from_millis(10)).await,
                }
            }
        };
        timeout(LIMIT, search).await.expect("it never came to that")
    }

    pub(crate) async fn client(&self, id: NodeId) -> Client {
        Client::connect(self.addresses[&id].1).await.unwrap()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for (_, Running { stop, thread }) in std::mem::take(&mut self.running) {
            drop(stop);
            drop(thread.join());
        }
    }
}

/// A client of one node.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) kv: KvClient<Channel>,
    pub(crate) forward: bool,
    pub(crate) deadline_ms: u32,
    pub(crate) last: Option<Response>,
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Value(Option<Bytes>),
    Done,
    Swapped,
    Mismatch,
    Error(ErrorCode, Reason, NodeId),
}

impl Answer {
    pub(crate) fn value(text: &str) -> Answer {
        Answer::Value(Some(bytes(text)))
    }

    fn of(response: Response) -> Answer {
        match response.outcome.expect("an answer without an outcome") {
            response::Outcome::Read(read) => Answer::Value(read.value),
            response::Outcome::Done(_) => Answer::Done,
            response::Outcome::Cas(cas) if cas.swapped => Answer::Swapped,
            response::Outcome::Cas(_) => Answer::Mismatch,
            response::Outcome::Error(e) => Answer::Error(e.code(), e.reason(), e.leader),
        }
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Option<Client> {
        let kv = KvClient::connect(format!("http://{address}")).await.ok()?;
        Some(Client { kv, forward: false, deadline_ms: 5000, last: None })
    }

    /// As [`Client::execute`]; `None` if no typed answer came back in time.
    pub(crate) async fn attempt(&mut self, request: Request) -> Option<Answer> {
        let (forward, deadline_ms) = (self.forward, self.deadline_ms);
        let call = self.kv.execute(Request { forward, deadline_ms, ..request });
        let response = timeout(LIMIT, call).await.ok()?.ok()?.into_inner();
        self.last = Some(response.clone());
        Some(Answer::of(response))
    }

    pub(crate) async fn execute(&mut self, request: Request) -> Answer {
        self.attempt(request).await.expect("an answer in time")
    }

    /// What kind of read the last answer was, and the index it was applied up to.
    pub(crate) fn read_kind(&self) -> Option<(ReadKind, u64)> {
        match self.last.as_ref()?.outcome.as_ref()? {
            response::Outcome::Read(read) => Some((read.kind(), read.applied)),
            _ => None,
        }
    }

    /// The sentence of the last error.
    pub(crate) fn message(&self) -> String {
        match self.last.as_ref().and_then(|last| last.outcome.as_ref()) {
            Some(response::Outcome::Error(error)) => error.message.clone(),
            _ => String::new(),
        }
    }

    pub(crate) async fn open_session(&mut self) -> Result<u64, Error> {
        let (forward, deadline_ms) = (self.forward, self.deadline_ms);
        let call = self.kv.open_session(OpenSessionRequest { forward, deadline_ms });
        match timeout(LIMIT, call).await.unwrap().unwrap().into_inner().outcome {
            Some(open_session_response::Outcome::Session(session)) => Ok(session),
            Some(open_session_response::Outcome::Error(error)) => Err(error),
            None => panic!("an answer without an outcome"),
        }
    }
}

pub(crate) fn read(key: &str) -> Request {
    request(request::Operation::Read(Read { key: bytes(key), consistency: 0 }))
}

pub(crate) fn stale_read(key: &str) -> Request {
    let consistency = Consistency::Stale.into();
    request(request::Operation::Read(Read { key: bytes(key), consistency }))
}

pub(crate) fn lease_read(key: &str) -> Request {
    let consistency = Consistency::Lease.into();
    request(request::Operation::Read(Read { key: bytes(key), consistency }))
}

pub(crate) fn write(key: &str, value: &str) -> Request {
    request(request::Operation::Write(Write { key: bytes(key), value: bytes(value) }))
}

pub(crate) fn cas(key: &str, from: Option<&str>, to: &str) -> Request {
    let (key, from, to) = (bytes(key), from.map(bytes), bytes(to));
    request(request::Operation::Cas(Cas { key, from, to }))
}

pub(crate) fn delete(key: &str) -> Request {
    request(request::Operation::Delete(Delete { key: bytes(key) }))
}

fn request(operation: request::Operation) -> Request {
    Request { operation: Some(operation), ..Request::default() }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// What a test has to say besides whether it passed, past the capture of test output: who skips must be seen.
pub(crate) fn say(what: &str) {
    let mut output = std::io::stderr().lock();
    writeln!(output, "{what}").unwrap();
}
