//! A worker against clients that answer from a script.

use super::*;
use crate::seed::Seed;
use history::{Event, Kind};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use workloads::{BoxFuture, ClientError, ErrorClass, KvAnswer, KvOperation, Settings};

/// Every third operation of a client never answers; the others are done at once.
struct Flaky {
    node: Option<NodeId>,
    asked: u64,
}

impl KvClient for Flaky {
    fn call<'a>(
        &'a mut self,
        operation: &'a KvOperation,
        _deadline: Duration,
    ) -> BoxFuture<'a, Result<KvAnswer, ClientError>> {
        self.asked += 1;
        let silent = self.asked.is_multiple_of(3);
        Box::pin(async move {
            if silent {
                std::future::pending::<()>().await;
            }
            match operation {
                KvOperation::Read { .. } => Ok(KvAnswer::Value(None)),
                KvOperation::Cas { .. } => Ok(KvAnswer::Mismatch),
                KvOperation::Delete { .. } => Err(ClientError {
                    class: ErrorClass::Definite,
                    code: "overloaded",
                    message: String::new(),
                }),
                KvOperation::Write { .. } => Ok(KvAnswer::Done),
            }
        })
    }

    fn node(&self) -> Option<NodeId> {
        self.node
    }
}

#[derive(Default)]
struct FlakyClients(AtomicU64);

impl Clients for FlakyClients {
    fn client(&self, node: Option<NodeId>, _reader: bool) -> Box<dyn KvClient> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::new(Flaky { node, asked: 0 })
    }
}

fn desk(clients: &Arc<FlakyClients>) -> Desk {
    let header = serde_json::from_value(json!({"history": 1, "workload": "kv"})).unwrap();
    let recorder = Recorder::start(tempfile::tempfile().unwrap(), &header).unwrap().keep_events();
    Desk {
        recorder: Arc::new(recorder),
        clients: Arc::clone(clients) as Arc<dyn Clients>,
        deadline: Duration::from_secs(2),
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_retires_the_process_and_its_client() {
    let clients = Arc::new(FlakyClients::default());
    let desk = desk(&clients);
    let settings = Settings { seed: 7, keys: 3, retire_operations: 300, retire_unknown: 10 };
    let workload = workloads::by_name("kv").unwrap();
    let worker = Worker {
        number: 0,
        role: Role::Pinned(NodeId(3)),
        pace: Arc::new(Pace::new(100.0, Seed(7).stream("pace"))),
        generator: Arc::new(Mutex::new(workload.generator(&settings).unwrap())),
        desk: desk.clone(),
    };
    let (stop, end) = watch::channel(false);
    let task = tokio::spawn(worker.run(end));
    tokio::time::sleep(Duration::from_secs(60)).await;
    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(3), task).await.unwrap().unwrap().unwrap();

    let events = desk.recorder.events_from(0);
    let retired: Vec<&Event> = events.iter().filter(|e| e.kind == Kind::Info).collect();
    assert!(retired.len() > 10, "{}", retired.len());
    assert_eq!(clients.0.load(Ordering::Relaxed), 1 + retired.len() as u64);
    let processes: BTreeSet<Process> = retired.iter().map(|e| e.process).collect();
    assert_eq!(processes.len(), retired.len(), "a process is retired once");
    for pair in events.windows(2) {
        let sequential = (pair[0].kind == Kind::Invoke) != (pair[1].kind == Kind::Invoke);
        assert!(sequential, "one operation outstanding: {pair:?}");
    }
    assert!(events.iter().all(|e| e.node == Some(NodeId(3))));
}

#[tokio::test(start_paused = true)]
async fn a_session_says_how_each_operation_ended() {
    let clients = Arc::new(FlakyClients::default());
    let desk = desk(&clients);
    let mut session = Session::open(desk.clone(), None);
    let read = Invocation { f: "read", key: Some("k1".to_owned()), value: json!(null) };
    assert_eq!(session.perform(&read).await.unwrap(), Completion::Ok(json!(null)));
    let delete = Invocation { f: "delete", ..read.clone() };
    let refused = Completion::Fail { error: "overloaded".to_owned() };
    assert_eq!(session.perform(&delete).await.unwrap(), refused);
    let silent = Completion::Info { error: "timeout".to_owned() };
    assert_eq!(session.perform(&read).await.unwrap(), silent);
    assert_eq!(session.perform(&read).await.unwrap(), Completion::Ok(json!(null)));
}
