//! One client for both: the same channel settings, the same calls.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use cluster::proto::admin_client::AdminClient;
use cluster::proto::kv_client::KvClient;
use cluster::proto::{self, StatusRequest, request, response};
use tonic::transport::{Channel, Endpoint};

use crate::Result;
use crate::etcd::Etcd;

/// Whose cluster it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Ours,
    Etcd,
}

const MISSING: &str = "a key that was written is missing";

/// A client of one node.
#[derive(Clone)]
pub(crate) enum Client {
    Ours(KvClient<Channel>, AdminClient<Channel>),
    Etcd(Etcd),
}

/// What a node says of itself.
pub(crate) struct Said {
    pub(crate) leads: bool,
    pub(crate) has_leader: bool,
    /// Syncs of the log so far; only ours says.
    pub(crate) syncs: Option<u64>,
}

/// Opens a connection.
pub(crate) async fn connect(address: SocketAddr) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let endpoint = endpoint.tcp_nodelay(true).connect_timeout(Duration::from_secs(2));
    Ok(endpoint.connect().await?)
}

impl Client {
    pub(crate) fn new(who: Who, channel: Channel) -> Client {
        match who {
            Who::Ours => Client::Ours(KvClient::new(channel.clone()), AdminClient::new(channel)),
            Who::Etcd => Client::Etcd(Etcd::new(channel)),
        }
    }

    /// A durable write. A follower passes it on, in either cluster.
    pub(crate) async fn put(&mut self, key: Bytes, value: Bytes) -> Result<()> {
        match self {
            Client::Ours(kv, _) => {
                let response = kv.execute(write(key, value)).await?.into_inner();
                acknowledged(response)
            }
            Client::Etcd(etcd) => Ok(etcd.put(key, value).await?),
        }
    }

    /// A linearizable read of a key that exists.
    pub(crate) async fn get(&mut self, key: Bytes) -> Result<()> {
        match self {
            Client::Ours(kv, _) => acknowledged(kv.execute(read(key)).await?.into_inner()),
            Client::Etcd(etcd) => match etcd.get(key).await? {
                Some(_) => Ok(()),
                None => Err(MISSING.into()),
            },
        }
    }

    pub(crate) async fn status(&mut self) -> Result<Said> {
        Ok(match self {
            Client::Ours(_, admin) => {
                let status = admin.status(StatusRequest {}).await?.into_inner();
                Said {
                    leads: status.leader == status.id,
                    has_leader: status.leader != 0,
                    syncs: Some(status.wal.map_or(0, |wal| wal.syncs)),
                }
            }
            Client::Etcd(etcd) => {
                let status = etcd.status().await?;
                let member = status.header.map_or(0, |header| header.member);
                let (leads, has_leader) = (status.leader == member, status.leader != 0);
                Said { leads, has_leader, syncs: None }
            }
        })
    }
}

/// A write outside any session: like etcd's, it is not protected against being sent twice.
pub(crate) fn write(key: Bytes, value: Bytes) -> proto::Request {
    let operation = Some(request::Operation::Write(proto::Write { key, value }));
    proto::Request { operation, forward: true, ..Default::default() }
}

/// A linearizable read.
pub(crate) fn read(key: Bytes) -> proto::Request {
    let operation = Some(request::Operation::Read(proto::Read { key, ..Default::default() }));
    proto::Request { operation, forward: true, ..Default::default() }
}

/// An error unless the write was done, or the read found a value.
pub(crate) fn acknowledged(response: proto::Response) -> Result<()> {
    match response.outcome {
        Some(response::Outcome::Done(_)) => Ok(()),
        Some(response::Outcome::Read(read)) if read.value.is_some() => Ok(()),
        Some(response::Outcome::Read(_)) => Err(MISSING.into()),
        other => Err(format!("{other:?}").into()),
    }
}
