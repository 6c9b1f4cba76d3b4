//! Members come and go under load, leadership moves, nodes are killed: nothing that was acknowledged is lost, and the
//! cluster always gets on. 12 changes, or as many as `CHANGES` says.
//!
//! Each round adds a node that was never there, makes it a voter, moves leadership, and removes an old node, in turn also
//! the leader: four changes. After the first and the second some member is killed and started again; who was removed
//! is killed for good.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cluster::proto::admin_client::AdminClient;
use cluster::proto::change_request::Change;
use cluster::proto::{
    AddLearner, ChangeRequest, Request, Role, StatusRequest, StatusResponse, TransferRequest,
};
use tokio::time::{sleep, timeout};

use crate::nodes::processes::Processes;
use crate::nodes::{Answer, Client, read, write};

/// Longest time without a write that is acknowledged, and longest wait for one change.
const STANDSTILL: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
const WRITERS: u64 = 2;

/// What the writers share with the test.
#[derive(Default)]
struct Load {
    /// Where members answer clients.
    members: Mutex<Vec<std::net::SocketAddr>>,
    attempted: [AtomicU64; WRITERS as usize],
    acknowledged: [AtomicU64; WRITERS as usize],
    /// Milliseconds of the longest time without an acknowledgement.
    longest: AtomicU64,
}

/// Writes 1, 2, 3 … to a key of its own, each once, wherever a leader is, until it is aborted.
async fn keep_writing(number: usize, session: u64, load: Arc<Load>) {
    let (mut sequence, mut last, mut at) = (1, Instant::now(), 0);
    loop {
        let members = load.members.lock().unwrap().clone();
        at += 1;
        let client =
            timeout(Duration::from_millis(500), Client::connect(members[at % members.len()]));
        let Ok(Some(mut client)) = client.await else { continue };
        (client.forward, client.deadline_ms) = (true, 500);
        loop {
            load.attempted[number].store(sequence, SeqCst);
            let request = write(&format!("k{number}"), &sequence.to_string());
            let request = Request { session, sequence, acknowledged: sequence - 1, ..request };
            let answer = timeout(Duration::from_secs(1), client.attempt(request)).await;
            if answer != Ok(Some(Answer::Done)) {
                sleep(Duration::from_millis(5)).await;
                break;
            }
            load.acknowledged[number].store(sequence, SeqCst);
            load.longest.fetch_max(last.elapsed().as_millis() as u64, SeqCst);
            (sequence, last) = (sequence + 1, Instant::now());
        }
    }
}

async fn status(
    nodes: &Processes,
    id: u64,
) -> Option<(AdminClient<tonic::transport::Channel>, StatusResponse)> {
    let address = format!("http://{}", nodes.client_address(id));
    let mut admin = AdminClient::connect(address).await.ok()?;
    let status =
        timeout(Duration::from_secs(1), admin.status(StatusRequest {})).await.ok()?.ok()?;
    Some((admin, status.into_inner()))
}

/// Whoever leads the newest term among these, and its view.
async fn leader(
    nodes: &Processes,
    members: &[u64],
) -> (AdminClient<tonic::transport::Channel>, StatusResponse) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let mut newest = None;
        for id in members {
            let Some((admin, status)) = status(nodes, *id).await else { continue };
            let is_newer = |(_, known): &(_, StatusResponse)| known.term < status.term;
            if status.role() == Role::Leader && newest.as_ref().is_none_or(is_newer) {
                newest = Some((admin, status));
            }
        }
        if let Some(found) = newest {
            return found;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody leads {members:?}")
}

/// Asks for a change until the leader's committed view is as wanted.
async fn change(
    nodes: &Processes,
    members: &[u64],
    change: Change,
    done: impl Fn(&StatusResponse) -> bool,
) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let (mut admin, status) = leader(nodes, members).await;
        let request = ChangeRequest { deadline_ms: 2000, change: Some(change.clone()) };
        if done(&status) && status.outgoing.is_empty() && status.commit == status.last {
            return;
        }
        let answer = timeout(Duration::from_secs(3), admin.change(request)).await;
        let answered = answer.is_ok_and(|a| a.is_ok_and(|a| a.into_inner().error.is_none()));
        if !answered {
            sleep(Duration::from_millis(20)).await;
        }
    }
    panic!("{change:?} was never done")
}

