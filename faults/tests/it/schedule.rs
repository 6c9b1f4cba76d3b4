//! Properties of drawn schedules over many seeds, and one that may never change.

use faults::{
    Budget, EDGE, Entry, Schedule, ScheduleError, Settings, Shape, Target, Trigger, registry,
    schedule,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

const ALL: [&str; 3] = ["partition", "kill", "pause"];

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
    for nodes in [2, 3, 4, 5, 7] {
        for work in [2, 5, 10, 20, 30, 60] {
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

#[test]
fn every_class_comes_early_and_the_end_is_left_in_peace() {
    each(|settings, schedule| {
        for class in &settings.classes {
            let first = schedule.entries.iter().find(|entry| &entry.fault == class);
            let latest = first.expect("every class is there").trigger.latest();
            assert!(latest <= settings.work * 6 / 10, "{class} at {latest:?}: {settings:?}");
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
            let classes: BTreeSet<&str> = active.iter().map(|e| e.fault.as_str()).collect();
            assert_eq!(classes.len(), active.len(), "one of a class at a time");
        }
    });
}

#[test]
fn entries_are_in_order_and_last_as_long_as_they_should() {
    each(|_, schedule| {
        for (entry, id) in schedule.entries.iter().zip(1..) {
            assert_eq!(entry.id, id);
            let longest = if entry.fault == "partition" { 6 } else { 3 };
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
        let Entry { id, fault, trigger, duration, target, shape, heal, how: _, seed } = entry;
        let shape = shape.map_or("-", Shape::name);
        let when = match trigger {
            Trigger::At { time } => format!("at {}", time.as_millis()),
            Trigger::OnLeaderChange { armed, after, latest } => {
                let [armed, after, latest] = [armed, after, latest].map(|time| time.as_millis());
                format!("on change from {armed} + {after} until {latest}")
            }
        };
        let duration = duration.as_millis();
        writeln!(text, "{id} {fault} {when} for {duration}: {target} {shape} {heal:?} {seed}")
            .unwrap();
    }
    let golden = "\
1 kill at 468 for 1032: one - None 422921471436849
2 pause at 2279 for 1109: one - None 5190969104335185
3 kill on change from 4210 + 33 until 5792 for 2610: leader - None 777515985035962
4 partition at 4210 for 1582: leader isolate Some(Cut) 1478130855063550
5 pause at 5635 for 2094: leader - None 3471008218244738
6 partition at 7947 for 1534: leader isolate Some(Deliver) 7245480184210204
7 pause at 9205 for 1695: leader - None 7594769397115656
";
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
    assert_eq!(names, ["partition", "kill", "pause", "message"]);
    for fault in registry::all() {
        assert!(fault.about().len() > 40 && !fault.about().ends_with('.'), "{}", fault.name());
        assert_eq!(registry::by_name(fault.name()).unwrap().name(), fault.name());
    }
    assert!(registry::by_name("kill").unwrap().about().contains("does not test fsync"));
    assert!(registry::by_name("latency").is_none());
}
