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
fn in_a_one_way_ring_each_node_is_deaf_to_one_and_talks_with_a_majority() {
    for (count, seed) in (5..=9).flat_map(|count| (0..20).map(move |seed| (count, seed))) {
        let cut = links(Shape::OneWayRing, count, 1, seed);
        assert_eq!(cut.len(), usize::from(count));
        for node in nodes(count) {
            assert_eq!(cut.iter().filter(|link| link.to == node).count(), 1);
            assert_eq!(cut.iter().filter(|link| link.from == node).count(), 1);
            let both = nodes(count).into_iter().filter(|&other| {
                !cut.contains(&Link::new(node, other)) && !cut.contains(&Link::new(other, node))
            });
            assert!(both.count() > usize::from(count) / 2, "{count} nodes, seed {seed}");
        }
    }
}

#[test]
fn sides_have_the_sizes_that_names_promise() {
    for (count, seed) in (4..=9).flat_map(|count| (0..20).map(move |seed| (count, seed))) {
        let halves = links(Shape::RandomHalves, count, 1, seed);
        let heard_by_all = |cut: &BTreeSet<Link>| -> BTreeSet<usize> {
            nodes(count).into_iter().map(|node| heard(count, cut, node).len()).collect()
        };
        let half = usize::from(count) / 2;
        assert_eq!(heard_by_all(&halves), [half, usize::from(count) - half].into());
        let third = links(Shape::MinorityThird, count, 1, seed);
        let side = heard(count, &third, NodeId(1)).len();
        assert!(side * 3 < usize::from(count) && (side + 1) * 3 >= usize::from(count));
    }
    let moved: BTreeSet<String> =
        (0..20).map(|seed| text(&links(Shape::RandomHalves, 5, 1, seed))).collect();
    assert!(moved.len() > 5, "halves are drawn");
    assert_eq!(links(Shape::Split, 5, 2, 1), links(Shape::Isolate, 5, 2, 1));
}

#[test]
fn isolating_a_majority_costs_what_isolating_the_others_does() {
    assert_eq!(Shape::Isolate.load(3, 5, 2), 2);
    assert_eq!(Shape::Isolate.load(2, 4, 1), 2, "nobody has a majority then");
    assert_eq!(Shape::Isolate.load(5, 5, 2), 5);
    assert_eq!(Shape::RandomHalves.load(1, 4, 1), 4, "halves of an even number are none");
}

#[test]
fn names_in_files_are_names_on_screen() {
    for shape in Shape::ALL {
        assert_eq!(serde_json::to_value(shape).unwrap(), shape.name());
    }
}
