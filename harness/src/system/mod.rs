//! What can be tested: one [`System`] per database, each in a folder of its own.
//!
//! A system knows how one node of it is started, when it is ready, how to ask it for its view of the
//! cluster, what it can be made to suffer and what it promises to survive; and it hands out clients
//! that speak the traits of `workloads`. Everything else (processes, proxies, faults, recording,
//! judging) is the same for all systems and knows none by name.
//!
//! To add one: a folder here that implements [`System`], and one line in [`all`] and in [`select`]; or, without a line of
//! Rust, a file ([`written`]).
//!
//! How nodes reach each other is one of two ways ([`Wiring`]). A node that can be told another address of each peer by
//! each dialler listens where it likes and says so; one that has a single address for everybody is given a [`Home`],
//! where addresses are fixed, and serves once something listens there: in a network namespace of its own, or, where the
//! kernel allows none, at an address of the machine's loopback.
//!
//! Invariants: only `system::reference` (and the `node` verb) names the `cluster` crate; the command
//! line of a node is a value of the plan and of addresses, never of a clock or a random source; a
//! client never outlives its deadline and never calls an outcome definite but on the typed word of
//! the node itself.

mod administrator;
mod client_notes;
mod companion;
pub mod etcd;
pub mod maelstrom;
pub mod reference;
mod status;
pub mod written;

pub use administrator::{Administrator, AdministratorView, Change};
pub use client_notes::{Asides, ClientNotes, Finding, NoNotes};
pub use companion::Companion;
pub use status::{Counters, NodeStatus, Probe, Role};

use crate::exit::Failure;

use faults::disk::Promises;
use faults::{Budget, Power};
use history::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use workloads::KvClient;

/// How often a node may be replaced by a new one in a run: its peers are told where it will be dialled each time.
pub const LIVES: u32 = 9;

/// A database that can be put under test.
pub trait System: Sync {
    /// Its name on the command line.
    fn name(&self) -> &str;

    /// One sentence for `harness list systems`.
    fn about(&self) -> &str;

    /// The version under test, for the plan and the report.
    fn version(&self) -> String;

    /// Whether that is a version of its own, and not the harness's.
    fn has_own_version(&self) -> bool {
        true
    }

    /// Whether this machine has what its nodes run. Asked before anything starts.
    ///
    /// # Errors
    /// What is missing, and what to do about it.
    fn machine(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether it can be run as so many nodes.
    ///
    /// # Errors
    /// What speaks against it.
    fn check_nodes(&self, _nodes: u16) -> Result<(), Failure> {
        Ok(())
    }

    /// What somebody should know before a verdict on this version is believed, if there is anything.
    fn warning(&self) -> Option<String> {
        None
    }

    /// The workloads whose operations it has.
    fn workloads(&self) -> &[&str] {
        &["kv", "register"]
    }

    /// How its nodes reach each other.
    fn wiring(&self) -> Wiring {
        Wiring::Pairs
    }

    /// Whether its nodes say who leads, or can be asked. If not, nobody waits for a leader, and faults that aim at one
    /// find none.
    fn has_leaders(&self) -> bool {
        true
    }

    /// What its timing is, unless the command line says otherwise.
    fn timing(&self) -> Timing {
        Timing { heartbeat: Duration::from_millis(100), election: Duration::from_millis(300) }
    }

    /// Whether its nodes run with such a timing.
    ///
    /// # Errors
    /// What they ask for instead.
    fn check_timing(&self, _timing: Timing) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether a node can be told to ask, before it stands for election, whether it could win. Without a choice by the
    /// user it is told to.
    fn has_pre_vote(&self) -> bool {
        false
    }

    /// Whether its nodes take what `--heartbeat`, `--election` and `--snapshot-every` say.
    fn takes_settings(&self) -> bool {
        true
    }

    /// Pieces of a line in a node's log that mean that it, or a part of it, has crashed.
    fn crash_marks(&self) -> &[String] {
        &[]
    }

    /// How the logs of nodes with these settings tell what the nodes wrote against their protocol, if somebody reads along.
    fn protocol_marks(&self, _settings: &NodeSettings) -> Option<ProtocolMarks> {
        None
    }

    /// Starts what its nodes need beside each other, for one run; its draws are of `seed`. Called where there is a runtime.
    ///
    /// # Errors
    /// It cannot be started.
    fn companion(&self, _seed: u64) -> std::io::Result<Option<Companion>> {
        Ok(None)
    }

    /// The program that each node runs, if all run the same one. What can be told from its file is: whether its
    /// nodes can be given clocks of their own.
    fn program(&self) -> Option<PathBuf> {
        None
    }

    /// Whether its nodes may answer reads by lease, and its clients can ask for such reads.
    fn has_leases(&self) -> bool {
        false
    }

    /// What can be done to its nodes.
    fn powers(&self) -> &[Power];

    /// Why faults that need this power are left out of `all` and `swarm` though they can be asked for by name.
    fn only_by_name(&self, _power: Power) -> Option<&'static str> {
        None
    }

