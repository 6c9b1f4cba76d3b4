//! The service for the other nodes.

use std::net::SocketAddr;

use tonic::{Request as Call, Response as Answer, Status, Streaming};

use super::Front;
use crate::log::warning;
use crate::node::notices::{Notice, Word};
use crate::node::transport::PEER_ADDRESS;
use crate::node::wire::{self, Received};
use crate::proto::peer_server::Peer;
use crate::proto::{
    Closed, Envelope, ForwardRequest, ForwardResponse, SnapshotAnswer, SnapshotChunk,
    SnapshotOffer, SnapshotWanted, forward_request, forward_response,
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
        let Front { id, cluster, addresses, identities, notices, .. } = &self.front;
        let mut complained = false;
        while let Some(envelope) = stream.message().await? {
            let (from, identity) = (envelope.from, envelope.identity);
            match wire::decode(envelope, *cluster, *id) {
                Ok(received) => {
                    if let Some(address) = listens.take() {
                        addresses.heard(from, address);
                    }
                    if !identities.admits(from, identity).await {
                        if !complained {
                            warning!("dropped: node {from} has lost its data directory");
                            complained = true;
                        }
                        // It is told again with its next message if it cannot be now.
                        notices.try_send(Notice::Stranger { from, identity }).ok();
                        continue;
                    }
                    let stopping = || Status::unavailable("the node is shutting down");
                    let passed_on = match received {
                        Received::Message(message) => self.front.messages.send(message).await.ok(),
                        Received::Word(_, Word::Hello) => Some(()),
                        Received::Word(from, word) => {
                            notices.send(Notice::Told { from, word }).await.ok()
                        }
                    };
                    passed_on.ok_or_else(stopping)?;
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

    async fn offer_snapshot(
        &self,
        call: Call<SnapshotOffer>,
    ) -> Result<Answer<SnapshotWanted>, Status> {
        super::snapshot::offered(&self.front, &call.into_inner()).await.map(Answer::new)
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
