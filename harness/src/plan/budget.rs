//! Whether a schedule leaves a majority alone at every moment.
//!
//! A drawn schedule does. One from a file or from a plan that was edited may not, and what a cluster does without a
//! majority is no finding. Each fault counts from the first moment at which it can strike to the last at which it can
//! still be in effect, less the moment at the end of a partition that drawing allows too: it heals at once.

use faults::{Budget, EDGE, Entry, Load, Schedule, registry};
use std::time::Duration;

/// Whether no moment asks for more than `budget`, and why not.
pub(super) fn check(schedule: &Schedule, nodes: usize, budget: &Budget) -> Result<(), String> {
    // The load only rises where a fault starts.
    let mut entries: Vec<&Entry> = schedule.entries.iter().collect();
    entries.sort_by_key(|entry| entry.trigger.earliest());
    let mut active: Vec<&Entry> = Vec::new();
    for entry in entries {
        let start = entry.trigger.earliest();
        active.retain(|other| counted_until(other) > start);
        active.push(entry);
        let alone = |name: &str| registry::by_name(name).is_some_and(|f| !f.several_at_once());
        let twin = active.iter().rev().skip(1).find(|other| other.fault == entry.fault);
        if let Some(twin) = twin.filter(|twin| alone(&twin.fault)) {
            let (class, first, second) = (&entry.fault, twin.id, entry.id);
            return Err(format!(
                "only one {class} may be in effect at a time (entries {first}, {second})"
            ));
        }
        let loads: Vec<Load> = active.iter().map(|entry| load(entry, nodes, budget)).collect();
        let ids: Vec<String> = active.iter().map(|entry| entry.id.to_string()).collect();
        let ids = ids.join(", ");
        if loads.len() > 1 && loads.contains(&Load::Outage) {
            return Err(format!(
                "an outage of the whole cluster allows no other fault beside it (entries {ids})"
            ));
        }
        let (load, most) = (loads.iter().map(|load| load.nodes()).sum::<usize>(), budget.down);
        if load > most {
            return Err(format!(
                "{load} of {nodes} nodes may be lost at once, at most {most} can be (entries {ids})"
            ));
        }
    }
    Ok(())
}

/// A class that nobody knows is refused elsewhere.
fn load(entry: &Entry, nodes: usize, budget: &Budget) -> Load {
    let fault = registry::by_name(&entry.fault);
    fault.map_or(Load::Nodes(0), |fault| fault.load(entry, nodes, budget))
}

fn counted_until(entry: &Entry) -> Duration {
    let edge = if entry.shape.is_some() { EDGE.min(entry.duration / 2) } else { Duration::ZERO };
    let heal = registry::by_name(&entry.fault).map_or(Duration::ZERO, |fault| fault.heal_time());
    (entry.latest_end() + heal).saturating_sub(edge)
}

#[cfg(test)]
mod tests {
    use super::check;
    use faults::{Budget, Schedule, Settings, schedule};
    use serde_json::json;
    use std::time::Duration;

    const FIVE: Budget = Budget::majority(5);

    fn written(second: serde_json::Value) -> Schedule {
        let first = json!({"id": 1, "fault": "kill", "trigger": {"at": {"ms": 1000}},
            "duration_ms": 2000, "target": "minority", "seed": 1});
        serde_json::from_value(json!({"entries": [first, second]})).unwrap()
    }

    #[test]
    fn drawn_schedules_keep_the_budget() {
        let every: Vec<&str> = faults::registry::all().iter().map(|fault| fault.name()).collect();
        let few = ["kill", "partition", "pause"];
        for (nodes, classes) in [(3, &few[..]), (9, &few), (3, &every), (5, &every), (7, &every)] {
            for (seed, seconds) in (0..60).zip([30, 60].into_iter().cycle()) {
                let work = Duration::from_secs(seconds);
                let settings = Settings::new(classes, nodes, work, seed);
                let drawn = schedule(&settings).unwrap();
                let checked = check(&drawn, nodes, &settings.budget);
                assert_eq!(checked, Ok(()), "{nodes} nodes, {seconds} s, seed {seed}");
            }
        }
    }

    #[test]
    fn what_takes_a_majority_together_is_refused() {
        let second = |from: u64, target: &str| {
            written(json!({"id": 2, "fault": "pause", "trigger": {"at": {"ms": from}},
                "duration_ms": 2000, "target": target, "seed": 2}))
        };
        let error = check(&second(2000, "one"), 5, &FIVE).unwrap_err();
        assert_eq!(error, "3 of 5 nodes may be lost at once, at most 2 can be (entries 1, 2)");
        assert_eq!(
            check(&second(3600, "one"), 5, &FIVE),
            Ok(()),
            "one after the other, which has come back"
        );
        assert!(check(&second(3500, "one"), 5, &FIVE).is_err(), "it may still be coming back");
        assert!(check(&second(5000, "majority"), 5, &FIVE).is_err(), "alone it is too much");
    }

    #[test]
    fn a_fault_that_waits_counts_from_when_it_may_strike() {
        let waits =
            json!({"on-leader-change": {"armed_ms": 2500, "after_ms": 10, "latest_ms": 8000}});
        let schedule = written(json!({"id": 2, "fault": "partition", "trigger": waits,
            "duration_ms": 1000, "target": "leader", "shape": "isolate", "seed": 2}));
        assert!(check(&schedule, 5, &FIVE).is_err());
        assert_eq!(check(&schedule, 7, &Budget { down: 4, ..Budget::majority(7) }), Ok(()));
    }
}
