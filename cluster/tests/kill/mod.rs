//! SIGKILL of all nodes at once, again and again under load: no acknowledged write may be lost.
//!
//! A killed process leaves the page cache, so this does not test fdatasync (the disk that forgets does, in the
//! unit tests); it tests that what is written before an acknowledgement is enough, and that recovery finds it.
//! 20 rounds, or as many as `ROUNDS` says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster::proto::{ErrorCode, Request};
use tokio::time::{Instant, sleep, timeout};

use crate::nodes::processes::Processes;
use crate::nodes::{Answer, Client, read, write};

const WRITERS: usize = 4;
const LIMIT: Duration = Duration::from_secs(20);

/// One key and who writes it: 1, 2, 3 … each once.
#[derive(Debug, Default)]
struct Writer {
    session: AtomicU64,
    attempted: AtomicU64,
    acknowledged: AtomicU64,
}

/// Finds whoever leads and does `work` there until it has an answer that is no redirect.
async fn insist(nodes: &Processes, request: Request) -> Answer {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        for id in nodes.ids() {
            let Some(mut client) = nodes.client(id).await else { continue };
            match client.attempt(request.clone()).await {
                Some(Answer::Error(..)) | None => {}
                Some(answer) => return answer,
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("no answer within {LIMIT:?}");
}

async fn open_session(nodes: &Processes) -> u64 {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        for id in nodes.ids() {
            let Some(mut client) = nodes.client(id).await else { continue };
            if let Ok(session) = client.open_session().await {
                return session;
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("no session within {LIMIT:?}");
}

/// Writes ever larger numbers until it is aborted.
async fn keep_writing(number: usize, writer: Arc<Writer>, mut clients: Vec<Client>) {
    let key = format!("k{number}");
    let mut at = 0;
    loop {
        let sequence = writer.attempted.fetch_add(1, Ordering::SeqCst) + 1;
        let session = writer.session.load(Ordering::SeqCst);
        let request = write(&key, &sequence.to_string());
        let request = Request { session, sequence, acknowledged: sequence - 1, ..request };
        match clients[at].attempt(request).await {
            Some(Answer::Done) => writer.acknowledged.store(sequence, Ordering::SeqCst),
            Some(Answer::Error(ErrorCode::NotLeader, _, leader)) if leader != 0 => {
                at = leader as usize - 1;
            }
            _ => {
                at = (at + 1) % clients.len();
                sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Lets the writers write until each was acknowledged a few times, then kills all nodes.
async fn write_and_kill(nodes: &mut Processes, writers: &[Arc<Writer>]) {
    let mut clients = Vec::new();
    for id in nodes.ids() {
        clients.push(nodes.client(id).await.expect("the node answered before"));
    }
    let before: Vec<u64> = writers.iter().map(|w| w.acknowledged.load(Ordering::SeqCst)).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for (number, writer) in writers.iter().enumerate() {
        tasks.spawn(keep_writing(number, Arc::clone(writer), clients.clone()));
    }
    let all_wrote = async {
        let progress =
            |(w, before): (&Arc<Writer>, &u64)| w.acknowledged.load(Ordering::SeqCst) > before + 5;
        while !writers.iter().zip(&before).all(progress) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, all_wrote).await.expect("no progress in time");
    nodes.kill_all();
    tasks.shutdown().await;
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_when_all_nodes_are_killed() {
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let mut nodes = Processes::start(3);
    let writers: Vec<Arc<Writer>> = (0..WRITERS).map(|_| Arc::default()).collect();
    for writer in &writers {
        writer.session.store(open_session(&nodes).await, Ordering::SeqCst);
    }
    for round in 1..=rounds {
        write_and_kill(&mut nodes, &writers).await;
        nodes.start_all();
        for (number, writer) in writers.iter().enumerate() {
            let answer = insist(&nodes, read(&format!("k{number}"))).await;
            let Answer::Value(Some(value)) = answer else { panic!("round {round}: {answer:?}") };
            let value: u64 = std::str::from_utf8(&value).unwrap().parse().unwrap();
            let acknowledged = writer.acknowledged.load(Ordering::SeqCst);
            let attempted = writer.attempted.load(Ordering::SeqCst);
            assert!(
                (acknowledged..=attempted).contains(&value),
                "round {round}: {value} was read, {acknowledged} acknowledged, {attempted} tried"
            );
        }
        for id in nodes.ids() {
            let up = async { while nodes.client(id).await.is_none() {} };
            timeout(LIMIT, up).await.expect("a node did not come back");
        }
    }
}
