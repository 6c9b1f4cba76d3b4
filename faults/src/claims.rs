//! What a system lets be done to it, and what it claims to survive.
//!
//! Faults differ in what they need of a system ([`Power`]) and in what they ask of it ([`Load`]). A system
//! declares both, and a schedule that asks for more than the declared [`Budget`] is refused: a correct system may
//! fail it, and then a finding would accuse nobody. What the *machine* has to offer is asked of the fault
//! itself ([`crate::Fault::machine`]).

use crate::disk::namespace;
use serde::{Deserialize, Serialize};

/// What a system must allow for a fault to be possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// Its links can be cut.
    Cut,
    /// Its nodes can be killed and started again.
    Kill,
    /// Its nodes can be stopped and continued.
    Pause,
    /// Nodes can be taken out of it and added to it while it runs.
    Membership,
    /// Its leader can be told to hand its leadership over.
    Transfer,
    /// Its nodes can be told to take a snapshot.
    Snapshot,
    /// Its data folders can be put on a disk of ours.
    Disk,
    /// Its nodes ask libc for the time and wait as [`crate::clock`] can follow, so they can be given clocks of
    /// their own.
    Clock,
    /// Its nodes speak gRPC without TLS, and a message between them may be lost, doubled, late or repeated.
    Message,
}

impl Power {
    /// What cannot be done to a system without it, as a fragment: `its links cannot be cut`.
    #[must_use]
    pub fn lacking(self) -> &'static str {
        match self {
            Self::Cut => "its links cannot be cut",
            Self::Kill => "its nodes cannot be killed",
            Self::Pause => "its nodes cannot be paused",
            Self::Membership => "its members cannot be changed",
            Self::Transfer => "its leadership cannot be handed over",
            Self::Snapshot => "its nodes take no snapshot on demand",
            Self::Disk => "its data folders cannot be put on a disk of ours",
            Self::Clock => "its nodes cannot be given clocks of their own",
            Self::Message => "the messages between its nodes cannot be handled one by one",
        }
    }

    /// What the machine must have for it, in a few words; none if it needs nothing.
    #[must_use]
    pub fn needs(self) -> Option<&'static str> {
        (self == Self::Disk).then_some(namespace::NEEDS)
    }

    /// Whether this machine has that.
    ///
    /// # Errors
    /// What is missing, and what to do about it, as a fragment.
    pub fn machine(self) -> Result<(), String> {
        if self == Self::Disk { namespace::probe() } else { Ok(()) }
    }
}

/// What a system claims to survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// How many nodes may be down or cut off at once with operations still ending.
    pub down: usize,
    /// How many nodes may crash at once, also by loss of power, with nothing lost once they are back. While
    /// more than `down` of them are away nothing need end.
    pub crash: usize,
    /// How many nodes may find damage in their files at once. They may refuse to start on it.
    #[serde(default)]
    pub damaged: usize,
    /// By how many millionths a clock may run too fast or too slow.
    #[serde(default)]
    pub drift_ppm: u32,
    /// Whether the wall clock of any node may be set to anything at any time.
    #[serde(default)]
    pub wall_steps: bool,
}

impl Budget {
    /// The budget of a majority system of so many nodes that syncs before it acknowledges, looks at no wall clock,
    /// and whose timeouts do if they are a twentieth off.
    #[must_use]
    pub const fn majority(nodes: usize) -> Self {
        let down = nodes.saturating_sub(1) / 2;
        Self { down, crash: nodes, damaged: down, drift_ppm: 50_000, wall_steps: true }
    }
}

/// What one fault asks of a system while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// It keeps so many nodes from the others.
    Nodes(usize),
    /// Nothing need go on until it is healed, so no other fault may be in effect beside it: the two together
    /// may be more than either alone.
    Outage,
}

impl Load {
    /// The nodes it counts for beside others; an outage counts for none, because there are no others.
    #[must_use]
    pub fn nodes(self) -> usize {
        match self {
            Self::Nodes(nodes) => nodes,
            Self::Outage => 0,
        }
    }
}
