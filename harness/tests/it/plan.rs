//! One seed, one plan.

use crate::command::Place;

#[test]
fn the_same_seed_twice_gives_the_same_bytes() {
    let place = Place::new();
    let words = "run --quiet --seed 7 --time 2s --nodes 3 --clients 4 --faults partition";
    let mut plans = Vec::new();
    for results in ["one", "two"] {
        let left = place.harness(&format!("{words} --results {results}"));
        assert!([0, 2].contains(&left.code), "{left:?}");
        plans.push(place.read(&format!("{results}/latest/plan.json")));
    }
    assert_eq!(plans[0], plans[1]);
}

#[test]
fn a_series_prints_one_line_a_run_and_a_summary() {
    let place = Place::new();
    let words = "run --seed 7 --time 1s --nodes 1 --clients 4 --faults none --count 2";
    let left = place.harness(words);
    assert!([0, 2].contains(&left.code), "{left:?}");
    let lines: Vec<&str> = left.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", left.stdout);
    assert!(lines[0].contains("1/2 · seed 7 · "), "{}", lines[0]);
    assert!(lines[1].contains("2/2 · seed 8 · "), "{}", lines[1]);
    assert!(lines[3].contains("Summary 2 runs: "), "{}", lines[3]);
}
