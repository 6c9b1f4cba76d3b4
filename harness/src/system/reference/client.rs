//! One client process of the reference cluster.
//!
//! An operation is one or more attempts under one deadline. Effects are sent under one session and
//! one sequence, so that the cluster executes them at most once however often they are sent; the
//! session is opened before the first effect and belongs to this client alone. Reads need none.
//!
//! Every wait is inside a time-out of its own. Between two attempts there is a pause that grows,
//! unless the first was a time-out (which was pause enough) or the node named another one as leader;
//! at most two such hints are followed in a row, so that two nodes that name each other make no loop. A
//! node that let an attempt time out is doubted for a while: followers go on naming a leader that was
//! cut off until they miss it, and a client that believed them would wait for it a second time.

use super::answer::{self, PROTOCOL, TIMEOUT, Trouble};
use super::channel;
use super::ledger::{Ledger, Standing};
use super::probe::node_id;
use crate::system::{ClientSettings, Route};
use bytes::Bytes;
use cluster::proto::kv_client::KvClient as Stub;
use cluster::proto::request::Operation;
use cluster::proto::{self, Consistency, OpenSessionRequest, Request};
use history::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;
use tonic::transport::Channel;
use workloads::{BoxFuture, ClientError, ErrorClass, KvAnswer, KvClient, KvOperation};

/// The first pause between two attempts; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(160);
/// How many hints are followed without a pause.
const HINTS_IN_A_ROW: u32 = 2;
/// How long a hint to a node that let an attempt time out is not believed.
const DOUBT: Duration = Duration::from_secs(1);
/// An attempt with less time than this is not worth sending.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(5);

/// A client of the reference cluster; see the module.
#[derive(Debug)]
pub struct ReferenceClient {
    nodes: Vec<(NodeId, SocketAddr)>,
    forward: bool,
    consistency: Consistency,
    attempt: Duration,
    /// Position in `nodes` of the node to ask.
    target: usize,
    pinned: bool,
    /// The position of a node that let an attempt time out, and until when it is doubted.
    doubted: Option<(usize, Instant)>,
    channels: BTreeMap<NodeId, Channel>,
    session: Option<Session>,
    asked: Option<NodeId>,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    id: u64,
    /// Of the last operation sent under it.
    sequence: u64,
}

/// The pace of the attempts of one operation.
struct Pace {
    deadline: Instant,
    pause: Duration,
    hints: u32,
}

impl Pace {
    fn until(deadline: Instant) -> Self {
        Self { deadline, pause: FIRST_PAUSE, hints: 0 }
    }

    /// Time for another attempt, if there is enough.
    fn left(&self) -> Option<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        (left >= SHORTEST_ATTEMPT).then_some(left)
    }

    fn may_follow_hint(&mut self) -> bool {
        self.hints += 1;
        self.hints <= HINTS_IN_A_ROW
    }

    async fn pause(&mut self) {
        let end = (Instant::now() + self.pause).min(self.deadline);
        tokio::time::sleep_until(end).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.hints = 0;
    }
}

impl ReferenceClient {
    /// A fresh process: no session, no connection.
    #[must_use]
    pub fn new(settings: &ClientSettings) -> Self {
        let nodes: Vec<_> = settings.addresses.iter().map(|(node, at)| (*node, *at)).collect();
        let (pinned, target) = match settings.route {
            Route::Leader => (false, settings.first % nodes.len().max(1)),
            Route::Node(node) => {
                (true, nodes.iter().position(|(known, _)| *known == node).unwrap_or(nodes.len()))
            }
        };
        Self {
            nodes,
            forward: pinned,
            consistency: match settings.lease_reads {
                true => Consistency::Lease,
                false => Consistency::Linearizable,
            },
            attempt: settings.attempt,
            target,
            pinned,
            doubted: None,
            channels: BTreeMap::new(),
            session: None,
            asked: None,
        }
    }

    async fn perform(
        &mut self,
        operation: &KvOperation,
        deadline: Instant,
    ) -> Result<KvAnswer, ClientError> {
        let mut pace = Pace::until(deadline);
        let mut request = request(operation, self.forward, self.consistency);
        if !matches!(operation, KvOperation::Read { .. }) {
            let session = self.next_sequence(&mut pace).await?;
            request.session = session.id;
            request.sequence = session.sequence;
            // A client goes on after an operation only if it knows how that ended.
            request.acknowledged = session.sequence - 1;
        }
        let mut ledger = Ledger::default();
        let mut first = true;
        while let Some(left) = pace.left().or_else(|| first.then_some(SHORTEST_ATTEMPT)) {
            first = false;
            let limit = left.min(self.attempt);
            request.deadline_ms = milliseconds(limit);
            let attempt = self.execute(operation, request.clone(), limit).await;
            let trouble = attempt.as_ref().err().cloned();
            if let Standing::Over(end) = ledger.note(attempt) {
                if trouble.is_some_and(|trouble| trouble.row == answer::SESSION_EXPIRED) {
                    self.session = None;
                }
                return end;
            }
            if let Some(trouble) = trouble {
                self.recover(&trouble, &mut pace).await;
            }
        }
        Err(ledger.give_up())
    }

