//! The service for the other nodes.

use std::net::SocketAddr;

use tonic::{Request as Call, Response as Answer, Status, Streaming};

use super::Front;
use crate::log::warning;
use crate::node::transport::PEER_ADDRESS;
use crate::node::wire;
use crate::proto::peer_server::Peer;
use crate::proto::{
    Closed, Envelope, ForwardRequest, ForwardResponse, SnapshotAnswer, SnapshotChunk,
    forward_request, forward_response,
};

/// Takes raft messages in, and answers requests that reached a follower.
pub(super) struct PeerService {
    front: Front,
}

impl PeerService {
    pub(super) fn new(front: Front) -> PeerService {
        PeerService { front }
    }
}

#[tonic::async_trait]
impl Peer for PeerService {
    async fn raft(&self, call: Call<Streaming<Envelope>>) -> Result<Answer<Closed>, Status> {
        let listens = call.metadata().get(PEER_ADDRESS).and_then(|address| address.to_str().ok());
        let mut listens: Option<SocketAddr> = listens.and_then(|address| address.parse().ok());
        let mut stream = call.into_inner();
        let Front { id, cluster, addresses, .. } = &self.front;
        let mut complained = false;
        while let Some(envelope) = stream.message().await? {
            match wire::decode(envelope, *cluster, *id) {
                Ok(message) => {
                    if let Some(address) = listens.take() {
                        addresses.heard(message.from, address);
                    }
                    let stopping = |_| Status::unavailable("the node is shutting down");
                    self.front.messages.send(message).await.map_err(stopping)?;
                }
                // Once a stream: whoever sends nonsense sends much of it.
                Err(reason) if !complained => {
                    warning!("dropped: {reason}");
                    complained = true;
                }
                Err(_) => {}
            }
        }
        Ok(Answer::new(Closed {}))
    }

    async fn install_snapshot(
        &self,
        call: Call<Streaming<SnapshotChunk>>,
    ) -> Result<Answer<SnapshotAnswer>, Status> {
        super::snapshot::install(&self.front, call.into_inner()).await.map(Answer::new)
    }

    async fn forward(&self, call: Call<ForwardRequest>) -> Result<Answer<ForwardResponse>, Status> {
        let ForwardRequest { cluster, to, request, .. } = call.into_inner();
        let front = &self.front;
        if cluster != front.cluster || to != front.id {
            return Err(Status::invalid_argument("this request is for another node or cluster"));
        }
        let response = match request {
            Some(forward_request::Request::Execute(request)) => {
                let deadline = super::deadline(request.deadline_ms);
                let reply = front.execute(request, deadline).await;
                forward_response::Response::Execute(reply.into_response(front.id))
            }
            Some(forward_request::Request::OpenSession(request)) => {
                let reply = front.open_session(super::deadline(request.deadline_ms)).await;
                forward_response::Response::OpenSession(reply.into_session(front.id))
            }
            None => return Err(Status::invalid_argument("the request is empty")),
        };
        Ok(Answer::new(ForwardResponse { response: Some(response) }))
    }
}
