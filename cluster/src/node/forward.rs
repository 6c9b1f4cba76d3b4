//! Passing a client's request on to the leader.
//!
//! It travels to the leader's peer address, over the same directed link as raft messages, so that a fault on
//! that link hits it too; on a connection of its own, so that a large append does not hold it up. Before the
//! request has left nothing is at stake and the answer is definite; once it has left, an answer that does not
//! come back leaves a write unknown. Nothing is sent twice, and the leader does not pass it on again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tonic::transport::Channel;

use super::addresses::Book;
use super::config::{Config, REQUEST_MAX};
use super::reply::{definitely_not, unknown};
use super::transport;
use crate::proto::peer_client::PeerClient;
use crate::proto::{
    Error, ForwardRequest, OpenSessionRequest, OpenSessionResponse, Reason, Request, Response,
    forward_request, forward_response, open_session_response, request, response,
};
use crate::raft::NodeId;

/// Connections to the peers, made when first needed.
#[derive(Clone)]
pub(super) struct Forwarder {
    id: NodeId,
    cluster: u64,
    addresses: Book,
    links: Arc<Mutex<BTreeMap<NodeId, Arc<Link>>>>,
}

struct Link {
    address: SocketAddr,
    client: Mutex<Option<PeerClient<Channel>>>,
}

/// Why there is no answer.
enum Failure {
    /// Nothing was sent.
    Refused(String),
    /// The request was sent.
    Broken(String),
}

impl Failure {
    /// What to tell the client; a request without effect is always definite.
    fn into_error(self, has_effect: bool) -> Error {
        match self {
            Failure::Refused(message) => definitely_not(Reason::ForwardRefused, message),
            Failure::Broken(message) if has_effect => unknown(Reason::ForwardBroken, message),
            Failure::Broken(message) => definitely_not(Reason::ForwardBroken, message),
        }
    }
}

impl Forwarder {
    /// Nothing is dialled yet.
    pub(super) fn new(config: &Config, addresses: Book) -> Forwarder {
        let links = Arc::default();
        Forwarder { id: config.id, cluster: config.cluster, addresses, links }
    }

    /// The link to a node at its present address; none if that is not known.
    async fn link(&self, to: NodeId) -> Option<Arc<Link>> {
        let address = self.addresses.of(to)?;
        let mut links = self.links.lock().await;
        // Leaders are few; but over years of changes there may have been many.
        links.retain(|id, link| self.addresses.of(*id) == Some(link.address));
        let link = || Arc::new(Link { address, client: Mutex::new(None) });
        Some(Arc::clone(links.entry(to).or_insert_with(link)))
    }

    /// Has `leader` execute the request. `here` is this node's own answer, for its term.
    pub(super) async fn execute(
        &self,
        leader: NodeId,
        mut request: Request,
        deadline: Instant,
        here: Response,
    ) -> Response {
        let has_effect = !matches!(request.operation, Some(request::Operation::Read(_)));
        request.forward = false;
        request.deadline_ms = remaining(deadline);
        let request = forward_request::Request::Execute(request);
        let failure = match self.call(leader, request, deadline).await {
            Ok(forward_response::Response::Execute(response)) => return response,
            Ok(_) => Failure::Broken("the leader answered another question".to_owned()),
            Err(failure) => failure,
        };
        let error = failure.into_error(has_effect);
        Response { outcome: Some(response::Outcome::Error(error)), ..here }
    }

    /// Has `leader` open a session.
    pub(super) async fn open_session(
        &self,
        leader: NodeId,
        mut request: OpenSessionRequest,
        deadline: Instant,
        here: OpenSessionResponse,
    ) -> OpenSessionResponse {
        request.forward = false;
        request.deadline_ms = remaining(deadline);
        let request = forward_request::Request::OpenSession(request);
        let failure = match self.call(leader, request, deadline).await {
            Ok(forward_response::Response::OpenSession(response)) => return response,
            Ok(_) => Failure::Broken("the leader answered another question".to_owned()),
            Err(failure) => failure,
        };
        let error = failure.into_error(true);
        let outcome = Some(open_session_response::Outcome::Error(error));
        OpenSessionResponse { outcome, ..here }
    }

    async fn call(
        &self,
        leader: NodeId,
        request: forward_request::Request,
        deadline: Instant,
    ) -> Result<forward_response::Response, Failure> {
        let link = self.link(leader).await;
        let link =
            link.ok_or_else(|| Failure::Refused(format!("no address of node {leader} is known")))?;
        let connected = timeout_at(deadline, link.client()).await;
        let late = |_| Failure::Refused(format!("no connection to node {leader} in time"));
        let refused = |error| Failure::Refused(format!("no connection to node {leader}: {error}"));
        let mut client = connected.map_err(late)?.map_err(refused)?;
        let (cluster, from) = (self.cluster, self.id);
        let request = ForwardRequest { cluster, from, to: leader, request: Some(request) };
        let broken = |what: &str| Failure::Broken(format!("node {leader} did not answer: {what}"));
        match timeout_at(deadline, client.forward(request)).await {
            Ok(Ok(answer)) => {
                answer.into_inner().response.ok_or_else(|| broken("the answer is empty"))
            }
            Ok(Err(status)) => {
                *link.client.lock().await = None;
                Err(broken(status.message()))
            }
            Err(_) => Err(broken("the deadline passed")),
        }
    }
}

impl Link {
    /// The connection, made now if there is none.
    async fn client(&self) -> Result<PeerClient<Channel>, String> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let channel = transport::connect(self.address).await?;
        let new = PeerClient::new(channel)
            .max_decoding_message_size(REQUEST_MAX)
            .max_encoding_message_size(REQUEST_MAX);
        *client = Some(new.clone());
        Ok(new)
    }
}

/// Milliseconds to a deadline, at least 1: 0 would mean the node's own limit.
fn remaining(deadline: Instant) -> u32 {
    let left = deadline.saturating_duration_since(Instant::now());
    u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1)
}
