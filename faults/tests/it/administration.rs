//! The faults that need an administrator: what they do, and when they count.

use crate::stage::Stage;
use faults::{Entry, Nemesis, Receipt, Schedule, Target, Trigger};
use history::NodeId;
use std::future::pending;
use std::time::Duration;

/// Plays one fault at 1 s on three nodes of which n2 leads.
async fn one(stage: &Stage, fault: &str, target: Target) -> Receipt {
    let entry = Entry {
        id: 1,
        fault: fault.to_owned(),
        trigger: Trigger::At { time: Duration::from_secs(1) },
        duration: Duration::from_millis(300),
        target,
        shape: None,
        heal: None,
        how: serde_json::Value::Null,
        seed: 3,
    };
    stage.lead(2);
    let played = Nemesis::play(&Schedule { entries: vec![entry] }, stage, pending()).await;
    assert_eq!(played.unhealed, []);
    played.receipts.into_iter().next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_node_is_replaced_by_another_member() {
    let stage = Stage::new(3);
    let receipt = one(&stage, "membership", Target::Leader).await;
    assert!(receipt.effective, "{}", receipt.reason);
    assert_eq!(receipt.reason, "n2 left as of entry 1; n2, life 2 votes as of entry 3");
    let golden = "0 n2 leads
 1000 start membership 1
 1020 remove n2
 1030 kill n2
 1350 replace n2
 1370 admit n2
 1370 end membership 1
 1370 hold []";
    assert_eq!(stage.log_text().trim_start(), golden);
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_may_have_happened_is_completed_and_does_not_count() {
    let stage = Stage::new(3);
    stage.fail("remove", 1);
    stage.fail("admit", 1);
    let receipt = one(&stage, "membership", Target::Leader).await;
    assert!(
        !receipt.effective && receipt.reason.contains("remove fails here"),
        "{}",
        receipt.reason
    );
    let seen = stage.seen.lock().unwrap();
    assert!(seen.out.is_empty() && seen.down.is_empty(), "it votes again");
    let asked = |what: &str| seen.log.iter().filter(|line| line.ends_with(what)).count();
    assert_eq!(asked("remove n2"), 3, "once, and with each attempt to heal");
    assert_eq!(asked("replace n2"), 2, "the heal was tried again");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_could_not_be_replaced_is_left_alone() {
    let stage = Stage::new(3);
    stage.fail("leave", 9);
    let receipt = one(&stage, "membership", Target::Leader).await;
    assert!(!receipt.effective && receipt.reason.contains("leave fails here"), "{receipt:?}");
    let log = stage.log_text();
    assert!(["remove", "kill", "replace"].iter().all(|verb| !log.contains(verb)), "{log}");
}

#[tokio::test(start_paused = true)]
async fn leadership_moves_to_a_node_that_does_not_lead() {
    let stage = Stage::new(3);
    let receipt = one(&stage, "transfer", Target::Follower).await;
    assert!(receipt.effective, "{}", receipt.reason);
    assert_ne!(receipt.nodes, [NodeId(2)]);
    let stage = Stage::new(3);
    stage.fail("transfer", 1);
    assert!(!one(&stage, "transfer", Target::Follower).await.effective);
}

#[tokio::test(start_paused = true)]
async fn one_node_without_a_snapshot_spoils_no_other() {
    let stage = Stage::new(3);
    stage.fail("snapshot", 1);
    let receipt = one(&stage, "snapshot", Target::All).await;
    assert!(receipt.effective, "{}", receipt.reason);
    assert_eq!(receipt.evidence["taken"].as_array().unwrap().len(), 2);
    stage.fail("snapshot", 3);
    assert!(!one(&stage, "snapshot", Target::All).await.effective);
}
