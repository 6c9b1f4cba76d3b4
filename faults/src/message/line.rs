//! What is known of one ordered pair of nodes across all connections that the first dials to the second: the
//! numbers of messages, a memory of old ones, and the ways on which these can be sent again.
//!
//! Everything kept is bounded: the memory in messages and bytes, the methods in number, the calls of our own by permits.

use super::active::{Active, Rules};
use super::wire;
use crate::link::Link;
use bytes::Bytes;
use h2::client::SendRequest;
use http::request::Parts;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};

/// Old messages that are remembered.
const REMEMBERED: usize = 256;
/// Their bytes.
const REMEMBERED_BYTES: usize = 1 << 20;
/// The shortest time between two of them, so that the memory reaches back some seconds.
const APART: Duration = Duration::from_millis(20);
/// Methods of which anything is known.
const METHODS: usize = 64;
/// Calls of our own at once: duplicates and replays.
const OWN_CALLS: usize = 64;
/// How long a call of our own may take.
const OWN_CALL_LIMIT: Duration = Duration::from_secs(5);

/// One ordered pair of nodes.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) link: Link,
    /// Where the link leads.
    pub(super) upstream: SocketAddr,
    pub(super) rules: Arc<Rules>,
    requests: AtomicU64,
    replies: AtomicU64,
    memory: Mutex<Memory>,
    permits: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Memory {
    old: VecDeque<(Arc<Parts>, Bytes)>,
    bytes: usize,
    newest: Option<Instant>,
    methods: BTreeMap<String, Method>,
    /// The connection that was made last.
    sender: Option<SendRequest<Bytes>>,
}

#[derive(Debug, Default)]
struct Method {
    /// The highest number of a message that was passed on.
    highest: u64,
    /// The way into a request that is under way and has more than one message.
    stream: Option<mpsc::Sender<Bytes>>,
}

impl Line {
    pub(super) fn new(link: Link, upstream: SocketAddr, rules: Arc<Rules>) -> Self {
        Self {
            link,
            upstream,
            rules,
            requests: AtomicU64::new(1),
            replies: AtomicU64::new(1),
            memory: Mutex::default(),
            permits: Arc::new(Semaphore::new(OWN_CALLS)),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a message that has arrived, which is remembered if it is time to.
    pub(super) fn arrived(&self, head: &Arc<Parts>, message: &Bytes) -> u64 {
        let mut memory = self.memory();
        let now = Instant::now();
        if memory.newest.is_none_or(|newest| now >= newest + APART) {
            memory.newest = Some(now);
            memory.remember(head, message);
        }
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of an answer that has arrived.
    pub(super) fn answered(&self) -> u64 {
        self.replies.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that a message was passed on, and says whether a later one of its method was before it.
    pub(super) fn passed(&self, path: &str, number: u64) -> bool {
        let mut memory = self.memory();
        let Some(method) = memory.method(path) else { return false };
        let overtaken = number < method.highest;
        method.highest = method.highest.max(number);
        overtaken
    }

    /// A request turned out to have more than one message: `stream` leads into it.
    pub(super) fn is_stream(&self, path: &str, stream: mpsc::Sender<Bytes>) {
        if let Some(method) = self.memory().method(path) {
            method.stream = Some(stream);
        }
    }

    /// There is a connection to the target.
    pub(super) fn connected(&self, sender: SendRequest<Bytes>) {
        self.memory().sender = Some(sender);
    }

    /// Sends an old message again, if there is one and a way for it: into a stream of its method that is open, else
    /// as a call of its own.
    pub(super) fn replay(self: &Arc<Self>, active: &Arc<Active>, moment: u64) {
        let mut draws = active.draws(self.link, moment);
        let mut memory = self.memory();
        let place = usize::try_from(draws.below(memory.old.len() as u64)).unwrap_or(0);
        let Some((head, message)) = memory.old.get(place).cloned() else { return };
        let stream = memory.method(head.uri.path()).and_then(|method| method.stream.as_ref());
        if let Some(stream) = stream.filter(|stream| !stream.is_closed()) {
            // Full: it goes on without this one.
            drop(stream.try_send(message));
            return;
        }
        let Some(sender) = memory.sender.clone() else { return };
        drop(memory);
        let active = Arc::clone(active);
        self.call(sender, head, message, move |line| {
            active.count(line, |counts| counts.replayed += 1);
        });
    }

    /// Makes a call of our own whose answer nobody wants; `sent` is told when all of it has been sent.
    pub(super) fn call(
        &self,
        sender: SendRequest<Bytes>,
        head: Arc<Parts>,
        message: Bytes,
        sent: impl FnOnce(Link) + Send + 'static,
    ) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return };
        let link = self.link;
        tokio::spawn(async move {
            let _permit = permit;
            let call = wire::call(sender, &head, message, || sent(link));
            // It failed or took too long: whatever of it was done has been counted.
            drop(timeout(OWN_CALL_LIMIT, call).await);
        });
    }
}

impl Memory {
    fn remember(&mut self, head: &Arc<Parts>, message: &Bytes) {
        if message.len() > REMEMBERED_BYTES / 16 {
            return;
        }
        self.bytes += message.len();
        self.old.push_back((Arc::clone(head), message.clone()));
        while self.old.len() > REMEMBERED || self.bytes > REMEMBERED_BYTES {
            let Some((_, message)) = self.old.pop_front() else { return };
            self.bytes -= message.len();
        }
    }

    /// What is known of a method; none if too many others are known.
    fn method(&mut self, path: &str) -> Option<&mut Method> {
        if !self.methods.contains_key(path) {
            if self.methods.len() >= METHODS {
                return None;
            }
            self.methods.insert(path.to_owned(), Method::default());
        }
        self.methods.get_mut(path)
    }
}
