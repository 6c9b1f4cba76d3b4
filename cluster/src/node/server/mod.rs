//! The way in: gRPC services for clients, peers and operators.
//!
//! The services check and translate; every decision is the driver's. What they hand to it goes through bounded
//! channels: a task that finds its channel full is answered "overloaded" at once, a raft message waits there
//! and so slows its sender down.

mod client;
mod gathering;
mod peer;
mod routes;
pub(super) mod session;
mod snapshot;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::addresses::Book;
use super::config::{Config, DEADLINE_MAX, KEY_MAX, REQUEST_MAX, VALUE_MAX};
use super::driver::Inputs;
use super::forward::Forwarder;
use super::identity::Identities;
use super::notices::Notice;
use super::reply::{Reply, Task, Work, definitely_not, unknown};
use super::snapshots::{News, Wanted};
use crate::kv::{Action, Command};
use crate::proto::admin_server::AdminServer;
use crate::proto::kv_server::KvServer;
use crate::proto::peer_server::PeerServer;
use crate::proto::{Consistency, Error, Read, Reason, Request, StatusResponse, request};
use crate::raft::{Message, NodeId};
use crate::snapshot::Files;
use gathering::Gathering;
use routes::Routes;

/// Tasks that may wait for the driver to look at them.
const WORK_QUEUE: usize = 1024;
/// Raft messages that may wait for the driver.
const MESSAGE_QUEUE: usize = 1024;
/// Status requests that may wait for the driver.
const STATUS_QUEUE: usize = 16;
/// Notices between nodes that may wait for the driver.
const NOTICE_QUEUE: usize = 16;
/// Calls for a snapshot that may wait for the driver.
const WANTED_QUEUE: usize = 16;
/// News of snapshots that may wait for the driver.
const NEWS_QUEUE: usize = 16;
/// Requests that one connection may have open at once.
const STREAMS: u32 = 2048;
/// Streams that a peer of this connection may open and give up before it is cut off. A client behind a
/// partition gives up every request, and all of that arrives at once when the partition heals: the
/// default of 20 would punish it.
const RESETS: usize = 1 << 16;
/// Largest message between nodes: an append of the largest entries.
const PEER_MESSAGE_MAX: usize = 64 << 20;
/// HTTP/2 flow control windows in bytes.
const WINDOW: u32 = 8 << 20;
/// Silence of a connection after which it is tested with a ping.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The services' way to the driver.
#[derive(Clone)]
pub(super) struct Front {
    id: NodeId,
    cluster: u64,
    addresses: Book,
    term: Arc<AtomicU64>,
    messages: mpsc::Sender<Message>,
    work: mpsc::Sender<Work>,
    status: mpsc::Sender<oneshot::Sender<StatusResponse>>,
    notices: mpsc::Sender<Notice>,
    identities: Identities,
    pub(super) snapshots: mpsc::Sender<News>,
    wanted: mpsc::Sender<Wanted>,
    /// Places for calls that wait for a snapshot.
    askers: Arc<Semaphore>,
    files: Files,
    /// Held while a snapshot is received: one at a time.
    receiving: Arc<Mutex<()>>,
    /// Places for session streams.
    streams: Arc<Semaphore>,
}

impl Front {
    /// The two ends of the channels between the services and the driver.
    pub(super) fn new(
        config: &Config,
        addresses: Book,
        files: Files,
        identities: Identities,
    ) -> (Front, Inputs, Arc<AtomicU64>) {
        let (message_sender, messages) = mpsc::channel(MESSAGE_QUEUE);
        let (work_sender, work) = mpsc::channel(WORK_QUEUE);
        let (status_sender, status) = mpsc::channel(STATUS_QUEUE);
        let (notice_sender, notices) = mpsc::channel(NOTICE_QUEUE);
        let (news_sender, snapshots) = mpsc::channel(NEWS_QUEUE);
        let (wanted_sender, wanted) = mpsc::channel(WANTED_QUEUE);
        let term = Arc::new(AtomicU64::new(0));
        let front = Front {
            id: config.id,
            cluster: config.cluster,
            addresses,
            term: Arc::clone(&term),
            messages: message_sender,
            work: work_sender,
            status: status_sender,
            notices: notice_sender,
            identities,
            snapshots: news_sender,
            wanted: wanted_sender,
            askers: Arc::new(Semaphore::new(WANTED_QUEUE)),
            files,
            receiving: Arc::default(),
            streams: Arc::new(Semaphore::new(session::STREAMS)),
        };
        (front, Inputs { messages, work, status, snapshots, notices, wanted }, term)
    }

