//! Which faults took effect, from the receipts and, where the harness died before writing one, from
//! the history.

use super::Injection;
use faults::{Link, Receipt};
use history::{Event, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Said of a fault whose receipt was never written.
const NO_RECEIPT: &str = "it has no receipt: the harness ended first";

/// Pairs receipts and nemesis events by id. A fault that never was in effect is listed too, as one
/// that did not bite.
#[must_use]
pub fn injections(receipts: &[Receipt], nemesis: &[Event]) -> Vec<Injection> {
    let mut by_id: BTreeMap<u64, Injection> = BTreeMap::new();
    for event in nemesis {
        let Some(id) = event.value.get("id").and_then(serde_json::Value::as_u64) else { continue };
        let phase = event.value.get("phase").and_then(serde_json::Value::as_str);
        match (phase, by_id.get_mut(&id)) {
            (Some("start"), None) => {
                by_id.insert(id, from_event(id, event));
            }
            (Some("end"), Some(one)) => one.end = Some(event.time),
            _ => {}
        }
    }
    for receipt in receipts {
        by_id.insert(receipt.id, from_receipt(receipt));
    }
    let mut all: Vec<Injection> = by_id.into_values().collect();
    all.sort_by_key(|one| (one.start, one.id));
    all
}

fn from_event(id: u64, event: &Event) -> Injection {
    let list = |name: &str| event.value.get(name).cloned().unwrap_or_default();
    let nodes: Vec<NodeId> = serde_json::from_value(list("nodes")).unwrap_or_default();
    let cut: Vec<(NodeId, NodeId)> = serde_json::from_value(list("cut")).unwrap_or_default();
    Injection {
        id,
        fault: event.f.clone(),
        detail: detail(&nodes, &cut, ""),
        start: event.time,
        end: None,
        ineffective: Some(NO_RECEIPT.to_owned()),
    }
}

/// Its end is the receipt's alone: a fault that could not be healed has an end event all the same.
fn from_receipt(receipt: &Receipt) -> Injection {
    let cut: Vec<(NodeId, NodeId)> =
        receipt.cut.iter().map(|Link { from, to }| (*from, *to)).collect();
    let shape = receipt.shape.map_or("", faults::Shape::name);
    Injection {
        id: receipt.id,
        fault: receipt.fault.clone(),
        detail: detail(&receipt.nodes, &cut, shape),
        start: receipt.in_effect.unwrap_or(receipt.injected),
        end: receipt.healed,
        ineffective: (!receipt.effective).then(|| receipt.reason.clone()),
    }
}

/// What a fault resolved to: `n2`, `n1 n3 ┃ n2 n4 n5`, or the shape's name where it has no sides.
#[must_use]
pub fn detail(nodes: &[NodeId], cut: &[(NodeId, NodeId)], shape: &str) -> String {
    let sides = sides(cut);
    if sides.len() > 1 {
        let sides = sides.iter().map(|side| names(side)).collect::<Vec<_>>().join(" ┃ ");
        // The bridge itself is on neither side.
        return if shape == "bridge" {
            format!("{sides} bridged by {}", names(nodes))
        } else {
            sides
        };
    }
    let nodes = names(nodes);
    if shape.is_empty() { nodes } else { format!("{shape} {nodes}").trim_end().to_owned() }
}

fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(" ")
}

/// The groups of nodes that cannot hear each other in either direction, among the nodes of `cut`; one
/// group where the division has no clear sides.
fn sides(cut: &[(NodeId, NodeId)]) -> Vec<Vec<NodeId>> {
    let cut: BTreeSet<(NodeId, NodeId)> = cut.iter().copied().collect();
    let mut left: BTreeSet<NodeId> = cut.iter().flat_map(|(from, to)| [*from, *to]).collect();
    let mut sides = Vec::new();
    while let Some(first) = left.pop_first() {
        let mut side = vec![first];
        let mut at = 0;
        while at < side.len() {
            let here = side[at];
            let near =
                |other: &NodeId| !cut.contains(&(here, *other)) || !cut.contains(&(*other, here));
            side.extend(left.iter().filter(|other| near(other)));
            left.retain(|other| !side.contains(other));
            at += 1;
        }
        side.sort_unstable();
        sides.push(side);
    }
    sides
}

#[cfg(test)]
mod tests {
    use super::{NO_RECEIPT, detail, injections};
    use faults::Receipt;
    use history::{Event, Kind, Nanos, NodeId, Process};
    use serde_json::json;

    fn both(a: &[u16], b: &[u16]) -> Vec<(NodeId, NodeId)> {
        let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (NodeId(*a), NodeId(*b))));
        pairs.flat_map(|(a, b)| [(a, b), (b, a)]).collect()
    }

    #[test]
    fn sides_are_named() {
        let cut = both(&[1, 3], &[2, 4, 5]);
        assert_eq!(detail(&[NodeId(1), NodeId(3)], &cut, "isolate"), "n1 n3 ┃ n2 n4 n5");
        let one_way: Vec<_> = cut.into_iter().step_by(2).collect();
        assert_eq!(detail(&[NodeId(1), NodeId(3)], &one_way, "one-way-out"), "one-way-out n1 n3");
        assert_eq!(detail(&[NodeId(2)], &[], ""), "n2");
    }

    fn event(time: u64, phase: &str) -> Event {
        Event {
            index: time,
            time: Nanos(time),
            process: Process::Nemesis,
            kind: Kind::Info,
            f: "kill".to_owned(),
            key: None,
            value: json!({"id": 1, "phase": phase, "nodes": ["n2"]}),
            node: None,
            error: None,
        }
    }

    #[test]
    fn a_fault_without_a_receipt_does_not_count() {
        let found = injections(&[], &[event(3, "start"), event(9, "end")]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].end, Some(Nanos(9)));
        assert_eq!(found[0].detail, "n2");
        assert_eq!(found[0].ineffective.as_deref(), Some(NO_RECEIPT));
    }

    #[test]
    fn only_the_receipt_says_that_a_fault_was_healed() {
        let receipt = json!({
            "id": 1, "fault": "kill", "target": "one", "nodes": ["n2"], "injected": 3,
            "in_effect": 4, "healed": null, "evidence": null, "effective": false,
            "reason": "could not be healed",
        });
        let receipt: Receipt = serde_json::from_value(receipt).unwrap();
        let found = injections(&[receipt], &[event(3, "start"), event(9, "end")]);
        assert_eq!((found.len(), found[0].end), (1, None));
    }
}
