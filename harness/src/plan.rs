//! Everything about a run that can be known before anything starts.
//!
//! A plan is resolved: no default, option or random choice is left to make. It holds no port, process id or
//! clock reading, and no path but one that was typed, so one seed and one command line give one `plan.json`, byte for byte,
//! on every machine; `harness run --replay RUN` plays it again. It fixes what will be done, not how
//! the operating system interleaves it.

mod budget;
mod machine;
mod resolve;
mod written;

use crate::duration::as_text;
use crate::seed::Seed;
use crate::system::Selection;
use faults::Power;
use history::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The plan of one run; `plan.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The format version, 2.
    pub plan: u32,
    /// The system under test.
    pub system: String,
    /// The version that was found, where the system has one besides the harness's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What somebody should know of that version before a verdict is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The program its nodes run, as it was typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// What its nodes are given besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Why nodes that are known by one address share this machine's network, and have none of their own: what the kernel
    /// says. Without it they have, if they need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_network: Option<String>,
    /// What clients do.
    pub workload: String,
    /// Where every random choice comes from.
    pub seed: Seed,
    /// How many nodes.
    pub nodes: u16,
    /// Who the clients are.
    pub clients: Clients,
    /// Operations invoked per second, over all clients together.
    pub rate_per_second: u32,
    /// Length of the work phase.
    #[serde(with = "as_text")]
    pub time: Duration,
    /// Keys in use at once.
    pub keys: usize,
    /// Operations after which a key is retired.
    pub retire_operations: u64,
    /// Unknown outcomes after which a key is retired.
    pub retire_unknown: u64,
    /// Longest wait for one operation, over all its attempts.
    #[serde(with = "as_text")]
    pub deadline: Duration,
    /// Longest wait for one attempt of an operation.
    #[serde(with = "as_text")]
    pub attempt: Duration,
    /// How often a leader says that it lives.
    #[serde(with = "as_text")]
    pub heartbeat: Duration,
    /// The shortest election timeout; the longest is twice that.
    #[serde(with = "as_text")]
    pub election: Duration,
    /// Size of a log segment of a node, in bytes.
    pub segment_bytes: u64,
    /// Entries after which a node takes a snapshot; without it, by the size of its log alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_every: Option<u64>,
    /// How far the rate of any clock may be off, in millionths, if nodes answer reads by lease; those clients that
    /// only read then ask for such reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_drift_ppm: Option<u32>,
    /// Whether nodes ask before they stand for election whether they could win, where that is a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_vote: Option<bool>,
    /// A node made slow on purpose for the whole run, without any fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_node: Option<NodeId>,
    /// The seeded bug that every node has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bug: Option<String>,
    /// How long the system may take to serve through every live node after the last heal.
    #[serde(with = "as_text")]
    pub recovery_limit: Duration,
    /// Whether that limit is only a guess of the harness, because the system claims none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovery_unclaimed: bool,
    /// What the system claims to survive.
    pub fault_budget: faults::Budget,
    /// Classes of faults that will be injected, in order of name.
    pub faults: Vec<String>,
    /// How densely the faults of each class follow each other, where that is not as usual.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intensities: BTreeMap<String, faults::Intensity>,
    /// The classes of which the seed chose those to inject, if it did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub swarm: Vec<String>,
    /// Classes that `all` leaves out here, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub omitted: Vec<Omitted>,
    /// When which fault strikes whom.
    pub schedule: faults::Schedule,
    /// From where the paths lead that were typed, if not from here; no part of `plan.json`.
    #[serde(skip)]
    pub typed_in: Option<PathBuf>,
}

impl Plan {
    /// The format version that this version of the harness writes.
    pub const FORMAT: u32 = 2;

    /// Which system that is.
    #[must_use]
    pub fn selection(&self) -> Selection {
        let typed = Selection {
            name: self.system.clone(),
            program: self.program.clone(),
            arguments: self.arguments.clone(),
        };
        match &self.typed_in {
            Some(folder) => typed.typed_in(folder),
            None => typed,
        }
    }

    /// What the system calls itself, where it can be asked.
    #[must_use]
    pub fn system_name(&self) -> String {
        let known = crate::system::select(&self.selection());
        known.map_or_else(|_| self.system.clone(), |system| system.name().to_owned())
    }

    /// From where the paths lead that were typed; none if the working directory is gone.
    #[must_use]
    pub fn directory(&self) -> Option<PathBuf> {
        self.typed_in.clone().or_else(|| std::env::current_dir().ok())
    }

    /// Whether a fault of its schedule needs the data folders of the nodes on a disk of ours.
    #[must_use]
    pub fn has_disk_faults(&self) -> bool {
        self.schedule.classes().iter().any(|class| faults::registry::is_of_disk(class))
    }

    /// Whether a fault of it needs nodes with clocks of their own.
    #[must_use]
    pub fn has_clock_faults(&self) -> bool {
        let needs = |class: &&str| {
            faults::registry::by_name(class).is_some_and(|fault| fault.power() == Power::Clock)
        };
        self.schedule.classes().iter().any(needs)
    }
}

/// Who the clients are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    /// Pinned to one node each, and only reading, so that a deposed leader is always asked.
    pub pinned_readers: usize,
    /// Pinned to one node each, and doing everything.
    pub pinned: usize,
    /// Following the leader, and doing everything.
    pub following: usize,
}

impl Clients {
    /// Divides `total` clients over `nodes` nodes: a reader for each node as long as no more than
    /// half of the clients are readers; of the rest, fewer than half are pinned.
    #[must_use]
    pub fn divide(total: usize, nodes: u16) -> Self {
        let pinned_readers = usize::from(nodes).min(total / 2);
        let rest = total - pinned_readers;
        let pinned = rest.saturating_sub(1) / 2;
        Self { pinned_readers, pinned, following: rest - pinned }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.pinned_readers + self.pinned + self.following
    }
}

/// A class of fault that a plan leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Omitted {
    /// The class.
    pub fault: String,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::Clients;

    #[test]
    fn someone_always_writes() {
        for nodes in 1..=9 {
            for total in 1..=60 {
                let clients = Clients::divide(total, nodes);
                assert_eq!(clients.total(), total);
                assert!(clients.following > 0, "{total} clients, {nodes} nodes");
            }
        }
        let usual = Clients { pinned_readers: 5, pinned: 2, following: 3 };
        assert_eq!(Clients::divide(10, 5), usual);
    }
}
