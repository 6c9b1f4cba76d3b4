//! What a node is told when it starts.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use super::NodeError;
use crate::bug::Bugs;
use crate::raft::{Lease, NodeId};
use crate::wal::SEGMENT_MIN;

/// Largest key in bytes.
pub const KEY_MAX: usize = 4 << 10;
/// Largest value in bytes.
pub const VALUE_MAX: usize = 1 << 20;
/// Largest request in bytes that is answered with a typed error; a larger one is refused by the transport.
pub const REQUEST_MAX: usize = 16 << 20;
/// Longest and default time that a request may wait in a node.
pub const DEADLINE_MAX: Duration = Duration::from_secs(10);

/// The drift declared for a bug of leases, if none is.
const DRIFT_OF_BUGS: u32 = 50_000;

/// The settings of one node. Every field is plain, so that a command line or a test can fill it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who this node is; not 0.
    pub id: NodeId,
    /// A number that all nodes of a cluster share, so that two clusters never mix.
    pub cluster: u64,
    /// The data directory; created if missing, locked while the node runs.
    pub data: PathBuf,
    /// The address to dial for each other node: one per directed link, so possibly a proxy's.
    pub peers: BTreeMap<NodeId, SocketAddr>,
    /// The address to dial for nodes that may be added later: no members by that, but wherever the
    /// configuration says that they are, they are dialled here.
    pub dial: BTreeMap<NodeId, SocketAddr>,
    /// Join a cluster: start without a configuration and wait until a leader tells it. Otherwise this node
    /// and its peers are the voters of a new cluster. Either way the log, once it says more, is right.
    pub join: bool,
    /// Where to listen for the other nodes; port 0 takes any.
    pub listen_peer: SocketAddr,
    /// Where to listen for clients; port 0 takes any.
    pub listen_client: SocketAddr,
    /// An open file descriptor that gets one line `{"peer":"address","client":"address"}` once both
    /// listen, and is then closed.
    pub ready_fd: Option<RawFd>,
    /// The leader's beat.
    pub heartbeat: Duration,
    /// The shortest election timeout; the longest is twice that.
    pub election: Duration,
    /// Lease reads are on, and no clock's rate differs from the true one by more than so many millionths.
    /// The same on all nodes of a cluster, as is the election timeout.
    pub lease_drift_ppm: Option<u32>,
    /// Bytes of a segment of the log.
    pub segment_size: u64,
    /// Take a snapshot after so many entries, and keep half as many in the log before it; 0 to go by bytes
    /// alone.
    pub snapshot_entries: u64,
    /// Take a snapshot after so many bytes of commands.
    pub snapshot_bytes: u64,
    /// Bytes of a snapshot written or sent in a second.
    pub snapshot_rate: u64,
    /// Deliberate bugs.
    pub bugs: Bugs,
    /// A file for the counters of deliberate bugs.
    pub marks: Option<PathBuf>,
    /// Be killed when the thread that started this process ends.
    pub parent_death_signal: bool,
}

impl Config {
    /// A node on its own with the default timing, listening on free ports of the loopback interface.
    pub fn new(id: NodeId, data: impl Into<PathBuf>) -> Config {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Config {
            id,
            cluster: 1,
            data: data.into(),
            peers: BTreeMap::new(),
            dial: BTreeMap::new(),
            join: false,
            listen_peer: anywhere,
            listen_client: anywhere,
            ready_fd: None,
            heartbeat: Duration::from_millis(100),
            election: Duration::from_millis(300),
            lease_drift_ppm: None,
            segment_size: 64 << 20,
            snapshot_entries: 0,
            snapshot_bytes: 32 << 20,
            snapshot_rate: 32 << 20,
            bugs: Bugs::NONE,
            marks: None,
            parent_death_signal: false,
        }
    }

    /// Heartbeats in the shortest election timeout.
    pub(super) fn election_beats(&self) -> u8 {
        let beats = self.election.as_nanos() / self.heartbeat.as_nanos().max(1);
        u8::try_from(beats).unwrap_or(u8::MAX)
    }

    /// What leases rest on, if they are on. A bug of leases switches them on.
    pub(super) fn lease(&self) -> Option<Lease> {
        let needed = self.bugs.needs().lease.then_some(DRIFT_OF_BUGS);
        let drift_ppm = self.lease_drift_ppm.or(needed)?.into();
        let election_us = u64::try_from(self.election.as_micros()).unwrap_or(u64::MAX);
        Some(Lease { election_us, drift_ppm })
    }

    /// Refuses settings that no cluster could run with.
    pub(super) fn validate(&self) -> Result<(), NodeError> {
        let beat = self.heartbeat.as_micros();
        let named = || self.peers.keys().chain(self.dial.keys());
        let problem = if self.id == 0 || named().any(|id| *id == 0) {
            "a node's id must not be 0".to_owned()
        } else if named().any(|id| *id == self.id) {
            format!("node {} cannot be its own peer", self.id)
        } else if let Some(twice) = self.dial.keys().find(|id| self.peers.contains_key(id)) {
            format!("node {twice} has two addresses")
        } else if self.heartbeat.is_zero() || self.election < self.heartbeat * 2 {
            format!(
                "the election timeout ({} ms) must be at least twice the heartbeat ({} ms)",
                self.election.as_millis(),
                self.heartbeat.as_millis()
            )
        } else if self.segment_size < SEGMENT_MIN {
            format!("a segment needs at least {SEGMENT_MIN} bytes")
        } else if self.snapshot_bytes == 0 || self.snapshot_rate == 0 {
            "a snapshot needs a size of log to be taken after, and a rate".to_owned()
        } else if self.lease().is_some_and(|lease| u128::from(lease.length()) <= beat) {
            "with so much drift a lease would be over before the next heartbeat".to_owned()
        } else {
            return Ok(());
        };
        Err(NodeError::Config(problem))
    }
}
