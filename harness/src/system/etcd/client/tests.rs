//! The client against a server that answers from a script, over real connections.

use super::super::api::{
    Codec, Header, Member, MemberListResponse, Pair, PutResponse, RangeResponse, StatusResponse,
    TxnResponse,
};
use super::*;
use crate::recorder::Recorder;
use crate::results::RevisionHeader;
use history::Header as HistoryHeader;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{BufReader, Seek};
use std::sync::Mutex;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture as Answering, Service};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

const DEADLINE: Duration = Duration::from_millis(1500);

/// What the server does with the next call of the store.
#[derive(Clone, Debug)]
enum Line {
    /// Says nothing, for as long as anybody waits.
    Silence,
    /// A word of etcd's, or of nobody's.
    Word(&'static str),
    /// The value of a read, with a revision.
    Value(Option<&'static str>, i64),
    /// A write is done, at this revision.
    Done(i64),
    /// A comparison, at this revision.
    Compared(bool, i64),
}

#[derive(Default)]
struct Script {
    lines: VecDeque<Line>,
    /// The methods that were called, and what came with them.
    calls: Vec<String>,
    /// The member that leads; nobody at 0.
    leader: u64,
}

/// One member, with the number of its node.
#[derive(Clone)]
struct Fake {
    member: u64,
    script: Arc<Mutex<Script>>,
}

/// The answer to one call, whatever the question was.
struct Answers<B>(Option<Result<B, Status>>);

impl<B: Send + 'static> UnaryService<Vec<u8>> for Answers<B> {
    type Response = B;
    type Future = Answering<tonic::Response<B>, Status>;

    fn call(&mut self, _: tonic::Request<Vec<u8>>) -> Self::Future {
        let answer = self.0.take();
        Box::pin(async move {
            match answer {
                Some(answer) => answer.map(tonic::Response::new),
                None => std::future::pending().await,
            }
        })
    }
}

async fn reply<B: prost::Message + Default + 'static>(
    request: Request<Body>,
    answer: Option<Result<B, Status>>,
) -> Result<Response<Body>, Infallible> {
    // A question of bytes decodes whatever is asked; what is looked at is the path.
    let mut grpc = Grpc::new(Codec::<B, Vec<u8>>::default());
    Ok(grpc.unary(Answers(answer), request).await)
}

impl Fake {
    fn header(&self, revision: i64) -> Option<Header> {
        Some(Header { member_id: self.member, revision })
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let (line, leader) = {
            let mut script = self.script.lock().unwrap();
            match method.as_str() {
                "Status" | "MemberList" => (None, script.leader),
                _ => {
                    script.calls.push(format!("n{} {method}", self.member));
                    (script.lines.pop_front(), script.leader)
                }
            }
        };
        let head = |revision| self.header(revision);
        match (method.as_str(), line) {
            ("Status", _) => {
                let status = StatusResponse { header: head(1), leader, ..Default::default() };
                reply(request, Some(Ok(status))).await
            }
            ("MemberList", _) => {
                let member = |id| Member {
                    id,
                    name: String::new(),
                    peer_urls: vec![format!("http://10.77.0.{id}:2380")],
                };
                let members = (1..=3).map(member).collect();
                reply(request, Some(Ok(MemberListResponse { members }))).await
            }
            (_, None) => {
                reply::<PutResponse>(request, Some(Err(Status::internal("no line")))).await
            }
            (_, Some(Line::Silence)) => reply::<PutResponse>(request, None).await,
            (_, Some(Line::Word(word))) => {
                reply::<PutResponse>(request, Some(Err(Status::unavailable(word)))).await
            }
            ("Range", Some(Line::Value(value, revision))) => {
                let pair = |value: &str| Pair { key: b"k".to_vec(), value: value.into() };
                let pairs = value.into_iter().map(pair).collect();
                reply(request, Some(Ok(RangeResponse { header: head(revision), pairs }))).await
            }
            ("Put", Some(Line::Done(revision))) => {
                reply(request, Some(Ok(PutResponse { header: head(revision) }))).await
            }
            ("Txn", Some(Line::Compared(succeeded, revision))) => {
                let answer = TxnResponse { header: head(revision), succeeded };
                reply(request, Some(Ok(answer))).await
            }
            (_, Some(line)) => panic!("{line:?} for {method}"),
        }
    }
}

