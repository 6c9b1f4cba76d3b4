//! As much of etcd's v3 API as is measured: `Put`, `Range` and `Status`, their messages written by hand.
//!
//! Fields that nobody reads here are left out; protobuf skips what it does not know.

use bytes::Bytes;
use cluster::codec::Codec;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PutResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<Header>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Header {
    #[prost(uint64, tag = "2")]
    pub(crate) member: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    pub(crate) pairs: Vec<Pair>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Pair {
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) value: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StatusRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<Header>,
    #[prost(uint64, tag = "4")]
    pub(crate) leader: u64,
}

/// A client of one member.
#[derive(Clone)]
pub(crate) struct Etcd {
    grpc: Grpc<Channel>,
}

impl Etcd {
    pub(crate) fn new(channel: Channel) -> Etcd {
        Etcd { grpc: Grpc::new(channel) }
    }

    pub(crate) async fn put(&mut self, key: Bytes, value: Bytes) -> Result<(), Status> {
        let path = PathAndQuery::from_static("/etcdserverpb.KV/Put");
        let _: PutResponse = self.call(path, PutRequest { key, value }).await?;
        Ok(())
    }

    /// A linearizable read, which `Range` is by default.
    pub(crate) async fn get(&mut self, key: Bytes) -> Result<Option<Bytes>, Status> {
        let path = PathAndQuery::from_static("/etcdserverpb.KV/Range");
        let response: RangeResponse = self.call(path, RangeRequest { key }).await?;
        Ok(response.pairs.into_iter().next().map(|pair| pair.value))
    }

    pub(crate) async fn status(&mut self) -> Result<StatusResponse, Status> {
        self.call(PathAndQuery::from_static("/etcdserverpb.Maintenance/Status"), StatusRequest {})
            .await
    }

    async fn call<A, B>(&mut self, path: PathAndQuery, request: A) -> Result<B, Status>
    where
        A: prost::Message + 'static,
        B: prost::Message + Default + 'static,
    {
        let ready = self.grpc.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = Codec::<A, B>::default();
        Ok(self.grpc.unary(Request::new(request), path, codec).await?.into_inner())
    }
}
