//! One client process of etcd.
//!
//! An operation is one or more attempts under one deadline, each with a limit of its own. etcd has no session that would
//! tell a second attempt from the first, so an effect is tried again only after attempts that certainly did nothing; at the
//! first that may have done something the operation ends as unknown. A read does nothing and may be tried again after
//! anything; its answer then is that of the last attempt, within the operation's own time.
//!
//! Every member passes on what only the leader can do, so a pinned client asks one member for ever. One that follows the
//! leader asks a member who leads before its first attempt and after each trouble, and goes there; as long as nobody knows,
//! and away from a member that has just let it down, it goes from member to member.
//!
//! With each answer comes the revision of the whole store. It is told to [`Revisions`] with the time of the one attempt that
//! was answered, taken before it was sent and after it was read.

use super::answer::{self, Answer, MALFORMED, Next, TIMEOUT, Trouble};
use super::api::{self, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, Stub};
use super::probe::Members;
use crate::recorder::Revisions;
use crate::results::Revision;
use crate::system::{ClientSettings, Route};
use history::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Status;
use tonic::transport::Channel;
use workloads::{BoxFuture, ClientError, ErrorClass, KvAnswer, KvClient, KvOperation};

/// The first pause between two attempts; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(160);
/// How long a member may take to say who leads.
const LOCATE_LIMIT: Duration = Duration::from_millis(100);
/// How long a member that let an attempt time out is not believed to lead.
const DOUBT: Duration = Duration::from_secs(1);
/// An attempt with less time than this is not worth sending.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(5);

/// A client of etcd; see the [module](self).
pub struct EtcdClient {
    nodes: Vec<(NodeId, SocketAddr)>,
    attempt: Duration,
    /// Position in `nodes` of the member to ask.
    target: usize,
    pinned: bool,
    /// Whether `target` was named as the leader and has not failed since.
    located: bool,
    /// The position of a member that let an attempt time out, and until when it is doubted.
    doubted: Option<(usize, Instant)>,
    members: Members,
    channels: BTreeMap<NodeId, Channel>,
    asked: Option<NodeId>,
    revisions: Option<Arc<Revisions>>,
}

impl EtcdClient {
    /// A fresh process without a connection. It tells `revisions` of every answer, if it is given any.
    #[must_use]
    pub fn new(settings: &ClientSettings, revisions: Option<Arc<Revisions>>) -> Self {
        let nodes: Vec<_> = settings.addresses.iter().map(|(node, at)| (*node, *at)).collect();
        let (pinned, target) = match settings.route {
            Route::Leader => (false, settings.first % nodes.len().max(1)),
            Route::Node(node) => {
                (true, nodes.iter().position(|(known, _)| *known == node).unwrap_or(nodes.len()))
            }
        };
        Self {
            nodes,
            attempt: settings.attempt,
            target,
            pinned,
            located: false,
            doubted: None,
            members: Members::default(),
            channels: BTreeMap::new(),
            asked: None,
            revisions,
        }
    }

