//! The final phases and the early look, against clients that answer from a script.

use super::{EARLY_LOOK_LIMIT, fail_fast, final_reads, settle, unless_late};
use crate::recorder::Recorder;
use crate::worker::{Clients, Desk};
use history::{Header, NodeId};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use workloads::{
    BoxFuture, ClientError, Completion, ErrorClass, Invocation, KvAnswer, KvClient, KvOperation,
};

const LIMIT: Duration = Duration::from_secs(30);

/// n1 serves, n2 refuses, n3 says nothing.
struct Scripted(Option<NodeId>);

impl KvClient for Scripted {
    fn call<'a>(
        &'a mut self,
        operation: &'a KvOperation,
        _deadline: Duration,
    ) -> BoxFuture<'a, Result<KvAnswer, ClientError>> {
        let node = self.0;
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            match (node, operation) {
                (Some(NodeId(1)), KvOperation::Read { .. }) => Ok(KvAnswer::Value(None)),
                (Some(NodeId(1)), _) => Ok(KvAnswer::Done),
                (Some(NodeId(2)), _) => Err(ClientError {
                    class: ErrorClass::Definite,
                    code: "no-leader",
                    message: String::new(),
                }),
                _ => std::future::pending().await,
            }
        })
    }

    fn node(&self) -> Option<NodeId> {
        self.0
    }
}

struct ScriptedClients;

impl Clients for ScriptedClients {
    fn client(&self, node: Option<NodeId>, _reader: bool) -> Box<dyn KvClient> {
        Box::new(Scripted(node))
    }
}

fn desk() -> Desk {
    let file = tempfile::tempfile().unwrap();
    Desk {
        recorder: Arc::new(Recorder::start(file, &Header::new("kv")).unwrap().keep_events()),
        clients: Arc::new(ScriptedClients),
        deadline: Duration::from_secs(2),
    }
}

fn nodes() -> Vec<NodeId> {
    (1..=3).map(NodeId).collect()
}

#[tokio::test(start_paused = true)]
async fn nodes_that_do_not_serve_are_asked_until_the_limit_and_named() {
    let (desk, start) = (desk(), tokio::time::Instant::now());
    let workload = workloads::by_name("kv").unwrap();
    let settled = settle::settle(&desk, workload, &nodes(), LIMIT).await.unwrap();
    assert_eq!(settled.late, [NodeId(2), NodeId(3)]);
    assert!(settled.first_ok.unwrap() < Duration::from_millis(10));
    assert!(start.elapsed() >= LIMIT && start.elapsed() < LIMIT + Duration::from_secs(4));
    let events = desk.recorder.events_from(0);
    let keys = events.iter().filter_map(|event| event.key.as_deref());
    assert!(keys.clone().all(|key| key.starts_with("recovery-n")), "{events:?}");
    assert_eq!(events.iter().filter(|e| e.node == Some(NodeId(1))).count(), 4, "a write, a read");
}

#[tokio::test(start_paused = true)]
async fn final_reads_ask_every_node_and_count_what_got_no_answer() {
    let (desk, start) = (desk(), tokio::time::Instant::now());
    let read =
        |key: usize| Invocation { f: "read", key: Some(format!("k{key}")), value: Value::Null };
    let keys = (0..20).map(read).collect();
    let read = final_reads::final_reads(&desk, &nodes(), keys, LIMIT).await.unwrap();
    assert_eq!(read, final_reads::Read { ok: 20, asked: 60 });
    assert!(start.elapsed() < LIMIT + Duration::from_secs(4));
    let asked = desk.recorder.events_from(0);
    let refused = asked.iter().filter(|e| e.error.as_deref() == Some("no-leader")).count();
    assert_eq!(refused, 60, "three attempts each");
}

#[tokio::test]
async fn fail_fast_returns_at_the_first_violation_and_not_before() {
    let desk = desk();
    let workload = workloads::by_name("kv").unwrap();
    let recorder = Arc::clone(&desk.recorder);
    let record = |f: &'static str, argument: Value, answer: Value| {
        let invocation = Invocation { f, key: Some("k1".to_owned()), value: argument };
        let call = recorder.invoke(recorder.process(), &invocation, None).unwrap();
        recorder.complete(call, &Completion::Ok(answer), None).unwrap();
    };
    record("write", json!(1), json!(1));
    record("read", Value::Null, json!(1));
    let watch = fail_fast::watch(Arc::clone(&desk.recorder), workload, Header::new("kv"));
    tokio::pin!(watch);
    let look = Duration::from_millis(1500);
    assert!(tokio::time::timeout(look, &mut watch).await.is_err(), "nothing is wrong yet");
    record("read", Value::Null, json!(7));
    let seen = tokio::time::timeout(look, &mut watch).await.expect("nobody wrote 7");
    assert!(matches!(seen, fail_fast::Seen::Violation), "{seen:?}");
}

#[tokio::test]
async fn fail_fast_says_when_it_can_see_nothing() {
    let desk = desk();
    let workload = workloads::by_name("kv").unwrap();
    let strange = Invocation { f: "push", key: Some("k1".to_owned()), value: json!(1) };
    let _open = desk.recorder.invoke(desk.recorder.process(), &strange, None).unwrap();
    let watch = fail_fast::watch(Arc::clone(&desk.recorder), workload, Header::new("kv"));
    let seen = tokio::time::timeout(Duration::from_secs(5), watch).await.expect("it ends");
    let fail_fast::Seen::Nothing(why) = seen else { panic!("{seen:?}") };
    assert!(why.contains("unknown function `push`"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn after_a_signal_nobody_waits_long_for_the_last_look() {
    let look = |takes: Duration| async move {
        tokio::time::sleep(takes).await;
        "seen"
    };
    let signal = |comes: Duration| tokio::time::sleep(comes);
    let second = Duration::from_secs(1);
    assert_eq!(unless_late(look(LIMIT), std::future::pending()).await, Some("seen"));
    assert_eq!(unless_late(look(EARLY_LOOK_LIMIT / 2), signal(Duration::ZERO)).await, Some("seen"));
    let start = tokio::time::Instant::now();
    assert_eq!(unless_late(look(LIMIT), signal(second)).await, None);
    assert!(start.elapsed() < second + 2 * EARLY_LOOK_LIMIT);
}
