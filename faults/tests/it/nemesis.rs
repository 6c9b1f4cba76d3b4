//! The nemesis plays a schedule as written, and heals whatever happens.

use crate::stage::Stage;
use faults::{Entry, Heal, Nemesis, Played, Schedule, Settings, Shape, Target, Trigger, schedule};
use serde_json::json;
use std::future::pending;
use std::time::Duration;
use tokio::time::{sleep, timeout};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn entry(id: u64, fault: &str, trigger: Trigger, duration: u64, target: Target) -> Entry {
    let shape = (fault == "partition").then_some(Shape::Isolate);
    let heal = shape.map(|_| Heal::Deliver);
    let duration = ms(duration);
    Entry {
        id,
        fault: fault.to_owned(),
        trigger,
        duration,
        target,
        shape,
        heal,
        how: serde_json::Value::Null,
        seed: id,
    }
}

fn at(time: u64) -> Trigger {
    Trigger::At { time: ms(time) }
}

fn schedule_of(entries: impl IntoIterator<Item = Entry>) -> Schedule {
    Schedule { entries: entries.into_iter().collect() }
}

async fn play(stage: &Stage, schedule: &Schedule) -> Played {
    Nemesis::play(schedule, stage, pending()).await
}

#[tokio::test(start_paused = true)]
async fn a_schedule_is_played_as_written() {
    let stage = Stage::new(3);
    stage.lead(2);
    let change = Trigger::OnLeaderChange { armed: ms(900), after: ms(40), latest: ms(3000) };
    let schedule = schedule_of([
        entry(1, "partition", at(500), 2000, Target::Leader),
        entry(2, "pause", change, 300, Target::Leader),
        entry(3, "kill", at(4000), 500, Target::One),
    ]);
    let (played, ()) = tokio::join!(play(&stage, &schedule), async {
        sleep(ms(1200)).await;
        stage.lead(3);
    });
    let golden = "0 n2 leads
  500 start partition 1
  500 hold [1>2 2>1 2>3 3>2]
 1200 n3 leads
 1242 start pause 2
 1252 pause n3
 1562 resume n3
 1562 end pause 2
 2500 hold []
 2500 end partition 1
 4000 start kill 3
 4010 kill n2
 4520 restart n2
 4520 end kill 3
 4520 hold []";
    assert_eq!(stage.log_text().trim_start(), golden);
    assert_eq!(played.unhealed, []);
    assert!(played.receipts.iter().all(|receipt| receipt.effective), "{played:?}");
    let seen: Vec<Option<u64>> = played
        .receipts
        .iter()
        .map(|receipt| receipt.event_seen.map(|seen| seen.0 / 1_000_000))
        .collect();
    assert_eq!(seen, [None, Some(1202), None], "only one waited for an event, and it came");
    let seen = stage.seen.lock().unwrap();
    let cut = json!([["n1", "n2"], ["n2", "n1"], ["n2", "n3"], ["n3", "n2"]]);
    let start = json!({
        "id": 1, "phase": "start", "target": "leader", "nodes": ["n2"], "cut": cut,
        "shape": "isolate",
    });
    assert_eq!(seen.events[0], ("partition".to_owned(), start));
    let receipts: Vec<u64> = played.receipts.iter().map(|receipt| receipt.id).collect();
    assert_eq!(receipts, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_never_comes_is_not_waited_for() {
    let stage = Stage::new(3);
    let trigger = Trigger::OnLeaderChange { armed: ms(100), after: ms(40), latest: ms(700) };
    let played = play(&stage, &schedule_of([entry(1, "kill", trigger, 500, Target::Leader)])).await;
    assert_eq!(played.receipts[0].injected.0, 700_000_000);
    assert_eq!(played.receipts[0].note.as_deref(), Some("no leader was known: any node"));
}

/// Who was paused may run again while nothing passes between it and the others.
#[tokio::test(start_paused = true)]
async fn a_node_may_wake_up_before_it_hears_the_others() {
    let stage = Stage::new(3);
    stage.lead(2);
    let pause = entry(1, "pause", at(500), 1000, Target::Leader);
    let how = json!({"alone_percent": 30});
    let played = play(&stage, &schedule_of([Entry { how, ..pause }])).await;
    let golden = "0 n2 leads
  500 start pause 1
  500 hold [1>2 2>1 2>3 3>2]
  510 pause n2
 1220 resume n2
 1530 resume n2
 1530 hold []
 1530 end pause 1
 1530 hold []";
    assert_eq!(stage.log_text().trim_start(), golden);
    let receipt = &played.receipts[0];
    assert!(receipt.effective && receipt.cut.len() == 4, "{receipt:?}");
    assert!(receipt.reason.contains("nothing crossed 4 held links"), "{}", receipt.reason);
}

/// A clock may be set while its node is stopped, which shows when that goes on; nobody looks at the clock of a dead one.
#[tokio::test(start_paused = true)]
async fn only_a_clock_is_set_of_a_node_that_is_stopped() {
    for (first, second, reached) in [
        ("pause", "clock", true),
        ("kill", "clock", false),
        ("pause", "pause", false),
        ("pause", "kill", false),
    ] {
        let stage = Stage::new(3);
        stage.lead(2);
        let mut entries = [(1, first, 500), (2, second, 560)]
            .map(|(id, fault, time)| entry(id, fault, at(time), 1000, Target::Leader));
        entries[1].how = if second == "clock" { json!({"step_ms": -9}) } else { json!(null) };
        let played = play(&stage, &schedule_of(entries)).await;
        let [one, two] = [0, 1].map(|place: usize| &played.receipts[place].nodes);
        assert_eq!(one == two, reached, "{second} after {first}: {one:?} {two:?}");
    }
}

fn one_of_each() -> Schedule {
    schedule_of([
        entry(1, "partition", at(100), 5000, Target::One),
        entry(2, "pause", at(200), 5000, Target::One),
        entry(3, "kill", at(300), 5000, Target::One),
        entry(4, "kill", at(9000), 5000, Target::One),
    ])
}

#[tokio::test(start_paused = true)]
async fn a_stop_heals_at_once_and_injects_no_more() {
    let stage = Stage::new(5);
    let played = Nemesis::play(&one_of_each(), &stage, sleep(ms(1000))).await;
    let seen = stage.seen.lock().unwrap();
    assert_eq!(played.receipts.len(), 3);
    assert!(played.receipts.iter().all(|receipt| receipt.healed.unwrap().0 < 1_050_000_000));
    assert!(seen.down.is_empty() && seen.plan.rules.is_empty());
    assert_eq!((seen.events.len(), seen.receipts.len()), (6, 3));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_nemesis_releases_what_it_can() {
    let stage = Stage::new(5);
    let dropped = timeout(ms(1000), play(&stage, &one_of_each())).await;
    assert!(dropped.is_err());
    let seen = stage.seen.lock().unwrap();
    assert!(seen.plan.rules.is_empty(), "links are held");
    let killed = &seen.receipts.iter().find(|receipt| receipt.fault == "kill").unwrap().nodes;
    assert!(seen.down.iter().eq(killed), "only the killed node is down: {:?}", seen.down);
    let ends = seen.events.iter().filter(|(_, value)| value["phase"] == "end").count();
    assert_eq!((ends, seen.receipts.len()), (3, 3));
    assert!(seen.receipts.iter().all(|receipt| !receipt.effective));
}

#[tokio::test(start_paused = true)]
async fn a_heal_that_fails_is_tried_again() {
    for (failures, healed) in [(2, true), (100, false)] {
        let stage = Stage::new(3);
        stage.fail("restart", failures);
        let schedule = schedule_of([entry(1, "kill", at(100), 500, Target::One)]);
        let played = play(&stage, &schedule).await;
        assert_eq!(played.unhealed.is_empty(), healed, "{played:?}");
        assert_eq!(played.receipts[0].healed.is_some(), healed);
        assert_eq!(played.receipts[0].effective, healed);
        assert_eq!(stage.seen.lock().unwrap().events.len(), 2, "an end in any case");
    }
}

/// The first node of several never comes back; the others do.
#[tokio::test(start_paused = true)]
async fn one_node_that_cannot_be_healed_does_not_keep_the_others_down() {
    for (fault, verb) in [("kill", "restart"), ("pause", "resume")] {
        let stage = Stage::new(5);
        stage.fail_first_of(verb);
        let schedule = schedule_of([entry(1, fault, at(100), 500, Target::Minority)]);
        let played = play(&stage, &schedule).await;
        let nodes = &played.receipts[0].nodes;
        assert_eq!(nodes.len(), 2);
        assert_eq!(played.unhealed.len(), 1, "{fault}");
        assert_eq!(stage.seen.lock().unwrap().down.len(), 1, "{fault}");
    }
}

/// Whoever is still down after a heal that failed is no target of what comes later.
#[tokio::test(start_paused = true)]
async fn a_node_that_did_not_come_back_is_chosen_by_nobody() {
    let stage = Stage::new(3);
    stage.fail("restart", 100);
    let schedule = schedule_of([
        entry(1, "kill", at(100), 500, Target::One),
        entry(2, "pause", at(5000), 500, Target::All),
    ]);
    let played = play(&stage, &schedule).await;
    let (lost, others) = (&played.receipts[0].nodes, &played.receipts[1].nodes);
    assert_eq!((lost.len(), others.len()), (1, 2), "{played:?}");
    assert!(!others.contains(&lost[0]), "{played:?}");
}

/// A panic of the recorder is the run's to report; what was in effect is released all the same.
#[tokio::test(start_paused = true)]
async fn a_panic_of_the_recorder_does_not_keep_a_fault_in_effect() {
    let stage = std::sync::Arc::new(Stage::new(5));
    stage.fail("record kill", 1);
    let playing = std::sync::Arc::clone(&stage);
    let played = tokio::spawn(async move {
        let schedule = schedule_of([
            entry(1, "pause", at(100), 5000, Target::One),
            entry(2, "kill", at(300), 5000, Target::One),
        ]);
        play(&playing, &schedule).await
    });
    assert!(played.await.is_err_and(|error| error.is_panic()));
    assert!(stage.seen.lock().unwrap().down.is_empty(), "paused still");
}

#[tokio::test(start_paused = true)]
async fn what_failed_half_way_is_healed_and_counts_for_nothing() {
    for (fault, verb) in [("partition", "apply"), ("kill", "kill"), ("pause", "pause")] {
        let stage = Stage::new(5);
        stage.fail(verb, 1);
        let schedule = schedule_of([entry(1, fault, at(100), 500, Target::Minority)]);
        let played = play(&stage, &schedule).await;
        let receipt = &played.receipts[0];
        assert!(receipt.in_effect.is_none() && !receipt.effective, "{receipt:?}");
        assert!(receipt.reason.starts_with("could not be injected"), "{}", receipt.reason);
        assert!(receipt.healed.is_some());
        let seen = stage.seen.lock().unwrap();
        assert!(seen.down.is_empty() && seen.plan.rules.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn every_drawn_schedule_can_be_played_within_its_budget() {
    for seed in 0..40 {
        let stage = Stage::new(5);
        let settings =
            Settings::new(&["partition", "kill", "pause"], 5, Duration::from_secs(30), seed);
        let schedule = schedule(&settings).unwrap();
        let (played, ()) = tokio::join!(play(&stage, &schedule), async {
            for leader in [3, 1, 4, 1, 5, 2] {
                stage.lead(leader);
                sleep(ms(4300)).await;
            }
        });
        let seen = stage.seen.lock().unwrap();
        assert_eq!(played.receipts.len(), schedule.entries.len());
        assert!(played.receipts.iter().all(|receipt| receipt.effective), "seed {seed}: {played:?}");
        assert!(seen.most_down <= settings.budget.down, "seed {seed}");
        assert!(seen.down.is_empty() && seen.plan.rules.is_empty());
        let last = played.receipts.iter().filter_map(|receipt| receipt.healed).max().unwrap();
        assert!(last.as_seconds() < 29.2, "seed {seed}: the last heal came at {last:?}");
    }
}