    /// Executes a client's request on this node.
    async fn execute(&self, request: Request, deadline: Instant) -> Reply {
        match task(request) {
            Ok(task) => self.submit(task, deadline).await,
            Err(error) => self.refuse(error),
        }
    }

    /// Opens a session on this node.
    async fn open_session(&self, deadline: Instant) -> Reply {
        self.submit(Task::open_session(), deadline).await
    }

    async fn submit(&self, task: Task, deadline: Instant) -> Reply {
        let (reply, answer) = oneshot::channel();
        match self.work.try_send(Work { task, deadline, reply: reply.into() }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                let message = "too many requests are waiting";
                return self.refuse(definitely_not(Reason::Overloaded, message));
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                let message = "the node is shutting down";
                return self.refuse(definitely_not(Reason::Stopping, message));
            }
        }
        // The driver answers by the deadline; if it is gone, it may have proposed before it went.
        let gone = || self.refuse(unknown(Reason::Stopping, "the node is shutting down"));
        answer.await.unwrap_or_else(|_| gone())
    }

    /// Takes a snapshot now; returns the last entry that it covers.
    async fn take_snapshot(&self) -> Result<u64, Error> {
        let busy = |_| definitely_not(Reason::Overloaded, "too many snapshots are asked for");
        let _place = self.askers.try_acquire().map_err(busy)?;
        let (wanted, answer) = oneshot::channel();
        let stopping = || definitely_not(Reason::Stopping, "the node is shutting down");
        self.wanted.send(wanted).await.map_err(|_| stopping())?;
        match tokio::time::timeout(DEADLINE_MAX, answer).await {
            Ok(Ok(Ok(index))) => Ok(index),
            Ok(Ok(Err(message))) => Err(definitely_not(Reason::StorageFailed, message)),
            Ok(Err(_)) => Err(stopping()),
            Err(_) => Err(unknown(Reason::Deadline, "it is still being written")),
        }
    }

    fn refuse(&self, error: Error) -> Reply {
        Reply::error(self.term(), error)
    }

    /// The node's term, as the driver told last.
    fn term(&self) -> u64 {
        self.term.load(Ordering::Relaxed)
    }
}

/// When a request must be answered.
fn deadline(milliseconds: u32) -> Instant {
    let asked = match milliseconds {
        0 => DEADLINE_MAX,
        some => Duration::from_millis(some.into()).min(DEADLINE_MAX),
    };
    Instant::now() + asked
}

