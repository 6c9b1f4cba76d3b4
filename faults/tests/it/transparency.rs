//! A hub that is told nothing changes nothing.

use crate::lab::{Lab, Pair, crosses, is_reset, node, reset, soon};
use faults::proxy::Upstream;
use faults::{Plan, Random};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What one end sends: bytes in writes of random sizes with random rests, then FIN.
async fn send(mut stream: tokio::net::tcp::OwnedWriteHalf, mut random: Random) -> Vec<u8> {
    let mut sent = Vec::new();
    for _ in 0..random.below(12) {
        let scale = random.below(19);
        let size = 1 + random.below(1 << scale);
        let bytes: Vec<u8> = (0..size).map(|_| random.draw() as u8).collect();
        soon("room to write", stream.write_all(&bytes)).await.unwrap();
        sent.extend(bytes);
        if random.chance(30) {
            tokio::time::sleep(Duration::from_millis(random.below(4))).await;
        }
    }
    stream.shutdown().await.unwrap();
    sent
}

async fn receive(mut stream: tokio::net::tcp::OwnedReadHalf) -> Vec<u8> {
    let mut got = Vec::new();
    soon("the end of a stream", stream.read_to_end(&mut got)).await.unwrap();
    got
}

async fn exchange(pair: Pair, seed: u64) -> u64 {
    let (read_at_dialler, write_at_dialler) = pair.dialler.into_split();
    let (read_at_target, write_at_target) = pair.target.into_split();
    let (there, back, at_target, at_dialler) = tokio::join!(
        send(write_at_dialler, Random::new(seed, 1)),
        send(write_at_target, Random::new(seed, 2)),
        receive(read_at_target),
        receive(read_at_dialler),
    );
    assert!(there == at_target, "seed {seed}: bytes to the target differ");
    assert!(back == at_dialler, "seed {seed}: bytes to the dialler differ");
    there.len() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_arrive_as_they_were_sent() {
    let lab = Lab::new(2).await;
    let mut bytes = 0;
    for seed in 0..60 {
        bytes += exchange(lab.pair(1, 2).await, seed).await;
    }
    let counters = lab.counters(1, 2);
    assert_eq!((counters.read_bytes, counters.forwarded_bytes), (bytes, bytes));
    assert_eq!((counters.waiting_bytes, counters.ends, counters.opened), (0, 60, 60));
    lab.emptied().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_arrive_as_they_were_sent_when_delayed() {
    let lab = Lab::new(2).await;
    let delay = Duration::from_millis(40);
    lab.hub.set_base(Plan::slow_node(node(2), &lab.nodes, delay)).await.unwrap();
    let mut pair = lab.pair(1, 2).await;
    let begin = std::time::Instant::now();
    crosses(&mut pair.dialler, &mut pair.target, b"ping").await;
    crosses(&mut pair.target, &mut pair.dialler, b"pong").await;
    assert!(begin.elapsed() >= delay * 2, "{:?}", begin.elapsed());
    for seed in 100..110 {
        exchange(lab.pair(1, 2).await, seed).await;
    }
}

#[tokio::test]
async fn half_a_close_stays_half() {
    let lab = Lab::new(2).await;
    let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
    dialler.write_all(b"last").await.unwrap();
    dialler.shutdown().await.unwrap();
    let mut got = Vec::new();
    soon("the end", target.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, b"last");
    crosses(&mut target, &mut dialler, b"still here").await;
    target.shutdown().await.unwrap();
    assert_eq!(soon("the end", dialler.read(&mut [0])).await.unwrap(), 0);
    lab.emptied().await;
}

#[tokio::test]
async fn a_reset_is_passed_on_both_ways() {
    let lab = Lab::new(2).await;
    let Pair { dialler, mut target } = lab.pair(1, 2).await;
    reset(dialler);
    is_reset(&mut target).await;
    let Pair { mut dialler, target } = lab.pair(1, 2).await;
    reset(target);
    is_reset(&mut dialler).await;
    lab.emptied().await;
}

#[tokio::test]
async fn a_sender_learns_that_its_receiver_is_gone() {
    let lab = Lab::new(2).await;
    let Pair { dialler, mut target } = lab.pair(1, 2).await;
    drop(dialler);
    assert_eq!(soon("the end", target.read(&mut [0])).await.unwrap(), 0, "it ended well");
    soon("an error", async { while target.write_all(&[0; 1024]).await.is_ok() {} }).await;
    lab.emptied().await;
}

#[tokio::test]
async fn a_node_that_is_down_resets_and_comes_back_elsewhere() {
    let lab = Lab::new(2).await;
    lab.hub.set_upstream(node(2), None);
    // The reset may come before the caller has looked at its connection for the first time.
    let address = lab.hub.peer_address(node(1), node(2)).unwrap();
    match soon("connect", TcpStream::connect(address)).await {
        Ok(mut refused) => is_reset(&mut refused).await,
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    assert_eq!(lab.counters(1, 2).refused, 1);
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = elsewhere.local_addr().unwrap();
    lab.hub.set_upstream(node(2), Some(Upstream { peer: at, client: at }));
    let mut dialler = lab.dial(1, 2).await;
    let mut target = soon("accept", elsewhere.accept()).await.unwrap().0;
    crosses(&mut dialler, &mut target, b"again").await;
}

#[tokio::test]
async fn a_hub_that_is_dropped_resets_what_it_carried() {
    let lab = Lab::new(2).await;
    let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
    crosses(&mut dialler, &mut target, b"before").await;
    let address = lab.hub.client_address(node(1)).unwrap();
    drop(lab);
    is_reset(&mut dialler).await;
    is_reset(&mut target).await;
    assert!(TcpStream::connect(address).await.is_err(), "its ports are closed");
}