    /// What it claims to survive as `nodes` nodes: no promise is broken, and the recovery limit is met once it
    /// is over. A schedule beyond this is refused.
    fn fault_budget(&self, nodes: u16) -> Budget;

    /// Why it does not claim to survive this class of fault, if it does not: none is injected then.
    fn does_not_survive(&self, _class: &str) -> Option<&'static str> {
        None
    }

    /// Whether its nodes are killed at the end of a run, when nothing is asked of them any more, and not told to stop.
    fn is_killed_at_the_end(&self) -> bool {
        false
    }

    /// What it may rely on besides POSIX where its files are on a disk of ours.
    fn disk_promises(&self) -> Promises {
        Promises::Posix
    }

    /// How long after the last heal every node must serve again, with this shortest election timeout.
    fn recovery_limit(&self, election: Duration) -> Duration;

    /// Whether it claims to keep that limit. Where nobody claims it, being late is no violation.
    fn claims_recovery(&self) -> bool {
        true
    }

    /// Who administers it, if it can be administered while it runs.
    fn administrator(&self) -> Option<Box<dyn Administrator>> {
        None
    }

    /// The deliberate bugs it can be started with.
    fn bugs(&self) -> Vec<SeededBug>;

    /// How to start the node that `spec` describes.
    fn command(&self, spec: &NodeSpec) -> NodeCommand;

    /// Does what a node needs before it is told to stop by SIGTERM, for at most `limit`. It answers at `door` and is the
    /// process `pid`. Blocks; called for all nodes at once.
    fn stop(&self, _spec: &NodeSpec, _door: SocketAddr, _pid: i32, _limit: Duration) {}

    /// The addresses in the line that a node writes when it serves.
    ///
    /// # Errors
    /// What is wrong with the line, as a fragment.
    fn ready(&self, line: &str) -> Result<NodeAddresses, String>;

    /// A fresh client process: no session, no connection, no memory of earlier ones. It connects on
    /// its first call, so making one cannot fail.
    fn client(&self, settings: &ClientSettings) -> Box<dyn KvClient>;

    /// Whether every answer of it comes with a revision of its whole store, so that these can be judged too.
    fn has_revisions(&self) -> bool {
        false
    }

    /// The same client, for a system whose clients have more to say than answers.
    fn client_with(&self, settings: &ClientSettings, _asides: &Asides) -> Box<dyn KvClient> {
        self.client(settings)
    }

    /// Something that asks one node for its view, through `address`, again and again.
    fn probe(&self, address: SocketAddr) -> Box<dyn Probe>;

    /// The same where more must be known of the node than where it answers.
    fn probe_node(&self, _spec: &NodeSpec, address: SocketAddr) -> Box<dyn Probe> {
        self.probe(address)
    }

    /// How often each seeded bug was reached and triggered, from the nodes' marks files. A file that
    /// is missing or unreadable counts as nothing; no verdict depends on it.
    fn marks(&self, files: &[PathBuf]) -> Vec<MarkCount>;
}

