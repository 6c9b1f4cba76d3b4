//! One client process of a cluster of Maelstrom nodes: one request for each operation.
//!
//! Nothing that a node does twice can be told from two requests, so no request is sent twice, and whatever is not answered
//! stays unknown. Keys are numbers on the way, as they are in Maelstrom: many a node expects that. In a workload in which
//! nodes are told their neighbours nothing is asked on a connection before the node at its end knows them; that it is told
//! only once is its bridge's affair.

use super::answer::{self, CONNECTION, PROTOCOL, TIMEOUT, UNREACHED, UNSPEAKABLE};
use super::connection::Connection;
use super::words::{self, WITH_TOPOLOGY, Words};
use crate::system::{ClientSettings, Route};
use history::NodeId;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use workloads::{BoxFuture, ClientError, Invocation, KvAnswer, KvClient, KvOperation};

/// Numbers requests, over all clients: a node may answer somebody late whose number at its bridge another one has by then.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

/// A client of Maelstrom nodes; see the module.
#[derive(Debug)]
pub struct MaelstromClient {
    nodes: Vec<(NodeId, SocketAddr)>,
    /// Position in `nodes` of the node to ask.
    target: usize,
    pinned: bool,
    attempt: Duration,
    workload: &'static str,
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
        let (attempt, workload) = (settings.attempt, settings.workload);
        Self { nodes, target, pinned, attempt, workload, connection: None, asked: None }
    }

    /// Asks, and gives the body of the answer.
    async fn exchange(
        &mut self,
        mut body: Value,
        deadline: Duration,
    ) -> Result<Value, ClientError> {
        let end = Instant::now() + deadline.min(self.attempt);
        let Some((node, address)) = self.nodes.get(self.target).copied() else {
            return Err(UNREACHED.error("there is no such node"));
        };
        self.asked = Some(node);
        let open = self.connection.take().and_then(Connection::still_open);
        let mut connection = match open {
            Some(open) => open,
            None => match timeout_at(end, self.connect(address)).await {
                Ok(connection) => connection?,
                Err(_) => {
                    return Err(UNREACHED
                        .error("no greeting in time, or its node did not know its neighbours"));
                }
            },
        };
        let number = REQUESTS.fetch_add(1, Relaxed);
        body["msg_id"] = json!(number);
        match timeout_at(end, connection.ask(&body, number)).await {
            Ok(Ok(body)) => {
                self.connection = Some(connection);
                Ok(body)
            }
            Ok(Err(error)) => Err(CONNECTION.error(error.to_string())),
            Err(_) => Err(TIMEOUT.error("no answer in time")),
        }
    }

    /// A connection on which an operation can be asked. Nothing of one has been sent by then.
    async fn connect(&self, address: SocketAddr) -> Result<Connection, ClientError> {
        let unreached = |error: std::io::Error| UNREACHED.error(error.to_string());
        let mut connection = Connection::open(address).await.map_err(unreached)?;
        if self.workload == WITH_TOPOLOGY {
            connection.introduce().await.map_err(unreached)?;
        }
        Ok(connection)
    }

    /// After trouble another node is asked, unless it has to be this one.
    fn move_on<T>(&mut self, answer: Result<T, ClientError>) -> Result<T, ClientError> {
        if answer.is_err() && !self.pinned {
            self.target = (self.target + 1) % self.nodes.len().max(1);
            self.connection = None;
        }
        answer
    }
}

impl KvClient for MaelstromClient {
    fn call<'a>(
        &'a mut self,
        operation: &'a KvOperation,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<KvAnswer, ClientError>> {
        Box::pin(async move {
            let asked = words::of_register(operation);
            let answer = match asked.ok_or_else(|| UNSPEAKABLE.error(format!("{operation:?}"))) {
                Ok(body) => self.exchange(body, deadline).await,
                Err(error) => Err(error),
            };
            let answer = answer.and_then(|body| answer::of_body(operation, &body));
            self.move_on(answer)
        })
    }

    fn request<'a>(
        &'a mut self,
        invocation: &'a Invocation,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Value, ClientError>> {
        Box::pin(async move {
            let Some(words) = Words::of(self.workload, invocation.f) else {
                return Err(UNSPEAKABLE.error(format!("{invocation:?}")));
            };
            let answer = self.exchange(words.body(invocation), deadline).await;
            let answer = answer.and_then(|body| {
                if body["type"] == "error" {
                    return Err(answer::error_of(&body));
                }
                let none = || PROTOCOL.error(format!("no answer to this: {body}"));
                words.answer(invocation, &body).ok_or_else(none)
            });
            self.move_on(answer)
        })
    }

    fn node(&self) -> Option<NodeId> {
        self.asked
    }
}

#[cfg(test)]
mod tests;
