//! `harness node`: one node of the reference cluster, as a process of its own.
//!
//! It runs until SIGTERM (exit 0) or until it cannot go on (254 for settings that make no sense, 255
//! otherwise, the reason on stderr, which is its log). The smallest cluster is
//! `harness node --id 1 --data DIR`. The flags are words here and become a `cluster::node::Config`;
//! this module and `system::reference` are the only ones that name that crate.

use crate::duration;
use crate::exit::{Exit, Failure};
use cluster::bug::Bug;
use cluster::node::{Config, NodeError};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The flags of `harness node`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// This node's number, from 1
    #[arg(long, value_name = "N")]
    pub id: u64,
    /// Its data directory; made if missing, locked while it runs
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Another node and the address to dial for it; once for each
    #[arg(long = "peer", value_name = "N=ADDRESS", value_parser = parse_peer)]
    pub peers: Vec<(u64, SocketAddr)>,
    /// Where to dial a node that may join later under this number; once for each
    #[arg(long, value_name = "N=ADDRESS", value_parser = parse_peer)]
    pub dial: Vec<(u64, SocketAddr)>,
    /// Join a cluster that runs: wait until its leader was told to add this node
    #[arg(long)]
    pub join: bool,
    /// Where to listen for other nodes; port 0 takes any
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen_peer: SocketAddr,
    /// Where to listen for clients; port 0 takes any
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen_client: SocketAddr,
    /// An open descriptor that gets one JSON line with both addresses once the node serves
    #[arg(long, value_name = "FD")]
    pub ready_fd: Option<i32>,
    /// How often a leader says that it lives
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = duration::parse)]
    pub heartbeat: Duration,
    /// The shortest election timeout; the longest is twice that
    #[arg(long, value_name = "DURATION", default_value = "300ms", value_parser = duration::parse)]
    pub election: Duration,
    /// Answer reads that ask for it by lease, without asking a quorum each time. Declares that no clock in the
    /// cluster runs faster or slower than it should by more than this many millionths; the same on every node
    #[arg(long, value_name = "PPM")]
    pub lease_drift: Option<u32>,
    /// Size of a segment of the log, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub segment_size: u64,
    /// Take a snapshot after so many entries, and keep half as many in the log; by default, after 32 MiB of log
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub snapshot_every: u64,
    /// A deliberate bug; `harness list bugs`
    #[arg(long = "bug", value_name = "NAME", value_parser = parse_bug)]
    pub bugs: Vec<Bug>,
    /// A file that counts how often each deliberate bug was reached and had an effect
    #[arg(long, value_name = "FILE")]
    pub marks: Option<PathBuf>,
    /// Be killed when the thread that started this process ends
    #[arg(long)]
    pub parent_death_signal: bool,
}

/// Runs a node to its end.
///
/// # Errors
/// A [`Failure`] that says why it could not start or go on.
pub fn enter(args: Args) -> Result<Exit, Failure> {
    // A node's panic belongs into its log as Rust writes it: that is what is looked for there.
    drop(std::panic::take_hook());
    match cluster::node::run(config(args)?) {
        Ok(()) => Ok(Exit::Valid),
        Err(NodeError::Config(problem)) => Err(Failure::usage(problem)),
        Err(error) => Err(Failure::environment(error.to_string())),
    }
}

fn config(args: Args) -> Result<Config, Failure> {
    let mut config = Config::new(args.id, args.data);
    for (peer, address) in args.peers {
        if config.peers.insert(peer, address).is_some() {
            return Err(Failure::usage(format!("peer {peer} is given twice in `--peer`")));
        }
    }
    for (node, address) in args.dial {
        if config.dial.insert(node, address).is_some() {
            return Err(Failure::usage(format!("node {node} is given twice in `--dial`")));
        }
    }
    if let Some(fd) = args.ready_fd
        && std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_err()
    {
        return Err(Failure::usage(format!("descriptor {fd} in `--ready-fd` is not open")));
    }
    config.join = args.join;
    config.listen_peer = args.listen_peer;
    config.listen_client = args.listen_client;
    config.ready_fd = args.ready_fd;
    config.heartbeat = args.heartbeat;
    config.election = args.election;
    config.lease_drift_ppm = args.lease_drift;
    config.segment_size = args.segment_size;
    config.snapshot_entries = args.snapshot_every;
    config.bugs = args.bugs.into_iter().collect();
    config.marks = args.marks;
    config.parent_death_signal = args.parent_death_signal;
    Ok(config)
}

fn parse_peer(text: &str) -> Result<(u64, SocketAddr), String> {
    let wrong = || format!("`{text}` is not like `2=127.0.0.1:7002`");
    let (node, address) = text.split_once('=').ok_or_else(wrong)?;
    Ok((node.parse().map_err(|_| wrong())?, address.parse().map_err(|_| wrong())?))
}

fn parse_bug(name: &str) -> Result<Bug, String> {
    name.parse().map_err(|_| {
        let known: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        format!("unknown bug `{name}`; known: {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::reference::Reference;
    use crate::system::{NodeSettings, NodeSpec, System};
    use clap::Parser;
    use history::NodeId;

    #[derive(Parser)]
    enum Command {
        Node(Args),
    }

    #[test]
    fn the_command_line_of_the_reference_system_is_understood() {
        let command = Reference.command(&NodeSpec {
            node: NodeId(2),
            home: None,
            life: 0,
            peers: [(NodeId(1), ([127, 0, 0, 1], 7001).into())].into(),
            data: "/tmp/data".into(),
            marks: "/tmp/marks".into(),
            settings: NodeSettings {
                bug: Some("local-read".to_owned()),
                snapshot_every: Some(200),
                replaceable: true,
                lease_drift_ppm: Some(300),
                ..NodeSettings::default()
            },
        });
        let words = std::iter::once("harness".to_owned()).chain(command.args);
        let Command::Node(mut args) = Command::try_parse_from(words).expect("its own flags");
        assert!(args.ready_fd.take().is_some());
        let config = config(args).expect("sensible");
        assert_eq!((config.id, config.peers.len(), config.join), (2, 1, false));
        assert_eq!(config.dial.keys().next(), Some(&1001), "the peer in its second life");
        assert_eq!((config.segment_size, config.snapshot_entries), (4 << 20, 200));
        assert_eq!(config.lease_drift_ppm, Some(300));
        assert!(config.bugs.has(Bug::LocalRead));
        assert_eq!(config.marks, Some("/tmp/marks".into()));
        assert_eq!((config.heartbeat.as_millis(), config.election.as_millis()), (100, 300));
    }

    #[test]
    fn leases_are_on_only_with_a_declared_drift() {
        let lease = |words: &[&str]| {
            let words = ["harness", "node", "--id", "1", "--data", "d"].iter().chain(words);
            let Command::Node(args) = Command::try_parse_from(words).expect("its own flags");
            config(args).expect("sensible").lease_drift_ppm
        };
        assert_eq!(lease(&[]), None);
        assert_eq!(lease(&["--lease-drift", "50000"]), Some(50_000));
    }

    #[test]
    fn nonsense_is_refused_in_one_sentence() {
        for peer in ["2", "x=127.0.0.1:1", "2=nowhere", ""] {
            assert!(parse_peer(peer).is_err(), "{peer}");
        }
        assert!(parse_bug("stale").expect_err("no bug").contains("local-read"));
    }
}
