//! Phases, faults and nodes over time.

use super::micros;
use super::page::{FaultBand, NodeLane, PhaseBand, Stretch};
use crate::duration::short;
use crate::results::{Observation, Observed};
use faults::{Link, Receipt, Trigger};
use history::{Event, Nanos, NodeId};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The phases that were recorded; each lasts until the next, the last until `end`.
pub(super) fn phases(observations: &[Observation], end: u64) -> Vec<PhaseBand> {
    let mut bands: Vec<PhaseBand> = Vec::new();
    for observation in observations {
        let Observed::Phase { phase } = &observation.what else { continue };
        let start = micros(observation.time);
        if let Some(last) = bands.last_mut() {
            last.end = start;
        }
        bands.push(PhaseBand { name: phase.to_string(), start, end: end.max(start) });
    }
    bands
}

/// The faults: from their receipts, and from the history for those without one (a run that was killed).
pub(super) fn faults(receipts: &[Receipt], nemesis: &[Event]) -> Vec<FaultBand> {
    let mut bands: BTreeMap<u64, FaultBand> = BTreeMap::new();
    for event in nemesis {
        let Some(id) = event.value.get("id").and_then(Value::as_u64) else { continue };
        let phase = event.value.get("phase").and_then(Value::as_str);
        let band = bands.entry(id).or_insert_with(|| started(id, event));
        if phase == Some("end") {
            band.end = Some(micros(event.time));
        }
    }
    for receipt in receipts {
        bands.insert(receipt.id, received(receipt));
    }
    let mut bands: Vec<FaultBand> = bands.into_values().collect();
    bands.sort_by_key(|band| (band.start, band.id));
    bands
}

fn started(id: u64, event: &Event) -> FaultBand {
    let names = event.value.get("nodes").and_then(Value::as_array).map(Vec::as_slice);
    let names: Vec<&str> = names.unwrap_or_default().iter().filter_map(Value::as_str).collect();
    FaultBand {
        id,
        fault: event.f.clone(),
        detail: names.join(" "),
        planned: String::new(),
        start: micros(event.time),
        end: None,
        effective: None,
        reason: "no receipt was recorded".to_owned(),
    }
}

/// Whom and when it was planned for, counted from the start of the work.
fn planned(receipt: &Receipt, when: Trigger) -> String {
    let target = receipt.target;
    match when {
        Trigger::At { time } => format!("{target}, {} into the work", short(time)),
        Trigger::OnLeaderChange { armed, after, latest } => {
            let (armed, after, latest) = (short(armed), short(after), short(latest));
            format!("{target}, {after} after a leader change between {armed} and {latest}")
        }
    }
}

fn received(receipt: &Receipt) -> FaultBand {
    let nodes: Vec<String> = receipt.nodes.iter().map(NodeId::to_string).collect();
    let nodes = nodes.join(" ");
    let detail = match (sides(&receipt.cut), receipt.shape) {
        (Some(sides), _) => sides,
        (None, Some(shape)) => format!("{shape} {nodes}"),
        (None, None) => nodes,
    };
    FaultBand {
        id: receipt.id,
        fault: receipt.fault.clone(),
        detail,
        planned: receipt.planned.map_or_else(String::new, |when| planned(receipt, when)),
        start: micros(receipt.in_effect.unwrap_or(receipt.injected)),
        end: receipt.healed.map(micros),
        effective: Some(receipt.effective),
        reason: receipt.reason.clone(),
    }
}

/// `n1 n3 ┃ n2 n4 n5`, if the links held divide the nodes into groups without any link between them.
fn sides(cut: &[Link]) -> Option<String> {
    let cut: BTreeSet<(NodeId, NodeId)> = cut.iter().map(|link| (link.from, link.to)).collect();
    let nodes: BTreeSet<NodeId> = cut.iter().flat_map(|&(from, to)| [from, to]).collect();
    let mut groups: Vec<Vec<NodeId>> = Vec::new();
    for node in nodes {
        let parted = |other: NodeId| cut.contains(&(node, other)) && cut.contains(&(other, node));
        let (mut own, others): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.iter().any(|&other| !parted(other)));
        groups = others;
        let mut joined: Vec<NodeId> = own.drain(..).flatten().chain([node]).collect();
        joined.sort_unstable();
        groups.push(joined);
    }
    groups.sort();
    let side =
        |group: &Vec<NodeId>| group.iter().map(NodeId::to_string).collect::<Vec<_>>().join(" ");
    (groups.len() > 1).then(|| groups.iter().map(side).collect::<Vec<_>>().join(" ┃ "))
}

/// What the observer saw of each node.
pub(super) fn nodes(observations: &[Observation]) -> Vec<NodeLane> {
    let mut lanes: BTreeMap<NodeId, Vec<Stretch>> = BTreeMap::new();
    for observation in observations {
        let Some((node, role, term)) = sample(&observation.what) else { continue };
        extend(lanes.entry(node).or_default(), observation.time, role, term);
    }
    lanes.into_iter().map(|(node, stretches)| NodeLane { node, stretches }).collect()
}

fn sample(what: &Observed) -> Option<(NodeId, &str, u64)> {
    match what {
        Observed::Status { node, role, term, .. } => Some((*node, role, *term)),
        Observed::Silent { node } => Some((*node, "silent", 0)),
        Observed::Exit { node, .. } => Some((*node, "down", 0)),
        _ => None,
    }
}

/// Adds a sample to the last stretch if it says the same. A node without a process stays down while it is silent.
fn extend(stretches: &mut Vec<Stretch>, time: Nanos, role: &str, term: u64) {
    let time = micros(time);
    match stretches.last_mut() {
        Some(last) if last.role == "down" && role == "silent" => last.end = time,
        Some(last) if last.role == role && last.term == term => last.end = time,
        _ => stretches.push(Stretch { start: time, end: time, role: role.to_owned(), term }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_samples_are_one_stretch_and_the_dead_stay_dead() {
        let mut stretches = Vec::new();
        for (at, role, term) in [
            (1, "follower", 1),
            (2, "follower", 1),
            (3, "leader", 2),
            (4, "down", 0),
            (5, "silent", 0),
            (6, "follower", 2),
        ] {
            extend(&mut stretches, Nanos(at * 1_000), role, term);
        }
        let drawn: Vec<_> =
            stretches.iter().map(|s| (s.start, s.end, s.role.as_str(), s.term)).collect();
        assert_eq!(
            drawn,
            [(1, 2, "follower", 1), (3, 3, "leader", 2), (4, 5, "down", 0), (6, 6, "follower", 2)]
        );
    }

    fn links(pairs: &[(u16, u16)]) -> Vec<Link> {
        pairs.iter().map(|&(from, to)| Link { from: NodeId(from), to: NodeId(to) }).collect()
    }

    #[test]
    fn a_divided_network_shows_its_sides() {
        let isolated = links(&[(1, 2), (2, 1), (1, 3), (3, 1)]);
        assert_eq!(sides(&isolated).as_deref(), Some("n1 ┃ n2 n3"));
        let one_way = links(&[(1, 2), (1, 3)]);
        assert_eq!(sides(&one_way), None);
        assert_eq!(sides(&[]), None);
    }
}