/// A deliberate bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeededBug {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it changes, in one sentence.
    pub about: &'static str,
    /// The drift of clocks that must be declared, in millionths, because it shows in lease reads only.
    pub lease_drift_ppm: Option<u32>,
}

/// How often one seeded bug came up on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkCount {
    /// The position of its file among those asked for.
    pub file: usize,
    /// The bug's name.
    pub bug: &'static str,
    /// How often its code ran.
    pub reached: u64,
    /// How often it made a difference.
    pub triggered: u64,
}

/// One node to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// Which.
    pub node: NodeId,
    /// How often it was replaced: with each life it is another member of the cluster, and all but the first join.
    pub life: u32,
    /// Where it has to listen and what others call it; none where it may choose and says so.
    pub home: Option<Home>,
    /// Where to dial each peer: the proxies' addresses, the same for the whole run. With homes the first of the ports
    /// at which peers call each other.
    pub peers: BTreeMap<NodeId, SocketAddr>,
    /// Its data directory, the same across restarts.
    pub data: PathBuf,
    /// Where it counts how often a seeded bug came up.
    pub marks: PathBuf,
    /// What is the same for every node of the run.
    pub settings: NodeSettings,
}

/// The settings every node of a run shares, from the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// Time between two heartbeats of a leader.
    pub heartbeat: Duration,
    /// The shortest election timeout; the longest is twice that.
    pub election: Duration,
    /// Size of a segment of the write-ahead log, in bytes.
    pub segment_bytes: u64,
    /// Entries after which it takes a snapshot; without it, as it likes.
    pub snapshot_every: Option<u64>,
    /// Whether nodes may be replaced, so that each must know its peers under the numbers of later lives too.
    pub replaceable: bool,
    /// How far the rate of a clock may be off, in millionths, if the nodes are to answer reads by lease.
    pub lease_drift_ppm: Option<u32>,
    /// Whether it asks before it stands for election whether it could win, where that is a choice.
    pub pre_vote: Option<bool>,
    /// The deliberate bug to run with.
    pub bug: Option<String>,
    /// Where the companion of the system is, if it has one.
    pub companion: Option<SocketAddr>,
    /// Nobody can guess it: what stands in a node's log behind it is the harness's word, and not the node's.
    pub token: String,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election: Duration::from_millis(300),
            segment_bytes: 4 << 20,
            snapshot_every: None,
            replaceable: false,
            lease_drift_ppm: None,
            pre_vote: None,
            bug: None,
            companion: None,
            token: String::new(),
        }
    }
}

/// How often a leader says that it lives, and how long others wait for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time between two heartbeats.
    pub heartbeat: Duration,
    /// The shortest election timeout.
    pub election: Duration,
}

/// What whoever reads along writes into a node's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolMarks {
    /// Before what the node wrote that the protocol does not have.
    pub broken: String,
    /// When it begins to read; once for each start of the node.
    pub begun: String,
    /// When it has read all that the node wrote. Without it nobody knows what else there was.
    pub ended: String,
}

/// How nodes reach each other, so that the proxies know who is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// Each node is told an address of each peer that nobody else is told, and its own are any: it says where it
    /// listens in a line on its ready pipe ([`System::ready`]).
    Pairs,
    /// Each node is known to all by one address, so it is given a [`Home`]; it serves once it listens there.
    OneAddress {
        /// The ports at which peers call each other, at least one.
        peers: Vec<u16>,
        /// The port at which clients call.
        client: u16,
        /// Why its nodes cannot share a network, in which each listens at another address than that by which others know
        /// it; none if they can. Then each has to have a network namespace.
        unshared: Option<String>,
    },
}

