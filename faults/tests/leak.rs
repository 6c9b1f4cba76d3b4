//! Thousands of connections that end in every way leave no descriptor behind. In a process of its own,
//! because it counts the descriptors of the whole process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use faults::proxy::{Hub, Upstream};
use faults::{Heal, Link, Plan, Random};
use history::NodeId;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

const ROUNDS: u64 = 60;
const EACH: u64 = 50;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Connects, perhaps writes, and ends in one of several ways.
async fn visit(address: SocketAddr, seed: u64) {
    let mut random = Random::new(seed, 1);
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    if random.chance(60) {
        let _ = stream.write_all(&vec![1; random.below(20_000) as usize]).await;
    }
    if random.chance(50) {
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        let _ = nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger);
    } else if random.chance(50) {
        let _ = stream.shutdown().await;
        tokio::time::sleep(Duration::from_millis(random.below(20))).await;
    }
}

/// Accepts and ends in one of several ways too.
async fn host(listener: TcpListener) {
    let mut random = Random::new(5, 5);
    while let Ok((mut stream, _)) = listener.accept().await {
        let (answer, wait) = (random.chance(50), random.below(10));
        tokio::spawn(async move {
            if answer {
                let _ = stream.write_all(b"hello").await;
            }
            tokio::time::sleep(Duration::from_millis(wait)).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_descriptor_is_left_behind() {
    let nodes = [NodeId(1), NodeId(2)];
    let hub = Hub::start(&nodes).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let upstream = Some(Upstream { peer: at, client: at });
    hub.set_upstream(nodes[1], upstream);
    tokio::spawn(host(listener));
    let address = hub.peer_address(nodes[0], nodes[1]).unwrap();
    visit(address, 0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let base = descriptors();
    let mut random = Random::new(9, 9);
    for round in 0..ROUNDS {
        let heal = if random.chance(50) { Heal::Deliver } else { Heal::Cut };
        let links = [Link::new(nodes[0], nodes[1]), Link::new(nodes[1], nodes[0])];
        let links: Vec<Link> = links.into_iter().filter(|_| random.chance(40)).collect();
        hub.apply(Plan::hold(links, heal)).await.unwrap();
        hub.set_upstream(nodes[1], upstream.filter(|_| round % 7 != 3));
        let visits: Vec<_> =
            (0..EACH).map(|i| tokio::spawn(visit(address, round * EACH + i))).collect();
        for visit in visits {
            tokio::time::timeout(Duration::from_secs(10), visit).await.unwrap().unwrap();
        }
        hub.apply(Plan::default()).await.unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while (hub.connections() > 0 || descriptors() > base) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((hub.connections(), descriptors()), (0, base));
    let counters = hub.counters(Link::new(nodes[0], nodes[1])).unwrap();
    assert_eq!((counters.dialled, counters.waiting_bytes), (ROUNDS * EACH + 1, 0));
    assert!(counters.hung > 0 && counters.refused > 0 && counters.reset > 0, "{counters:?}");
}
