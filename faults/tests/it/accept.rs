//! What becomes of those who dial: served, reset, refused, or left without an answer. What is connected goes on.

use crate::lab::{Lab, Pair, crosses, is_reset, link, node, soon};
use faults::{Accept, ClientRule, Heal, Plan, Rule};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

fn calls_are(accept: Accept) -> Plan {
    Plan { rules: [(link(1, 2), Rule::accepting(accept))].into(), ..Plan::default() }
}

fn port(lab: &Lab) -> SocketAddr {
    lab.hub.peer_address(node(1), node(2)).unwrap()
}

/// Whether a call is answered within a time that is long enough for the kernel's first retry.
async fn is_answered(address: SocketAddr) -> bool {
    tokio::time::timeout(Duration::from_millis(1300), TcpStream::connect(address)).await.is_ok()
}

#[tokio::test]
async fn a_call_that_hangs_is_answered_after_the_heal() {
    let lab = Lab::new(2).await;
    let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
    crosses(&mut dialler, &mut target, b"known to the hub").await;
    let before = lab.hub.apply(calls_are(Accept::Hang)).await.unwrap();
    assert!(!is_answered(port(&lab)).await, "somebody answered");
    let caller = tokio::spawn(TcpStream::connect(port(&lab)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    crosses(&mut dialler, &mut target, b"connected").await;
    crosses(&mut target, &mut dialler, b"before").await;
    assert!(!caller.is_finished());
    let after = lab.hub.apply(Plan::default()).await.unwrap();
    let passage = after.counters[&link(1, 2)].since(&before.counters[&link(1, 2)]);
    // One call asked again after a second, the other has asked once.
    assert!(passage.unanswered >= 2, "{passage:?}");
    assert_eq!((passage.opened, passage.dialled), (0, 0));
    let healed = Instant::now();
    let mut late = soon("connect", caller).await.unwrap().unwrap();
    assert!(healed.elapsed() < Duration::from_millis(1500), "{:?}", healed.elapsed());
    let mut reached = lab.accept(2).await;
    crosses(&mut late, &mut reached, b"late").await;
    assert_eq!(
        lab.counters(1, 2).since(&after.counters[&link(1, 2)]).dialled,
        1,
        "only the caller"
    );
}

#[tokio::test]
async fn a_port_hangs_again_and_again() {
    let lab = Lab::new(2).await;
    for _ in 0..20 {
        lab.hub.apply(calls_are(Accept::Hang)).await.unwrap();
        let call = TcpStream::connect(port(&lab));
        let quick = tokio::time::timeout(Duration::from_millis(10), call).await;
        assert!(quick.is_err(), "somebody answered");
        lab.hub.apply(Plan::default()).await.unwrap();
        lab.pair(1, 2).await;
    }
    lab.emptied().await;
    assert_eq!(lab.counters(1, 2).dialled, 20, "the hub's own connections are nobody's calls");
}

#[tokio::test]
async fn a_call_is_refused_and_the_port_comes_back() {
    let lab = Lab::new(2).await;
    let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
    crosses(&mut dialler, &mut target, b"known to the hub").await;
    let before = lab.hub.apply(calls_are(Accept::Refuse)).await.unwrap();
    for _ in 0..3 {
        let error = soon("an answer", TcpStream::connect(port(&lab))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
    crosses(&mut dialler, &mut target, b"connected").await;
    let after = lab.hub.apply(Plan::default()).await.unwrap();
    let passage = after.counters[&link(1, 2)].since(&before.counters[&link(1, 2)]);
    assert_eq!((passage.closed, passage.opened), (2, 0), "seen at both ends");
    let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
    crosses(&mut dialler, &mut target, b"again").await;
}

#[tokio::test]
async fn a_call_is_accepted_and_reset() {
    let lab = Lab::new(2).await;
    let Pair { mut dialler, mut target } = lab.pair(1, 2).await;
    lab.hub.apply(calls_are(Accept::Reset)).await.unwrap();
    match soon("connect", TcpStream::connect(port(&lab))).await {
        Ok(mut stream) => is_reset(&mut stream).await,
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    crosses(&mut dialler, &mut target, b"connected").await;
    assert_eq!((lab.counters(1, 2).refused, lab.counters(1, 2).opened), (1, 1));
    lab.hub.apply(Plan::default()).await.unwrap();
    lab.pair(1, 2).await;
}

#[tokio::test]
async fn policies_follow_each_other_and_other_ports_are_not_touched() {
    let lab = Lab::new(2).await;
    let all = [Accept::Hang, Accept::Refuse, Accept::Reset, Accept::Serve];
    for (before, after) in all.into_iter().flat_map(|a| all.map(|b| (a, b))) {
        lab.hub.apply(calls_are(before)).await.unwrap();
        lab.hub.apply(calls_are(after)).await.unwrap();
        let call = TcpStream::connect(port(&lab));
        let answer = tokio::time::timeout(Duration::from_millis(40), call).await;
        let is = match answer {
            Err(_) => Accept::Hang,
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Accept::Refuse,
            Ok(Err(_)) => Accept::Reset,
            Ok(Ok(mut stream)) if after == Accept::Reset => {
                is_reset(&mut stream).await;
                Accept::Reset
            }
            Ok(Ok(stream)) => {
                drop((stream, lab.accept(2).await));
                Accept::Serve
            }
        };
        assert_eq!(is, after, "after {before:?}");
        lab.pair(2, 1).await;
    }
}

#[tokio::test]
async fn who_had_connected_before_is_served() {
    let lab = Lab::new(2).await;
    for accept in [Accept::Hang, Accept::Refuse] {
        // The hub's thread may not have accepted them when the plan comes.
        let mut early = Vec::new();
        for _ in 0..10 {
            early.push(lab.dial(1, 2).await);
        }
        lab.hub.apply(calls_are(accept)).await.unwrap();
        for mut dialler in early {
            let mut target = lab.accept(2).await;
            crosses(&mut dialler, &mut target, b"in time").await;
        }
        lab.hub.apply(Plan::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_held_link_can_leave_calls_unanswered_whoever_dials() {
    let lab = Lab::new(2).await;
    let rule = Rule { accept: Accept::Hang, ..Rule::hold(Heal::Deliver) };
    let plan = Plan { rules: [(link(1, 2), rule)].into(), ..Plan::default() };
    lab.hub.apply(plan).await.unwrap();
    for (dialler, target) in [(1, 2), (2, 1)] {
        let port = lab.hub.peer_address(node(dialler), node(target)).unwrap();
        let call = tokio::time::timeout(Duration::from_millis(50), TcpStream::connect(port));
        assert!(call.await.is_err(), "{dialler} to {target}: a connection needs both directions");
    }
}

#[tokio::test]
async fn the_port_of_the_clients_follows_too() {
    let lab = Lab::new(1).await;
    let rule = ClientRule { inward: Rule::accepting(Accept::Refuse), outward: Rule::default() };
    lab.hub.apply(Plan { clients: [(node(1), rule)].into(), ..Plan::default() }).await.unwrap();
    let address = lab.hub.client_address(node(1)).unwrap();
    let error = soon("an answer", TcpStream::connect(address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    lab.hub.apply(Plan::default()).await.unwrap();
    lab.dial_as_client(1).await;
}