    async fn perform(
        &mut self,
        operation: &KvOperation,
        deadline: Instant,
    ) -> Result<KvAnswer, ClientError> {
        let reads = matches!(operation, KvOperation::Read { .. });
        let (mut worst, mut pause) = (None::<Trouble>, FIRST_PAUSE);
        let left = || {
            let left = deadline.saturating_duration_since(Instant::now());
            (left >= SHORTEST_ATTEMPT).then_some(left)
        };
        while let Some(before) = left() {
            self.locate(before.min(LOCATE_LIMIT)).await;
            let Some(now) = left() else { break };
            let trouble = match self.attempt(operation, now.min(self.attempt)).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            let indefinite = trouble.row.class == ErrorClass::Indefinite;
            let over = trouble.row.next == Next::Stop || (indefinite && !reads);
            let waited = trouble.row == TIMEOUT;
            self.turn_away(waited);
            // What proves the least says how it ended, and of those the last.
            if indefinite || worst.as_ref().is_none_or(|w| w.row.class == ErrorClass::Definite) {
                worst = Some(trouble);
            }
            if over {
                break;
            }
            if !waited {
                sleep_until((Instant::now() + pause).min(deadline)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        Err(end(worst))
    }

    /// One attempt, and a word to the revisions if it is answered.
    async fn attempt(
        &mut self,
        operation: &KvOperation,
        limit: Duration,
    ) -> Result<KvAnswer, Trouble> {
        let Some((node, mut stub)) = self.stub(limit) else {
            return Err(Trouble::new(MALFORMED, "there is no such member"));
        };
        self.asked = Some(node);
        let begin = self.revisions.as_ref().map(|revisions| revisions.now());
        let answer = match timeout(limit, send(&mut stub, operation)).await {
            Ok(Ok(answer)) => answer?,
            Ok(Err(status)) => return Err(answer::of_status(&status)),
            Err(_) => return Err(Trouble::new(TIMEOUT, "no answer in time")),
        };
        if let (Some(told), Some(begin), Some(revision)) = (&self.revisions, begin, answer.revision)
        {
            let f = function(operation).to_owned();
            let (key, end) = (operation.key().to_owned(), told.now());
            told.tell(&Revision { begin, end, node, f, key, revision, wrote: answer.wrote });
        }
        Ok(answer.answer)
    }

    /// Goes to the leader, if a member knows one that is not doubted.
    async fn locate(&mut self, limit: Duration) {
        if self.pinned || self.located {
            return;
        }
        let Some((_, mut stub)) = self.stub(limit) else { return };
        let leader = timeout(limit, self.members.leader(&mut stub)).await;
        let Ok(Ok(Some(leader))) = leader else { return };
        let position = self.nodes.iter().position(|(node, _)| *node == leader);
        if let Some(position) = position.filter(|position| !self.doubts(*position)) {
            (self.target, self.located) = (position, true);
        }
    }

    /// After trouble: the connection is not used again, and who is not pinned asks the next member.
    fn turn_away(&mut self, waited: bool) {
        if let Some(node) = self.asked {
            self.channels.remove(&node);
        }
        if self.pinned {
            return;
        }
        if waited {
            self.doubted = Some((self.target, Instant::now() + DOUBT));
        }
        let count = self.nodes.len().max(1);
        let next = (self.target + 1) % count;
        self.target = if self.doubts(next) { (next + 1) % count } else { next };
        self.located = false;
    }

    fn doubts(&self, position: usize) -> bool {
        self.doubted.is_some_and(|(doubted, until)| doubted == position && Instant::now() < until)
    }

    /// The member to ask, over its connection or a new one.
    fn stub(&mut self, limit: Duration) -> Option<(NodeId, Stub)> {
        let (node, address) = self.nodes.get(self.target).copied()?;
        let channel = self.channels.entry(node).or_insert_with(|| api::channel(address, limit));
        Some((node, Stub::new(channel.clone())))
    }
}

impl KvClient for EtcdClient {
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

/// How an operation ends that was not answered. Without any attempt nothing was sent.
fn end(worst: Option<Trouble>) -> ClientError {
    match worst {
        Some(Trouble { row, message }) => ClientError {
            class: row.class,
            code: row.code,
            message: format!("{} ({message})", row.about),
        },
        None => ClientError {
            class: ErrorClass::Definite,
            code: "not-sent",
            message: "the deadline passed before the first attempt".to_owned(),
        },
    }
}

async fn send(stub: &mut Stub, operation: &KvOperation) -> Result<Result<Answer, Trouble>, Status> {
    let key = operation.key().as_bytes().to_vec();
    Ok(match operation {
        KvOperation::Read { key: name } => {
            answer::of_range(name, &stub.range(RangeRequest { key }).await?)
        }
        KvOperation::Write { value, .. } => {
            Ok(answer::of_put(&stub.put(PutRequest { key, value: text(*value) }).await?))
        }
        KvOperation::Delete { .. } => {
            Ok(answer::of_delete(&stub.delete_range(DeleteRangeRequest { key }).await?))
        }
        KvOperation::Cas { from, to, .. } => {
            Ok(answer::of_txn(&stub.txn(swap(key, *from, *to)).await?))
        }
    })
}

/// Writes `to` if the value of the key is `from`.
fn swap(key: Vec<u8>, from: i64, to: i64) -> api::TxnRequest {
    let compare = Compare { result: 0, target: 3, key: key.clone(), value: Some(text(from)) };
    let put = Some(PutRequest { key, value: text(to) });
    api::TxnRequest { compare: vec![compare], success: vec![RequestOp { put }] }
}

/// Values travel as decimal text, so that a dump of a member's store can be read.
fn text(value: i64) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// The word for it in the history.
fn function(operation: &KvOperation) -> &'static str {
    match operation {
        KvOperation::Read { .. } => "read",
        KvOperation::Write { .. } => "write",
        KvOperation::Cas { .. } => "cas",
        KvOperation::Delete { .. } => "delete",
    }
}

#[cfg(test)]
mod tests;
