//! Shapes cut what their names say.

use faults::{Link, Random, Shape};
use history::NodeId;
use std::collections::BTreeSet;

fn nodes(count: u16) -> Vec<NodeId> {
    (1..=count).map(NodeId).collect()
}

fn links(shape: Shape, count: u16, chosen: u16, seed: u64) -> BTreeSet<Link> {
    shape.links(&nodes(count), &[NodeId(chosen)], &mut Random::new(seed, 1))
}

fn text(links: &BTreeSet<Link>) -> String {
    links.iter().map(|l| format!("{}>{}", l.from.0, l.to.0)).collect::<Vec<_>>().join(" ")
}

/// The nodes that `node` hears, itself included.
fn heard(count: u16, cut: &BTreeSet<Link>, node: NodeId) -> BTreeSet<NodeId> {
    nodes(count).into_iter().filter(|&from| !cut.contains(&Link::new(from, node))).collect()
}

#[test]
fn golden_shapes() {
    let golden = [
        (Shape::Isolate, "1>2 2>1 2>3 3>2"),
        (Shape::Halves, "1>2 2>1 2>3 3>2"),
        (Shape::Bridge, "1>3 3>1"),
        (Shape::OneWayIn, "1>2 3>2"),
        (Shape::OneWayOut, "2>1 2>3"),
    ];
    for (shape, expected) in golden {
        assert_eq!(text(&links(shape, 3, 2, 5)), expected, "{shape}");
    }
}

#[test]
fn halves_keep_a_majority_and_the_chosen_node_on_the_small_side() {
    for (count, seed) in (2..=9).flat_map(|count| (0..20).map(move |seed| (count, seed))) {
        let cut = links(Shape::Halves, count, 1, seed);
        let small = usize::from((count - 1) / 2).max(1);
        let sides = [heard(count, &cut, NodeId(1)).len()];
        assert_eq!(sides, [small]);
        assert_eq!(cut.len(), 2 * small * (usize::from(count) - small));
    }
}

#[test]
fn in_a_ring_every_node_hears_its_own_majority() {
    for (count, seed) in (3..=9).flat_map(|count| (0..20).map(move |seed| (count, seed))) {
        let cut = links(Shape::MajoritiesRing, count, 1, seed);
        let heard: Vec<_> = nodes(count).into_iter().map(|n| heard(count, &cut, n)).collect();
        assert!(heard.iter().all(|nodes| nodes.len() == usize::from(count) / 2 + 1));
        assert_eq!(heard.iter().collect::<BTreeSet<_>>().len(), usize::from(count));
        assert!(heard.iter().zip(nodes(count)).all(|(nodes, node)| nodes.contains(&node)));
    }
}

#[test]
fn only_the_bridge_hears_everybody() {
    for (count, seed) in (3..=9).flat_map(|count| (0..20).map(move |seed| (count, seed))) {
        let cut = links(Shape::Bridge, count, 2, seed);
        for node in nodes(count) {
            let everybody = heard(count, &cut, node).len() == usize::from(count);
            assert_eq!(everybody, node == NodeId(2), "{count} nodes, seed {seed}");
        }
        assert!(cut.iter().all(|link| cut.contains(&link.reversed())));
    }
}

#[test]
fn names_in_files_are_names_on_screen() {
    for shape in Shape::ALL {
        assert_eq!(serde_json::to_value(shape).unwrap(), shape.name());
    }
}
