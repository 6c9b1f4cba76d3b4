//! Children of a test or a benchmark that are nodes: this very program, started again.
//!
//! Shared with `benches/state.rs`, which has other settings for its nodes but starts and ends them alike.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use cluster::raft::NodeId;

/// Where each node listens: for nodes, and for clients.
pub(crate) type Addresses = BTreeMap<NodeId, (SocketAddr, SocketAddr)>;

/// Free addresses for nodes 1 to `count`.
pub(crate) fn addresses(count: NodeId) -> Addresses {
    let port = || TcpListener::bind("127.0.0.1:0").unwrap();
    // All are open at once, so that no two get one port.
    let ports: Vec<_> = (1..=count).map(|id| (id, port(), port())).collect();
    let address = |listener: &TcpListener| listener.local_addr().unwrap();
    ports.iter().map(|(id, p, c)| (*id, (address(p), address(c)))).collect()
}

/// Starts this program again, with what the child is to know in a variable of its environment.
pub(crate) fn start(arguments: &[&str], variable: &str, settings: &str) -> Child {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .env(variable, settings)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    child.unwrap()
}

/// SIGKILL, and waits until it is gone.
pub(crate) fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// `2=127.0.0.1:1234,3=…`, as a child is told of its peers.
pub(crate) fn tell_peers<'a>(peers: impl Iterator<Item = (&'a NodeId, SocketAddr)>) -> String {
    peers.map(|(id, address)| format!("{id}={address}")).collect::<Vec<_>>().join(",")
}

/// What [`tell_peers`] told.
pub(crate) fn read_peers(told: &str) -> BTreeMap<NodeId, SocketAddr> {
    let peers = told.split(',').filter(|peer| !peer.is_empty());
    let peers = peers.map(|peer| peer.split_once('=').unwrap());
    peers.map(|(id, address)| (id.parse().unwrap(), address.parse().unwrap())).collect()
}
