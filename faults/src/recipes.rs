//! Coincidences that have found bugs elsewhere: faults that follow a change of leader within some milliseconds, when
//! the new leader has the least behind it.
//!
//! A recipe is data: steps that name classes of fault, so it is used in those schedules only that have all its
//! classes. Something must unseat the leader first; [`crate::draw`] takes a fault that it has drawn already, arms the
//! recipe with it, and keeps the whole within the fault budget. Which node leads then is found out when it happens.

use crate::shape::Shape;
use crate::target::Target;

/// When a step strikes: so many milliseconds after the change of leader is seen, from the first number to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After(pub u64, pub u64);

/// One fault of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its class.
    pub fault: &'static str,
    /// Who is hit. Where the budget has no room for several nodes, one of them.
    pub target: Target,
    /// How the network is divided, for a partition.
    pub shape: Option<Shape>,
    /// When.
    pub when: After,
    /// How long it lasts, in milliseconds, from the first number to the second.
    pub lasts: (u64, u64),
}

/// Some faults around one change of leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Its name.
    pub name: &'static str,
    /// What it is after, as a fragment.
    pub about: &'static str,
    /// The faults, those that strike first first.
    pub steps: &'static [Step],
}

impl Recipe {
    /// Whether all its classes are among these.
    pub fn is_possible(&self, mut has: impl FnMut(&str) -> bool) -> bool {
        self.steps.iter().all(|step| has(step.fault))
    }
}

const fn step(fault: &'static str, target: Target, when: After, lasts: (u64, u64)) -> Step {
    Step { fault, target, shape: None, when, lasts }
}

const fn divide(shape: Shape, target: Target, when: After, lasts: (u64, u64)) -> Step {
    Step { fault: "partition", target, shape: Some(shape), when, lasts }
}

/// Every recipe.
pub static RECIPES: [Recipe; 9] = [
    Recipe {
        name: "crash-leader",
        about: "the new leader is gone before its first entry is everywhere",
        steps: &[step("kill", Target::Leader, After(0, 15), (500, 2000))],
    },
    Recipe {
        name: "crash-voters",
        about: "those who just voted forget what they did not write down",
        steps: &[step("kill", Target::Followers, After(0, 15), (300, 1500))],
    },
    Recipe {
        name: "isolate-with-one",
        about: "the new leader keeps one follower and goes on taking writes that no majority gets",
        steps: &[divide(Shape::Halves, Target::Leader, After(0, 10), (1500, 4000))],
    },
    Recipe {
        name: "isolate-alone",
        about: "the new leader is alone before it knows what is committed",
        steps: &[divide(Shape::Isolate, Target::Leader, After(0, 10), (1500, 4000))],
    },
    Recipe {
        name: "bridge",
        about: "the new leader is the only one whom both halves hear",
        steps: &[divide(Shape::Bridge, Target::Leader, After(0, 10), (1500, 4000))],
    },
    Recipe {
        name: "pause-across-lease",
        about: "the new leader sleeps for longer than its lease and wakes up believing in it",
        steps: &[step("pause", Target::Leader, After(0, 15), (400, 1500))],
    },
    Recipe {
        name: "snapshot-then-kill",
        about: "a crash while the snapshot is put in the place of the one before",
        steps: &[
            step("snapshot", Target::Leader, After(0, 5), (100, 200)),
            step("kill", Target::Leader, After(8, 40), (500, 2000)),
        ],
    },
    Recipe {
        name: "transfer-then-read",
        about: "the clients of a leader that has just handed over go on reading from it",
        steps: &[step("transfer", Target::Follower, After(0, 15), (100, 400))],
    },
    Recipe {
        name: "change-then-isolate",
        about: "the leader is alone with a change of the members that is under way",
        steps: &[
            step("membership", Target::Follower, After(0, 10), (300, 1500)),
            divide(Shape::Isolate, Target::Leader, After(5, 40), (1000, 3000)),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::{After, RECIPES};
    use std::collections::BTreeSet;

    #[test]
    fn every_recipe_strikes_within_twenty_milliseconds_of_a_change() {
        let names: BTreeSet<&str> = RECIPES.iter().map(|recipe| recipe.name).collect();
        assert_eq!(names.len(), RECIPES.len());
        for recipe in &RECIPES {
            let After(soonest, last) = recipe.steps[0].when;
            assert!(soonest <= last && last <= 20, "{}", recipe.name);
            for step in recipe.steps {
                assert_eq!(step.fault == "partition", step.shape.is_some(), "{}", recipe.name);
                assert!(step.lasts.0 >= 100 && step.lasts.0 <= step.lasts.1, "{}", recipe.name);
            }
        }
    }
}
