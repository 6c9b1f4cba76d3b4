//! Maelstrom nodes: unmodified programs written for Maelstrom, as real processes under real faults.
//!
//! A node is a [`bridge`] with the program as its child (`harness maelstrom`). The network between nodes is that of the
//! harness; clients speak Maelstrom's workloads as far as there are workloads here to judge them; and Maelstrom's services are
//! there for all nodes.
//!
//! Most Maelstrom nodes keep all they know in memory, so a kill takes what they promised with it, and that is no bug of
//! theirs: kills must be asked for by name.
//!
//! | module | what it is |
//! |---|---|
//! | [`answer`] | the one table that classes every answer and every failure as definite or not |
//! | [`client`] | one request for each operation |
//! | `words` | what requests of each workload look like, and their answers |
//! | [`probe`] | whether a node is there |
//! | [`bridge`] | the process that is a node's network |
//! | [`unread`] | what of a node's words did not come through |
//! | `service` | `lin-kv`, `seq-kv`, `lww-kv`, `lin-tso` |

pub mod answer;
pub mod bridge;
pub mod client;
mod connection;
mod line;
pub mod probe;
mod service;
pub mod unread;
mod words;

use super::{
    ClientSettings, Companion, MarkCount, NodeAddresses, NodeCommand, NodeSettings, NodeSpec,
    Probe, ProtocolMarks, SeededBug, Selection, System,
};
use crate::exit::Failure;
use crate::guardian::READY_FD;
use faults::{Budget, Power};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use workloads::KvClient;

/// Its name on the command line.
pub const NAME: &str = "maelstrom";
/// A bridge is the harness's own program under another verb.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// How long after the last heal nodes must serve again. Maelstrom itself waits for ten seconds before it reads, at far lower
/// rates, and a slow node first works off what waits for it.
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);

/// Nodes that all run one program.
#[derive(Clone, Debug)]
pub struct Maelstrom {
    program: Option<PathBuf>,
    arguments: Vec<String>,
}

/// Without a program, for lists.
pub(super) static UNSELECTED: Maelstrom = Maelstrom { program: None, arguments: Vec::new() };

/// The system of a program, the same value for the same selection.
pub fn select(selection: &Selection) -> &'static dyn System {
    static KNOWN: Mutex<BTreeMap<Selection, &'static Maelstrom>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    // Leaked, one for each selection: systems live as long as the process, and a process has one or two.
    let make = || {
        let (program, arguments) = (selection.program.clone(), selection.arguments.clone());
        &*Box::leak(Box::new(Maelstrom { program, arguments }))
    };
    *known.entry(selection.clone()).or_insert_with(make)
}

impl System for Maelstrom {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "an unmodified Maelstrom node (`--bin PATH`, its arguments after `--`); killed nodes forget, so `kill` only by name"
    }

    fn version(&self) -> String {
        "not told by its nodes".to_owned()
    }

    fn has_own_version(&self) -> bool {
        false
    }

    fn machine(&self) -> Result<(), Failure> {
        let Some(program) = &self.program else {
            return Err(Failure::usage(format!("system `{NAME}` needs the program of its nodes"))
                .hint("name it with `--bin PATH`, and its arguments after `--`"));
        };
        let name = program.display();
        let refuse = |why: &str| Failure::usage(format!("`--bin {name}`: {why}"));
        let found = std::fs::metadata(program).map_err(|error| refuse(&error.to_string()))?;
        if !found.is_file() {
            return Err(refuse("it is no file"));
        }
        if found.permissions().mode() & 0o111 == 0 {
            return Err(refuse("it is not executable").hint(format!("try `chmod +x {name}`")));
        }
        Ok(())
    }

    fn workloads(&self) -> &[&str] {
        words::WORKLOADS
    }

    fn has_leaders(&self) -> bool {
        false
    }

    fn takes_settings(&self) -> bool {
        false
    }

    fn protocol_marks(&self, settings: &NodeSettings) -> Option<ProtocolMarks> {
        Some(bridge::marks(&settings.token))
    }

    fn companion(&self, seed: u64) -> std::io::Result<Option<Companion>> {
        service::host::start(seed).map(Some)
    }

    fn powers(&self) -> &'static [Power] {
        &[Power::Cut, Power::Pause, Power::Kill]
    }

    fn only_by_name(&self, power: Power) -> Option<&'static str> {
        let why = "most Maelstrom nodes keep what they know in memory and claim to survive no kill";
        (power == Power::Kill).then_some(why)
    }

    /// As many as leave a majority; nothing is said of files and clocks.
    fn fault_budget(&self, nodes: u16) -> Budget {
        let down = Budget::majority(usize::from(nodes)).down;
        Budget { down, ..Budget::default() }
    }

    fn recovery_limit(&self, _election: Duration) -> Duration {
        RECOVERY_LIMIT
    }

    /// Their protocol says nothing of it, and what is in a node's queue when a cut heals takes the time it takes.
    fn claims_recovery(&self) -> bool {
        false
    }

    fn bugs(&self) -> Vec<SeededBug> {
        Vec::new()
    }

    fn command(&self, spec: &NodeSpec) -> NodeCommand {
        let mut args = vec!["maelstrom".to_owned()];
        let mut flag = |name: &str, value: String| args.push(format!("--{name}={value}"));
        flag("id", spec.node.to_string());
        flag("nodes", (spec.peers.len() + 1).to_string());
        for (peer, address) in &spec.peers {
            flag("peer", format!("{peer}={address}"));
        }
        if let Some(address) = spec.settings.companion {
            flag("services", address.to_string());
        }
        flag("token", spec.settings.token.clone());
        flag("data", spec.data.display().to_string());
        flag("ready-fd", READY_FD.to_string());
        // Without one nothing is started: see `machine`.
        let program = self.program.as_deref().map(absolute).unwrap_or_default();
        flag("bin", program.display().to_string());
        args.push("--".to_owned());
        args.extend(self.arguments.iter().cloned());
        NodeCommand { program: PathBuf::from(OWN_PROGRAM), args, env: Vec::new() }
    }

    fn ready(&self, line: &str) -> Result<NodeAddresses, String> {
        serde_json::from_str(line).map_err(|error| format!("unexpected ready line: {error}"))
    }

    fn client(&self, settings: &ClientSettings) -> Box<dyn KvClient> {
        Box::new(client::MaelstromClient::new(settings))
    }

    fn probe(&self, address: SocketAddr) -> Box<dyn Probe> {
        Box::new(probe::MaelstromProbe::new(address))
    }

    fn marks(&self, _files: &[PathBuf]) -> Vec<MarkCount> {
        Vec::new()
    }
}

/// The program runs in a folder of its own, so its path must not depend on the folder. Without a working directory it stays
/// as it is, and is not found then.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests;
