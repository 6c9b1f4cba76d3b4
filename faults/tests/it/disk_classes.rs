//! The classes of disk faults against an environment that writes down what is asked of it.

use crate::stage::Stage;
use faults::{
    Budget, Entry, Load, Nemesis, Receipt, Schedule, Settings, Target, Trigger, registry, schedule,
};
use serde_json::{Value, json};
use std::future::pending;
use std::time::Duration;

const CLASSES: [&str; 6] =
    ["power-loss", "disk-error", "disk-full", "disk-slow", "disk-hang", "bit-flip"];

fn entry(class: &str, target: Target) -> Entry {
    let how = match class {
        "power-loss" => json!({ "slow_ms": 100, "torn": "sectors" }),
        "disk-full" => json!({ "restart": true }),
        "disk-slow" => json!({ "ms": 200 }),
        _ => Value::Null,
    };
    let trigger = Trigger::At { time: Duration::from_millis(100) };
    let duration = Duration::from_millis(500);
    let fault = class.to_owned();
    Entry { id: 1, fault, trigger, duration, target, shape: None, heal: None, how, seed: 1 }
}

async fn play(stage: &Stage, entry: Entry) -> Receipt {
    let schedule = Schedule { entries: vec![entry] };
    let mut played = Nemesis::play(&schedule, stage, pending()).await;
    assert_eq!(played.unhealed, [], "{}", stage.log_text());
    played.receipts.remove(0)
}

/// What was asked of the environment, without the times and the lines of the nemesis.
fn asked(stage: &Stage) -> Vec<String> {
    let text = stage.log_text();
    let lines = text.lines().map(|line| line[6..].to_owned());
    lines.filter(|line| !line.starts_with("hold")).collect()
}

