//! Many seeds, no violation, and proof that the runs were no picnic.

use crate::oracle::Facts;
use crate::simulator::{Plan, simulate};

/// Runs seeds on two threads; returns the sum of what they went through.
fn run(seeds: std::ops::Range<u64>, nodes: u64) -> Facts {
    let (start, half) = (seeds.start, seeds.start.midpoint(seeds.end));
    let all = std::thread::scope(|scope| {
        let halves = [start..half, half..seeds.end].map(|seeds| {
            scope.spawn(move || seeds.map(|seed| check(seed, nodes)).fold(Facts::default(), add))
        });
        halves.map(|half| half.join().expect("every run is clean"))
    });
    all.into_iter().fold(Facts::default(), add)
}

fn check(seed: u64, nodes: u64) -> Facts {
    let outcome = simulate(Plan::new(seed, nodes));
    assert_eq!(outcome.violation, None, "seed {seed}, {nodes} nodes");
    assert_eq!(outcome.stuck, None, "seed {seed}, {nodes} nodes");
    assert_eq!((outcome.reached, outcome.triggered), (0, 0), "a correct node has no marks");
    outcome.facts
}

fn add(left: Facts, right: Facts) -> Facts {
    Facts {
        terms_led: left.terms_led + right.terms_led,
        committed: left.committed + right.committed,
        reads_answered: left.reads_answered + right.reads_answered,
        reads_failed: left.reads_failed + right.reads_failed,
        truncations: left.truncations + right.truncations,
        appends_rejected: left.appends_rejected + right.appends_rejected,
        rejected: left.rejected + right.rejected,
        crashes: left.crashes + right.crashes,
        batches_lost: left.batches_lost + right.batches_lost,
        committed_after_crash: left.committed_after_crash + right.committed_after_crash,
    }
}

fn witnesses(facts: &Facts, seeds: u64) {
    let leaders_change = facts.terms_led >= 2 * seeds;
    let work_is_done = facts.committed >= 100 * seeds && facts.reads_answered >= 50 * seeds;
    let crashes_are_survived = facts.crashes >= seeds && facts.committed_after_crash >= 20 * seeds;
    let disks_forget = facts.batches_lost > 0;
    let logs_are_repaired = facts.truncations > 0 && facts.appends_rejected > 0;
    let some_are_turned_away = facts.reads_failed > 0 && facts.rejected > 0;
    assert!(leaders_change && work_is_done, "{facts:?}");
    assert!(crashes_are_survived && disks_forget, "{facts:?}");
    assert!(logs_are_repaired && some_are_turned_away, "{facts:?}");
}

#[test]
fn three_nodes_keep_every_promise() {
    witnesses(&run(0..150, 3), 150);
}

#[test]
fn five_nodes_keep_every_promise() {
    witnesses(&run(1000..1100, 5), 100);
}

#[test]
fn one_and_two_nodes_keep_every_promise() {
    assert!(run(2000..2010, 1).committed > 0);
    assert!(run(2000..2020, 2).committed > 0);
}

#[test]
fn a_seed_fixes_the_run() {
    let plan = Plan::new(7, 3);
    let first = simulate(plan.clone());
    assert_eq!(first, simulate(plan));
    assert_ne!(first.digest, simulate(Plan::new(8, 3)).digest);
}
