//! Which operations are drawn, and in which lane.

use super::micros;
use super::page::{Lane, Operations, Row};
use super::words::thousands;
use history::{History, Operation, Outcome, Process};
use std::collections::{BTreeMap, BTreeSet};

/// As many operations are drawn; a page of so many stays well below 5 MB.
const ROWS_LIMIT: usize = 12_000;

/// Of those, as many for the surroundings of violations, and as many of unknown outcome.
const SHARE_LIMIT: usize = 3_000;

/// More lanes than this share the last one.
const LANES_LIMIT: usize = 200;

/// The operations to draw: those of `proofs` all, then what surrounds them on `keys`, then those of unknown outcome,
/// then the rest at equal distances.
pub(super) fn operations(
    history: &History,
    proofs: &BTreeSet<u64>,
    keys: &BTreeSet<Option<&str>>,
    describe: &dyn Fn(&Operation) -> String,
) -> Operations {
    let all = &history.operations;
    let chosen = choose(all, proofs, keys);
    let (lanes, lane_of) = lanes(all);
    let mut page = Operations { total: all.len(), lanes, ..Operations::default() };
    let mut key_places = BTreeMap::new();
    let mut error_places = BTreeMap::new();
    for operation in chosen.iter().map(|&place| &all[place]) {
        let Process::Client(process) = operation.process else { continue };
        let (end, outcome, error) = match &operation.outcome {
            Outcome::Ok { time, .. } => (Some(*time), 0, None),
            Outcome::Fail { time, error, .. } => (Some(*time), 1, error.as_ref()),
            Outcome::Info { time, error, .. } => (*time, 2, error.as_ref()),
        };
        let key = operation.key.as_ref().map(|key| place(key, &mut key_places, &mut page.keys));
        let error = error.map(|error| place(error, &mut error_places, &mut page.errors));
        page.rows.push(Row(
            operation.index,
            lane_of.get(&process).copied().unwrap_or_default(),
            process,
            micros(operation.invoked),
            end.map(micros),
            outcome,
            key,
            operation.node.map(|node| node.0),
            describe(operation),
            error,
        ));
    }
    if page.rows.len() < page.total {
        page.sampled = format!(
            "Drawn are {} of {} operations: every one of a violation and what surrounds it, those of unknown outcome, \
             and of the others a sample at equal distances. Rates, quantiles and counts are of all of them.",
            thousands(page.rows.len() as u64),
            thousands(page.total as u64)
        );
    }
    page
}

/// The place of `name` in `names`, added if it is new.
fn place(name: &str, places: &mut BTreeMap<String, usize>, names: &mut Vec<String>) -> usize {
    if let Some(&place) = places.get(name) {
        return place;
    }
    names.push(name.to_owned());
    places.insert(name.to_owned(), names.len() - 1);
    names.len() - 1
}

/// Places in `all` of the operations to draw, in order.
fn choose(all: &[Operation], proofs: &BTreeSet<u64>, keys: &BTreeSet<Option<&str>>) -> Vec<usize> {
    if all.len() <= ROWS_LIMIT {
        return (0..all.len()).collect();
    }
    let of = |keep: &dyn Fn(&Operation) -> bool| -> Vec<usize> {
        (0..all.len()).filter(|&at| keep(&all[at])).collect()
    };
    let proof = of(&|operation| proofs.contains(&operation.index));
    let mut chosen: BTreeSet<usize> = proof.iter().copied().collect();
    let near = of(&|operation| keys.contains(&operation.key.as_deref()));
    chosen.extend(nearest(&near, &proof, SHARE_LIMIT));
    let unknown = of(&|operation| matches!(operation.outcome, Outcome::Info { .. }));
    chosen.extend(spread(&unknown, SHARE_LIMIT));
    let rest: Vec<usize> = (0..all.len()).filter(|at| !chosen.contains(at)).collect();
    chosen.extend(spread(&rest, ROWS_LIMIT.saturating_sub(chosen.len())));
    chosen.into_iter().collect()
}

/// At most `limit` of `places`, at equal distances.
fn spread(places: &[usize], limit: usize) -> Vec<usize> {
    if places.len() <= limit {
        return places.to_vec();
    }
    (0..limit).map(|number| places[number * places.len() / limit]).collect()
}

