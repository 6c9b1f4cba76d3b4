//! A gRPC service of tonic behind a relay, and its caller. Messages are bytes: there is no protobuf here.

use bytes::{Buf, BufMut, Bytes};
use faults::Link;
use faults::message::Relays;
use history::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Service, http};
use tonic::server::{ClientStreamingService, NamedService, StreamingService, UnaryService};
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status, Streaming};

pub(crate) const LINK: Link = Link::new(NodeId(1), NodeId(2));

#[derive(Default)]
pub(crate) struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;
type Coming<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

/// Echoes, and writes down every message that reaches it. A call that says `fail` gets an error with details, one
/// that says `hang` no answer.
#[derive(Clone, Default)]
pub(crate) struct Echo {
    pub(crate) seen: Arc<Mutex<Vec<Bytes>>>,
    /// Calls whose caller has gone before they were answered.
    pub(crate) abandoned: Arc<Mutex<u32>>,
}

struct Abandoned(Arc<Mutex<u32>>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        *self.0.lock().unwrap() += 1;
    }
}

impl Echo {
    fn see(&self, message: &Bytes) {
        self.seen.lock().unwrap().push(message.clone());
    }
}

impl UnaryService<Bytes> for Echo {
    type Response = Bytes;
    type Future = Coming<Bytes>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let tag = request.metadata().get("tag").cloned();
            let message = request.into_inner();
            echo.see(&message);
            if message == "hang" {
                let _abandoned = Abandoned(echo.abandoned);
                std::future::pending::<()>().await;
            }
            if message == "fail" {
                return Err(Status::with_details(Code::Aborted, "as asked", message));
            }
            let mut response = Response::new(message);
            response.metadata_mut().extend_tag(tag);
            Ok(response)
        })
    }
}

trait Tagged {
    fn extend_tag(&mut self, tag: Option<tonic::metadata::AsciiMetadataValue>);
}

impl Tagged for tonic::metadata::MetadataMap {
    fn extend_tag(&mut self, tag: Option<tonic::metadata::AsciiMetadataValue>) {
        if let Some(tag) = tag {
            self.insert("tag", tag);
        }
    }
}

impl StreamingService<Bytes> for Echo {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = Coming<Answers>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let answers = request.into_inner().map(move |message| {
                let message = message?;
                echo.see(&message);
                if message == "fail" { Err(Status::data_loss("as asked")) } else { Ok(message) }
            });
            Ok(Response::new(Box::pin(answers) as Answers))
        })
    }
}

/// Answers with how many messages came, once the stream has ended.
struct Count(Echo);

impl ClientStreamingService<Bytes> for Count {
    type Response = Bytes;
    type Future = Coming<Bytes>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let echo = self.0.clone();
        Box::pin(async move {
            let mut messages = request.into_inner();
            let mut count = 0_u32;
            while let Some(message) = messages.message().await? {
                echo.see(&message);
                count += 1;
            }
            Ok(Response::new(Bytes::copy_from_slice(&count.to_be_bytes())))
        })
    }
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Plain);
            Ok(match request.uri().path() {
                "/echo/unary" => grpc.unary(echo, request).await,
                "/echo/stream" => grpc.streaming(echo, request).await,
                _ => grpc.client_streaming(Count(echo), request).await,
            })
        })
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "echo";
}

/// A caller, a relay, and the service behind it.
pub(crate) struct Stand {
    pub(crate) relays: Relays,
    pub(crate) echo: Echo,
    pub(crate) server: tokio::task::JoinHandle<()>,
}

impl Stand {
    pub(crate) async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_addr().unwrap();
        Self::in_front_of(upstream, listener)
    }

    /// The relay dials `upstream`, from where the listener is reached somehow.
    pub(crate) fn in_front_of(upstream: SocketAddr, listener: tokio::net::TcpListener) -> Self {
        let echo = Echo::default();
        let serving = Server::builder().add_service(echo.clone());
        let server = tokio::spawn(async move {
            serving.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        let relays = Relays::start(&BTreeMap::from([(LINK, upstream)])).unwrap();
        Self { relays, echo, server }
    }

    pub(crate) async fn caller(&self) -> Caller {
        let address = self.relays.address(LINK).unwrap();
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        Caller(Grpc::new(endpoint.connect().await.unwrap()))
    }

    pub(crate) fn seen(&self) -> Vec<Bytes> {
        self.echo.seen.lock().unwrap().clone()
    }
}

#[derive(Clone)]
pub(crate) struct Caller(Grpc<Channel>);

impl Caller {
    pub(crate) async fn unary(&mut self, message: &[u8]) -> Result<Response<Bytes>, Status> {
        self.0.ready().await.unwrap();
        let mut request = Request::new(Bytes::copy_from_slice(message));
        request.metadata_mut().insert("tag", "t1".parse().unwrap());
        self.0.unary(request, PathAndQuery::from_static("/echo/unary"), Plain).await
    }

    /// Opens a stream; what is sent into the first comes out of the second.
    pub(crate) async fn stream(&mut self) -> (mpsc::Sender<Bytes>, Streaming<Bytes>) {
        self.0.ready().await.unwrap();
        let (sender, messages) = mpsc::channel(16);
        let path = PathAndQuery::from_static("/echo/stream");
        let request = Request::new(ReceiverStream::new(messages));
        let answers = self.0.streaming(request, path, Plain).await.unwrap();
        (sender, answers.into_inner())
    }

    /// Sends all of these in one stream and says how many arrived.
    pub(crate) async fn count(&mut self, messages: Vec<Bytes>) -> Result<u32, Status> {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::from_static("/echo/count");
        let request = Request::new(tokio_stream::iter(messages));
        let count = self.0.client_streaming(request, path, Plain).await?.into_inner();
        Ok(u32::from_be_bytes(count.as_ref().try_into().unwrap()))
    }
}
