//! As much of etcd's v3 API as is spoken here, its messages written by hand: five calls, six messages with what is in them.
//!
//! The numbers are those of etcd's `rpc.proto`. A field that nobody here sends or reads is left out; protobuf skips what it
//! does not know, so an answer of a later version is read as far as it is known.
//!
//! Connections have no keepalive: etcd ends those that ping more often than each five seconds, and an attempt has a limit of
//! its own, after which its connection is not used again.

use prost::Message;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codec::{DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// What stands at the head of every answer.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Header {
    /// Who answers.
    #[prost(uint64, tag = "2")]
    pub member_id: u64,
    /// The revision of its whole store when it answered.
    #[prost(int64, tag = "3")]
    pub revision: i64,
}

/// Asks for one key; a linearizable read unless it says otherwise, which this one cannot.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RangeRequest {
    /// The key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
}

/// The answer to a read.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RangeResponse {
    /// Its head.
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    /// The key with its value, if there is one.
    #[prost(message, repeated, tag = "2")]
    pub pairs: Vec<Pair>,
}

/// A key and its value.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Pair {
    /// The key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// Its value.
    #[prost(bytes = "vec", tag = "5")]
    pub value: Vec<u8>,
}

/// Sets one key.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PutRequest {
    /// The key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// Its new value.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// The answer to a write.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PutResponse {
    /// Its head.
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
}

/// Removes one key.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DeleteRangeRequest {
    /// The key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
}

/// The answer to a delete.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DeleteRangeResponse {
    /// Its head.
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    /// How many keys there were to remove.
    #[prost(int64, tag = "2")]
    pub deleted: i64,
}

/// One comparison of a transaction: that a key's value is this one. A key that does not exist equals nothing.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Compare {
    /// 0: equal.
    #[prost(int32, tag = "1")]
    pub result: i32,
    /// 3: the value.
    #[prost(int32, tag = "2")]
    pub target: i32,
    /// The key.
    #[prost(bytes = "vec", tag = "3")]
    pub key: Vec<u8>,
    /// The value wanted. Sent also if it is empty: it is one of several that may stand here.
    #[prost(bytes = "vec", optional, tag = "7")]
    pub value: Option<Vec<u8>>,
}

/// One step of a transaction.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RequestOp {
    /// A write.
    #[prost(message, optional, tag = "2")]
    pub put: Option<PutRequest>,
}

/// Writes if all comparisons hold. etcd takes one with a write in it through its log whether or not they do, so that what
/// it says of them is as linearizable as a write.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TxnRequest {
    /// What has to hold.
    #[prost(message, repeated, tag = "1")]
    pub compare: Vec<Compare>,
    /// What is done then.
    #[prost(message, repeated, tag = "2")]
    pub success: Vec<RequestOp>,
}

/// The answer to a transaction.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TxnResponse {
    /// Its head.
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    /// Whether all comparisons held.
    #[prost(bool, tag = "2")]
    pub succeeded: bool,
}

/// Asks a member for its view.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct StatusRequest {}

/// A member's view.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct StatusResponse {
    /// Its head, which says who it is.
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    /// Who leads, as far as it knows; 0 for nobody.
    #[prost(uint64, tag = "4")]
    pub leader: u64,
    /// Its commit index.
    #[prost(uint64, tag = "5")]
    pub raft_index: u64,
    /// Its term.
    #[prost(uint64, tag = "6")]
    pub raft_term: u64,
    /// How far it has applied.
    #[prost(uint64, tag = "7")]
    pub raft_applied_index: u64,
}

/// Asks a member who the members are, as far as it has applied.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct MemberListRequest {}

/// The members.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct MemberListResponse {
    /// All of them.
    #[prost(message, repeated, tag = "2")]
    pub members: Vec<Member>,
}

/// One member.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Member {
    /// Its number.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Its name; empty until it has served once.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Where its peers call it.
    #[prost(string, repeated, tag = "3")]
    pub peer_urls: Vec<String>,
}

/// A channel that connects on its first call. Needs a runtime to be entered.
///
/// # Panics
/// Never: a socket address is a valid authority.
#[must_use]
pub fn channel(address: SocketAddr, connect_limit: Duration) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("a socket address is a valid authority")
        .connect_timeout(connect_limit)
        .tcp_nodelay(true)
        .connect_lazy()
}

/// A client of one member.
#[derive(Clone, Debug)]
pub struct Stub {
    grpc: Grpc<Channel>,
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($request:ident) -> $response:ident = $path:literal;)*) => {
        impl Stub {
            $($(#[$doc])*
            ///
            /// # Errors
            /// The member's own word, or the transport's.
            pub async fn $name(&mut self, request: $request) -> Result<$response, Status> {
                self.call(PathAndQuery::from_static($path), request).await
            })*
        }
    };
}

calls! {
    /// Reads.
    range(RangeRequest) -> RangeResponse = "/etcdserverpb.KV/Range";
    /// Writes.
    put(PutRequest) -> PutResponse = "/etcdserverpb.KV/Put";
    /// Deletes.
    delete_range(DeleteRangeRequest) -> DeleteRangeResponse = "/etcdserverpb.KV/DeleteRange";
    /// Compares and writes.
    txn(TxnRequest) -> TxnResponse = "/etcdserverpb.KV/Txn";
    /// Asks for the member's view.
    status(StatusRequest) -> StatusResponse = "/etcdserverpb.Maintenance/Status";
    /// Asks who the members are.
    member_list(MemberListRequest) -> MemberListResponse = "/etcdserverpb.Cluster/MemberList";
}

impl Stub {
    /// A client that calls over `channel`.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self { grpc: Grpc::new(channel) }
    }

    async fn call<A, B>(&mut self, path: PathAndQuery, request: A) -> Result<B, Status>
    where
        A: Message + 'static,
        B: Message + Default + 'static,
    {
        let ready = self.grpc.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = Codec::<A, B>::default();
        Ok(self.grpc.unary(Request::new(request), path, codec).await?.into_inner())
    }
}

/// How messages become bytes and back.
#[derive(Debug)]
pub struct Codec<A, B> {
    both: PhantomData<(A, B)>,
}

impl<A, B> Default for Codec<A, B> {
    fn default() -> Self {
        Self { both: PhantomData }
    }
}

impl<A: Message + 'static, B: Message + Default + 'static> tonic::codec::Codec for Codec<A, B> {
    type Encode = A;
    type Decode = B;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<A: Message, B> Encoder for Codec<A, B> {
    type Item = A;
    type Error = Status;

    fn encode(&mut self, message: A, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<A, B: Message + Default> Decoder for Codec<A, B> {
    type Item = B;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<B>, Status> {
        B::decode(buffer).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
