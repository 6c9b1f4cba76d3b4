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
    running: Vec<Child>,
    /// Of the segments of their logs, from the next start on.
    pub(crate) segment_size: u64,
}

impl Processes {
    pub(crate) fn start(count: NodeId) -> Processes {
        let port = || TcpListener::bind("127.0.0.1:0").unwrap();
        // All are open at once, so that no two get one port.
        let ports: Vec<_> = (1..=count).map(|id| (id, port(), port())).collect();
        let address = |listener: &TcpListener| listener.local_addr().unwrap();
        let addresses = ports.iter().map(|(id, p, c)| (*id, (address(p), address(c)))).collect();
        let directory = tempfile::tempdir().unwrap();
        drop(ports);
        let mut processes =
            Processes { directory, addresses, running: Vec::new(), segment_size: 16 << 10 };
        processes.start_all();
        processes
    }

    pub(crate) fn start_all(&mut self) {
        for (id, (peer, client)) in &self.addresses {
            let data = self.directory.path().join(format!("n{id}"));
            let others = self.addresses.iter().filter(|(other, _)| *other != id);
            let peers: Vec<_> =
                others.map(|(other, (peer, _))| format!("{other}={peer}")).collect();
            let (data, size, peers) = (data.display(), self.segment_size, peers.join(","));
            let settings = format!("{id}|{data}|{peer}|{client}|{size}|{peers}");
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", "node_process", "--nocapture"])
                .env(SETTINGS, settings)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            self.running.push(child.unwrap());
        }
    }

    /// In the order of ids.
    pub(crate) fn process_ids(&self) -> Vec<u32> {
        self.running.iter().map(Child::id).collect()
    }

    /// SIGKILL to all nodes, and waits until they are gone.
    pub(crate) fn kill_all(&mut self) {
        for child in &mut self.running {
            child.kill().unwrap();
        }
        for mut child in self.running.drain(..) {
            child.wait().unwrap();
        }
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.addresses.keys().copied().collect()
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
    let [id, data, peer, client, size, peers] = settings.split('|').collect::<Vec<_>>()[..] else {
        panic!("{settings}")
    };
    let mut config = Config::new(id.parse().unwrap(), Path::new(data));
    config.listen_peer = peer.parse().unwrap();
    config.listen_client = client.parse().unwrap();
    config.heartbeat = Duration::from_millis(50);
    config.election = Duration::from_millis(150);
    config.segment_size = size.parse().unwrap();
    config.parent_death_signal = true;
    for peer in peers.split(',').filter(|peer| !peer.is_empty()) {
        let (id, address) = peer.split_once('=').unwrap();
        config.peers.insert(id.parse().unwrap(), address.parse().unwrap());
    }
    node::run(config).unwrap();
}
