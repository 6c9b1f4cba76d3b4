//! Session streams: every call is answered once, here or by the leader, and no more is read than is taken.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::bug::Bugs;
use cluster::proto::session_request::Call;
use cluster::proto::session_response::Answer;
use cluster::proto::{
    ErrorCode, OpenSessionRequest, Reason, Request, SessionRequest, SessionResponse,
    open_session_response, response,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::nodes::{self, Client, Nodes, cas, delete, read, write};

const LIMIT: Duration = Duration::from_secs(20);
/// More than may be outstanding on one stream, so that the stream must stop reading in between.
const CALLS: u64 = 3000;

/// A stream and its answers.
async fn open(client: &mut Client) -> (mpsc::Sender<SessionRequest>, Streaming<SessionResponse>) {
    let (sender, calls) = mpsc::channel(CALLS as usize);
    let answers = client.kv.session(ReceiverStream::new(calls));
    (sender, timeout(LIMIT, answers).await.unwrap().unwrap().into_inner())
}

/// What is asked under an id: all kinds of calls, and among them those that are refused.
fn call(id: u64) -> Option<Call> {
    let request = match id % 8 {
        0 => return Some(Call::OpenSession(OpenSessionRequest { deadline_ms: 0, forward: true })),
        1 => read("k"),
        2 => cas(&id.to_string(), None, "x"),
        3 => delete("nothing"),
        4 => return None,
        5 => Request { operation: None, ..Request::default() },
        _ => write(&id.to_string(), "x"),
    };
    Some(Call::Execute(Request { forward: true, deadline_ms: 10_000, ..request }))
}

/// Whether this can be the answer to `call(id)`.
fn fits(id: u64, answer: Option<Answer>) -> bool {
    let outcome = match answer {
        Some(Answer::OpenSession(opened)) => {
            let session =
                matches!(opened.outcome, Some(open_session_response::Outcome::Session(_)));
            return id.is_multiple_of(8) && session;
        }
        Some(Answer::Execute(response)) => response.outcome.unwrap(),
        None => return false,
    };
    match (id % 8, outcome) {
        (1, response::Outcome::Read(read)) => read.value.is_some_and(|value| value == "1"),
        (2, response::Outcome::Cas(cas)) => cas.swapped,
        (3 | 6 | 7, response::Outcome::Done(_)) => true,
        (4 | 5, response::Outcome::Error(error)) => {
            let definite = error.code() == ErrorCode::DefinitelyNotApplied;
            definite && error.reason() == Reason::Malformed
        }
        _ => false,
    }
}

/// At the leader, and at a follower that passes everything on.
#[tokio::test]
async fn a_session_stream_answers_everything_once() {
    let nodes = Nodes::start(3, Bugs::NONE);
    let leader = nodes.leader().await;
    let follower = nodes.ids().find(|id| *id != leader).unwrap();
    let mut first = nodes.client(leader).await;
    assert_eq!(first.execute(write("k", "1")).await, nodes::Answer::Done);
    for node in [leader, follower] {
        let (sender, mut answers) = open(&mut nodes.client(node).await).await;
        // Ids of its own, which are keys too.
        let ids = node * 8000..node * 8000 + CALLS;
        for id in ids.clone() {
            sender.try_send(SessionRequest { id, call: call(id) }).unwrap();
        }
        drop(sender);
        let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
        while let Some(answer) = timeout(LIMIT, answers.message()).await.unwrap().unwrap() {
            *seen.entry(answer.id).or_default() += 1;
            assert!(fits(answer.id, answer.answer.clone()), "{answer:?}");
        }
        assert!(seen.values().all(|times| *times == 1), "answered twice");
        assert!(seen.keys().copied().eq(ids), "not everything was answered");
        let last = (node * 8000 + CALLS - 1).to_string();
        assert_eq!(first.execute(read(&last)).await, nodes::Answer::value("x"));
    }
}

#[tokio::test]
async fn one_stream_too_many_is_refused_and_a_place_is_free_again() {
    let nodes = Nodes::start(1, Bugs::NONE);
    let mut client = nodes.client(nodes.leader().await).await;
    let mut streams = Vec::new();
    for _ in 0..256 {
        streams.push(open(&mut client).await);
    }
    let (_sender, calls) = mpsc::channel(1);
    let refused = timeout(LIMIT, client.kv.session(ReceiverStream::new(calls))).await.unwrap();
    assert_eq!(refused.unwrap_err().code(), tonic::Code::ResourceExhausted);
    streams.pop();
    let again = async {
        loop {
            let (_sender, calls) = mpsc::channel(1);
            match client.kv.session(ReceiverStream::new(calls)).await {
                Ok(_) => break,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    timeout(LIMIT, again).await.unwrap();
}

/// Whoever does not take answers is not read from, and does not hold up others; the node forgets the stream
/// with its client.
#[tokio::test]
async fn a_stream_whose_answers_nobody_takes_is_not_read_without_end() {
    let nodes = Nodes::start(1, Bugs::NONE);
    let leader = nodes.leader().await;
    let mut client = nodes.client(leader).await;
    let large = "x".repeat(64 << 10);
    assert_eq!(client.execute(write("large", &large)).await, nodes::Answer::Done);
    let mut greedy = nodes.client(leader).await;
    let (sender, answers) = open(&mut greedy).await;
    let request = |id| {
        let write = write(&format!("{id}"), "x");
        let operation = if id % 2 == 0 { read("large").operation } else { write.operation };
        let call = Some(Call::Execute(Request { operation, ..Request::default() }));
        SessionRequest { id, call }
    };
    for id in 0..CALLS {
        sender.try_send(request(id)).unwrap();
    }
    // 3,000 calls would write 1,500 keys; no more than half of what may be outstanding are writes, and a few
    // whose answers fit into the windows of the connection.
    let comes_to_rest = async {
        let (mut keys, mut unchanged) = (0, 0);
        while keys < 500 || unchanged < 20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = nodes.status(leader).await.unwrap().keys;
            unchanged = if now == keys { unchanged + 1 } else { 0 };
            keys = now;
        }
        keys
    };
    let keys = timeout(LIMIT, comes_to_rest).await.expect("at least 500 keys, and then no more");
    assert!(keys < 700, "{keys} keys were written");
    assert_eq!(client.execute(write("k", "1")).await, nodes::Answer::Done);
    drop((sender, answers, greedy));
    nodes.until(leader, |status| status.pending == 0).await;
}