/// The `limit` of `places` that are nearest to any of `centres`; both ascend.
fn nearest(places: &[usize], centres: &[usize], limit: usize) -> Vec<usize> {
    let distance = |place: usize| {
        let after = centres.partition_point(|&centre| centre < place);
        let sides = [after.checked_sub(1), Some(after)];
        let near = sides.into_iter().flatten().filter_map(|at| centres.get(at));
        near.map(|centre| centre.abs_diff(place)).min().unwrap_or(usize::MAX)
    };
    let mut sorted: Vec<usize> = places.to_vec();
    sorted.sort_by_key(|&place| (distance(place), place));
    sorted.truncate(limit);
    sorted
}

/// Processes put into as few lanes as possible, none beginning before the one left of it has ended, and the lane of
/// each. A worker's next process begins when its last one is retired, so a lane is mostly one worker.
fn lanes(all: &[Operation]) -> (Vec<Lane>, BTreeMap<u64, usize>) {
    let mut lives: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for operation in all {
        let Process::Client(process) = operation.process else { continue };
        let start = operation.invoked.0;
        let end = match &operation.outcome {
            Outcome::Ok { time, .. } | Outcome::Fail { time, .. } => time.0,
            Outcome::Info { time, .. } => time.map_or(u64::MAX, |time| time.0),
        };
        let life = lives.entry(process).or_insert((start, end));
        *life = (life.0.min(start), life.1.max(end));
    }
    let mut order: Vec<(u64, (u64, u64))> = lives.into_iter().collect();
    order.sort_by_key(|&(process, (start, _))| (start, process));
    let mut lanes: Vec<Lane> = Vec::new();
    let mut free_from: Vec<u64> = Vec::new();
    let mut lane_of = BTreeMap::new();
    for (process, (start, end)) in order {
        // The lane that has waited least: most likely the same worker's.
        let free = (0..lanes.len())
            .filter(|&lane| free_from[lane] <= start)
            .max_by_key(|&lane| (free_from[lane], usize::MAX - lane));
        let lane = match free {
            Some(lane) => lane,
            None if lanes.len() < LANES_LIMIT => {
                lanes.push(Lane::default());
                free_from.push(0);
                lanes.len() - 1
            }
            None => LANES_LIMIT - 1,
        };
        free_from[lane] = end.max(free_from[lane]);
        lanes[lane].processes.push(process);
        lane_of.insert(process, lane);
    }
    // Shown in the order of their first processes.
    let mut order: Vec<usize> = (0..lanes.len()).collect();
    order.sort_by_key(|&lane| lanes[lane].processes.first().copied());
    let mut place_of = vec![0; lanes.len()];
    for (place, &lane) in order.iter().enumerate() {
        place_of[lane] = place;
    }
    for lane in lane_of.values_mut() {
        *lane = place_of[*lane];
    }
    lanes.sort_by_key(|lane| lane.processes.first().copied());
    (lanes, lane_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use history::Nanos;
    use serde_json::Value;

    fn operation(index: u64, process: u64, start: u64, end: Option<u64>) -> Operation {
        Operation {
            index,
            process: Process::Client(process),
            f: "read".into(),
            key: Some("k1".into()),
            input: Value::Null,
            node: None,
            invoked: Nanos(start),
            start,
            end,
            outcome: match end {
                Some(end) => Outcome::Ok { index: index + 1, time: Nanos(end), value: Value::Null },
                None => Outcome::Info { index: None, time: Some(Nanos(start + 5)), error: None },
            },
            unusual: None,
        }
    }

    #[test]
    fn a_retired_process_hands_its_lane_on() {
        let all = [
            operation(0, 0, 0, Some(10)),
            operation(2, 1, 1, Some(3)),
            operation(4, 1, 4, None),
            operation(6, 2, 9, Some(12)),
        ];
        let (lanes, lane_of) = lanes(&all);
        assert_eq!(lanes.len(), 2);
        assert_eq!(lanes[1].processes, [1, 2]);
        assert_eq!(lane_of[&2], 1);
    }

    #[test]
    fn a_sample_keeps_every_proof() {
        let all: Vec<Operation> =
            (0..40_000).map(|n| operation(2 * n, n % 7, 10 * n, Some(10 * n + 5))).collect();
        let proofs = BTreeSet::from([2 * 31, 2 * 39_999]);
        let keys = BTreeSet::from([Some("k1")]);
        let chosen = choose(&all, &proofs, &keys);
        assert!(chosen.len() <= ROWS_LIMIT && chosen.len() > ROWS_LIMIT * 9 / 10);
        assert!(chosen.contains(&31) && chosen.contains(&39_999));
        assert!((0..1_000).all(|near| chosen.contains(&near)), "surroundings are whole");
    }
}
