//! Nodes as real processes, for tests that kill them: this test binary, started again as a node.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cluster::node::{self, Config};
use cluster::raft::NodeId;

use super::Client;

const SETTINGS: &str = "CLUSTER_TEST_NODE";

/// A cluster of processes; dropping it kills them.
pub(crate) struct Processes {
    directory: tempfile::TempDir,
    addresses: BTreeMap<NodeId, (SocketAddr, SocketAddr)>,
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
        let port = || TcpListener::bind("127.0.0.1:0").unwrap();
        // All are open at once, so that no two get one port.
        let ports: Vec<_> = (1..=count).map(|id| (id, port(), port())).collect();
        let address = |listener: &TcpListener| listener.local_addr().unwrap();
        let addresses = ports.iter().map(|(id, p, c)| (*id, (address(p), address(c)))).collect();
        Processes {
            directory: tempfile::tempdir().unwrap(),
            addresses,
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
        self.addresses.entry(id).or_insert_with(|| {
            let port = || TcpListener::bind("127.0.0.1:0").unwrap();
            let (peer, client) = (port(), port());
            (peer.local_addr().unwrap(), client.local_addr().unwrap())
        });
        let is_founder = |id: NodeId| id <= self.founders;
        let (peer, client) = self.addresses[&id];
        let others = self
            .addresses
            .iter()
            .filter(|(other, _)| **other != id && is_founder(id) && is_founder(**other));
        let peers: Vec<_> = others.map(|(other, (peer, _))| format!("{other}={peer}")).collect();
        let data = self.directory.path().join(format!("n{id}"));
        let (data, peers) = (data.display(), peers.join(","));
        let (size, entries, join) = (self.segment_size, self.snapshot_entries, !is_founder(id));
        let settings = format!("{id}|{data}|{peer}|{client}|{size}|{entries}|{join}|{peers}");
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "node_process", "--nocapture"])
            .env(SETTINGS, settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.running.insert(id, child.unwrap());
    }

    pub(crate) fn process_id(&self, id: NodeId) -> u32 {
        self.running[&id].id()
    }

    /// SIGKILL to a node, and waits until it is gone.
    pub(crate) fn kill(&mut self, id: NodeId) {
        let mut child = self.running.remove(&id).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
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
    for peer in peers.split(',').filter(|peer| !peer.is_empty()) {
        let (id, address) = peer.split_once('=').unwrap();
        config.peers.insert(id.parse().unwrap(), address.parse().unwrap());
    }
    node::run(config).unwrap();
}
