//! A node's own view, over its admin service.

use super::channel;
use crate::system::{Counters, NodeStatus, Probe, Role};
use cluster::proto::admin_client::AdminClient;
use cluster::proto::{self, StatusRequest, StatusResponse};
use history::NodeId;
use std::net::SocketAddr;
use std::time::Duration;
use tonic::transport::Channel;
use workloads::BoxFuture;

/// Asks one node, over a connection it keeps while it works.
#[derive(Debug)]
pub struct ReferenceProbe {
    address: SocketAddr,
    channel: Option<Channel>,
}

impl ReferenceProbe {
    /// A probe of the node behind `address`; connects on its first use.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, channel: None }
    }
}

impl Probe for ReferenceProbe {
    fn status<'a>(&'a mut self, limit: Duration) -> BoxFuture<'a, Result<NodeStatus, String>> {
        Box::pin(async move {
            let address = self.address;
            let channel = self.channel.get_or_insert_with(|| channel::lazy(address, limit));
            let mut client = AdminClient::new(channel.clone());
            let answer = tokio::time::timeout(limit, client.status(StatusRequest {})).await;
            let answer = match answer {
                Ok(Ok(answer)) => return of_response(&answer.into_inner()),
                Ok(Err(status)) => format!("{:?}: {}", status.code(), status.message()),
                Err(_) => format!("no answer in {limit:?}"),
            };
            self.channel = None;
            Err(answer)
        })
    }
}

fn of_response(response: &StatusResponse) -> Result<NodeStatus, String> {
    let role = match response.role() {
        proto::Role::Leader => Role::Leader,
        proto::Role::Follower => Role::Follower,
        proto::Role::PreCandidate | proto::Role::Candidate => Role::Candidate,
        proto::Role::Unspecified => return Err("a status without a role".to_owned()),
    };
    Ok(NodeStatus {
        role,
        term: response.term,
        leader: node_id(response.leader),
        commit: response.commit,
        applied: response.applied,
        durable: response.durable,
        last: response.last,
        counters: Some(Counters {
            truncations: response.truncations,
            snapshots_installed: response.snapshot.as_ref().map_or(0, |one| one.installed),
            leaderless_elections: response.leaderless_elections,
        }),
    })
}

/// The node behind a number on the wire, in whichever life; 0 means none.
pub(super) fn node_id(number: u64) -> Option<NodeId> {
    super::administrator::member(number).map(|member| member.node)
}
