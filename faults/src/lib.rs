//! What goes wrong, and how it heals.
//!
//! A [`Schedule`] says what goes wrong and when: a pure value, drawn from a seed by [`schedule()`]
//! or written by hand. The [`Nemesis`] plays it against an [`Environment`], which is the whole of the
//! world that a [`Fault`] may touch, and leaves a [`Receipt`] for each fault: what was asked, what
//! took effect, how that is known, when it healed. Partitions go through the proxy [`Hub`], which
//! carries every connection between the nodes and from clients to them; single messages are handled by
//! [`message::Relays`] before it.
//!
//! Words: a fault is *injected* and *healed*; a *class* is a kind of fault (`partition`, `kill`,
//! `pause`, …); a *target* is the name of the nodes hit; a *link* is an ordered pair of nodes; a
//! *shape* is a way to divide the network.
//!
//! Invariants, each held by a test:
//! - one seed gives one schedule, with every class early and the end of the run left in peace;
//! - a schedule never takes more nodes than its fault budget from the majority;
//! - a plan of the network takes effect on all links at once, and nothing crosses a held link after;
//! - held bytes are delivered exactly once and in order, or their connection is reset;
//! - whatever was injected is healed, also when the nemesis is stopped, fails or is dropped;
//! - a fault counts only if its receipt shows that it bit.
//!
//! ```
//! use faults::{Settings, schedule};
//! use std::time::Duration;
//!
//! let settings = Settings::new(&["partition", "kill"], 5, Duration::from_secs(30), 7);
//! let faults = schedule(&settings)?;
//! assert_eq!(faults, schedule(&settings)?, "a seed is a schedule");
//! # Ok::<(), faults::ScheduleError>(())
//! ```

mod administration;
mod bit_flip;
mod claims;
mod client_cut;
pub mod clock;
mod crash;
pub mod disk;
mod disk_error;
mod disk_full;
mod disk_hang;
mod disk_slow;
mod draw;
mod environment;
mod fault;
mod flap;
mod kill;
mod link;
mod membership;
pub mod message;
mod milliseconds;
mod nemesis;
pub mod netns;
mod pace;
mod partition;
mod pause;
mod power_loss;
pub mod proxy;
mod random;
mod receipt;
mod recipes;
pub mod registry;
mod room;
mod schedule;
mod settings;
mod shape;
mod slow;
mod snapshot;
mod starve;
mod target;
mod transfer;
mod unreachable;
mod wires;

pub use administration::{Administration, Handover, Member, Members, SnapshotTaken};
pub use bit_flip::BitFlip;
pub use claims::{Budget, Load, Power};
pub use client_cut::ClientCut;
pub use clock::{Clock, Clocks};
pub use crash::Crash;
pub use disk_error::DiskError;
pub use disk_full::DiskFull;
pub use disk_hang::DiskHang;
pub use disk_slow::DiskSlow;
pub use draw::{EDGE, schedule};
pub use environment::{
    Applied, BoxFuture, Environment, EnvironmentError, Network, ProcessState, Sighting,
};
pub use fault::{Context, Draft, Fault, Proof};
pub use flap::Flap;
pub use kill::Kill;
pub use link::{
    ClientConnection, ClientCounters, ClientRule, Counters, Heal, Link, Mode, Plan, Rule,
};
pub use membership::Membership;
pub use message::{Message, Messages};
pub use nemesis::{Nemesis, Played, Wiring};
pub use pace::{Accept, Distribution, Pace, Period, SLOT};
pub use partition::Partition;
pub use pause::Pause;
pub use power_loss::PowerLoss;
pub use proxy::Hub;
pub use random::Random;
pub use receipt::Receipt;
pub use recipes::{After, RECIPES, Recipe, Step};
pub use schedule::{Entry, Schedule, Trigger};
pub use settings::{Intensity, ScheduleError, Settings};
pub use shape::Shape;
pub use slow::Slow;
pub use snapshot::Snapshot;
pub use starve::{Processors, Ration, Starve, Use};
pub use target::{Resolved, Target, minority, resolve};
pub use transfer::Transfer;
pub use unreachable::Unreachable;
