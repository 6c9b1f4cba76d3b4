//! What a schedule is drawn for, and why none can be.

use crate::claims::Budget;
use crate::random::Random;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How densely the faults of a class follow each other.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Intensity {
    /// With gaps of several seconds.
    Rare,
    /// With gaps of about a second.
    #[default]
    Usual,
    /// With hardly a gap.
    Dense,
}

impl Intensity {
    /// Every intensity.
    pub const ALL: [Self; 3] = [Self::Rare, Self::Usual, Self::Dense];

    /// Between two faults of one class.
    pub(crate) fn gap(self, random: &mut Random) -> Duration {
        let usual = random.between(Duration::from_millis(400), Duration::from_millis(1800));
        match self {
            Self::Rare => usual * 4,
            Self::Usual => usual,
            Self::Dense => usual / 4,
        }
    }
}

/// What a schedule is drawn for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The classes of fault to inject, by name.
    pub classes: Vec<String>,
    /// How densely each class strikes; a class that is not named here strikes as usual.
    pub intensities: BTreeMap<String, Intensity>,
    /// How many nodes there are.
    pub nodes: usize,
    /// What the system claims to survive.
    pub budget: Budget,
    /// The length of the work phase.
    pub work: Duration,
    /// The seed.
    pub seed: u64,
}

impl Settings {
    /// Settings with the budget of a majority system, but of at least one node.
    #[must_use]
    pub fn new(classes: &[&str], nodes: usize, work: Duration, seed: u64) -> Self {
        let classes = classes.iter().map(|&class| class.to_owned()).collect();
        let majority = Budget::majority(nodes);
        let budget = Budget { down: majority.down.max(1), ..majority };
        Self { classes, intensities: BTreeMap::new(), nodes, budget, work, seed }
    }
}

/// No schedule can be drawn from these settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// There is no class of that name.
    #[error("unknown fault `{0}`")]
    UnknownClass(String),
    /// The class can do nothing here.
    #[error("`{class}` cannot bite: {reason}")]
    CannotBite {
        /// The class.
        class: String,
        /// Why not.
        reason: String,
    },
    /// There is no time for it all.
    #[error("{} ms of work are too short for {classes} classes of fault", work.as_millis())]
    TooShort {
        /// The length of the work phase.
        work: Duration,
        /// How many classes were asked for.
        classes: usize,
    },
}
