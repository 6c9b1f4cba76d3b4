//! A fault of the network through the real hub proves that it bit, or says that it did not.

use crate::lab::{Lab, Pair, node};
use faults::{
    BoxFuture, Entry, Environment, EnvironmentError, Heal, Nemesis, Network, Receipt, Schedule,
    Shape, Sighting, Target, Trigger,
};
use history::{Nanos, NodeId};
use serde_json::Value;
use std::future::pending;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

/// The hub, and nothing else.
pub(crate) struct Wires {
    pub(crate) lab: Lab,
    start: Instant,
}

impl Wires {
    pub(crate) async fn new(nodes: u16) -> Self {
        Self { lab: Lab::new(nodes).await, start: Instant::now() }
    }

    /// Plays one entry against the leader, which is n1, from 20 ms to 320 ms.
    pub(crate) async fn play(&self, fault: &str, heal: Option<Heal>, how: Value) -> Receipt {
        let entry = Entry {
            id: 1,
            fault: fault.to_owned(),
            trigger: Trigger::At { time: Duration::from_millis(20) },
            duration: Duration::from_millis(300),
            target: Target::Leader,
            shape: (fault == "partition").then_some(Shape::Isolate),
            heal,
            how,
            seed: 1,
        };
        let schedule = Schedule { entries: vec![entry] };
        let mut played = Nemesis::play(&schedule, self, pending()).await;
        assert_eq!(played.unhealed, []);
        played.receipts.pop().unwrap()
    }
}

fn none<'a>() -> BoxFuture<'a, Result<Sighting, EnvironmentError>> {
    Box::pin(async { Err(EnvironmentError("there are no processes here".to_owned())) })
}

impl Environment for Wires {
    fn nodes(&self) -> Vec<NodeId> {
        self.lab.nodes.clone()
    }
    fn leader(&self) -> Option<NodeId> {
        Some(node(1))
    }
    fn leader_changes(&self) -> u64 {
        0
    }
    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap())
    }
    fn network(&self) -> &dyn Network {
        &self.lab.hub
    }
    fn kill(&self, _: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        none()
    }
    fn restart(&self, _: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        none()
    }
    fn pause(&self, _: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        none()
    }
    fn resume(&self, _: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        none()
    }
    fn record(&self, _: &str, _: Value) {}
    fn receipt(&self, _: &Receipt) {}
    fn release(&self, _: &[NodeId]) {
        self.lab.hub.release();
    }
}

async fn isolate(wires: &Wires) -> Receipt {
    wires.play("partition", Some(Heal::Deliver), Value::Null).await
}

#[tokio::test]
async fn a_partition_that_was_tried_is_effective() {
    let wires = Wires::new(3).await;
    let Pair { mut dialler, target: _kept } = wires.lab.pair(1, 2).await;
    let write = async {
        for _ in 0..60 {
            dialler.write_all(b"beat").await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (receipt, ()) = tokio::join!(isolate(&wires), write);
    assert!(receipt.effective, "{receipt:?}");
    assert_eq!(receipt.reason, "nothing crossed 4 held links; 1 of them were tried");
    assert_eq!(receipt.evidence["links"][0]["forwarded_bytes"], 0);
    assert!(receipt.in_effect.unwrap() < receipt.healed.unwrap());
}

#[tokio::test]
async fn a_caller_alone_is_a_try() {
    let wires = Wires::new(3).await;
    let dial = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        wires.lab.dial(2, 1).await
    };
    let (receipt, _stream) = tokio::join!(isolate(&wires), dial);
    assert!(receipt.effective, "{receipt:?}");
}

#[tokio::test]
async fn a_partition_that_nobody_tried_does_not_count() {
    let wires = Wires::new(3).await;
    let _idle = wires.lab.pair(1, 2).await;
    // Traffic on a link that is not cut is no try.
    let Pair { mut dialler, target: _kept } = wires.lab.pair(2, 3).await;
    dialler.write_all(b"beat").await.unwrap();
    let receipt = isolate(&wires).await;
    assert!(!receipt.effective);
    assert_eq!(receipt.reason, "nothing tried to cross a held link");
}
