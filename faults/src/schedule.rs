//! What will go wrong and when, as a pure value: drawn from a seed ([`crate::draw`]) or written by
//! hand. It names no port, process or clock reading, so one seed gives one schedule, and it is part
//! of `plan.json`.
//!
//! Times are measured from the start of the work phase. Targets are names; [`crate::nemesis`]
//! resolves them when it injects, and a replay resolves them again.

use crate::link::Heal;
use crate::shape::Shape;
use crate::target::Target;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// When a fault is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// At this time.
    At {
        /// Since the start of the work phase.
        #[serde(rename = "ms", with = "crate::milliseconds")]
        time: Duration,
    },
    /// After the next change of leader that is observed from `armed` on, but not later than `latest`.
    OnLeaderChange {
        /// From when on a change counts.
        #[serde(rename = "armed_ms", with = "crate::milliseconds")]
        armed: Duration,
        /// How long after the change.
        #[serde(rename = "after_ms", with = "crate::milliseconds")]
        after: Duration,
        /// When it is injected at the latest, with or without a change.
        #[serde(rename = "latest_ms", with = "crate::milliseconds")]
        latest: Duration,
    },
}

impl Trigger {
    /// The first moment at which it can fire.
    #[must_use]
    pub fn earliest(&self) -> Duration {
        match *self {
            Self::At { time } => time,
            Self::OnLeaderChange { armed, .. } => armed,
        }
    }

    /// The same, so much later.
    #[must_use]
    pub(crate) fn later(self, by: Duration) -> Self {
        match self {
            Self::At { time } => Self::At { time: time + by },
            Self::OnLeaderChange { armed, after, latest } => {
                Self::OnLeaderChange { armed, after: after + by, latest: latest + by }
            }
        }
    }

    /// The last moment at which it can fire.
    #[must_use]
    pub fn latest(&self) -> Duration {
        match *self {
            Self::At { time } => time,
            Self::OnLeaderChange { latest, .. } => latest,
        }
    }
}

/// One fault: when, what, whom, how long.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Numbered from 1; pairs the start and the end in the history.
    pub id: u64,
    /// The class of fault, a name of [`crate::registry`].
    pub fault: String,
    /// When it is injected.
    pub trigger: Trigger,
    /// How long it lasts.
    #[serde(rename = "duration_ms", with = "crate::milliseconds")]
    pub duration: Duration,
    /// Who is hit.
    pub target: Target,
    /// How the network is divided, for a partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// What becomes of the connections over held links when they are released, for a fault that holds any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heal: Option<Heal>,
    /// What else the fault must know, such as how slow a link becomes: an object whose words each class of
    /// fault defines for itself, and checks; null where it needs nothing.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub how: Value,
    /// Seed of the draws made when it is injected, such as which node is `one`.
    pub seed: u64,
}

impl Entry {
    /// The last moment at which it can still be in effect, if nothing is late.
    #[must_use]
    pub fn latest_end(&self) -> Duration {
        self.trigger.latest() + self.duration
    }
}

/// All faults of a run, in the order of their earliest injection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The faults.
    pub entries: Vec<Entry>,
}

impl Schedule {
    /// The classes of fault in it, each once, in order of first appearance.
    #[must_use]
    pub fn classes(&self) -> Vec<&str> {
        let mut classes: Vec<&str> = Vec::new();
        for entry in &self.entries {
            if !classes.contains(&entry.fault.as_str()) {
                classes.push(&entry.fault);
            }
        }
        classes
    }
}
