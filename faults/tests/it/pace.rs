//! A slow link is as slow as asked, in order, and fast again as soon as it is healed.

use crate::lab::{Lab, Pair, crosses, link, soon};
use faults::{Counters, Pace, Plan, Rule};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

async fn slow(lab: &Lab, rule: Rule) {
    let rules = [(link(1, 2), rule)].into();
    lab.hub.apply(Plan { rules, ..Plan::default() }).await.unwrap();
}

/// How long each of some messages takes, one after the other.
async fn lateness(pair: &mut Pair, messages: u32) -> Vec<Duration> {
    let mut late = Vec::new();
    for _ in 0..messages {
        let begin = Instant::now();
        crosses(&mut pair.dialler, &mut pair.target, b"message").await;
        late.push(begin.elapsed());
        crosses(&mut pair.target, &mut pair.dialler, b"answers are not slow").await;
    }
    late.sort_unstable();
    late
}

#[tokio::test]
async fn latency_is_never_less_than_asked_and_is_counted() {
    let lab = Lab::new(2).await;
    let mut pair = lab.pair(1, 2).await;
    slow(&lab, Rule::delayed(ms(20))).await;
    let late = lateness(&mut pair, 21).await;
    assert!(late[0] >= ms(20), "{late:?}");
    let counters = lab.hub.apply(Plan::default()).await.unwrap().counters;
    let Counters { slowed, prompt, .. } = counters[&link(1, 2)];
    assert_eq!((slowed, prompt), (21, 0));
    assert_eq!(counters[&link(2, 1)].slowed, 0, "answers");
}

#[tokio::test]
async fn jitter_is_between_nothing_and_what_was_asked_and_keeps_the_order() {
    let lab = Lab::new(2).await;
    let mut pair = lab.pair(1, 2).await;
    let pace = Pace { jitter: ms(30), seed: 5, ..Pace::default() };
    slow(&lab, Rule { pace, ..Rule::delayed(ms(5)) }).await;
    let late = lateness(&mut pair, 30).await;
    assert!(late[0] >= ms(5), "{late:?}");
    assert!(late[29] > late[0] + ms(5), "it is not always the same: {late:?}");
    let (read, write) = (&mut pair.target, &mut pair.dialler);
    let send = async {
        for number in 0..200_u64 {
            write.write_u64(number).await.unwrap();
            tokio::time::sleep(ms(1)).await;
        }
    };
    let receive = async {
        for number in 0..200 {
            assert_eq!(soon("a number", read.read_u64()).await.unwrap(), number);
        }
    };
    tokio::join!(send, receive);
}

/// A rate can be missed on a slow machine but never exceeded; how near it comes is the benchmark's to say.
#[tokio::test]
async fn a_rate_is_not_exceeded_and_shared_by_all_connections_of_a_link() {
    let lab = Lab::new(2).await;
    let mut pairs = [lab.pair(1, 2).await, lab.pair(1, 2).await];
    let pace = Pace { bytes_per_second: 400_000, ..Pace::default() };
    slow(&lab, Rule { pace, ..Rule::default() }).await;
    let begin = Instant::now();
    let bytes = vec![3; 100_000];
    let [first, second] = &mut pairs;
    let transfer = async |pair: &mut Pair| {
        let mut got = vec![0; bytes.len()];
        let (sent, read) =
            tokio::join!(pair.dialler.write_all(&bytes), pair.target.read_exact(&mut got));
        sent.and(read.map(drop)).unwrap();
    };
    soon("200,000 bytes", async { tokio::join!(transfer(first), transfer(second)) }).await;
    // The first piece leaves after its own time on the wire, so all of them take half a second.
    assert!(begin.elapsed() >= ms(490), "{:?}", begin.elapsed());
    slow(&lab, Rule { pace: Pace { bytes_per_second: 10_000, ..pace }, ..Rule::default() }).await;
    first.dialler.write_all(&bytes[..50_000]).await.unwrap();
    tokio::time::sleep(ms(30)).await;
    lab.hub.apply(Plan::default()).await.unwrap();
    let healed = Instant::now();
    let mut got = vec![0; 50_000];
    soon("the rest", first.target.read_exact(&mut got)).await.unwrap();
    assert!(healed.elapsed() < Duration::from_secs(4), "what waited must not be late any more");
}

#[tokio::test]
async fn slices_arrive_one_by_one() {
    let lab = Lab::new(2).await;
    let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
    let pace = Pace { slice_bytes: 100, slice_pause: ms(15), ..Pace::default() };
    slow(&lab, Rule { pace, ..Rule::default() }).await;
    let begin = Instant::now();
    dialler.write_all(&[9; 1000]).await.unwrap();
    let (mut got, mut buffer) = (0, [0; 4096]);
    let mut first = 0;
    while got < 1000 {
        let read = soon("a slice", target.read(&mut buffer)).await.unwrap();
        first = if got == 0 { read } else { first };
        got += read;
    }
    assert!(begin.elapsed() >= ms(9 * 15), "{:?}", begin.elapsed());
    assert!(first < 1000, "it came at once");
    let counters = lab.hub.apply(Plan::default()).await.unwrap().counters[&link(1, 2)];
    assert_eq!((counters.forwarded_bytes, counters.slowed), (1000, 9), "the first is in time");
}

#[tokio::test]
async fn stalls_look_like_loss() {
    let lab = Lab::new(2).await;
    let mut pair = lab.pair(1, 2).await;
    // Every slot: each message is late by at least one wait for a retransmission.
    let pace = Pace { stall_percent: 100, seed: 2, ..Pace::default() };
    slow(&lab, Rule { pace, ..Rule::default() }).await;
    let begin = Instant::now();
    crosses(&mut pair.dialler, &mut pair.target, b"lost and sent again").await;
    assert!(begin.elapsed() >= ms(200), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn what_a_slow_link_has_queued_is_delivered_when_it_ends() {
    let lab = Lab::new(2).await;
    let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
    slow(&lab, Rule::delayed(Duration::from_secs(60))).await;
    dialler.write_all(b"late").await.unwrap();
    dialler.shutdown().await.unwrap();
    tokio::time::sleep(ms(30)).await;
    lab.hub.apply(Plan::default()).await.unwrap();
    let mut got = Vec::new();
    soon("the end", target.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, b"late");
}
