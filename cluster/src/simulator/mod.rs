//! Whole clusters in simulated time, driven by nothing but a seed.
//!
//! The same [`Raft`](crate::raft::Raft) core and the same state machine as in a real process, with everything
//! around them replaced by values: the network loses, repeats, delays and reorders messages and its links are
//! cut, in one direction or both; disks are slow, stall, and forget what was not synced; nodes crash at any
//! moment, pause, and come back; their clocks run at different rates. Snapshots are taken and sent, an operator
//! changes who is in the cluster and who leads it, and sessions of clients write, read, compare-and-set and
//! retry through all of it. Some things are set off not by the clock but by what the cluster does: the winner of
//! an election crashes, or whoever has just voted (`recipes`).
//! Where leases are on ([`Plan::leases`]), some clients read by them, the clocks keep just what was declared of them,
//! and wall clocks are set at any time.
//!
//! A run is a series of *episodes*. Each is a fresh cluster of its own kind: which faults there are, how often,
//! and how large its appends may be are drawn anew (swarm testing), so that a long run is many different short
//! ones, and what fails is short too. An episode has two phases. In the *safety phase* everything goes wrong. In
//! the *liveness phase* the network heals, but some nodes stay broken for good, as many as the configuration can
//! do without: dead, cut off, heard but deaf, or with a disk that has stopped. The others must get work done
//! under one leader, end a change that is under way, and end up equal. An algorithm that does nothing wrong
//! because it does nothing would not pass.
//!
//! # Invariants
//!
//! * One seed, one run, event by event: no clock, no thread, no hash map whose order could differ. Each purpose
//!   draws from a stream of its own, the network from one for each link, so that a dropped fault moves little
//!   else and a failing run can be shrunk ([`shrink()`]).
//! * The [`oracle`](Promise) sees every effect and every disk, and checks each when it happens, at a cost that
//!   does not grow with the length of the log. It also counts what a run went through ([`Facts`]): a clean run
//!   in which nothing happened proves nothing.
//! * What clients saw is handed out as [`ClientEvent`]s and judged by somebody else.
//!
//! # Not here
//!
//! Bytes: no write-ahead log file, no protocol buffers; a torn record is one that a crash dropped whole, which
//! is what recovery makes of it. The tests of `wal` and `node` cover those.

mod actions;
mod agenda;
mod clients;
mod disk;
mod faults;
mod liveness;
mod members;
mod mix;
mod network;
mod node;
mod oracle;
mod quorums;
mod random;
mod recipes;
mod server;
mod shrink;
mod snapshots;
mod world;

pub use actions::{Action, Timed, Victim, Want, Way};
pub use clients::{Call, ClientEvent, Kind};
pub use oracle::{Facts, Promise, Violation};
pub use shrink::shrink;

use crate::bug::Bugs;
use crate::raft::NodeId;

/// Microseconds of simulated time since the start of an episode.
pub type Time = u64;
/// A millisecond.
pub const MS: Time = 1000;
/// A second.
pub const SECOND: Time = 1000 * MS;
/// How long an episode is, unless the run is shorter.
pub const EPISODE: Time = 60 * SECOND;
/// The shortest episode that has room for both phases.
pub const SHORTEST: Time = 10 * SECOND;

/// One episode to simulate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Fixes everything that is drawn.
    pub seed: u64,
    /// Which episode of the run; episodes of one seed have nothing in common.
    pub episode: u64,
    /// How many nodes there are at first, 1 to [`NODES_MAX`]; up to [`SPARES`] more may join.
    pub nodes: u64,
    /// How long clients are at work.
    pub length: Time,
    /// What is wrong with the nodes.
    pub bugs: Bugs,
    /// Whether leaders hold leases and clients read by them. Bugs of leases imply it.
    pub leases: bool,
    /// What happens, in order of time; none to draw it.
    pub actions: Option<Vec<Timed>>,
    /// How many of the last steps to tell in [`Outcome::trace`]; telling takes time.
    pub trace: usize,
}

/// The most nodes that a cluster can begin with.
pub const NODES_MAX: u64 = 7;
/// The most nodes that wait for a place in it.
pub const SPARES: u64 = 2;
/// Room for all of them.
const PLACES: usize = (NODES_MAX + SPARES) as usize;

impl Plan {
    /// One episode of the usual length, with correct nodes.
    pub fn new(seed: u64, nodes: u64) -> Plan {
        let (length, bugs) = (EPISODE, Bugs::NONE);
        Plan { seed, episode: 0, nodes, length, bugs, leases: false, actions: None, trace: 0 }
    }

    fn has_leases(&self) -> bool {
        self.leases || self.bugs.needs().lease
    }
}

/// The episodes of a run of so many seconds: equally long, and none longer than [`EPISODE`].
pub fn episodes(seed: u64, nodes: u64, seconds: u64, bugs: Bugs) -> impl Iterator<Item = Plan> {
    let total = seconds.saturating_mul(SECOND);
    let count = total.div_ceil(EPISODE).max(1);
    (0..count).map(move |episode| Plan {
        episode,
        length: total / count,
        bugs,
        ..Plan::new(seed, nodes)
    })
}

/// What came of an episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The first broken promise; the episode ends there.
    pub violation: Option<Violation>,
    /// What it went through.
    pub facts: Facts,
    /// How often the code of a bug ran.
    pub reached: u64,
    /// How often it made a difference.
    pub triggered: u64,
    /// A number that depends on every event of the episode.
    pub digest: u64,
    /// How long was simulated.
    pub simulated: Time,
    /// What clients saw, in order of time.
    pub history: Vec<ClientEvent>,
    /// What happened, with its times: the same list in [`Plan::actions`] repeats the episode.
    pub actions: Vec<Timed>,
    /// The nodes that stayed broken in the liveness phase, in words.
    pub broken: Vec<String>,
    /// The last steps, if they were asked for.
    pub trace: Vec<String>,
}

/// Plays an episode to its end, or to the first broken promise.
///
/// # Panics
/// If the plan has no nodes or more than [`NODES_MAX`], or is shorter than [`SHORTEST`].
pub fn simulate(plan: &Plan) -> Outcome {
    assert!((1..=NODES_MAX).contains(&plan.nodes), "{} nodes", plan.nodes);
    assert!(plan.length >= SHORTEST, "an episode of {} µs", plan.length);
    world::World::new(plan).run()
}

/// The place of a node in an array.
fn place(node: NodeId) -> usize {
    node as usize - 1
}