    /// The session with its next sequence, opening one if need be. Its failure is definite: nothing
    /// of the operation was sent. A session that was opened without our knowing is never used.
    async fn next_sequence(&mut self, pace: &mut Pace) -> Result<Session, ClientError> {
        let mut last = "the deadline passed".to_owned();
        while self.session.is_none() {
            let Some(left) = pace.left() else {
                return Err(ClientError {
                    class: ErrorClass::Definite,
                    code: "no-session",
                    message: format!("no session could be opened ({last})"),
                });
            };
            match self.open_session(left.min(self.attempt)).await {
                Ok(id) => self.session = Some(Session { id, sequence: 0 }),
                Err(trouble) => {
                    self.recover(&trouble, pace).await;
                    last = trouble.message;
                }
            }
        }
        let session = self.session.as_mut().expect("the loop above leaves one");
        session.sequence += 1;
        Ok(*session)
    }

    async fn open_session(&mut self, limit: Duration) -> Result<u64, Trouble> {
        use proto::open_session_response::Outcome;
        let request =
            OpenSessionRequest { deadline_ms: milliseconds(limit), forward: self.forward };
        let mut stub = self.stub(limit)?;
        let answer = tokio::time::timeout(limit, stub.open_session(request)).await;
        match self.typed(answer)?.outcome {
            Some(Outcome::Session(id)) if id != 0 => Ok(id),
            Some(Outcome::Error(error)) => Err(answer::of_error(error)),
            _ => Err(Trouble::new(PROTOCOL, "neither a session nor an error")),
        }
    }

    async fn execute(
        &mut self,
        operation: &KvOperation,
        request: Request,
        limit: Duration,
    ) -> Result<KvAnswer, Trouble> {
        let mut stub = self.stub(limit)?;
        let answer = tokio::time::timeout(limit, stub.execute(request)).await;
        answer::of_response(operation, self.typed(answer)?)
    }

    /// A stub for the node to ask, over its connection or a new one.
    fn stub(&mut self, limit: Duration) -> Result<Stub<Channel>, Trouble> {
        let Some((node, address)) = self.nodes.get(self.target).copied() else {
            return Err(Trouble::new(answer::MALFORMED, "there is no such node"));
        };
        self.asked = Some(node);
        let channel = self.channels.entry(node).or_insert_with(|| channel::lazy(address, limit));
        Ok(Stub::new(channel.clone()))
    }

    /// The node's message, if there is one; otherwise the connection is not used again.
    fn typed<T>(
        &mut self,
        answer: Result<Result<tonic::Response<T>, tonic::Status>, tokio::time::error::Elapsed>,
    ) -> Result<T, Trouble> {
        let trouble = match answer {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => answer::of_status(&status),
            Err(_) => Trouble::new(TIMEOUT, "no answer in time"),
        };
        if let Some(node) = self.asked {
            self.channels.remove(&node);
        }
        Err(trouble)
    }

    fn doubts(&self, position: usize) -> bool {
        self.doubted.is_some_and(|(doubted, until)| doubted == position && Instant::now() < until)
    }

    /// The next node in turn, passing over one that is doubted.
    fn next_target(&self) -> usize {
        let count = self.nodes.len().max(1);
        let next = (self.target + 1) % count;
        if self.doubts(next) { (next + 1) % count } else { next }
    }

    /// Chooses whom to ask next, and waits if it should not be at once.
    async fn recover(&mut self, trouble: &Trouble, pace: &mut Pace) {
        if !self.pinned {
            if trouble.row == TIMEOUT {
                self.doubted = Some((self.target, Instant::now() + DOUBT));
            }
            let hinted = node_id(trouble.leader)
                .and_then(|leader| self.nodes.iter().position(|(node, _)| *node == leader))
                .filter(|position| *position != self.target && !self.doubts(*position));
            if let Some(position) = hinted {
                self.target = position;
                if pace.may_follow_hint() {
                    return;
                }
            } else {
                self.target = self.next_target();
            }
        }
        if trouble.row != TIMEOUT {
            pace.pause().await;
        }
    }
}

impl KvClient for ReferenceClient {
    fn call<'a>(
        &'a mut self,
        operation: &'a KvOperation,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<KvAnswer, ClientError>> {
        Box::pin(self.perform(operation, Instant::now() + deadline))
    }

    fn node(&self) -> Option<NodeId> {
        self.asked
    }
}

fn request(operation: &KvOperation, forward: bool, consistency: Consistency) -> Request {
    let key = Bytes::copy_from_slice(operation.key().as_bytes());
    let operation = match operation {
        KvOperation::Read { .. } => {
            Operation::Read(proto::Read { key, consistency: consistency.into() })
        }
        KvOperation::Write { value, .. } => {
            Operation::Write(proto::Write { key, value: text(*value) })
        }
        KvOperation::Cas { from, to, .. } => {
            Operation::Cas(proto::Cas { key, from: Some(text(*from)), to: text(*to) })
        }
        KvOperation::Delete { .. } => Operation::Delete(proto::Delete { key }),
    };
    Request { forward, operation: Some(operation), ..Request::default() }
}

/// Values travel as decimal text, so that a dump of a node's log can be read.
fn text(value: i64) -> Bytes {
    Bytes::from(value.to_string())
}

/// At least one: zero would mean the node's own limit.
fn milliseconds(limit: Duration) -> u32 {
    u32::try_from(limit.as_millis()).unwrap_or(u32::MAX).max(1)
}
