//! The reference cluster: `harness node`, one process a node, spoken to over gRPC.
//!
//! This folder and the `node` verb are the only places that name the `cluster` crate, and they use
//! four things of it: the wire, the names of the seeded bugs, the reader of the marks files, and the simulator.
//! Nothing of a node's code runs in the harness's own process, but for simulated nodes, which are values.
//!
//! | module | what it is |
//! |---|---|
//! | [`answer`] | the one table that classes every answer and every failure as definite or not |
//! | [`ledger`] | the rule that ends an operation, given the classes of its attempts so far |
//! | [`client`] | attempts under one deadline and one session sequence |
//! | [`probe`] | a node's own view |
//! | [`administrator`] | changes of the members, of the leader, snapshots on demand; the numbers of members |
//! | [`simulate`] | whole clusters in simulated time, for `harness simulate` |

pub mod administrator;
pub mod answer;
mod channel;
pub mod client;
pub mod ledger;
pub mod probe;
pub mod simulate;

use super::{
    Administrator, ClientSettings, LIVES, MarkCount, NodeAddresses, NodeCommand, NodeSpec, Probe,
    SeededBug, System,
};
use crate::guardian::READY_FD;
use cluster::bug::Bug;
use faults::{Budget, Member, Power};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use workloads::KvClient;

/// A node is the harness's own program under another verb.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// The drift declared for a bug of leases, unless the plan declares one.
const DRIFT_OF_BUGS_PPM: u32 = 50_000;

/// The reference cluster of this workspace.
#[derive(Clone, Copy, Debug)]
pub struct Reference;

impl System for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn about(&self) -> &'static str {
        "the Raft key-value cluster of this workspace, one `harness node` process a node"
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    fn has_own_version(&self) -> bool {
        false
    }

    fn powers(&self) -> &'static [Power] {
        &[
            Power::Cut,
            Power::Kill,
            Power::Pause,
            Power::Membership,
            Power::Transfer,
            Power::Snapshot,
            Power::Disk,
            Power::Clock,
            Power::Message,
        ]
    }

    fn program(&self) -> Option<PathBuf> {
        Some(PathBuf::from(OWN_PROGRAM))
    }

    fn has_leases(&self) -> bool {
        true
    }

    /// As many as leave a majority. Any number may stop and come back without a promise being
    /// broken (nothing is acknowledged that is not on a majority's disks), but operations end only
    /// while a majority runs. No promise rests on a wall clock, and none on the rate of a clock but for leases;
    /// elections still end with clocks that are a twentieth off.
    fn fault_budget(&self, nodes: u16) -> Budget {
        Budget::majority(usize::from(nodes))
    }

    /// A hundred election timeouts: time for a slow machine, a long log and some elections without a winner.
    fn recovery_limit(&self, election: Duration) -> Duration {
        (election * 100).max(Duration::from_secs(30))
    }

    fn administrator(&self) -> Option<Box<dyn Administrator>> {
        Some(Box::new(administrator::ReferenceAdministrator))
    }

    fn bugs(&self) -> Vec<SeededBug> {
        let bug = |bug: Bug| SeededBug {
            name: bug.name(),
            about: bug.about(),
            lease_drift_ppm: bug.needs().lease.then_some(DRIFT_OF_BUGS_PPM),
        };
        Bug::ALL.map(bug).to_vec()
    }

    fn command(&self, spec: &NodeSpec) -> NodeCommand {
        let settings = &spec.settings;
        let mut args = vec!["node".to_owned()];
        let mut flag = |name: &str, value: String| args.push(format!("--{name}={value}"));
        let number = |node, life| administrator::number(Member { node, life }).to_string();
        flag("id", number(spec.node, spec.life));
        flag("data", spec.data.display().to_string());
        for (peer, address) in &spec.peers {
            // The voters of the new cluster; one that joins only needs to know where they are.
            let name = if spec.life == 0 { "peer" } else { "dial" };
            flag(name, format!("{}={address}", number(*peer, 0)));
            for life in (1..=LIVES).filter(|_| settings.replaceable) {
                flag("dial", format!("{}={address}", number(*peer, life)));
            }
        }
        flag("listen-peer", "127.0.0.1:0".to_owned());
        flag("listen-client", "127.0.0.1:0".to_owned());
        flag("ready-fd", READY_FD.to_string());
        flag("heartbeat", format!("{}ms", settings.heartbeat.as_millis()));
        flag("election", format!("{}ms", settings.election.as_millis()));
        flag("segment-size", settings.segment_bytes.to_string());
        if let Some(entries) = settings.snapshot_every {
            flag("snapshot-every", entries.to_string());
        }
        if let Some(ppm) = settings.lease_drift_ppm {
            flag("lease-drift", ppm.to_string());
        }
        if let Some(bug) = &settings.bug {
            flag("bug", bug.clone());
            flag("marks", spec.marks.display().to_string());
        }
        if spec.life > 0 {
            args.push("--join".to_owned());
        }
        NodeCommand { program: PathBuf::from(OWN_PROGRAM), args, env: Vec::new() }
    }

    fn ready(&self, line: &str) -> Result<NodeAddresses, String> {
        serde_json::from_str(line).map_err(|error| format!("unexpected ready line: {error}"))
    }

    fn client(&self, settings: &ClientSettings) -> Box<dyn KvClient> {
        Box::new(client::ReferenceClient::new(settings))
    }

    fn probe(&self, address: SocketAddr) -> Box<dyn Probe> {
        Box::new(probe::ReferenceProbe::new(address))
    }

    fn marks(&self, files: &[PathBuf]) -> Vec<MarkCount> {
        let counts = |(file, path): (usize, &PathBuf)| {
            let counts = cluster::bug_marks::read(path).unwrap_or_default().into_iter();
            counts.map(move |count| MarkCount {
                file,
                bug: count.bug.name(),
                reached: count.reached,
                triggered: count.triggered,
            })
        };
        files.iter().enumerate().flat_map(counts).collect()
    }
}
