//! One client process of a cluster of Maelstrom nodes: the workload `lin-kv` of Maelstrom, one request for each operation.
//!
//! Nothing that a node does twice can be told from two requests, so no request is sent twice, and whatever is not answered
//! stays unknown. Keys are numbers on the way, as they are in Maelstrom: many a node expects that.

use super::answer::{self, CONNECTION, TIMEOUT, UNREACHED, UNSPEAKABLE};
use super::connection::Connection;
use crate::system::{ClientSettings, Route};
use history::NodeId;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use workloads::{BoxFuture, ClientError, KvAnswer, KvClient, KvOperation};

/// Numbers requests, over all clients: a node may answer somebody late whose number at its bridge another one has by then.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

/// The number of the first key of the recovery clock, `recovery-n0`; no workload has so many others.
const RECOVERY_KEYS: u64 = 1_000_000_000;

/// A client of Maelstrom nodes; see the module.
#[derive(Debug)]
pub struct MaelstromClient {
    nodes: Vec<(NodeId, SocketAddr)>,
    /// Position in `nodes` of the node to ask.
    target: usize,
    pinned: bool,
    attempt: Duration,
    connection: Option<Connection>,
    asked: Option<NodeId>,
}

impl MaelstromClient {
    /// A fresh process: no connection, no request.
    #[must_use]
    pub fn new(settings: &ClientSettings) -> Self {
        let nodes: Vec<_> = settings.addresses.iter().map(|(node, at)| (*node, *at)).collect();
        let place = |wanted| nodes.iter().position(|(node, _)| *node == wanted);
        let (pinned, target) = match settings.route {
            // Nobody knows who leads, or whether anybody does.
            Route::Leader => (false, settings.first % nodes.len().max(1)),
            Route::Node(node) => (true, place(node).unwrap_or(nodes.len())),
        };
        let attempt = settings.attempt;
        Self { nodes, target, pinned, attempt, connection: None, asked: None }
    }

    async fn perform(
        &mut self,
        operation: &KvOperation,
        end: Instant,
    ) -> Result<KvAnswer, ClientError> {
        let number = REQUESTS.fetch_add(1, Relaxed);
        let unspeakable = || UNSPEAKABLE.error(format!("{operation:?}"));
        let request = request(operation, number).ok_or_else(unspeakable)?;
        let Some((node, address)) = self.nodes.get(self.target).copied() else {
            return Err(UNREACHED.error("there is no such node"));
        };
        self.asked = Some(node);
        let open = self.connection.take().and_then(Connection::still_open);
        let mut connection = match open {
            Some(open) => open,
            None => match timeout_at(end, Connection::open(address)).await {
                Ok(Ok(connection)) => connection,
                Ok(Err(error)) => return Err(UNREACHED.error(error.to_string())),
                Err(_) => return Err(UNREACHED.error("no greeting in time")),
            },
        };
        match timeout_at(end, connection.ask(&request, number)).await {
            Ok(Ok(body)) => {
                self.connection = Some(connection);
                answer::of_body(operation, &body)
            }
            Ok(Err(error)) => Err(CONNECTION.error(error.to_string())),
            Err(_) => Err(TIMEOUT.error("no answer in time")),
        }
    }
}

impl KvClient for MaelstromClient {
    fn call<'a>(
        &'a mut self,
        operation: &'a KvOperation,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<KvAnswer, ClientError>> {
        Box::pin(async move {
            let end = Instant::now() + deadline.min(self.attempt);
            let answer = self.perform(operation, end).await;
            if answer.is_err() && !self.pinned {
                self.target = (self.target + 1) % self.nodes.len().max(1);
                self.connection = None;
            }
            answer
        })
    }

    fn node(&self) -> Option<NodeId> {
        self.asked
    }
}

/// The body of a request; none if there is no such request.
fn request(operation: &KvOperation, number: u64) -> Option<Value> {
    let key = key_number(operation.key())?;
    Some(match operation {
        KvOperation::Read { .. } => json!({"type": "read", "msg_id": number, "key": key}),
        KvOperation::Write { value, .. } => {
            json!({"type": "write", "msg_id": number, "key": key, "value": value})
        }
        KvOperation::Cas { from, to, .. } => {
            json!({"type": "cas", "msg_id": number, "key": key, "from": from, "to": to})
        }
        KvOperation::Delete { .. } => return None,
    })
}

/// The number that stands for a key on the way, another one for each.
fn key_number(key: &str) -> Option<u64> {
    let (first, digits) = match key.strip_prefix("recovery-n") {
        Some(digits) => (RECOVERY_KEYS, digits),
        None => (0, key.strip_prefix('k')?),
    };
    let number: u64 = digits.parse().ok()?;
    (number < RECOVERY_KEYS && number.to_string() == digits).then_some(first + number)
}

#[cfg(test)]
mod tests;
