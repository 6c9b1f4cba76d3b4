//! Properties of drawn schedules over many seeds, and one that may never change.

use faults::{
    Budget, EDGE, Entry, Intensity, RECIPES, Schedule, ScheduleError, Settings, Shape, Target,
    Trigger, registry, schedule,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

const ALL: [&str; 3] = ["partition", "kill", "pause"];
const EVERY: [&str; 10] = [
    "partition",
    "kill",
    "pause",
    "slow",
    "flap",
    "unreachable",
    "client-cut",
    "membership",
    "transfer",
    "snapshot",
];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn drawn(classes: &[&str], nodes: usize, work: u64, seed: u64) -> (Settings, Schedule) {
    let settings = Settings::new(classes, nodes, seconds(work), seed);
    let schedule = schedule(&settings).unwrap();
    (settings, schedule)
}

/// Every combination worth looking at, many seeds each.
fn each(mut check: impl FnMut(&Settings, &Schedule)) {
    let sets: [&[&str]; 6] =
        [&ALL, &["partition"], &["kill"], &["pause"], &["kill", "pause"], &["pause", "partition"]];
    for seed in 0..200 {
        let (settings, schedule) = drawn(&EVERY, [3, 4, 5, 7][seed as usize % 4], 60, seed);
        check(&settings, &schedule);
    }
    for nodes in [2, 3, 4, 5, 7] {
        for work in [5, 10, 20, 30, 60] {
            for classes in sets {
                for seed in 0..25 {
                    let (settings, schedule) = drawn(classes, nodes, work, seed);
                    check(&settings, &schedule);
                }
            }
        }
    }
}

/// How many nodes an entry keeps from the majority.
fn load(entry: &Entry, settings: &Settings) -> usize {
    let fault = registry::by_name(&entry.fault).expect("drawn from the registry");
    fault.load(entry, settings.nodes, &settings.budget).nodes()
}

fn is_alone(class: &str) -> bool {
    !registry::by_name(class).expect("drawn from the registry").several_at_once()
}

#[test]
fn every_class_comes_early_and_the_end_is_left_in_peace() {
    each(|settings, schedule| {
        for class in &settings.classes {
            let first = schedule.entries.iter().find(|entry| &entry.fault == class);
            let latest = first.expect("every class is there").trigger.latest();
            // Where little time is left between heals, one is moved.
            let early = if settings.work < seconds(10) { 9 } else { 6 };
            assert!(latest <= settings.work * early / 10, "{class} at {latest:?}: {settings:?}");
        }
        let tail = seconds(1).max(settings.work / 20).min(settings.work / 4);
        let end = schedule.entries.iter().map(Entry::latest_end).max().unwrap();
        assert!(end <= settings.work - tail, "{end:?}: {settings:?}");
    });
}

#[test]
fn the_budget_is_kept_at_every_moment() {
    each(|settings, schedule| {
        for at in schedule.entries.iter().map(|entry| entry.trigger.earliest()) {
            let active: Vec<&Entry> = schedule
                .entries
                .iter()
                .filter(|entry| entry.trigger.earliest() <= at && at < entry.latest_end())
                .collect();
            // The last moments of a partition are not counted.
            let counted = active.iter().filter(|entry| {
                let edge = EDGE.min(entry.duration / 2);
                entry.shape.is_none() || at < entry.latest_end() - edge
            });
            let total: usize = counted.map(|entry| load(entry, settings)).sum();
            assert!(total <= settings.budget.down, "{total} at {at:?}: {settings:?}\n{active:#?}");
            let alone = active.iter().map(|e| e.fault.as_str()).filter(|class| is_alone(class));
            let classes: BTreeSet<&str> = alone.clone().collect();
            assert_eq!(classes.len(), alone.count(), "{settings:?}\n{active:#?}");
        }
    });
}

#[test]
fn entries_are_in_order_and_last_as_long_as_they_should() {
    each(|_, schedule| {
        for (entry, id) in schedule.entries.iter().zip(1..) {
            assert_eq!(entry.id, id);
            // A plan counts in whole milliseconds.
            let text = serde_json::to_string(entry).unwrap();
            assert_eq!(entry, &serde_json::from_str(&text).unwrap());
            let longest = match entry.fault.as_str() {
                "partition" => 6,
                "pause" => 8,
                "slow" | "flap" | "unreachable" => 5,
                "client-cut" => 4,
                _ => 3,
            };
            assert!((Duration::from_millis(100)..=seconds(longest)).contains(&entry.duration));
            assert_eq!(entry.fault == "partition", entry.shape.is_some() && entry.heal.is_some());
            if let Trigger::OnLeaderChange { armed, after, latest } = entry.trigger {
                assert!(armed < latest && after <= Duration::from_millis(50));
            }
        }
        let starts = schedule.entries.iter().map(|entry| entry.trigger.earliest());
        assert!(starts.is_sorted());
    });
}

#[test]
fn thirty_seconds_hold_at_least_three_partitions() {
    for (nodes, seed) in [3, 5, 7].into_iter().flat_map(|n| (0..200).map(move |seed| (n, seed))) {
        let (_, schedule) = drawn(&["partition"], nodes, 30, seed);
        assert!(schedule.entries.len() >= 3, "seed {seed}: {}", schedule.entries.len());
    }
}

/// What the draws amount to over many seeds: enough of what finds bugs.
#[test]
fn leaders_are_hit_often_and_right_after_changes() {
    let mut count: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..300 {
        for entry in drawn(&ALL, 5, 60, seed).1.entries {
            let leader = matches!(entry.target, Target::Leader | Target::LeaderMinority);
            let isolated = entry.shape == Some(Shape::Isolate) && leader;
            let away = matches!(entry.shape, Some(Shape::Isolate | Shape::Halves)) && leader;
            let tied = matches!(entry.trigger, Trigger::OnLeaderChange { .. });
            let facts = [
                (true, registry::by_name(&entry.fault).unwrap().name()),
                (isolated, "isolated leader"),
                (away, "leader taken away"),
                (isolated && entry.duration >= seconds(2), "isolated leader, 2 s or more"),
                (leader && entry.fault == "kill", "killed leader"),
                (leader && entry.fault == "pause", "paused leader"),
                (tied, "after a change"),
            ];
            for (holds, name) in facts {
                *count.entry(name).or_default() += u32::from(holds);
            }
            *count.entry(entry.shape.map_or("no shape", Shape::name)).or_default() += 1;
        }
    }
    let count = |name| *count.get(name).unwrap_or(&0);
    let percent = |part, whole| 100 * count(part) / count(whole);
    let away = percent("leader taken away", "partition");
    assert!(away >= 40, "{away}");
    assert!(percent("isolated leader, 2 s or more", "isolated leader") >= 60);
    assert!(percent("killed leader", "kill") >= 50);
    assert!(percent("paused leader", "pause") >= 60);
    assert!(count("after a change") >= 300 * 2, "{}", count("after a change"));
    for class in ALL {
        assert!(count(class) >= 300 * 6, "{class}: {}", count(class));
    }
    for shape in Shape::ALL {
        assert!(count(shape.name()) >= 60, "{shape}: {}", count(shape.name()));
    }
}

/// A leader often sleeps until others lead, and is awake for a while before it can hear of it; a clock that is set
/// meanwhile is still wrong then.
#[test]
fn leaders_sleep_through_an_election_and_wake_up_alone() {
    let (mut pauses, mut alone, mut clocks) = (0, 0, 0);
    for seed in 0..200 {
        let entries = drawn(&["pause", "clock"], 5, 60, seed).1.entries;
        let leader = |class: &'static str| {
            entries.iter().filter(move |e| e.fault == class && e.target == Target::Leader)
        };
        for pause in leader("pause") {
            pauses += 1;
            if pause.how.is_null() {
                continue;
            }
            alone += 1;
            let percent = u32::try_from(pause.how["alone_percent"].as_u64().unwrap()).unwrap();
            assert!((25..=40).contains(&percent), "{pause:?}");
            let strikes = |clock: &&Entry| {
                after(clock.trigger, pause.trigger).is_some_and(|after| {
                    (50..=100).contains(&after.as_millis())
                        && after + clock.duration >= pause.duration
                })
            };
            clocks += i32::from(leader("clock").any(|clock| strikes(&clock)));
        }
    }
    assert!(pauses > 2000 && alone > pauses / 4, "{alone} of {pauses}");
    assert!(clocks > alone / 4, "{clocks} of {alone}");
}

