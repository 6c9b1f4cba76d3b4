//! What a node is told once, when it starts.

use super::message::NodeId;
use super::quorum::Configuration;
use crate::bug::Bugs;

/// The settings of one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Config {
    /// Who this node is.
    pub id: NodeId,
    /// Who is in the cluster, as long as the log says nothing else. Empty for a node that joins a
    /// cluster: it waits until a leader tells it.
    pub configuration: Configuration,
    /// Bounds on what is sent and held.
    pub limits: Limits,
    /// Heartbeats in the shortest election timeout. A leader whose own disk, or whose followers, have
    /// owed something for more beats than this and done nothing steps down.
    pub election_beats: u8,
    /// What lease reads rest on, if this cluster has them (see `lease`). The same on all nodes.
    pub lease: Option<Lease>,
    /// Deliberate bugs; none in a correct node.
    pub bugs: Bugs,
}

/// What is declared of the clocks of all nodes, so that leaders may answer reads by lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The shortest election timeout, in microseconds.
    pub election_us: u64,
    /// By how much the rate of a clock may differ from the true one, either way, in millionths.
    pub drift_ppm: u64,
}

impl Config {
    /// A correct node with the default limits.
    pub fn new(id: NodeId, configuration: Configuration) -> Config {
        let (limits, bugs) = (Limits::default(), Bugs::NONE);
        Config { id, configuration, limits, election_beats: 3, lease: None, bugs }
    }
}

/// Bounds on what is sent and held. Each is at least 1; a single entry larger than a byte limit
/// still goes, alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limits {
    /// Entries in one append.
    pub append_entries: usize,
    /// Bytes of commands in one append.
    pub append_bytes: usize,
    /// Appends sent to one follower and not yet answered. Beyond it entries gather, so a slow
    /// follower gets few large appends rather than many small ones.
    pub appends_in_flight: usize,
    /// Bytes of commands appended by this leader and not yet committed.
    pub uncommitted_bytes: usize,
    /// Entries handed out to be applied at once, so that a long log does not keep a node from answering.
    pub apply_entries: usize,
    /// Entries before the end of a snapshot that stay in the log all the same, so that a follower that is
    /// a little behind needs no snapshot. May be 0.
    pub tail_entries: u64,
    /// Bytes of commands in that tail.
    pub tail_bytes: usize,
    /// Reads that wait to be confirmed.
    pub reads_waiting: usize,
    /// Entries by which a learner may lag and still be promoted.
    pub catch_up_entries: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            append_entries: 1024,
            append_bytes: 1 << 20,
            appends_in_flight: 4,
            uncommitted_bytes: 64 << 20,
            apply_entries: 1024,
            tail_entries: 4096,
            tail_bytes: 16 << 20,
            reads_waiting: 4096,
            catch_up_entries: 256,
        }
    }
}
