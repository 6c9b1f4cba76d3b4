//! The way out to the other nodes: one queue, one task and one connection for each.
//!
//! Who they are is the configuration's to say: its members are dialled and whoever leaves it is hung up on.
//!
//! Raft tolerates loss, so nothing here waits for a peer. A queue is bounded in messages and bytes, and when it
//! is full its oldest message is dropped: the newest say most. A connection that breaks is dialled again
//! after a pause that doubles; a peer that falls silent is noticed by keep-alive pings, because after a
//! long silence the kernel alone would take many seconds to try again.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::Stream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};

use super::addresses::Book;
use super::config::Config;
use super::notices::Word;
use super::wire;
use crate::log::{info, warning};
use crate::proto::Envelope;
use crate::proto::peer_client::PeerClient;
use crate::raft::{Body, Configuration, Message, NodeId};

/// Messages that may wait for one peer.
const QUEUE_MESSAGES: usize = 1024;
/// Bytes of entries that may wait for one peer.
const QUEUE_BYTES: usize = 32 << 20;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_millis(500);
/// First and longest pause before dialling again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// Ping a peer that has said nothing for so long, and give it as long again to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// How long to stay connected to a node that is no member after the last word to it.
const LINGER: Duration = Duration::from_secs(5);
/// The metadata in which a node says where it listens for others.
pub(super) const PEER_ADDRESS: &str = "peer-address";
/// HTTP/2 flow control windows: large enough that they never limit appends in flight.
const WINDOW: u32 = 8 << 20;

/// Connects to a peer's address, with a limit.
pub(super) async fn connect(address: SocketAddr) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| error.to_string())?
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    match timeout(CONNECT * 2, endpoint.connect()).await {
        Ok(connected) => connected.map_err(|error| innermost(&error)),
        Err(_) => Err("the connection took too long".to_owned()),
    }
}

/// The last cause of an error: what the operating system said.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The queues to the other nodes.
pub(super) struct Transport {
    id: NodeId,
    cluster: u64,
    /// Of this node's data directory.
    identity: u64,
    /// Where this node listens, for peers that do not know it.
    own: Option<SocketAddr>,
    addresses: Book,
    links: BTreeMap<NodeId, Link>,
    // Aborts the tasks when the node goes.
    tasks: JoinSet<()>,
}

struct Link {
    address: SocketAddr,
    queue: Queue,
    task: AbortHandle,
    /// For who is no member: when to hang up, unless there is something to say before.
    until: Option<Instant>,
}

impl Transport {
    /// Dials nobody yet.
    pub(super) fn new(
        config: &Config,
        identity: u64,
        own: Option<SocketAddr>,
        addresses: Book,
    ) -> Transport {
        let Config { id, cluster, .. } = *config;
        let (links, tasks) = (BTreeMap::new(), JoinSet::new());
        Transport { id, cluster, identity, own, addresses, links, tasks }
    }

    /// Another configuration is in force: dials its members, and soon hangs up on all others.
    pub(super) fn follow(&mut self, configuration: &Configuration) {
        self.addresses.follow(configuration);
        let members = configuration.members();
        for link in self.links.values_mut() {
            link.until.get_or_insert(Instant::now() + LINGER);
        }
        for member in members {
            let address = self.addresses.of(member).filter(|_| member != self.id);
            if let Some(address) = address {
                self.link(member, address).until = None;
            }
        }
    }

    /// Hangs up on nodes that are no members and have not been spoken to for a while.
    pub(super) fn hang_up(&mut self, now: Instant) {
        self.links.retain(|_, link| {
            let keep = link.until.is_none_or(|until| now < until);
            if !keep {
                link.task.abort();
            }
            keep
        });
    }

    /// The link to `to` at this address, dialled now if there is none.
    fn link(&mut self, to: NodeId, address: SocketAddr) -> &mut Link {
        if let Some(old) = self.links.get(&to)
            && old.address != address
        {
            old.task.abort();
            self.links.remove(&to);
        }
        self.links.entry(to).or_insert_with(|| {
            let queue = Queue::default();
            let hello = wire::encode_word(self.cluster, self.id, to, Word::Hello);
            let hello = Envelope { identity: self.identity, ..hello };
            let work = keep_connected(to, address, self.own, hello, queue.clone());
            let task = self.tasks.spawn(work);
            Link { address, queue, task, until: None }
        })
    }

    /// Sends a message, or loses it. Who is no member is dialled too, if it can be: it may be ahead of this
    /// node's configuration, or one that is to learn of its removal.
    pub(super) fn send(&mut self, message: Message) {
        let (to, weight) = (message.to, weight(&message));
        self.post(to, weight, wire::encode(self.cluster, message));
    }