/// How long after `first` this one strikes, if both wait for the same.
fn after(trigger: Trigger, first: Trigger) -> Option<Duration> {
    match (trigger, first) {
        (Trigger::At { time }, Trigger::At { time: first }) => time.checked_sub(first),
        (
            Trigger::OnLeaderChange { armed, after, .. },
            Trigger::OnLeaderChange { armed: same, after: first, .. },
        ) if armed == same => after.checked_sub(first),
        _ => None,
    }
}

/// Every division into two that leaves a majority comes once before any comes twice.
#[test]
fn splits_walk_through_all_divisions() {
    for (nodes, divisions) in [(3, 3), (4, 4), (5, 15)] {
        let (_, schedule) = drawn(&["partition"], nodes, 3600, 3);
        let splits = schedule.entries.iter().filter(|entry| entry.shape == Some(Shape::Split));
        let sides: Vec<String> = splits.map(|entry| entry.how["side"].to_string()).collect();
        assert!(sides.len() >= 2 * divisions, "{nodes}: {}", sides.len());
        for round in sides.chunks_exact(divisions) {
            let different: BTreeSet<&String> = round.iter().collect();
            assert_eq!(different.len(), divisions, "{nodes} nodes: {round:?}");
        }
    }
    let sides = |seed| {
        let entries = drawn(&["partition"], 7, 600, seed).1.entries;
        let splits = entries.into_iter().filter(|entry| entry.shape == Some(Shape::Split));
        splits.map(|entry| entry.how["side"].as_array().unwrap().len()).collect::<Vec<_>>()
    };
    assert!(sides(1).iter().all(|size| (1..=3).contains(size)), "{:?}", sides(1));
}

