//! A member's own view, and which node a member's number means.
//!
//! etcd names members by numbers that it derives from their addresses. Which node one is, is learned by asking for the list
//! of members, which any member answers from what it has applied: the address at which peers call a member is its node's.

use super::api::{
    self, MemberListRequest, MemberListResponse, StatusRequest, StatusResponse, Stub,
};
use crate::system::{NodeStatus, Probe, Role};
use faults::{netns, proxy};
use history::NodeId;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tonic::Status;
use tonic::transport::Channel;
use workloads::BoxFuture;

/// The members that are known by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    nodes: BTreeMap<u64, NodeId>,
}

impl Members {
    /// A member's view, with the node that it takes for the leader.
    async fn ask(&mut self, stub: &mut Stub) -> Result<(StatusResponse, Option<NodeId>), Status> {
        let status = stub.status(StatusRequest {}).await?;
        if status.leader != 0 && !self.nodes.contains_key(&status.leader) {
            self.nodes = nodes(&stub.member_list(MemberListRequest {}).await?);
        }
        let leader = self.nodes.get(&status.leader).copied();
        Ok((status, leader))
    }

    /// Who leads, as far as a member knows.
    pub(super) async fn leader(&mut self, stub: &mut Stub) -> Result<Option<NodeId>, Status> {
        self.ask(stub).await.map(|(_, leader)| leader)
    }
}

/// The node of each member, by the address at which its peers call it.
fn nodes(list: &MemberListResponse) -> BTreeMap<u64, NodeId> {
    let node = |url: &String| {
        let at: SocketAddr = url.strip_prefix("http://")?.parse().ok()?;
        let SocketAddr::V4(at) = at else { return None };
        of_address(*at.ip())
    };
    let of = |member: &api::Member| Some((member.id, member.peer_urls.iter().find_map(node)?));
    list.members.iter().filter_map(of).collect()
}

/// The node that lives at this address, or is known by it, if one could.
fn of_address(address: Ipv4Addr) -> Option<NodeId> {
    let [_, _, high, low] = address.octets();
    let apart = NodeId(u16::from_be_bytes([high, low]));
    let apart = Some(apart).filter(|node| netns::address(*node) == address);
    apart.or_else(|| proxy::node_at(address))
}

/// Asks one member, over a connection that it keeps while that works.
#[derive(Debug)]
pub struct EtcdProbe {
    address: SocketAddr,
    channel: Option<Channel>,
    members: Members,
}

impl EtcdProbe {
    /// A probe of the member behind `address`; connects on its first use.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, channel: None, members: Members::default() }
    }
}

impl Probe for EtcdProbe {
    fn status<'a>(&'a mut self, limit: Duration) -> BoxFuture<'a, Result<NodeStatus, String>> {
        Box::pin(async move {
            let address = self.address;
            let channel = self.channel.get_or_insert_with(|| api::channel(address, limit));
            let mut stub = Stub::new(channel.clone());
            let answer = match tokio::time::timeout(limit, self.members.ask(&mut stub)).await {
                Ok(Ok((status, leader))) => return view(&status, leader),
                Ok(Err(status)) => format!("{:?}: {}", status.code(), status.message()),
                Err(_) => format!("no answer in {limit:?}"),
            };
            self.channel = None;
            Err(answer)
        })
    }
}

/// etcd tells how far it has committed and applied, and of its log no more: what is committed stands for its end and
/// for what is durable, which are at least that. Between two leaders it does not say who stands for election.
fn view(status: &StatusResponse, leader: Option<NodeId>) -> Result<NodeStatus, String> {
    let own = status.header.as_ref().map(|header| header.member_id);
    let own = own.filter(|own| *own != 0).ok_or("a status of nobody")?;
    let role = if status.leader == own { Role::Leader } else { Role::Follower };
    Ok(NodeStatus {
        role,
        term: status.raft_term,
        leader,
        commit: status.raft_index,
        applied: status.raft_applied_index,
        durable: status.raft_index,
        last: status.raft_index,
        counters: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::etcd::api::{Header, Member};

    #[test]
    fn a_member_is_known_by_the_address_of_its_peers() {
        let member = |id, url: &str| Member {
            id,
            name: String::new(),
            peer_urls: vec!["http://localhost:2380".to_owned(), url.to_owned()],
        };
        let list = MemberListResponse {
            members: vec![
                member(u64::MAX, "http://10.77.0.1:2380"),
                member(5, "http://10.77.1.44:2380"),
                member(6, "http://10.78.0.3:2380"),
                member(7, "unix://10.77.0.3:2380"),
                member(8, "http://127.130.4.2:2380"),
            ],
        };
        let wanted = BTreeMap::from([(u64::MAX, NodeId(1)), (5, NodeId(300)), (8, NodeId(2))]);
        assert_eq!(nodes(&list), wanted);
    }

    #[test]
    fn who_takes_itself_for_the_leader_leads() {
        let mut status = StatusResponse {
            header: Some(Header { member_id: 5, revision: 0 }),
            leader: 5,
            raft_index: 9,
            raft_term: 3,
            raft_applied_index: 8,
        };
        let seen = view(&status, Some(NodeId(2))).unwrap();
        assert_eq!((seen.role, seen.leader, seen.term), (Role::Leader, Some(NodeId(2)), 3));
        assert_eq!((seen.commit, seen.applied), (9, 8));
        status.leader = 0;
        assert_eq!(view(&status, None).unwrap().role, Role::Follower);
        status.header = None;
        assert!(view(&status, None).is_err());
    }
}