/// The three services on one port; tonic's router is asked for by name, and this one takes all names.
#[derive(Clone)]
struct Named<const N: usize>(Fake);

impl NamedService for Named<0> {
    const NAME: &'static str = "etcdserverpb.KV";
}
impl NamedService for Named<1> {
    const NAME: &'static str = "etcdserverpb.Maintenance";
}
impl NamedService for Named<2> {
    const NAME: &'static str = "etcdserverpb.Cluster";
}

impl<const N: usize> Service<Request<Body>> for Named<N> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.clone().answer(request))
    }
}

struct Members3 {
    script: Arc<Mutex<Script>>,
    settings: ClientSettings,
    revisions: Arc<Revisions>,
    file: std::fs::File,
}

/// Three members that share a script, and a client's settings.
fn members(route: Route, leader: u64, lines: &[Line]) -> Members3 {
    let script =
        Arc::new(Mutex::new(Script { lines: lines.to_vec().into(), leader, ..Script::default() }));
    let mut addresses = BTreeMap::new();
    for member in 1..=3_u64 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let node = NodeId(u16::try_from(member).unwrap());
        addresses.insert(node, listener.local_addr().unwrap());
        let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener).unwrap());
        let fake = Fake { member, script: Arc::clone(&script) };
        let (kv, maintenance, cluster) =
            (Named::<0>(fake.clone()), Named::<1>(fake.clone()), Named::<2>(fake));
        let server = Server::builder()
            .add_service(kv)
            .add_service(maintenance)
            .add_service(cluster)
            .serve_with_incoming(incoming);
        tokio::spawn(server);
    }
    let recorder = Recorder::start(tempfile::tempfile().unwrap(), &HistoryHeader::new("kv"));
    let file = tempfile::tempfile().unwrap();
    let revisions = Revisions::start(Arc::new(recorder.unwrap()), file.try_clone().unwrap());
    let attempt = Duration::from_millis(300);
    let (lease_reads, first, workload) = (false, 0, "kv");
    let settings = ClientSettings { route, addresses, attempt, lease_reads, first, workload };
    Members3 { script, settings, revisions: Arc::new(revisions.unwrap()), file }
}

impl Members3 {
    fn client(&self) -> EtcdClient {
        EtcdClient::new(&self.settings, Some(Arc::clone(&self.revisions)))
    }

    /// One operation: how it ended, in the words of the history.
    async fn ends(&self, operation: &KvOperation) -> String {
        match self.client().call(operation, DEADLINE).await {
            Ok(answer) => format!("{answer:?}"),
            Err(ClientError { class: ErrorClass::Definite, code, .. }) => format!("fail {code}"),
            Err(ClientError { class: ErrorClass::Indefinite, code, .. }) => format!("info {code}"),
        }
    }

    fn calls(&self) -> Vec<String> {
        self.script.lock().unwrap().calls.clone()
    }

    fn told(&self) -> Vec<Revision> {
        let mut file = self.file.try_clone().unwrap();
        file.rewind().unwrap();
        let read = crate::results::read_lines::<RevisionHeader, _>(BufReader::new(file));
        read.unwrap().unwrap().1
    }
}

fn read() -> KvOperation {
    KvOperation::Read { key: "k".to_owned() }
}

fn write() -> KvOperation {
    KvOperation::Write { key: "k".to_owned(), value: 4 }
}

fn cas() -> KvOperation {
    KvOperation::Cas { key: "k".to_owned(), from: 3, to: 4 }
}

const ONE: Route = Route::Node(NodeId(1));