/// What the classes of the network draw can be played, and is within the budget.
#[test]
fn what_is_drawn_is_accepted() {
    let classes = ["partition", "slow", "flap", "unreachable", "client-cut"];
    for (nodes, seed) in [2, 3, 4, 5, 7].into_iter().flat_map(|n| (0..60).map(move |s| (n, s))) {
        let (settings, schedule) = drawn(&classes, nodes, 60, seed);
        for entry in &schedule.entries {
            let fault = registry::by_name(&entry.fault).unwrap();
            assert_eq!(fault.check(entry, nodes, &settings.budget), Ok(()), "{entry:?}");
            assert!(load(entry, &settings) <= settings.budget.down, "{entry:?}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_its_class() {
    let entry = |fault: &str, shape: Option<Shape>, how: serde_json::Value| Entry {
        id: 1,
        fault: fault.to_owned(),
        trigger: Trigger::At { time: Duration::ZERO },
        duration: seconds(1),
        target: Target::One,
        shape,
        heal: None,
        how,
        seed: 1,
    };
    let check = |entry: &Entry| {
        registry::by_name(&entry.fault).unwrap().check(entry, 5, &Budget::majority(5))
    };
    let split = |side: &[&str]| entry("partition", Some(Shape::Split), json!({ "side": side }));
    assert_eq!(check(&split(&["n1", "n4"])), Ok(()));
    assert_eq!(check(&split(&["n1", "n2", "n4"])), Ok(()), "the other side is the smaller one");
    assert!(check(&split(&["n6"])).unwrap_err().contains("no n6 among 5 nodes"));
    assert!(check(&split(&[])).unwrap_err().contains("names one `side`"));
    let all = split(&["n1", "n2", "n3", "n4", "n5"]);
    assert!(check(&all).unwrap_err().contains("1 to 2 nodes"));
    for (fault, how) in [
        ("partition", json!({"accept": "refuse"})),
        ("partition", json!({"hang": true})),
        ("pause", json!({"alone_percent": 91})),
        ("pause", json!({"alone": 10})),
        ("slow", json!(null)),
        ("flap", json!({"held_ms": 1, "free_ms": 100})),
        ("unreachable", json!({"accept": "serve"})),
        ("client-cut", json!({"whom": "some"})),
    ] {
        assert!(check(&entry(fault, None, how.clone())).is_err(), "{fault} {how}");
    }
}

/// Every recipe that these classes allow is drawn, and strikes within 20 ms of the change.
#[test]
fn recipes_are_drawn_when_their_classes_are_there() {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for seed in 0..300 {
        for entry in drawn(&EVERY, 5, 60, seed).1.entries {
            if matches!(entry.trigger, Trigger::OnLeaderChange { .. }) {
                let shape = entry.shape.map_or("", Shape::name);
                seen.insert(format!("{} {} {shape}", entry.fault, entry.target));
            }
        }
    }
    for recipe in RECIPES {
        let possible = recipe.is_possible(|class| EVERY.contains(&class));
        let drawn = recipe.steps.iter().all(|step| {
            let shape = step.shape.map_or("", Shape::name);
            seen.contains(&format!("{} {} {shape}", step.fault, step.target))
        });
        assert_eq!(possible, drawn, "{}: {seen:?}", recipe.name);
    }
    assert_eq!(RECIPES.iter().filter(|one| one.is_possible(|c| EVERY.contains(&c))).count(), 9);
}

/// Where the budget has room, also two of one class are in effect at once.
#[test]
fn two_of_one_class_strike_at_once() {
    let pairs = |class: &str| {
        let mut pairs = 0;
        for seed in 0..100 {
            let entries = drawn(&EVERY, 5, 60, seed).1.entries;
            let of: Vec<&Entry> = entries.iter().filter(|entry| entry.fault == class).collect();
            let meets = |pair: &&[&Entry]| pair[1].trigger.earliest() < pair[0].latest_end();
            pairs += of.windows(2).filter(meets).count();
        }
        pairs
    };
    assert!(pairs("kill") > 10 && pairs("pause") > 10 && pairs("partition") > 0);
    assert_eq!(pairs("membership"), 0);
}

#[test]
fn intensities_say_how_dense_a_class_is() {
    let count = |intensity: Intensity| {
        let mut settings = Settings::new(&["kill"], 5, seconds(120), 7);
        settings.intensities.insert("kill".to_owned(), intensity);
        schedule(&settings).unwrap().entries.len()
    };
    let [rare, usual, dense] = Intensity::ALL.map(count);
    assert!(rare < usual && usual < dense, "{rare} {usual} {dense}");
    assert_eq!(
        usual,
        drawn(&["kill"], 5, 120, 7).1.entries.len(),
        "as usual is what is drawn without a word"
    );
}

/// Nothing in the drawing gives out on the way.
#[test]
fn a_schedule_of_a_day_is_as_dense_as_one_of_an_hour() {
    let (_, hour) = drawn(&ALL, 5, 3600, 7);
    let (_, day) = drawn(&ALL, 5, 24 * 3600, 7);
    assert!(day.entries.len() > 20 * hour.entries.len(), "{}", day.entries.len());
}

#[test]
fn one_seed_is_one_schedule() {
    let (settings, first) = drawn(&ALL, 5, 30, 7);
    assert_eq!(first, schedule(&settings).unwrap());
    assert_ne!(first, drawn(&ALL, 5, 30, 8).1);
    let (_, other_order) = drawn(&["pause", "partition", "kill", "kill"], 5, 30, 7);
    assert_eq!(first, other_order, "the order in which classes are named means nothing");
    let text = serde_json::to_string(&first).unwrap();
    assert_eq!(first, serde_json::from_str(&text).unwrap(), "and it survives its file");
}

#[test]
fn a_seed_never_changes_its_meaning() {
    let mut text = String::new();
    for entry in drawn(&ALL, 5, 12, 7).1.entries {
        let Entry { id, fault, trigger, duration, target, shape, heal, how, seed } = entry;
        let shape = shape.map_or("-", Shape::name);
        let when = match trigger {
            Trigger::At { time } => format!("at {}", time.as_millis()),
            Trigger::OnLeaderChange { armed, after, latest } => {
                let [armed, after, latest] = [armed, after, latest].map(|time| time.as_millis());
                format!("on change from {armed} + {after} until {latest}")
            }
        };
        let duration = duration.as_millis();
        writeln!(
            text,
            "{id} {fault} {when} for {duration}: {target} {shape} {heal:?} {how} {seed}"
        )
        .unwrap();
    }
    let golden = r#"1 kill at 468 for 1032: one - None null 422921471436849
2 pause at 2279 for 1109: one - None null 5190969104335185
3 partition at 4216 for 1582: one isolate Some(Cut) {"accept":"hang"} 777515985035962
4 pause at 5415 for 2497: leader - None {"alone_percent":40} 1478130855063550
5 kill at 5714 for 984: one - None null 3471008218244738
6 partition at 8145 for 2439: all majorities-ring Some(Mixed) {"accept":"hang"} 7245480184210204
7 pause at 10279 for 621: one - None null 7594769397115656
8 partition at 10364 for 586: leader minority-third Some(Cut) {"accept":"hang"} 7762016664979578
"#;
    assert_eq!(text, golden);
}

#[test]
fn what_cannot_bite_is_refused() {
    let error = |classes: &[&str], nodes, work| {
        schedule(&Settings::new(classes, nodes, Duration::from_millis(work), 1)).unwrap_err()
    };
    assert_eq!(
        error(&["partition"], 1, 30_000).to_string(),
        "`partition` cannot bite: a cluster of one node has no link to cut"
    );
    assert_eq!(error(&["partitoin"], 5, 30_000).to_string(), "unknown fault `partitoin`");
    assert!(matches!(error(&ALL, 5, 500), ScheduleError::TooShort { classes: 3, .. }));
    assert!(matches!(error(&ALL, 5, 0), ScheduleError::TooShort { .. }));
    let none =
        Settings { budget: Budget::default(), ..Settings::new(&["kill"], 5, seconds(30), 1) };
    assert!(matches!(schedule(&none).unwrap_err(), ScheduleError::CannotBite { .. }));
    assert_eq!(schedule(&Settings::new(&[], 5, seconds(30), 1)).unwrap(), Schedule::default());
    assert_eq!(drawn(&["kill"], 1, 5, 1).1.classes(), ["kill"], "one node can be killed");
}

#[test]
fn every_class_says_what_it_does() {
    let names: Vec<&str> = registry::all().iter().map(|fault| fault.name()).collect();
    assert!(names.starts_with(&EVERY), "they keep their streams: {names:?}");
    for fault in registry::all() {
        assert!(fault.about().len() > 40 && !fault.about().ends_with('.'), "{}", fault.name());
        assert_eq!(registry::by_name(fault.name()).unwrap().name(), fault.name());
    }
    assert!(registry::by_name("kill").unwrap().about().contains("does not test fsync"));
    assert!(registry::by_name("latency").is_none());
}