/// Checks a request and translates it.
fn task(request: Request) -> Result<Task, Error> {
    let Request { session, sequence, acknowledged, operation, .. } = request;
    let malformed = |message| definitely_not(Reason::Malformed, message);
    let operation = operation.ok_or_else(|| malformed("the request has no operation"))?;
    let key = match &operation {
        request::Operation::Read(read) => &read.key,
        request::Operation::Write(write) => &write.key,
        request::Operation::Cas(cas) => &cas.key,
        request::Operation::Delete(delete) => &delete.key,
    };
    limit("key", key, KEY_MAX)?;
    let action = match operation {
        request::Operation::Read(Read { key, consistency }) => {
            return match Consistency::try_from(consistency) {
                Ok(Consistency::Linearizable) => Ok(Task::Read(key)),
                Ok(Consistency::Lease) => Ok(Task::LeaseRead(key)),
                Ok(Consistency::Stale) => Ok(Task::StaleRead(key)),
                Err(_) => Err(malformed("the read asks for a consistency that this version lacks")),
            };
        }
        request::Operation::Write(write) => {
            limit("value", &write.value, VALUE_MAX)?;
            Action::Write { key: write.key, value: write.value }
        }
        request::Operation::Cas(cas) => {
            limit("value", &cas.to, VALUE_MAX)?;
            limit("value to compare with", cas.from.as_deref().unwrap_or_default(), VALUE_MAX)?;
            Action::Cas { key: cas.key, from: cas.from, to: cas.to, decided: false }
        }
        request::Operation::Delete(delete) => Action::Delete { key: delete.key },
    };
    if session != 0 && sequence == 0 {
        return Err(malformed("a request of a session needs a sequence, from 1"));
    }
    Ok(Task::Command(Command { session, sequence, acknowledged, action }))
}

fn limit(what: &str, bytes: &[u8], most: usize) -> Result<(), Error> {
    if bytes.len() <= most {
        return Ok(());
    }
    let message = format!("the {what} has {} bytes; the limit is {most}", bytes.len());
    Err(definitely_not(Reason::TooLarge, message))
}

/// Serves clients and operators.
pub(super) fn serve_clients(
    front: Front,
    forwarder: Forwarder,
    listener: TcpListener,
) -> JoinHandle<Result<(), tonic::transport::Error>> {
    let service = client::ClientService::new(front, forwarder);
    let kv = KvServer::new(service.clone()).max_decoding_message_size(REQUEST_MAX);
    let routes = Routes { kv, admin: AdminServer::new(service) };
    tokio::spawn(server().serve_with_incoming(routes, incoming(listener)))
}

/// Serves the other nodes.
pub(super) fn serve_peers(
    front: Front,
    listener: TcpListener,
) -> JoinHandle<Result<(), tonic::transport::Error>> {
    let service = PeerServer::new(peer::PeerService::new(front))
        .max_decoding_message_size(PEER_MESSAGE_MAX)
        .max_encoding_message_size(PEER_MESSAGE_MAX);
    tokio::spawn(server().serve_with_incoming(service, incoming(listener)))
}

fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .http2_max_local_error_reset_streams(Some(RESETS))
}

fn incoming(listener: TcpListener) -> impl Stream<Item = io::Result<Gathering<TcpStream>>> {
    TcpIncoming::from(listener)
        .with_nodelay(Some(true))
        .map(|accepted| accepted.map(Gathering::new))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::proto::Write;

    fn reason(request: Request) -> Reason {
        task(request).unwrap_err().reason()
    }

    #[test]
    fn a_request_is_checked_before_it_reaches_the_log() {
        let write = |key: usize, value: usize| {
            let (key, value) = (vec![0; key].into(), vec![0; value].into());
            Some(request::Operation::Write(Write { key, value }))
        };
        let request = |operation| Request { operation, ..Request::default() };
        assert_eq!(reason(request(None)), Reason::Malformed);
        assert_eq!(reason(request(write(KEY_MAX + 1, 0))), Reason::TooLarge);
        assert_eq!(reason(request(write(1, VALUE_MAX + 1))), Reason::TooLarge);
        assert!(task(request(write(KEY_MAX, VALUE_MAX))).is_ok());
        assert_eq!(reason(Request { session: 5, ..request(write(1, 1)) }), Reason::Malformed);
        let read =
            |consistency| Some(request::Operation::Read(Read { key: Bytes::new(), consistency }));
        assert!(task(Request { session: 5, ..request(read(0)) }).is_ok());
        assert!(matches!(task(request(read(1))), Ok(Task::LeaseRead(_))));
        assert!(matches!(task(request(read(2))), Ok(Task::StaleRead(_))));
        assert_eq!(reason(request(read(77))), Reason::Malformed);
    }
}
