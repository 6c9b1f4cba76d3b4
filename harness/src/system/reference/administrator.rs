//! The reference cluster's admin service, and the numbers of its members.
//!
//! A number is used once: a node that takes the place of one that was removed has another number, so nothing that
//! the cluster remembers of the old one can be taken for the new one's. The number tells the node and its life.

use super::channel;
use crate::system::{Administrator, AdministratorView, Change};
use cluster::proto::admin_client::AdminClient;
use cluster::proto::{
    AddLearner, ChangeRequest, Error, Role, StatusRequest, StatusResponse, TakeSnapshotRequest,
    TransferRequest, change_request,
};
use faults::Member;
use history::NodeId;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Response, Status};
use workloads::BoxFuture;

/// Between the numbers of one node's lives.
const LIFE: u64 = 1000;

/// The member's number on the wire.
#[must_use]
pub fn number(member: Member) -> u64 {
    u64::from(member.node.0) + LIFE * u64::from(member.life)
}

/// The member that a number means; 0 means none.
#[must_use]
pub fn member(number: u64) -> Option<Member> {
    let node = u16::try_from(number % LIFE).ok().filter(|node| *node != 0)?;
    Some(Member { node: NodeId(node), life: u32::try_from(number / LIFE).ok()? })
}

/// Speaks to nodes over a fresh connection each time: calls are rare and nodes come and go.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceAdministrator;

impl Administrator for ReferenceAdministrator {
    fn view(
        &self,
        address: SocketAddr,
        limit: Duration,
    ) -> BoxFuture<'_, Result<AdministratorView, String>> {
        Box::pin(async move {
            let mut client = client(address, limit);
            let status = call(limit, client.status(StatusRequest {})).await?;
            view(&status).ok_or_else(|| "its status names a member that cannot be".to_owned())
        })
    }

    fn change(
        &self,
        address: SocketAddr,
        change: Change,
        limit: Duration,
    ) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let change = match change {
                Change::Add { member, address } => {
                    let (id, address) = (number(member), address.to_string());
                    change_request::Change::AddLearner(AddLearner { id, address })
                }
                Change::Promote(member) => change_request::Change::Promote(number(member)),
                Change::Remove(member) => change_request::Change::Remove(number(member)),
            };
            let deadline_ms = milliseconds(limit);
            let request = ChangeRequest { deadline_ms, change: Some(change) };
            outcome(call(limit, client(address, limit).change(request)).await?.error)
        })
    }

    fn transfer(
        &self,
        address: SocketAddr,
        to: Member,
        limit: Duration,
    ) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let request = TransferRequest { to: number(to), deadline_ms: milliseconds(limit) };
            outcome(call(limit, client(address, limit).transfer(request)).await?.error)
        })
    }

    fn snapshot(&self, address: SocketAddr, limit: Duration) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let request = TakeSnapshotRequest {};
            outcome(call(limit, client(address, limit).take_snapshot(request)).await?.error)
        })
    }
}

fn client(address: SocketAddr, limit: Duration) -> AdminClient<Channel> {
    AdminClient::new(channel::lazy(address, limit))
}

async fn call<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, String> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(format!("{:?}: {}", status.code(), status.message())),
        Err(_) => Err(format!("no answer in {limit:?}")),
    }
}

fn outcome(error: Option<Error>) -> Result<(), String> {
    error.map_or(Ok(()), |error| Err(error.message))
}

fn milliseconds(limit: Duration) -> u32 {
    u32::try_from(limit.as_millis()).unwrap_or(u32::MAX)
}

fn view(status: &StatusResponse) -> Option<AdministratorView> {
    let members = |numbers: &[u64]| numbers.iter().map(|n| member(*n)).collect::<Option<Vec<_>>>();
    Some(AdministratorView {
        member: member(status.id)?,
        leads: status.role() == Role::Leader,
        term: status.term,
        leader: member(status.leader).map(|member| member.node),
        voters: members(&status.voters)?,
        learners: members(&status.learners)?,
        configured: status.configured,
        settled: status.outgoing.is_empty() && status.commit >= status.configured,
        snapshot: status.snapshot.as_ref().map_or(0, |snapshot| snapshot.index),
    })
}

#[cfg(test)]
mod tests {
    use super::{member, number, view};
    use cluster::proto::StatusResponse;
    use faults::Member;
    use history::NodeId;

    #[test]
    fn a_number_tells_the_node_and_its_life() {
        for (node, life) in [(1, 0), (9, 0), (3, 1), (3, 9)] {
            let one = Member { node: NodeId(node), life };
            assert_eq!(member(number(one)), Some(one));
        }
        assert_eq!((member(0), member(2000)), (None, None));
    }

    #[test]
    fn a_configuration_is_settled_once_nothing_can_undo_it() {
        let mut status = StatusResponse { id: 1, configured: 7, commit: 6, ..Default::default() };
        assert!(!view(&status).unwrap().settled, "not committed");
        status.commit = 7;
        assert!(view(&status).unwrap().settled);
        status.outgoing = vec![2];
        assert!(!view(&status).unwrap().settled, "joint: a further step is to come");
    }
}
