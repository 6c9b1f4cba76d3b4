//! What a run tells the outside while it happens: the only thing run and presentation share.
//!
//! The phases emit; the terminal (and whoever else listens) renders. An event is never evidence: what
//! a verdict needs is in the files of the run folder. Every variant has one line in the golden file
//! `harness/testdata/status_lines.txt`, so a redesign is one reviewable diff.

use history::NodeId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The phases of a run, in order; the same words in code, files, terminal, log and report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nodes and proxies start.
    Deploy,
    /// The cluster finds its first leader.
    Elect,
    /// Clients work, faults come and go.
    Work,
    /// Every fault still active is healed.
    Heal,
    /// Clients go on while the cluster recovers; the recovery limit runs.
    Settle,
    /// Every key is read through every node.
    FinalReads,
    /// Nodes stop.
    Stop,
    /// The history is judged.
    Check,
    /// The page is written.
    Report,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deploy => "deploy",
            Self::Elect => "elect",
            Self::Work => "work",
            Self::Heal => "heal",
            Self::Settle => "settle",
            Self::FinalReads => "final reads",
            Self::Stop => "stop",
            Self::Check => "check",
            Self::Report => "report",
        })
    }
}

/// One thing worth telling.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The plan is made; nothing runs yet.
    Planned {
        /// What clients do.
        workload: String,
        /// The system under test.
        system: String,
        /// Nodes of the cluster.
        nodes: u16,
        /// Concurrent clients.
        clients: usize,
        /// The seed, as written everywhere.
        seed: String,
    },
    /// The nodes share this machine's network, because none of them can have its own, and why not.
    SharedNetwork(String),
    /// A fault class is left out, and why.
    Omitted {
        /// The class.
        fault: String,
        /// Why it is not to be had.
        reason: String,
    },
    /// A phase begins. Shown live; the event that ends it leaves the line.
    Started(Phase),
    /// Nodes are up.
    Deployed {
        /// All of them.
        nodes: Vec<NodeId>,
        /// Proxied links between them.
        links: usize,
    },
    /// A first leader was observed.
    Elected {
        /// Who.
        leader: NodeId,
        /// Its term.
        term: u64,
    },
    /// Clients start.
    Working {
        /// Fault classes that will be injected; none for a run without faults.
        faults: Vec<String>,
    },
    /// A fault is in effect.
    Injected {
        /// The fault.
        fault: String,
        /// What it resolved to, such as `n1 n3 | n2 n4 n5`.
        detail: String,
    },
    /// A fault is over.
    Healed {
        /// The fault.
        fault: String,
        /// What came back.
        detail: String,
    },
    /// Where the work stands, a few times a second.
    Beat(Beat),
    /// How far a simulation has come, in simulated time; shown like a beat.
    Simulated {
        /// Of all clusters so far.
        simulated: Duration,
        /// What was asked for.
        total: Duration,
        /// Clusters that were played and judged.
        clusters: u64,
    },
    /// Something that may make the run weaker than it looks.
    Warning(String),
    /// Every fault is healed.
    AllHealed {
        /// Time from the last heal to the first ok operation.
        first_ok: Option<Duration>,
    },
    /// Every key was read through every node.
    FinalReads {
        /// Reads that were answered.
        ok: u64,
        /// Reads asked.
        asked: u64,
    },
    /// The first SIGINT or SIGTERM arrived.
    Stopping,
    /// The history is being judged.
    Checking {
        /// Operations recorded.
        operations: u64,
        /// Keys they touched.
        keys: u64,
    },
    /// The verdict is in the run folder.
    Checked {
        /// How long the search took.
        took: Duration,
        /// Operations judged.
        operations: u64,
        /// Keys they touched.
        keys: u64,
    },
}

/// Where the work stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beat {
    /// Since the work began.
    pub elapsed: Duration,
    /// Planned length of the work.
    pub total: Duration,
    /// Operations completed so far.
    pub operations: u64,
    /// Ok operations per second, of late.
    pub rate_per_second: f64,
    /// 99th percentile of latency, of late.
    pub p99: Option<Duration>,
    /// The leader last observed.
    pub leader: Option<NodeId>,
    /// The highest term observed.
    pub term: u64,
    /// Faults in effect, such as `kill n2`.
    pub faults: Vec<String>,
}

/// Takes events. `at` is the time since the start of the run, on the run's clock.
pub trait Sink: Send + Sync {
    /// Must not block for long: it is called from the phases.
    fn emit(&self, at: Duration, event: Event);
}

/// Drops everything, for tests and `--quiet`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Sink for Silent {
    fn emit(&self, _at: Duration, _event: Event) {}
}
