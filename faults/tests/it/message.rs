//! The relays against a service of tonic, which writes down what reaches it.

use crate::echo::{LINK, Stand};
use crate::lab::{QUIET, link, soon};
use crate::stage::Stage;
use bytes::Bytes;
use faults::message::{MessageCounts, MessageRule, Messages};
use faults::proxy::Upstream;
use faults::{
    Budget, Entry, Heal, Hub, Nemesis, Plan, Random, Receipt, Schedule, Settings, registry,
    schedule,
};
use history::NodeId;
use std::collections::BTreeSet;
use std::time::Duration;
use tonic::Code;

const NOTHING: MessageRule = MessageRule {
    drop_request: 0.0,
    drop_reply: 0.0,
    duplicate: 0.0,
    delay_ms: [0, 0],
    replay: false,
};

fn begin(stand: &Stand, rule: MessageRule) {
    stand.relays.begin(1, BTreeSet::from([LINK]), rule, 7);
}

fn end(stand: &Stand) -> MessageCounts {
    stand.relays.end(1).remove(&LINK).unwrap_or_default()
}

fn numbered(count: u8) -> Vec<Bytes> {
    (0..count).map(|number| Bytes::copy_from_slice(&[number])).collect()
}

async fn until(what: &str, is: impl Fn() -> bool) {
    soon(what, async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn calls_without_a_fault_arrive_as_they_were_made() {
    let stand = Stand::new().await;
    let mut caller = stand.caller().await;
    let mut random = Random::new(1, 1);
    for size in [0, 1, 5, 16_384, 100_000, 3_000_000] {
        let message: Vec<u8> = (0..size).map(|_| random.draw() as u8).collect();
        let answer = soon("an answer", caller.unary(&message)).await.unwrap();
        assert_eq!(answer.metadata().get("tag").unwrap(), "t1", "headers come and go");
        assert!(answer.into_inner() == message, "{size} bytes");
    }
    let status = soon("an error", caller.unary(b"fail")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Aborted, "as asked"));
    assert_eq!(status.details(), b"fail", "of the trailers nothing is lost");
    let (sender, mut answers) = soon("a stream", caller.stream()).await;
    for message in [vec![7], vec![8; 200_000], vec![], b"fail".to_vec()] {
        sender.send(Bytes::from(message.clone())).await.unwrap();
        let answer = soon("an answer", answers.message()).await;
        match answer {
            Ok(answer) => assert!(answer.unwrap() == message),
            Err(status) => assert_eq!(status.code(), Code::DataLoss),
        }
    }
    let messages = numbered(200);
    assert_eq!(soon("a count", caller.count(messages.clone())).await.unwrap(), 200);
    assert!(stand.seen().ends_with(&messages), "in order");
}

#[tokio::test]
async fn calls_given_up_and_servers_that_go_are_noticed_on_the_other_side() {
    let stand = Stand::new().await;
    let mut caller = stand.caller().await;
    let hanging = tokio::time::timeout(QUIET, caller.unary(b"hang")).await;
    assert!(hanging.is_err(), "it hangs");
    until("the call to be given up", || *stand.echo.abandoned.lock().unwrap() == 1).await;
    let (_sender, mut answers) = caller.stream().await;
    stand.server.abort();
    // Tonic's connections are tasks of their own: they end with the relay's.
    drop(stand.relays);
    assert!(soon("the end", answers.message()).await.is_err());
}

#[tokio::test]
async fn a_lost_request_is_not_executed_and_a_lost_reply_is() {
    let stand = Stand::new().await;
    let mut caller = stand.caller().await;
    begin(&stand, MessageRule { drop_request: 0.5, ..NOTHING });
    let mut answered = Vec::new();
    for message in numbered(20) {
        if let Ok(answer) = tokio::time::timeout(QUIET, caller.unary(&message)).await {
            answered.push(answer.unwrap().into_inner());
        }
    }
    let counts = end(&stand);
    assert_eq!(stand.seen(), answered, "what was executed is what was answered");
    assert_eq!(counts.dropped_requests, 20 - answered.len() as u64);
    assert!((3..18).contains(&answered.len()), "{answered:?}");

    stand.echo.seen.lock().unwrap().clear();
    begin(&stand, MessageRule { drop_reply: 0.5, ..NOTHING });
    let mut lost = 0;
    for message in numbered(20) {
        lost += u64::from(tokio::time::timeout(QUIET, caller.unary(&message)).await.is_err());
    }
    assert_eq!(stand.seen(), numbered(20), "all were executed, once");
    assert_eq!(end(&stand).dropped_replies, lost);
    assert!((3..18).contains(&lost), "{lost}");
}

#[tokio::test]
async fn a_duplicated_call_is_executed_twice_and_answered_once() {
    let stand = Stand::new().await;
    let mut caller = stand.caller().await;
    begin(&stand, MessageRule { duplicate: 1.0, ..NOTHING });
    for message in numbered(5) {
        assert_eq!(soon("an answer", caller.unary(&message)).await.unwrap().into_inner(), message);
    }
    until("all to arrive", || stand.seen().len() == 10).await;
    let mut seen = stand.seen();
    seen.sort();
    assert_eq!(seen, numbered(5).iter().flat_map(|m| [m.clone(), m.clone()]).collect::<Vec<_>>());
    assert_eq!(end(&stand).duplicated, 5);
    // In a stream it is one more message.
    begin(&stand, MessageRule { duplicate: 1.0, ..NOTHING });
    assert_eq!(soon("a count", caller.count(numbered(30))).await.unwrap(), 60);
    assert_eq!(end(&stand).duplicated, 30);
}

#[tokio::test]
async fn delays_reorder_what_is_sent_and_lose_nothing() {
    let stand = Stand::new().await;
    let mut caller = stand.caller().await;
    begin(&stand, MessageRule { delay_ms: [0, 60], ..NOTHING });
    assert_eq!(soon("a count", caller.count(numbered(100))).await.unwrap(), 100);
    let counts = end(&stand);
    let mut seen = stand.seen();
    let (mut overtaken, mut highest) = (0, None);
    for message in &seen {
        overtaken += u64::from(highest.as_ref().is_some_and(|highest| message < highest));
        highest = highest.max(Some(message.clone()));
    }
    assert!(overtaken > 30, "{seen:?}");
    assert_eq!(counts.reordered, overtaken, "the receiver saw what was counted");
    seen.sort();
    assert_eq!(seen, numbered(100));
}

#[tokio::test]
async fn the_end_of_a_rule_sends_what_is_late_at_once() {
    let stand = Stand::new().await;
    let mut caller = stand.caller().await;
    begin(&stand, MessageRule { delay_ms: [2000, 2000], drop_reply: 0.1, ..NOTHING });
    let call = tokio::spawn(async move { caller.unary(b"late").await });
    until("the call", || stand.relays.end(9).is_empty()).await;
    tokio::time::sleep(QUIET).await;
    assert!(stand.seen().is_empty(), "it waits");
    let from = std::time::Instant::now();
    end(&stand);
    assert!(soon("an answer", call).await.unwrap().is_ok());
    assert!(from.elapsed() < Duration::from_millis(1500), "{:?}", from.elapsed());
}

#[tokio::test]
async fn old_messages_are_sent_again_into_streams_and_as_calls() {
    let stand = Stand::new().await;
    let mut caller = stand.caller().await;
    soon("an answer", caller.unary(b"old call")).await.unwrap();
    begin(&stand, MessageRule { replay: true, ..NOTHING });
    until("a replay", || stand.seen().len() > 1).await;
    assert_eq!(stand.seen()[1], "old call");
    until("its count", || {
        let counts = end(&stand);
        begin(&stand, MessageRule { replay: true, ..NOTHING });
        counts.replayed > 0
    })
    .await;
    end(&stand);

    let stand = Stand::new().await;
    let mut caller = stand.caller().await;
    let (sender, mut answers) = caller.stream().await;
    for message in [b"one", b"two"] {
        sender.send(Bytes::from_static(message)).await.unwrap();
        soon("an answer", answers.message()).await.unwrap();
    }
    begin(&stand, MessageRule { replay: true, ..NOTHING });
    let again = soon("a replay in the same stream", answers.message()).await.unwrap();
    assert_eq!(again.unwrap(), "one", "the second came too soon after it to be remembered");
}

#[tokio::test]
async fn a_held_link_holds_what_a_relay_kept_back() {
    let (one, two) = (NodeId(1), NodeId(2));
    let hub = Hub::start(&[one, two]).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    hub.set_upstream(two, Some(Upstream { peer: at, client: at }));
    let stand = Stand::in_front_of(hub.peer_address(one, two).unwrap(), listener);
    let mut caller = stand.caller().await;
    soon("an answer", caller.unary(b"first")).await.unwrap();
    begin(&stand, MessageRule { delay_ms: [40, 60], replay: true, ..NOTHING });
    let mut other = caller.clone();
    let late = tokio::spawn(async move { other.unary(b"late").await });
    hub.apply(Plan::hold([link(1, 2), link(2, 1)], Heal::Deliver)).await.unwrap();
    let seen = stand.seen();
    tokio::time::sleep(QUIET * 2).await;
    assert_eq!(stand.seen(), seen, "neither late nor old messages cross");
    assert!(hub.counters(link(1, 2)).unwrap().held_bytes > 0, "they tried");
    let dialled = tokio::time::timeout(QUIET, async { stand.caller().await.unary(b"new").await });
    assert!(dialled.await.is_err(), "a new connection hangs");
    hub.apply(Plan::default()).await.unwrap();
    assert!(soon("an answer", late).await.unwrap().is_ok());
}

fn written(how: &serde_json::Value) -> Entry {
    serde_json::from_value(
        serde_json::json!({"id": 1, "fault": "message", "trigger": {"at": {"ms": 100}},
        "duration_ms": 900, "target": "leader", "seed": 5, "how": how}),
    )
    .unwrap()
}

async fn played(counts: MessageCounts) -> (Receipt, String) {
    let stage = Stage::new(3);
    stage.lead(2);
    stage.seen.lock().unwrap().messages = counts;
    let entries = vec![written(&serde_json::json!({"drop_request": 0.25}))];
    let mut played = Nemesis::play(&Schedule { entries }, &stage, std::future::pending()).await;
    assert_eq!(played.unhealed, []);
    (played.receipts.remove(0), stage.log_text())
}

#[tokio::test(start_paused = true)]
async fn a_rule_begins_and_ends_and_counts_only_if_something_came_of_it() {
    let (receipt, log) = played(MessageCounts::default()).await;
    let golden = "0 n2 leads\n  100 start message 1\n  100 rule 1 on 4 links, seed 5, drops 0.25\n \
                  1000 no rule 1\n 1000 end message 1\n 1000 hold []";
    assert_eq!(log.trim(), golden);
    assert!(!receipt.effective);
    assert_eq!(receipt.reason, "no message came");

    let late = MessageCounts { requests: 9, delayed: 9, ..MessageCounts::default() };
    let (receipt, _) = played(late).await;
    assert!(!receipt.effective, "late in order is nothing but slow");
    assert_eq!(receipt.reason, "of 9 messages each arrived once and in order");

    let (receipt, _) = played(MessageCounts { reordered: 2, ..late }).await;
    assert!(receipt.effective, "{}", receipt.reason);
    assert_eq!(receipt.evidence["counts"]["reordered"], 2);
}

#[test]
fn every_drawn_rule_passes_the_check_of_written_ones() {
    let fault = registry::by_name("message").unwrap();
    let (budget, mut entries) = (Budget::majority(5), 0);
    for seed in 0..50 {
        let drawn =
            schedule(&Settings::new(&["message"], 5, Duration::from_secs(60), seed)).unwrap();
        for entry in &drawn.entries {
            assert_eq!(fault.check(entry, 5, &budget), Ok(()), "{entry:?}");
            entries += 1;
        }
    }
    assert!(entries > 200, "{entries}");
    for wrong in [
        serde_json::Value::Null,
        serde_json::json!({"dorp": 0.1}),
        serde_json::json!({"drop_request": 0.9}),
        serde_json::json!({}),
    ] {
        assert!(fault.check(&written(&wrong), 5, &budget).is_err(), "{wrong}");
    }
    assert!(fault.left_out_of_all().is_some());
}
