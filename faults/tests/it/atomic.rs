//! A plan takes effect on all links at once: an independent sender and receiver agree on it.
//!
//! Every node sends to every other over two connections, one dialled by either, and marks each message
//! with the round it was sent in. A round begins after `apply` has returned, so over a cut link no
//! message of that round may arrive before the heal is asked for; over every other link some must.

use crate::lab::{Lab, link, soon};
use faults::{Heal, Link, Plan, Random, Shape};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

#[derive(Default)]
struct Observed {
    round: AtomicU64,
    stop: AtomicBool,
    /// Messages sent and received, by link and round, and by which end had dialled.
    sent: Mutex<BTreeMap<(Link, bool, u64), u64>>,
    received: Mutex<BTreeMap<(Link, bool, u64), u64>>,
}

async fn send(observed: Arc<Observed>, link: Link, dialled: bool, mut to: OwnedWriteHalf) {
    while !observed.stop.load(SeqCst) {
        let round = observed.round.load(SeqCst);
        soon("room to write", to.write_u64(round)).await.unwrap();
        *observed.sent.lock().unwrap().entry((link, dialled, round)).or_default() += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    to.shutdown().await.unwrap();
}

async fn receive(observed: Arc<Observed>, link: Link, dialled: bool, mut from: OwnedReadHalf) {
    while let Ok(round) = soon("a message", from.read_u64()).await {
        *observed.received.lock().unwrap().entry((link, dialled, round)).or_default() += 1;
    }
}

async fn start(lab: &Lab, observed: &Arc<Observed>) -> Vec<tokio::task::JoinHandle<()>> {
    let mut tasks = Vec::new();
    for (a, b) in (1..=5).flat_map(|a| (1..=5).map(move |b| (a, b))).filter(|(a, b)| a != b) {
        let pair = lab.pair(a, b).await;
        let (read_at_a, write_at_a) = pair.dialler.into_split();
        let (read_at_b, write_at_b) = pair.target.into_split();
        tasks.push(tokio::spawn(send(observed.clone(), link(a, b), true, write_at_a)));
        tasks.push(tokio::spawn(receive(observed.clone(), link(a, b), true, read_at_b)));
        tasks.push(tokio::spawn(send(observed.clone(), link(b, a), false, write_at_b)));
        tasks.push(tokio::spawn(receive(observed.clone(), link(b, a), false, read_at_a)));
    }
    tasks
}

/// Whether every connection of every link that is not cut has shown a message of this round.
fn all_open_links_speak(observed: &Observed, links: &[Link], cut: &[Link], round: u64) -> bool {
    let received = observed.received.lock().unwrap();
    let sent = observed.sent.lock().unwrap();
    links
        .iter()
        .flat_map(|&link| [(link, true, round), (link, false, round)])
        .all(|key| sent.contains_key(&key) && (cut.contains(&key.0) || received.contains_key(&key)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_sent_after_apply_crosses_a_cut_link() {
    let lab = Lab::new(5).await;
    let observed = Arc::new(Observed::default());
    let tasks = start(&lab, &observed).await;
    let links: Vec<Link> = (1..=5)
        .flat_map(|a| (1..=5).map(move |b| (a, b)))
        .filter(|(a, b)| a != b)
        .map(|(a, b)| link(a, b))
        .collect();
    let mut random = Random::new(11, 1);
    let mut slowest = Duration::ZERO;
    for (turn, shape) in Shape::ALL.into_iter().cycle().take(18).enumerate() {
        let round = turn as u64 + 1;
        let chosen = [lab.nodes[random.below(5) as usize]];
        let cut: Vec<Link> = shape.links(&lab.nodes, &chosen, &mut random).into_iter().collect();
        let begin = Instant::now();
        lab.hub.apply(Plan::hold(cut.clone(), Heal::Deliver)).await.unwrap();
        slowest = slowest.max(begin.elapsed());
        observed.round.store(round, SeqCst);
        soon("all links to speak", async {
            while !all_open_links_speak(&observed, &links, &cut, round) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        {
            let received = observed.received.lock().unwrap();
            let leaks = |link: &Link| {
                received.contains_key(&(*link, true, round))
                    || received.contains_key(&(*link, false, round))
            };
            let leak = cut.iter().find(|link| leaks(link));
            assert!(leak.is_none(), "{shape}: {} leaked", leak.unwrap());
        }
        lab.hub.apply(Plan::default()).await.unwrap();
    }
    observed.stop.store(true, SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    let total = |map: &Mutex<BTreeMap<_, u64>>| map.lock().unwrap().values().sum::<u64>();
    assert_eq!(total(&observed.sent), total(&observed.received), "held messages arrive once");
    assert!(slowest < Duration::from_secs(1), "a plan took {slowest:?}");
    lab.emptied().await;
}
