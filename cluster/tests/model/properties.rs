//! What must never be, and what must be reachable, so that a search that ends has looked at something.

use crate::world::{Small, World};
use cluster::raft::{Body, Message};
use stateright::Property;

/// What must never be broken. `World::broken` holds one of the first seven.
pub(crate) const PROMISES: [&str; 8] = [
    "election safety",
    "log matching",
    "leader completeness",
    "state machine safety",
    "durable quorum",
    "one vote a term",
    "persisted before promised",
    "linearizability",
];

/// The promises and the witnesses for these bounds.
pub(crate) fn of(model: &Small) -> Vec<Property<Small>> {
    let mut all = promises();
    all.push(Property::sometimes("a leader in term 1", |_, world: &World| {
        world.leaders.contains_key(&1)
    }));
    all.push(Property::sometimes("a leader in the last term", |model: &Small, world: &World| {
        world.leaders.contains_key(&model.terms)
    }));
    all.push(Property::sometimes(
        "an entry of the last term is committed",
        |model: &Small, world: &World| {
            world.committed.last().is_some_and(|(term, _)| *term == model.terms)
        },
    ));
    if model.commands > 0 {
        all.push(Property::sometimes("a command is committed", |_, w: &World| {
            w.committed.len() > 1
        }));
    }
    if model.crashes > 0 {
        all.push(Property::sometimes("a commit after every crash", |_, world: &World| {
            world.crashes == 0 && !world.committed.is_empty()
        }));
    }
    if model.terms > 1 {
        all.push(Property::sometimes("a vote is refused", |_, world: &World| {
            let refused = |message: &Message| message.body == Body::VoteAnswer { granted: false };
            world.network.iter().any(refused)
        }));
    }
    if model.reads > 0 {
        all.extend(of_reads(model));
    }
    all
}

fn promises() -> Vec<Property<Small>> {
    let [election, matching, completeness, machine, quorum, vote, persisted, linear] = PROMISES;
    vec![
        Property::always(election, |_, world: &World| world.broken != Some(PROMISES[0])),
        Property::always(matching, |_, world: &World| world.broken != Some(PROMISES[1])),
        Property::always(completeness, |_, world: &World| world.broken != Some(PROMISES[2])),
        Property::always(machine, |_, world: &World| world.broken != Some(PROMISES[3])),
        Property::always(quorum, |_, world: &World| world.broken != Some(PROMISES[4])),
        Property::always(vote, |_, world: &World| world.broken != Some(PROMISES[5])),
        Property::always(persisted, |_, world: &World| world.broken != Some(PROMISES[6])),
        Property::always(linear, |model: &Small, world: &World| {
            model.reads == 0 || world.clients.are_consistent()
        }),
    ]
}

fn of_reads(model: &Small) -> Vec<Property<Small>> {
    let mut all: Vec<Property<Small>> = vec![
        Property::sometimes("a read finds nothing", |_, world: &World| {
            world.clients.answered.0 > 0
        }),
        Property::sometimes("a read finds the value", |_, world: &World| {
            world.clients.answered.1 > 0
        }),
        Property::sometimes(
            "every read is answered after the write",
            |model: &Small, world: &World| {
                world.clients.acknowledged && u64::from(world.clients.answered.1) == model.reads
            },
        ),
    ];
    if model.terms > 1 {
        all.push(Property::sometimes(
            "a read is answered in the last term",
            |model: &Small, world: &World| {
                let (none, some) = world.clients.answered;
                none + some > 0 && world.leaders.contains_key(&model.terms)
            },
        ));
    }
    all
}