#[tokio::test(start_paused = true)]
async fn each_class_does_what_it_says_and_undoes_it() {
    let power_loss = "start power-loss 1|tell n1 Slow { ms: 100 }|tell n2 Slow { ms: 100 }|tell n1 Hang|tell n2 Hang|\
         kill n1|kill n2|tell n1 Lose { torn: Sectors, seed: 0 }|tell n2 Lose { torn: Sectors, seed: 3 }|\
         tell n1 Heal|tell n2 Heal|restart n1|restart n2|end power-loss 1";
    for (class, golden) in [
        ("power-loss", power_loss),
        (
            "disk-error",
            "start disk-error 1|tell n1 FailSync|tell n2 FailSync|tell n1 Heal|tell n2 Heal|\
             kill n1|kill n2|restart n1|restart n2|end disk-error 1",
        ),
        (
            "disk-full",
            "start disk-full 1|tell n1 Fill|tell n2 Fill|kill n1|kill n2|tell n1 Heal|tell n2 Heal|\
             restart n1|restart n2|end disk-full 1",
        ),
        (
            "disk-slow",
            "start disk-slow 1|tell n1 Slow { ms: 200 }|tell n2 Slow { ms: 200 }|\
             tell n1 Heal|tell n2 Heal|end disk-slow 1",
        ),
        (
            "disk-hang",
            "start disk-hang 1|tell n1 Hang|tell n2 Hang|tell n1 Heal|tell n2 Heal|end disk-hang 1",
        ),
        (
            "bit-flip",
            "start bit-flip 1|kill n1|flip n1|restart n1|kill n2|flip n2|restart n2|kill n1|kill n2|\
             flip back n1|flip back n2|restart n1|restart n2|end bit-flip 1",
        ),
    ] {
        let stage = Stage::new(2);
        let receipt = play(&stage, entry(class, Target::All)).await;
        assert_eq!(asked(&stage).join("|"), golden);
        assert!(receipt.effective, "{class}: {}", receipt.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_to_nothing_does_not_count() {
    for class in CLASSES {
        let stage = Stage::new(3);
        stage.seen.lock().unwrap().idle_disks = true;
        let receipt = play(&stage, entry(class, Target::One)).await;
        assert!(!receipt.effective && receipt.healed.is_some(), "{class}: {}", receipt.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_refuses_is_healed_all_the_same() {
    for class in CLASSES {
        let verb = if class == "bit-flip" { "kill" } else { "tell" };
        let stage = Stage::new(3);
        stage.fail(verb, 1);
        let receipt = play(&stage, entry(class, Target::One)).await;
        assert!(!receipt.effective && receipt.healed.is_some(), "{class}: {}", receipt.reason);
        assert!(receipt.reason.starts_with("could not be injected"), "{class}: {}", receipt.reason);
        assert!(stage.seen.lock().unwrap().down.is_empty(), "{class}");
    }
}

#[test]
fn what_is_drawn_can_be_checked_and_is_within_the_budget() {
    for nodes in [1, 2, 3, 5] {
        for seed in 0..40 {
            // One or two nodes have none whose files may be damaged.
            let classes: Vec<&str> =
                CLASSES.into_iter().filter(|class| nodes > 2 || *class != "bit-flip").collect();
            let settings = Settings::new(&classes, nodes, Duration::from_secs(60), seed);
            let Budget { down, .. } = settings.budget;
            for entry in schedule(&settings).unwrap().entries {
                let fault = registry::by_name(&entry.fault).unwrap();
                let checked = fault.check(&entry, nodes, &settings.budget);
                assert_eq!(checked, Ok(()), "{entry:?}");
                match fault.load(&entry, nodes, &settings.budget) {
                    Load::Nodes(hit) => assert!(hit <= down, "{entry:?}"),
                    Load::Outage => assert!(entry.target.size(nodes) > down, "{entry:?}"),
                }
            }
        }
    }
}

/// Half of the time nobody is left who has what the others found no space for, and most of these crash before there is
/// some; and however many classes there are, a disk is full for long enough at least once.
#[test]
fn full_disks_are_full_together_and_for_long_enough() {
    let full = |classes: &[&str], work: u64, seed: u64| {
        let settings = Settings::new(classes, 5, Duration::from_secs(work), seed);
        let entries = schedule(&settings).unwrap().entries;
        entries.into_iter().filter(|entry| entry.fault == "disk-full").collect::<Vec<Entry>>()
    };
    let (mut drawn, mut all, mut crash) = (0, 0, 0);
    for seed in 0..100 {
        for entry in full(&["disk-full"], 120, seed) {
            drawn += 1;
            all += i32::from(entry.target == Target::All);
            crash += i32::from(entry.target == Target::All && entry.how["restart"] == true);
        }
    }
    assert!(drawn > 1000 && all > drawn * 2 / 5 && crash > all / 2, "{drawn} {all} {crash}");
    let every: Vec<&str> = registry::all().iter().map(|fault| fault.name()).collect();
    let least = Duration::from_millis(2500);
    for seed in 0..100 {
        let once = full(&every, 30, seed).iter().any(|entry| entry.duration >= least);
        assert!(once, "seed {seed}: {:?}", full(&every, 30, seed));
    }
}

#[test]
fn what_somebody_wrote_wrongly_is_refused() {
    let budget = Budget { down: 2, crash: 3, damaged: 1, ..Budget::default() };
    let refused = |class: &str, target: Target, how: Value| {
        let entry = Entry { how, ..entry(class, target) };
        registry::by_name(class).unwrap().check(&entry, 5, &budget).unwrap_err()
    };
    let torn = json!({ "slow_ms": 100, "torn": "nothing" });
    assert_eq!(
        refused("power-loss", Target::All, torn.clone()),
        "5 of 5 nodes would crash at once, at most 3 may"
    );
    assert!(refused("power-loss", Target::One, json!({ "torn": "nothing" })).contains("slow_ms"));
    assert!(
        refused("power-loss", Target::One, json!({ "slow_ms": 1, "torn": "x" })).contains("`x`")
    );
    assert!(
        refused("power-loss", Target::One, json!({ "slow_ms": 5000, "torn": "nothing" }))
            .contains("5000")
    );
    assert!(refused("disk-slow", Target::One, json!({ "ms": 0 })).contains("not 0"));
    assert!(refused("disk-slow", Target::One, json!({ "ms": 1, "mss": 1 })).contains("mss"));
    assert!(refused("disk-full", Target::One, Value::Null).contains("`how` of a disk-full"));
    assert!(refused("disk-full", Target::All, json!({ "restart": false })).contains("at most 3"));
    for class in ["disk-error", "disk-hang", "bit-flip"] {
        assert_eq!(refused(class, Target::One, json!({})), format!("a {class} takes no `how`"));
    }
    assert!(refused("bit-flip", Target::Minority, Value::Null).contains("at most 1 may"));
}
