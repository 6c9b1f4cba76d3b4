//! Which service a request on the clients' port is for.
//!
//! There are two, and telling them apart by the beginning of a path is all that is needed. Tonic's own router takes any
//! path to any kind of service, and for that boxes and clones them several times for each request.

use std::convert::Infallible;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;

/// The services for clients and for operators on one port.
#[derive(Clone)]
pub(super) struct Routes<K, A> {
    pub(super) kv: K,
    pub(super) admin: A,
}

/// Whether a path is of service `S`: `/package.Service/Method`.
fn is_for<S: NamedService>(path: &str) -> bool {
    let path = path.strip_prefix('/').and_then(|path| path.strip_prefix(S::NAME));
    path.is_some_and(|method| method.starts_with('/'))
}

type Answering = BoxFuture<Response<Body>, Infallible>;

impl<K, A> Service<Request<Body>> for Routes<K, A>
where
    K: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answering>,
    A: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answering>
        + NamedService,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Both are always ready; but who wants to call has to ask.
        if self.kv.poll_ready(context)?.is_pending() {
            return Poll::Pending;
        }
        self.admin.poll_ready(context)
    }

    /// What is neither service's is answered "unimplemented" by the first, as an unknown method of its own is.
    fn call(&mut self, request: Request<Body>) -> Answering {
        if is_for::<A>(request.uri().path()) {
            self.admin.call(request)
        } else {
            self.kv.call(request)
        }
    }
}