async fn transfer(nodes: &Processes, members: &[u64]) {
    let (mut admin, before) = leader(nodes, members).await;
    let request = TransferRequest { to: 0, deadline_ms: 2000 };
    // One that is given up is as good a test.
    drop(timeout(Duration::from_secs(3), admin.transfer(request)).await);
    let (_, after) = leader(nodes, members).await;
    assert!(after.term >= before.term);
}

/// Kills a member, and waits until it is back.
async fn kill_and_restart(nodes: &mut Processes, id: u64) {
    nodes.kill(id);
    nodes.run(id);
    let start = Instant::now();
    while status(nodes, id).await.is_none() {
        assert!(start.elapsed() < PATIENCE, "node {id} did not come back");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn open_session(nodes: &Processes) -> u64 {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let Some(mut client) = nodes.client(1).await else { continue };
        client.forward = true;
        if let Ok(session) = client.open_session().await {
            return session;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("no session")
}

/// What was acknowledged before is there.
async fn check(nodes: &Processes, members: &[u64], load: &Load) {
    for number in 0..WRITERS as usize {
        let acknowledged = load.acknowledged[number].load(SeqCst);
        let start = Instant::now();
        let value = loop {
            let (_, status) = leader(nodes, members).await;
            if let Some(mut client) = nodes.client(status.id).await
                && let Some(Answer::Value(value)) =
                    client.attempt(read(&format!("k{number}"))).await
            {
                break value;
            }
            assert!(start.elapsed() < PATIENCE, "no read in time");
        };
        let value = value.map_or(0, |value| std::str::from_utf8(&value).unwrap().parse().unwrap());
        let attempted = load.attempted[number].load(SeqCst);
        assert!((acknowledged..=attempted).contains(&value), "{acknowledged} {value} {attempted}");
    }
}

#[tokio::test]
async fn members_come_and_go_under_load_and_nothing_is_lost() {
    let rounds = std::env::var("CHANGES").map_or(12, |text| text.parse().unwrap()) / 4;
    let mut nodes = Processes::prepare(3);
    nodes.snapshot_entries = 500;
    nodes.segment_size = 64 << 10;
    nodes.start_all();
    let (load, mut members) = (Arc::new(Load::default()), vec![1, 2, 3]);
    let addresses = |nodes: &Processes, members: &[u64]| {
        members.iter().map(|id| nodes.client_address(*id)).collect::<Vec<_>>()
    };
    *load.members.lock().unwrap() = addresses(&nodes, &members);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..WRITERS as usize {
        let session = open_session(&nodes).await;
        tasks.spawn(keep_writing(number, session, Arc::clone(&load)));
    }
    let start = Instant::now();
    for round in 0..rounds {
        let new = 4 + round;
        nodes.run(new);
        let address = nodes.peer_address(new);
        let add = Change::AddLearner(AddLearner { id: new, address });
        change(&nodes, &members, add, |status| status.members.contains(&new)).await;
        kill_and_restart(&mut nodes, members[round as usize % 3]).await;
        change(&nodes, &members, Change::Promote(new), |s| s.voters.contains(&new)).await;
        members.push(new);
        kill_and_restart(&mut nodes, members[(round as usize + 1) % 4]).await;
        transfer(&nodes, &members).await;
        let old = match round % 2 {
            0 => leader(&nodes, &members).await.1.id,
            _ => members[0],
        };
        let gone = |status: &StatusResponse| !status.members.contains(&old);
        let others: Vec<u64> = members.iter().copied().filter(|id| *id != old).collect();
        change(&nodes, &members, Change::Remove(old), gone).await;
        members = others;
        *load.members.lock().unwrap() = addresses(&nodes, &members);
        nodes.kill(old);
        check(&nodes, &members, &load).await;
        assert!(load.longest.load(SeqCst) < STANDSTILL.as_millis() as u64, "round {round}");
    }
    // Nobody is stuck in the end.
    let before: Vec<u64> = load.acknowledged.iter().map(|count| count.load(SeqCst)).collect();
    let wrote = |number: usize| load.acknowledged[number].load(SeqCst) > before[number];
    let all = async {
        while !(0..WRITERS as usize).all(wrote) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(STANDSTILL, all).await.expect("a writer stands still");
    let written: u64 = load.acknowledged.iter().map(|count| count.load(SeqCst)).sum();
    let longest = load.longest.load(SeqCst);
    let summary = format!(
        "{} changes and {} kills in {:.0} s, {written} writes, at most {longest} ms without one",
        rounds * 4,
        rounds * 3,
        start.elapsed().as_secs_f64(),
    );
    assert!(written > rounds * 10, "{summary}");
    crate::nodes::say(&summary);
}