#[tokio::test]
async fn answers_are_answers_and_their_revisions_are_told() {
    let lines = [
        Line::Value(Some("3"), 5),
        Line::Done(6),
        Line::Compared(true, 7),
        Line::Compared(false, 7),
        Line::Value(None, 0),
    ];
    let members = members(ONE, 2, &lines);
    for (operation, end) in [
        (read(), "Value(Some(3))"),
        (write(), "Done"),
        (cas(), "Swapped"),
        (cas(), "Mismatch"),
        (read(), "Value(None)"),
    ] {
        assert_eq!(members.ends(&operation).await, end);
    }
    let told = members.told();
    let short: Vec<_> = told.iter().map(|t| (t.f.as_str(), t.revision, t.wrote)).collect();
    let wanted = [("read", 5, false), ("write", 6, true), ("cas", 7, true), ("cas", 7, false)];
    assert_eq!(short, wanted, "a revision of 0 is none");
    assert!(told.iter().all(|t| t.node == NodeId(1) && t.key == "k" && t.begin < t.end));
    assert!(told.windows(2).all(|two| two[0].end < two[1].begin));
}

#[tokio::test]
async fn an_effect_is_tried_again_only_after_what_certainly_did_nothing() {
    let again = [Line::Word("etcdserver: too many requests"), Line::Done(6)];
    let first = members(ONE, 2, &again);
    assert_eq!(first.ends(&write()).await, "Done");
    assert_eq!(first.calls(), ["n1 Put", "n1 Put"]);
    for (line, end) in [
        (Line::Silence, "info timeout"),
        (Line::Word("etcdserver: request timed out"), "info node-timeout"),
        (Line::Word("etcdserver: mvcc: database space exceeded"), "info no-space"),
        (Line::Word("etcdserver: something new"), "info other-error"),
        (Line::Word("connection reset"), "info connection"),
    ] {
        let refused = Line::Word("etcdserver: not capable");
        for operation in [write(), cas()] {
            let members = members(ONE, 2, &[refused.clone(), line.clone(), Line::Done(6)]);
            assert_eq!(members.ends(&operation).await, end, "{line:?}");
            assert_eq!(members.calls().len(), 2, "{line:?}: tried again after it");
            assert!(members.told().is_empty());
        }
    }
}

#[tokio::test]
async fn refusals_alone_are_a_failure_and_a_read_is_asked_again_after_anything() {
    let refused = vec![Line::Word("etcdserver: too many requests"); 40];
    assert_eq!(members(ONE, 2, &refused).ends(&write()).await, "fail overloaded");
    let large = members(ONE, 2, &[Line::Word("etcdserver: request is too large")]);
    assert_eq!(large.ends(&write()).await, "fail too-large");
    assert_eq!(large.calls().len(), 1, "no attempt can do better");
    let lines =
        [Line::Silence, Line::Word("etcdserver: leader changed"), Line::Value(Some("1"), 9)];
    let members = members(ONE, 2, &lines);
    assert_eq!(members.ends(&read()).await, "Value(Some(1))");
    let told = members.told();
    assert_eq!((told.len(), told[0].revision), (1, 9));
    let waited = told[0].end.0 - told[0].begin.0;
    assert!(waited < 300_000_000, "the time of the attempt that was answered: {waited} ns");
}

#[tokio::test]
async fn a_client_that_follows_goes_to_the_leader_and_away_from_one_that_is_silent() {
    let lines = [Line::Done(2), Line::Silence, Line::Value(Some("1"), 2)];
    let members = members(Route::Leader, 3, &lines);
    let mut client = members.client();
    assert_eq!(client.call(&write(), DEADLINE).await, Ok(KvAnswer::Done));
    assert_eq!(client.node(), Some(NodeId(3)));
    assert_eq!(client.call(&read(), DEADLINE).await, Ok(KvAnswer::Value(Some(1))));
    assert_eq!(members.calls(), ["n3 Put", "n3 Range", "n1 Range"]);
    let nobody = self::members(Route::Leader, 0, &[Line::Done(2)]);
    assert_eq!(nobody.ends(&write()).await, "Done", "any member passes it on");
}
