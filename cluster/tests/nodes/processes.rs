//! Nodes as real processes, for tests that kill them: this test binary, started again as a node.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use cluster::node::{self, Config};
use cluster::raft::NodeId;

use super::Client;
use super::child::{self, Addresses};

const SETTINGS: &str = "CLUSTER_TEST_NODE";

/// A cluster of processes; dropping it kills them.
pub(crate) struct Processes {
    directory: tempfile::TempDir,
    addresses: Addresses,
    running: BTreeMap<NodeId, Child>,
    /// The nodes that were there first; all others join.
    founders: NodeId,
    /// Of the segments of their logs, from the next start on.
    pub(crate) segment_size: u64,
    /// Entries after which a snapshot is taken, from the next start on.
    pub(crate) snapshot_entries: u64,
}

impl Processes {
    pub(crate) fn start(count: NodeId) -> Processes {
        let mut processes = Processes::prepare(count);
        processes.start_all();
        processes
    }

    /// The same, but nobody runs yet.
    pub(crate) fn prepare(count: NodeId) -> Processes {
        Processes {
            directory: tempfile::tempdir().unwrap(),
            addresses: child::addresses(count),
            running: BTreeMap::new(),
            founders: count,
            segment_size: 16 << 10,
            snapshot_entries: 0,
        }
    }

    pub(crate) fn start_all(&mut self) {
        self.ids().into_iter().for_each(|id| self.run(id));
    }

    /// Starts a node on what data it has; one that is new waits to be told of the cluster.
    pub(crate) fn run(&mut self, id: NodeId) {
        self.addresses.entry(id).or_insert_with(|| child::addresses(1)[&1]);
        let is_founder = |id: NodeId| id <= self.founders;
        let (peer, client) = self.addresses[&id];
        let others = self
            .addresses
            .iter()
            .filter(|(other, _)| **other != id && is_founder(id) && is_founder(**other));
        let peers = child::tell_peers(others.map(|(other, (peer, _))| (other, *peer)));
        let data = self.directory.path().join(format!("n{id}"));
        let data = data.display();
        let (size, entries, join) = (self.segment_size, self.snapshot_entries, !is_founder(id));
        let settings = format!("{id}|{data}|{peer}|{client}|{size}|{entries}|{join}|{peers}");
        let arguments = ["--ignored", "--exact", "node_process", "--nocapture"];
        self.running.insert(id, child::start(&arguments, SETTINGS, &settings));
    }

    pub(crate) fn process_id(&self, id: NodeId) -> u32 {
        self.running[&id].id()
    }

    /// SIGKILL to a node, and waits until it is gone.
    pub(crate) fn kill(&mut self, id: NodeId) {
        child::kill(self.running.remove(&id).unwrap());
    }

    /// SIGKILL to all nodes, and waits until they are gone.
    pub(crate) fn kill_all(&mut self) {
        for child in self.running.values_mut() {
            child.kill().unwrap();
        }
        for mut child in std::mem::take(&mut self.running).into_values() {
            child.wait().unwrap();
        }
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.addresses.keys().copied().collect()
    }

    pub(crate) fn peer_address(&self, id: NodeId) -> String {
        self.addresses[&id].0.to_string()
    }

    pub(crate) fn client_address(&self, id: NodeId) -> SocketAddr {
        self.addresses[&id].1
    }

    pub(crate) async fn client(&self, id: NodeId) -> Option<Client> {
        Client::connect(self.addresses[&id].1).await
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// What a process started by [`Processes`] does; nothing in any other.
pub(crate) fn run_as_node() {
    let Ok(settings) = std::env::var(SETTINGS) else { return };
    let [id, data, peer, client, size, entries, join, peers] =
        settings.split('|').collect::<Vec<_>>()[..]
    else {
        panic!("{settings}")
    };
    let mut config = Config::new(id.parse().unwrap(), Path::new(data));
    config.listen_peer = peer.parse().unwrap();
    config.listen_client = client.parse().unwrap();
    config.heartbeat = Duration::from_millis(50);
    config.election = Duration::from_millis(150);
    config.segment_size = size.parse().unwrap();
    config.snapshot_entries = entries.parse().unwrap();
    config.join = join.parse().unwrap();
    config.parent_death_signal = true;
    config.peers = child::read_peers(peers);
    node::run(config).unwrap();
}
