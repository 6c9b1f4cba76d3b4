//! What is true of one deployment only: ports, process ids, paths. The content of `deployment.json`,
//! kept out of the plan so that one seed gives one plan.

use super::ledger::Ledger;
use super::{Inner, text};
use crate::system::NodeAddresses;
use history::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A deployment as it stood when it was recorded. A node that is restarted has other ports later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentRecord {
    /// The format version, 1.
    pub deployment: u32,
    /// The system under test.
    pub system: String,
    /// Its version.
    pub version: String,
    /// The folder from which paths in the plan lead that were typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// The process id of the harness.
    pub harness_pid: u32,
    /// The process id of its guardian.
    pub guardian_pid: Option<u32>,
    /// The nodes, by name.
    pub nodes: BTreeMap<String, NodeRecord>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its process id, none if it was down.
    pub pid: Option<i32>,
    /// Where it listened itself, none if it was down.
    pub addresses: Option<NodeAddresses>,
    /// The proxy where its clients connect, for the whole run.
    pub client_proxy: Option<SocketAddr>,
    /// The proxies where it dials its peers, for the whole run.
    pub peer_proxies: BTreeMap<String, SocketAddr>,
    /// Its log.
    pub log: String,
    /// Its data directory.
    pub data: String,
}

pub(super) fn of(inner: &Inner, ledger: &Ledger) -> DeploymentRecord {
    let (settings, hub, guardian) = (&inner.settings, &inner.hub, &inner.guardian);
    let peers = |node: NodeId| {
        inner.peers(node).into_iter().map(|(peer, at)| (peer.to_string(), at)).collect()
    };
    let nodes = settings.nodes.iter().map(|(node, paths)| {
        let record = NodeRecord {
            pid: ledger.pid(*node),
            addresses: ledger.addresses(*node),
            client_proxy: hub.client_address(*node),
            peer_proxies: peers(*node),
            log: text(&paths.log),
            data: text(&paths.data),
        };
        (node.to_string(), record)
    });
    DeploymentRecord {
        deployment: 1,
        system: settings.system.name().to_owned(),
        version: settings.system.version(),
        directory: None,
        harness_pid: std::process::id(),
        guardian_pid: guardian.pid(),
        nodes: nodes.collect(),
    }
}
