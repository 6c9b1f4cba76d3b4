//! A thousand fault calls under load: what is sent after a call has returned does not arrive.
//!
//! The sender and the receiver know nothing of the hub: they are two plain sockets each. The sender writes the
//! number of the call after it returned; over a held link the receiver must not see that number before the heal is
//! asked for. Other connections keep the hub busy all the while.

use crate::lab::{Lab, Pair, link, soon};
use faults::{Heal, Link, Plan};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const CALLS: u64 = 1000;

/// The highest number that has arrived.
fn receive(mut from: TcpStream) -> (Arc<AtomicU64>, JoinHandle<()>) {
    let highest = Arc::new(AtomicU64::new(0));
    let theirs = Arc::clone(&highest);
    let reading = async move {
        while let Ok(number) = from.read_u64().await {
            theirs.fetch_max(number, SeqCst);
        }
    };
    (highest, tokio::spawn(reading))
}

/// Messages there and back for as long as the test lasts.
fn keep_busy(pair: Pair, stop: &Arc<AtomicBool>) -> [JoinHandle<()>; 2] {
    let Pair { mut dialler, mut target } = pair;
    let stop = Arc::clone(stop);
    let asks = async move {
        let mut message = [0; 1024];
        while !stop.load(SeqCst) {
            dialler.write_all(&message).await.unwrap();
            dialler.read_exact(&mut message).await.unwrap();
        }
    };
    let answers = async move {
        let mut message = [0; 1024];
        while target.read_exact(&mut message).await.is_ok() {
            target.write_all(&message).await.unwrap();
        }
    };
    [tokio::spawn(asks), tokio::spawn(answers)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_sent_after_a_call_has_returned_arrives_before_the_heal() {
    let lab = Lab::new(3).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.extend(keep_busy(lab.pair(2, 3).await, &stop));
    }
    // One connection dialled by either end; both carry the link n1 → n2.
    let Pair { mut dialler, target } = lab.pair(1, 2).await;
    let (at_target, first) = receive(target);
    let Pair { dialler: far, target: mut near } = lab.pair(2, 1).await;
    let (at_far, second) = receive(far);
    let cut: [Link; 1] = [link(1, 2)];
    for call in 1..=CALLS {
        lab.hub.apply(Plan::hold(cut, Heal::Deliver)).await.unwrap();
        dialler.write_u64(call).await.unwrap();
        near.write_u64(call).await.unwrap();
        if call.is_multiple_of(4) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        } else {
            tokio::task::yield_now().await;
        }
        let seen = [&at_target, &at_far].map(|highest| highest.load(SeqCst));
        assert!(seen.iter().all(|&seen| seen < call), "call {call}: {seen:?} arrived");
        lab.hub.apply(Plan::default()).await.unwrap();
        soon("what was held", async {
            while at_target.load(SeqCst) < call || at_far.load(SeqCst) < call {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    stop.store(true, SeqCst);
    drop((dialler, near));
    for task in tasks.into_iter().chain([first, second]) {
        soon("the end of a task", task).await.unwrap();
    }
}
