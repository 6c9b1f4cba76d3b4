//! What is held is neither lost nor leaked, and heals as told.

use crate::lab::{Lab, Pair, QUIET, crosses, is_reset, is_silent, link, node, reset, soon};
use faults::{ClientRule, Counters, Heal, Link, Plan, Random, Rule};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BOTH: [Link; 2] = [
    Link::new(history::NodeId(1), history::NodeId(2)),
    Link::new(history::NodeId(2), history::NodeId(1)),
];

async fn hold(lab: &Lab, links: impl IntoIterator<Item = Link>, heal: Heal) {
    lab.hub.apply(Plan::hold(links, heal)).await.unwrap();
}

async fn release(lab: &Lab) {
    lab.hub.apply(Plan::default()).await.unwrap();
}

/// Byte `n` of every stream, with a period that no buffer size divides.
fn byte(n: usize) -> u8 {
    (n % 251) as u8
}

async fn write_pattern(
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut random: Random,
    until: Instant,
) -> usize {
    let mut sent = 0;
    while Instant::now() < until {
        let size = 1 + random.below(30_000) as usize;
        let bytes: Vec<u8> = (sent..sent + size).map(byte).collect();
        soon("room to write", to.write_all(&bytes)).await.unwrap();
        sent += size;
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    to.shutdown().await.unwrap();
    sent
}

async fn read_pattern(mut from: tokio::net::tcp::OwnedReadHalf) -> usize {
    let (mut got, mut buffer) = (0, vec![0; 100_000]);
    loop {
        let read = soon("bytes", from.read(&mut buffer)).await.unwrap();
        if read == 0 {
            return got;
        }
        let wrong = buffer[..read].iter().enumerate().find(|&(i, &b)| b != byte(got + i));
        assert!(wrong.is_none(), "byte {} is out of place", got + wrong.unwrap().0);
        got += read;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_repeated_over_a_thousand_cycles() {
    let lab = Lab::new(2).await;
    let Pair { dialler, target } = lab.pair(1, 2).await;
    let (read_at_dialler, write_at_dialler) = dialler.into_split();
    let (read_at_target, write_at_target) = target.into_split();
    let until = Instant::now() + Duration::from_secs(4);
    let forth = tokio::spawn(write_pattern(write_at_dialler, Random::new(1, 1), until));
    let back = tokio::spawn(write_pattern(write_at_target, Random::new(1, 2), until));
    let at_target = tokio::spawn(read_pattern(read_at_target));
    let at_dialler = tokio::spawn(read_pattern(read_at_dialler));
    let mut random = Random::new(1, 3);
    let mut held_bytes = 0;
    for cycle in 0..1000 {
        let links = BOTH.into_iter().filter(|_| random.chance(60)).collect::<Vec<_>>();
        let before = lab.hub.apply(Plan::hold(links.clone(), Heal::Deliver)).await.unwrap();
        if random.chance(70) {
            tokio::time::sleep(Duration::from_micros(random.below(5000))).await;
        }
        let after = lab.hub.apply(Plan::default()).await.unwrap();
        for link in links {
            let (before, after) = (before.counters[&link], after.counters[&link]);
            assert_eq!(before.forwarded_bytes, after.forwarded_bytes, "cycle {cycle}, {link}");
            assert_eq!(before.ends, after.ends, "cycle {cycle}, {link}");
            held_bytes += after.read_bytes - before.read_bytes;
        }
    }
    assert!(held_bytes > 0, "no cycle held anything");
    assert_eq!(forth.await.unwrap(), at_target.await.unwrap());
    assert_eq!(back.await.unwrap(), at_dialler.await.unwrap());
    lab.emptied().await;
}

#[tokio::test]
async fn fin_and_rst_wait_behind_the_bytes() {
    let lab = Lab::new(2).await;
    for ends_by_reset in [false, true] {
        let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
        hold(&lab, BOTH, Heal::Deliver).await;
        dialler.write_all(b"held").await.unwrap();
        if ends_by_reset {
            // Read by the hub before the reset: what follows must not overtake it.
            tokio::time::sleep(QUIET).await;
            reset(dialler);
        } else {
            drop(dialler);
        }
        is_silent(&mut target).await;
        release(&lab).await;
        let mut got = [0; 4];
        soon("bytes", target.read_exact(&mut got)).await.unwrap();
        assert_eq!(&got, b"held");
        if ends_by_reset {
            is_reset(&mut target).await;
        } else {
            assert_eq!(soon("the end", target.read(&mut got)).await.unwrap(), 0);
        }
    }
}

#[tokio::test]
async fn an_end_with_nothing_before_it_waits_too() {
    let lab = Lab::new(2).await;
    for ends_by_reset in [false, true] {
        let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
        crosses(&mut dialler, &mut target, b"before").await;
        hold(&lab, [link(1, 2)], Heal::Deliver).await;
        let before = lab.counters(1, 2).ends;
        if ends_by_reset {
            reset(dialler);
        } else {
            drop(dialler);
        }
        is_silent(&mut target).await;
        assert_eq!(lab.counters(1, 2).ends, before);
        release(&lab).await;
        if ends_by_reset {
            is_reset(&mut target).await;
        } else {
            assert_eq!(soon("the end", target.read(&mut [0])).await.unwrap(), 0);
        }
        assert_eq!(lab.counters(1, 2).ends, before + 1);
    }
}

#[tokio::test]
async fn a_death_does_not_show_through_the_link_that_is_held() {
    let lab = Lab::new(2).await;
    let Pair { dialler, mut target } = lab.pair(1, 2).await;
    hold(&lab, [link(1, 2)], Heal::Deliver).await;
    reset(dialler);
    // The open link carries bytes to a socket that is gone; the answer to them is held.
    for _ in 0..5 {
        target.write_all(b"anyone?").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    is_silent(&mut target).await;
    release(&lab).await;
    is_reset(&mut target).await;
    lab.emptied().await;
}

#[tokio::test]
async fn at_most_one_chunk_is_taken() {
    let lab = Lab::new(2).await;
    let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
    hold(&lab, BOTH, Heal::Deliver).await;
    let bytes = vec![7; 20_000_000];
    let write = tokio::time::timeout(QUIET, dialler.write_all(&bytes));
    assert!(write.await.is_err(), "somebody took it all");
    let counters = soon("the hub to read", async {
        loop {
            match lab.counters(1, 2) {
                Counters { read_bytes: 0, .. } => tokio::time::sleep(QUIET).await,
                counters => return counters,
            }
        }
    })
    .await;
    assert!((1..=64 * 1024).contains(&counters.read_bytes), "{counters:?}");
    assert_eq!(counters.held_bytes, counters.read_bytes);
    assert_eq!(counters.waiting_bytes, counters.read_bytes);
    is_silent(&mut target).await;
}

#[tokio::test]
async fn a_new_connection_hangs_until_the_heal() {
    let lab = Lab::new(2).await;
    hold(&lab, [link(1, 2)], Heal::Deliver).await;
    let mut dialler = lab.dial(1, 2).await;
    dialler.write_all(b"hello").await.unwrap();
    assert!(!lab.is_reached(2).await, "the target was dialled across the cut");
    let counters = lab.counters(1, 2);
    assert_eq!((counters.dialled, counters.hung, counters.opened), (1, 1, 0));
    release(&lab).await;
    let mut target = lab.accept(2).await;
    let mut got = [0; 5];
    soon("bytes", target.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"hello");
}

#[tokio::test]
async fn a_caller_that_gave_up_is_not_connected_later() {
    let lab = Lab::new(2).await;
    hold(&lab, [link(1, 2)], Heal::Deliver).await;
    reset(lab.dial(1, 2).await);
    tokio::time::sleep(QUIET).await;
    release(&lab).await;
    assert!(!lab.is_reached(2).await);
    lab.emptied().await;
}

#[tokio::test]
async fn a_cut_resets_both_ends_and_hung_callers_at_the_heal_and_not_before() {
    let lab = Lab::new(2).await;
    let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
    hold(&lab, BOTH, Heal::Cut).await;
    let mut hung = lab.dial(1, 2).await;
    dialler.write_all(b"lost").await.unwrap();
    for stream in [&mut dialler, &mut target, &mut hung] {
        is_silent(stream).await;
    }
    release(&lab).await;
    for stream in [&mut dialler, &mut target, &mut hung] {
        is_reset(stream).await;
    }
    assert_eq!(lab.counters(1, 2).reset, 2);
    lab.emptied().await;
    let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
    crosses(&mut dialler, &mut target, b"fresh").await;
}

#[tokio::test]
async fn a_link_heals_as_the_last_plan_that_held_it_says() {
    let lab = Lab::new(3).await;
    let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
    hold(&lab, BOTH, Heal::Cut).await;
    dialler.write_all(b"kept").await.unwrap();
    hold(&lab, BOTH.into_iter().chain([link(1, 3)]), Heal::Cut).await;
    is_silent(&mut target).await;
    // The fault that wanted a reset is over, and another one still holds the link.
    hold(&lab, BOTH, Heal::Deliver).await;
    is_silent(&mut target).await;
    release(&lab).await;
    let mut got = [0; 4];
    soon("bytes", target.read_exact(&mut got)).await.unwrap();
    crosses(&mut target, &mut dialler, b"alive").await;
}

#[tokio::test]
async fn a_cut_counts_even_if_the_link_is_held_again_at_once() {
    let lab = Lab::new(2).await;
    let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
    hold(&lab, BOTH, Heal::Cut).await;
    let (healed, held) = tokio::join!(
        lab.hub.apply(Plan::default()),
        lab.hub.apply(Plan::hold(BOTH, Heal::Deliver))
    );
    assert_eq!(healed.unwrap().epoch + 1, held.unwrap().epoch);
    release(&lab).await;
    is_reset(&mut dialler).await;
    is_reset(&mut target).await;
}

#[tokio::test]
async fn one_client_is_cut_off_by_its_connection() {
    let lab = Lab::new(1).await;
    let mut client = lab.dial_as_client(1).await;
    let mut target = lab.accept(1).await;
    let mut other = lab.dial_as_client(1).await;
    let mut target_of_other: TcpStream = lab.accept(1).await;
    let source = client.local_addr().unwrap();
    let connections = lab.hub.client_connections();
    let this = connections.iter().find(|connection| connection.source == source).unwrap();
    assert_eq!((connections.len(), this.node), (2, node(1)));
    let rule = ClientRule { inward: Rule::hold(Heal::Deliver), outward: Rule::default() };
    let plan = Plan { connections: [(this.id, rule)].into(), ..Plan::default() };
    lab.hub.apply(plan).await.unwrap();
    client.write_all(b"held").await.unwrap();
    is_silent(&mut target).await;
    crosses(&mut target, &mut client, b"answers pass").await;
    crosses(&mut other, &mut target_of_other, b"so do others").await;
    release(&lab).await;
    soon("bytes", target.read_exact(&mut [0; 4])).await.unwrap();
    assert_eq!(lab.hub.client_counters(node(1)).unwrap().inward.held_bytes, 4);
}
