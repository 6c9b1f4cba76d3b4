//! The services for clients and operators.

use std::net::SocketAddr;

use tokio::sync::oneshot;
use tonic::{Request as Call, Response as Answer, Status, Streaming};

use super::Front;
use super::session::{self, SessionStream};
use crate::node::forward::Forwarder;
use crate::node::reply::{Task, definitely_not};
use crate::proto::admin_server::Admin;
use crate::proto::kv_server::Kv;
use crate::proto::{
    AddLearner, ChangeRequest, ChangeResponse, Error, ErrorCode, OpenSessionRequest,
    OpenSessionResponse, Reason, Request, Response, SessionRequest, StatusRequest, StatusResponse,
    TakeSnapshotRequest, TakeSnapshotResponse, TransferRequest, TransferResponse, Voters,
    change_request, open_session_response, response,
};
use crate::raft::{Change, NodeId};

/// Answers clients, here or through the leader.
#[derive(Clone)]
pub(super) struct ClientService {
    front: Front,
    forwarder: Forwarder,
}

impl ClientService {
    pub(super) fn new(front: Front, forwarder: Forwarder) -> ClientService {
        ClientService { front, forwarder }
    }
}

/// The leader to pass a request on to, if this answer says that another node leads.
pub(super) fn elsewhere(error: &Error) -> Option<NodeId> {
    (error.code() == ErrorCode::NotLeader && error.leader != 0).then_some(error.leader)
}

#[tonic::async_trait]
impl Kv for ClientService {
    async fn open_session(
        &self,
        call: Call<OpenSessionRequest>,
    ) -> Result<Answer<OpenSessionResponse>, Status> {
        let request = call.into_inner();
        let deadline = super::deadline(request.deadline_ms);
        let here = self.front.open_session(deadline).await.into_session(self.front.id);
        let error = match &here.outcome {
            Some(open_session_response::Outcome::Error(error)) => Some(error),
            _ => None,
        };
        let answer = match error.and_then(elsewhere) {
            Some(leader) if request.forward => {
                Box::pin(self.forwarder.open_session(leader, request, deadline, here)).await
            }
            _ => here,
        };
        Ok(Answer::new(answer))
    }

    async fn execute(&self, call: Call<Request>) -> Result<Answer<Response>, Status> {
        let request = call.into_inner();
        let deadline = super::deadline(request.deadline_ms);
        let copy = request.forward.then(|| request.clone());
        let here = self.front.execute(request, deadline).await.into_response(self.front.id);
        let error = match &here.outcome {
            Some(response::Outcome::Error(error)) => Some(error),
            _ => None,
        };
        let answer = match (error.and_then(elsewhere), copy) {
            (Some(leader), Some(request)) => {
                // Apart, because what passing on needs is several times what a call here needs, and every
                // call would carry it.
                Box::pin(self.forwarder.execute(leader, request, deadline, here)).await
            }
            _ => here,
        };
        Ok(Answer::new(answer))
    }

    type SessionStream = SessionStream;

    async fn session(
        &self,
        call: Call<Streaming<SessionRequest>>,
    ) -> Result<Answer<SessionStream>, Status> {
        let (front, forwarder) = (self.front.clone(), self.forwarder.clone());
        session::serve(front, forwarder, call.into_inner()).map(Answer::new)
    }
}

/// Checks an operator's change and translates it.
fn change_task(change: Option<change_request::Change>) -> Result<Task, &'static str> {
    Ok(Task::Change(match change.ok_or("the request has no change")? {
        change_request::Change::AddLearner(AddLearner { id, address }) => {
            // What stands in the log stays there: better none than one that nobody can dial.
            if address.parse::<SocketAddr>().is_err() {
                return Err("the address is no IP address with a port");
            }
            Change::AddLearner { id, address: address.into() }
        }
        change_request::Change::Promote(id) => Change::Promote { id },
        change_request::Change::Remove(id) => Change::Remove { id },
        change_request::Change::Voters(Voters { ids }) => Change::Voters(ids.into_iter().collect()),
    }))
}

#[tonic::async_trait]
impl Admin for ClientService {
    async fn status(&self, _: Call<StatusRequest>) -> Result<Answer<StatusResponse>, Status> {
        let (reply, answer) = oneshot::channel();
        let busy = |_| Status::resource_exhausted("too many status requests are waiting");
        self.front.status.try_send(reply).map_err(busy)?;
        let stopping = |_| Status::unavailable("the node is shutting down");
        answer.await.map(Answer::new).map_err(stopping)
    }

    async fn change(&self, call: Call<ChangeRequest>) -> Result<Answer<ChangeResponse>, Status> {
        let ChangeRequest { deadline_ms, change } = call.into_inner();
        let reply = match change_task(change) {
            Ok(task) => self.front.submit(task, super::deadline(deadline_ms)).await,
            Err(message) => self.front.refuse(definitely_not(Reason::Malformed, message)),
        };
        Ok(Answer::new(reply.into_change(self.front.id)))
    }

    async fn take_snapshot(
        &self,
        _: Call<TakeSnapshotRequest>,
    ) -> Result<Answer<TakeSnapshotResponse>, Status> {
        let (index, error) = match self.front.take_snapshot().await {
            Ok(index) => (index, None),
            Err(error) => (0, Some(error)),
        };
        let (node, term) = (self.front.id, self.front.term());
        Ok(Answer::new(TakeSnapshotResponse { node, term, index, error }))
    }

    async fn transfer(
        &self,
        call: Call<TransferRequest>,
    ) -> Result<Answer<TransferResponse>, Status> {
        let TransferRequest { to, deadline_ms } = call.into_inner();
        let task = Task::Transfer((to != 0).then_some(to));
        let reply = self.front.submit(task, super::deadline(deadline_ms)).await;
        Ok(Answer::new(reply.into_transfer(self.front.id)))
    }
}
