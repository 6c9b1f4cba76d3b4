//! The classes slow, flap, unreachable and client-cut through the real hub: each proves that it bit, or says that it
//! did not, and leaves the network as it was.

use crate::lab::{Lab, Pair, crosses, is_reset, soon};
use crate::proof::Wires;
use faults::{Heal, Link, Plan, Receipt};
use history::NodeId;
use serde_json::{Value, json};
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Writes a message every 10 ms while the fault lasts.
async fn beat(stream: &mut TcpStream) {
    for _ in 0..30 {
        stream.write_all(b"beat").await.unwrap();
        sleep(ms(10)).await;
    }
}

async fn during(
    wires: &Wires,
    (fault, heal, how): (&str, Option<Heal>, Value),
    meanwhile: impl Future<Output = ()>,
) -> Receipt {
    tokio::join!(wires.play(fault, heal, how), meanwhile).0
}

/// A new connection works at once in both directions.
async fn is_well(lab: &Lab, dialler: u16, target: u16) {
    let Pair { mut dialler, mut target } = lab.pair(dialler, target).await;
    crosses(&mut dialler, &mut target, b"there").await;
    crosses(&mut target, &mut dialler, b"back").await;
}

#[tokio::test]
async fn slow_is_proven_by_what_was_late() {
    let wires = Wires::new(3).await;
    let Pair { mut dialler, target: _target } = wires.lab.pair(2, 1).await;
    let latency = || ("slow", None, json!({"latency_ms": 20, "jitter_ms": 5}));
    let receipt = during(&wires, latency(), beat(&mut dialler)).await;
    assert!(receipt.effective, "{receipt:?}");
    let receipt = during(&wires, latency(), async {}).await;
    assert_eq!((receipt.effective, &*receipt.reason), (false, "nothing that passed was late"));
    let Pair { dialler: mut far, target: _target } = wires.lab.pair(2, 3).await;
    let receipt = during(&wires, latency(), beat(&mut far)).await;
    assert!(!receipt.effective, "links between others are not slow: {receipt:?}");
    is_well(&wires.lab, 1, 2).await;
}

#[tokio::test]
async fn a_flap_is_held_and_released_over_and_over() {
    let wires = Wires::new(3).await;
    let Pair { mut dialler, mut target } = wires.lab.pair(2, 1).await;
    let flap = || ("flap", Some(Heal::Deliver), json!({"held_ms": 40, "free_ms": 20}));
    let receipt = during(&wires, flap(), beat(&mut dialler)).await;
    assert!(receipt.effective, "{receipt:?}");
    let flaps = receipt.evidence["wires"][0]["counters"]["flaps"].as_u64().unwrap();
    assert!((2..=5).contains(&flaps), "300 ms are five periods: {flaps}");
    let mut got = [0; 30 * 4];
    soon("every beat", target.read_exact(&mut got)).await.unwrap();
    let idle = during(&wires, flap(), async {}).await;
    assert_eq!((idle.effective, &*idle.reason), (false, "nothing tried to cross a held link"));
    is_well(&wires.lab, 1, 2).await;
}

#[tokio::test]
async fn a_flap_may_reset_at_each_release() {
    let wires = Wires::new(3).await;
    let Pair { mut dialler, mut target } = wires.lab.pair(2, 1).await;
    let how = json!({"held_ms": 40, "free_ms": 20});
    let meanwhile = async {
        is_reset(&mut dialler).await;
        is_reset(&mut target).await;
    };
    during(&wires, ("flap", Some(Heal::Cut), how), meanwhile).await;
}