    /// Sends a notice, or loses it.
    pub(super) fn tell(&mut self, to: NodeId, word: Word) {
        self.post(to, 0, wire::encode_word(self.cluster, self.id, to, word));
    }

    fn post(&mut self, to: NodeId, weight: usize, envelope: Envelope) {
        if !self.links.contains_key(&to) {
            let Some(address) = self.addresses.of(to) else { return };
            self.link(to, address).until = Some(Instant::now());
        }
        let Some(link) = self.links.get_mut(&to) else { return };
        if link.until.is_some() {
            link.until = Some(Instant::now() + LINGER);
        }
        link.queue.push(weight, Envelope { identity: self.identity, ..envelope });
    }
}

/// Bytes that a message is worth in a queue.
fn weight(message: &Message) -> usize {
    match &message.body {
        Body::Append { entries, .. } => {
            entries.iter().map(|entry| 32 + entry.payload.size()).sum::<usize>()
        }
        _ => 0,
    }
}

async fn keep_connected(
    peer: NodeId,
    address: SocketAddr,
    own: Option<SocketAddr>,
    hello: Envelope,
    queue: Queue,
) {
    let own: Option<MetadataValue<_>> = own.and_then(|own| own.to_string().parse().ok());
    let mut pause = PAUSE.0;
    let mut said = String::new();
    loop {
        let start = Instant::now();
        let ended = match connect(address).await {
            Ok(channel) => {
                let mut client = PeerClient::new(channel);
                info!("connected to node {peer}");
                let mut call = tonic::Request::new(queue.stream(hello.clone()));
                if let Some(own) = own.clone() {
                    call.metadata_mut().insert(PEER_ADDRESS, own);
                }
                match client.raft(call).await {
                    Ok(_) => "it ended the stream".to_owned(),
                    Err(status) => innermost(&status),
                }
            }
            Err(error) => error,
        };
        let lasted = start.elapsed() > PAUSE.1 * 2;
        if lasted || said != ended {
            warning!("no connection to node {peer} ({address}): {ended}");
        }
        said = ended;
        pause = if lasted { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
        sleep(pause).await;
    }
}

/// Messages that wait for one peer.
#[derive(Clone, Default)]
struct Queue {
    inner: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<(usize, Envelope)>,
    bytes: usize,
    /// Streams are numbered; only the newest one takes messages.
    stream: u64,
    waker: Option<Waker>,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, weight: usize, envelope: Envelope) {
        let mut waiting = self.waiting();
        waiting.messages.push_back((weight, envelope));
        waiting.bytes += weight;
        while waiting.messages.len() > QUEUE_MESSAGES || waiting.bytes > QUEUE_BYTES {
            let Some((weight, _)) = waiting.messages.pop_front() else { break };
            waiting.bytes -= weight;
        }
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }

    /// A stream of the messages after `hello`, which ends an earlier stream.
    fn stream(&self, hello: Envelope) -> QueueStream {
        let mut waiting = self.waiting();
        waiting.stream += 1;
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
        QueueStream { queue: self.clone(), hello: Some(hello), number: waiting.stream }
    }
}

struct QueueStream {
    queue: Queue,
    hello: Option<Envelope>,
    number: u64,
}

impl Stream for QueueStream {
    type Item = Envelope;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Envelope>> {
        if let Some(hello) = self.hello.take() {
            return Poll::Ready(Some(hello));
        }
        let mut waiting = self.queue.waiting();
        if waiting.stream != self.number {
            return Poll::Ready(None);
        }
        if let Some((weight, envelope)) = waiting.messages.pop_front() {
            waiting.bytes -= weight;
            return Poll::Ready(Some(envelope));
        }
        waiting.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    fn envelope(term: u64) -> Envelope {
        Envelope { term, ..Envelope::default() }
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_oldest_and_a_new_stream_ends_the_old_one() {
        let queue = Queue::default();
        let mut old = queue.stream(envelope(1111));
        for term in 0..QUEUE_MESSAGES as u64 + 5 {
            queue.push(1, envelope(term));
        }
        assert_eq!(old.next().await.map(|e| e.term), Some(1111));
        assert_eq!(old.next().await.map(|e| e.term), Some(5));
        let mut new = queue.stream(envelope(2222));
        assert_eq!(old.next().await, None);
        assert_eq!(new.next().await.map(|e| e.term), Some(2222));
        assert_eq!(new.next().await.map(|e| e.term), Some(6));
        queue.push(QUEUE_BYTES, envelope(7777));
        assert_eq!(new.next().await.map(|e| e.term), Some(7777));
    }
}