/// Where a node has to listen and what it is known by, for its whole run: the same, unless nodes share a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// Where it listens.
    pub own: NodeAddresses,
    /// Where its peers call it, at the first of the ports for that. What it says of itself to others has to be this.
    pub known: SocketAddr,
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCommand {
    /// `/proc/self/exe` for the harness itself.
    pub program: PathBuf,
    /// Without the program's name.
    pub args: Vec<String>,
    /// Added to the inherited environment.
    pub env: Vec<(String, String)>,
}

/// Where a node listens; other ports after each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NodeAddresses {
    /// For its peers.
    pub peer: SocketAddr,
    /// For clients and observers.
    pub client: SocketAddr,
}

/// Whom a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// This node alone, which passes on what only the leader can do.
    Node(NodeId),
    /// The leader as far as known, another node when it does not answer.
    Leader,
}

/// What a client process is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// Whom it asks.
    pub route: Route,
    /// Where each node's clients connect: the proxies' addresses.
    pub addresses: BTreeMap<NodeId, SocketAddr>,
    /// How long one attempt may take; an operation's deadline may hold several.
    pub attempt: Duration,
    /// Whether its reads are content with a lease.
    pub lease_reads: bool,
    /// Where to start among the nodes, so that clients that follow the leader do not all ask the
    /// same node first.
    pub first: usize,
    /// The workload whose operations it performs: the same word may mean something else in another.
    pub workload: &'static str,
}

/// Which system, as the command line or a plan says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selection {
    /// Its name.
    pub name: String,
    /// The program its nodes run, where that is a choice.
    pub program: Option<PathBuf>,
    /// What its nodes are given on their command line besides what the system needs.
    pub arguments: Vec<String>,
}

impl Selection {
    /// The system of this name, as it is.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The same selection for somebody who stands elsewhere: its paths lead from `folder`. A program that is looked for
    /// on the PATH is none.
    #[must_use]
    pub fn typed_in(self, folder: &Path) -> Self {
        let on_path =
            |program: &Path| self.name != maelstrom::NAME && program.components().count() == 1;
        let program = self.program.as_deref().map(|program| match on_path(program) {
            true => program.to_owned(),
            false => folder.join(program),
        });
        let name = match written::is_file(&self.name) {
            true => folder.join(&self.name).display().to_string(),
            false => self.name,
        };
        Self { name, program, arguments: self.arguments }
    }
}

/// Every system that has a name of its own.
#[must_use]
pub fn all() -> &'static [&'static dyn System] {
    static ALL: [&dyn System; 3] = [&reference::Reference, &etcd::ON_PATH, &maelstrom::UNSELECTED];
    &ALL
}

/// The system that is asked for. The same selection gives the same value for the whole life of this process, so that
/// what a file says is read once.
///
/// # Errors
/// When there is none of this name, or it takes no program or arguments.
pub fn select(selection: &Selection) -> Result<&'static dyn System, Failure> {
    let name = selection.name.as_str();
    if written::is_file(name) {
        return written::select(selection);
    }
    let Some(system) = all().iter().copied().find(|system| system.name() == name) else {
        let known: Vec<&str> = all().iter().map(|system| system.name()).collect();
        return Err(Failure::unknown_name("system", name, "--system", &known)
            .hint("or the path of a file that describes one: docs/your-system.md"));
    };
    if name == maelstrom::NAME {
        return Ok(maelstrom::select(selection));
    }
    if name == etcd::ON_PATH.name() {
        return Ok(etcd::select(selection)?);
    }
    if selection.program.is_some() {
        return Err(Failure::usage(format!("`--bin`: system `{name}` has a program of its own")));
    }
    if let Some(first) = selection.arguments.first() {
        let message = format!("`{first}` after `--`: system `{name}` takes no arguments");
        return Err(Failure::usage(message));
    }
    Ok(system)
}