#[tokio::test]
async fn unreachable_counts_only_if_somebody_called_in_vain() {
    let wires = Wires::new(3).await;
    for accept in ["hang", "refuse", "reset"] {
        let how = |established: &str| {
            ("unreachable", None, json!({"accept": accept, "established": established}))
        };
        let Pair { mut dialler, mut target } = wires.lab.pair(2, 1).await;
        crosses(&mut dialler, &mut target, b"known to the hub").await;
        let kept = during(&wires, how("keep"), async {
            sleep(ms(100)).await;
            crosses(&mut dialler, &mut target, b"connected").await;
        })
        .await;
        let nobody = "nobody is known to have tried to connect";
        assert_eq!((kept.effective, &*kept.reason), (false, nobody), "{accept}");
        let call = async {
            is_reset(&mut dialler).await;
            let port = wires.lab.hub.peer_address(NodeId(2), NodeId(1)).unwrap();
            // However it fails; that it does not get through is what counts.
            let call = tokio::time::timeout(ms(100), TcpStream::connect(port)).await;
            drop(call);
        };
        let receipt = during(&wires, how("reset"), call).await;
        assert!(receipt.effective, "{accept}: {receipt:?}");
        is_reset(&mut target).await;
        is_well(&wires.lab, 2, 1).await;
    }
}

#[tokio::test]
async fn clients_are_cut_off_and_peers_are_not() {
    let wires = Wires::new(2).await;
    let mut client = wires.lab.dial_as_client(1).await;
    let mut node = wires.lab.accept(1).await;
    let Pair { mut dialler, mut target } = wires.lab.pair(2, 1).await;
    let cut = || ("client-cut", Some(Heal::Deliver), json!({"whom": "all"}));
    let meanwhile = async {
        beat(&mut client).await;
        crosses(&mut dialler, &mut target, b"peers").await;
    };
    let receipt = during(&wires, cut(), meanwhile).await;
    assert!(receipt.effective, "{receipt:?}");
    let mut got = [0; 30 * 4];
    soon("what was held", node.read_exact(&mut got)).await.unwrap();
    let idle = during(&wires, cut(), async {}).await;
    assert_eq!((idle.effective, &*idle.reason), (false, "no client tried"));
}

#[tokio::test]
async fn one_client_is_cut_off_and_others_are_not() {
    let wires = Wires::new(1).await;
    let cut = || ("client-cut", Some(Heal::Deliver), json!({"whom": "one", "held": "answers"}));
    let none = during(&wires, cut(), async {}).await;
    assert!(none.reason.contains("no client is connected to n1"), "{none:?}");
    let mut ends = Vec::new();
    for _ in 0..3 {
        ends.push((wires.lab.dial_as_client(1).await, wires.lab.accept(1).await));
    }
    let mut answered = 0;
    let meanwhile = async {
        sleep(ms(60)).await;
        for (client, node) in &mut ends {
            crosses(client, node, b"ask").await;
            node.write_all(b"answer").await.unwrap();
            let read = tokio::time::timeout(ms(40), client.read_exact(&mut [0; 6])).await;
            answered += u32::from(read.is_ok());
        }
    };
    let receipt = during(&wires, cut(), meanwhile).await;
    assert!(receipt.effective, "{receipt:?}");
    assert_eq!(answered, 2, "one of three waits");
}

/// Which of some connections a mixed heal resets.
async fn survivors(seed: u64) -> Vec<bool> {
    let lab = Lab::new(2).await;
    let mut pairs = Vec::new();
    for _ in 0..24 {
        pairs.push(lab.pair(1, 2).await);
    }
    let link = Link::new(NodeId(1), NodeId(2));
    let rule = faults::Rule::hold(Heal::Mixed).seeded(seed);
    lab.hub.apply(Plan { rules: [(link, rule)].into(), ..Plan::default() }).await.unwrap();
    for pair in &mut pairs {
        pair.dialler.write_all(b"held").await.unwrap();
    }
    lab.hub.apply(Plan::default()).await.unwrap();
    let mut survivors = Vec::new();
    for pair in &mut pairs {
        let read = soon("bytes or a reset", pair.target.read_exact(&mut [0; 4])).await;
        survivors.push(read.is_ok());
    }
    survivors
}

#[tokio::test]
async fn a_mixed_heal_resets_the_connections_that_its_seed_draws() {
    let first = survivors(1).await;
    let kept = first.iter().filter(|&&kept| kept).count();
    assert!((5..=19).contains(&kept), "{first:?}");
    assert_eq!(first, survivors(1).await, "one seed, one choice");
    assert_ne!(first, survivors(2).await);
}
