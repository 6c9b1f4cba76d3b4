//! Clusters of three real processes, ours and etcd's, started alike and gone afterwards.
//!
//! Every child is this very program, started again: as a node of ours, or to become a member of etcd after it
//! has asked the kernel to be killed with its parent. So nothing outlives a benchmark, however that ends.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cluster::node::{self, Config};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::Result;
use crate::client::{Client, Who, connect};

/// First argument of a child that becomes a node of ours, and of one that becomes a member of etcd.
pub(crate) const NODE: &str = "--serve-node";
pub(crate) const ETCD: &str = "--serve-etcd";
/// The same for both: etcd's defaults.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(100);
pub(crate) const ELECTION: Duration = Duration::from_millis(1000);
/// How long a cluster may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at a cluster that is not ready.
const LOOK: Duration = Duration::from_millis(50);

/// Three processes.
pub(crate) struct Cluster {
    pub(crate) who: Who,
    pub(crate) members: Vec<Member>,
    // Removed when dropped, after the members, which are declared before it.
    directory: TempDir,
}

/// One of them.
pub(crate) struct Member {
    pub(crate) peer: SocketAddr,
    pub(crate) client: SocketAddr,
    child: Option<Child>,
    campaigns: Arc<Mutex<Vec<Instant>>>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Member {
    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// When its election timer first fired after `since`.
    pub(crate) fn campaigned_after(&self, since: Instant) -> Option<Instant> {
        let campaigns = self.campaigns.lock().unwrap_or_else(PoisonError::into_inner);
        campaigns.iter().find(|at| **at > since).copied()
    }

    /// A client of it.
    pub(crate) async fn connect(&self, who: Who) -> Result<Client> {
        Ok(Client::new(who, connect(self.client).await?))
    }
}

impl Cluster {
    /// Starts a cluster on the disk of temporary files and waits until it has a leader.
    pub(crate) async fn start(who: Who) -> Result<Cluster> {
        // All are open at once, so that no two get one port.
        let mut ports = Vec::new();
        for _ in 0..6 {
            ports.push(TcpListener::bind("127.0.0.1:0")?);
        }
        let addresses: Vec<_> =
            ports.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        drop(ports);
        let member = |pair: &[SocketAddr]| Member {
            peer: pair[0],
            client: pair[1],
            child: None,
            campaigns: Arc::default(),
        };
        let members = addresses.chunks(2).map(member).collect();
        let mut cluster = Cluster { who, members, directory: tempfile::tempdir()? };
        for place in 0..cluster.members.len() {
            cluster.start_member(place)?;
        }
        cluster.leader().await?;
        Ok(cluster)
    }

    /// Starts a member, for the first time or again.
    pub(crate) fn start_member(&mut self, place: usize) -> Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        match self.who {
            Who::Ours => command.arg(NODE).args(self.node_arguments(place)),
            Who::Etcd => command.arg(ETCD).args(self.etcd_arguments(place)),
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let said = child.stderr.take();
        let log = File::create(self.directory.path().join(format!("n{}.log", place + 1)))?;
        let member = &mut self.members[place];
        member.child = Some(child);
        let campaigns = Arc::clone(&member.campaigns);
        let needle = match self.who {
            Who::Ours => "asks whether it could win",
            Who::Etcd => "is starting a new election",
        };
        thread::spawn(move || said.map(|said| listen(said, log, needle, &campaigns)));
        Ok(())
    }

    fn node_arguments(&self, place: usize) -> Vec<String> {
        let member = &self.members[place];
        let data = self.directory.path().join(format!("n{}", place + 1));
        let own = [(place + 1).to_string(), data.display().to_string()];
        let own = own.into_iter().chain([member.peer.to_string(), member.client.to_string()]);
        let others = self.members.iter().enumerate().filter(|(other, _)| *other != place);
        own.chain(others.map(|(other, member)| format!("{}={}", other + 1, member.peer))).collect()
    }

    fn etcd_arguments(&self, place: usize) -> Vec<String> {
        let url = |address: SocketAddr| format!("http://{address}");
        let peers = self.members.iter().enumerate();
        let peers: Vec<_> =
            peers.map(|(other, member)| format!("n{}={}", other + 1, url(member.peer))).collect();
        let Member { peer, client, .. } = self.members[place];
        let data = self.directory.path().join(format!("n{}", place + 1));
        let flags = [
            ("name", format!("n{}", place + 1)),
            ("data-dir", data.display().to_string()),
            ("listen-client-urls", url(client)),
            ("advertise-client-urls", url(client)),
            ("listen-peer-urls", url(peer)),
            ("initial-advertise-peer-urls", url(peer)),
            ("initial-cluster", peers.join(",")),
            ("heartbeat-interval", HEARTBEAT.as_millis().to_string()),
            ("election-timeout", ELECTION.as_millis().to_string()),
        ];
        flags.into_iter().map(|(name, value)| format!("--{name}={value}")).collect()
    }

    /// Waits until all members know a leader, and says which one it is.
    pub(crate) async fn leader(&self) -> Result<usize> {
        let end = Instant::now() + PATIENCE;
        loop {
            let (mut leader, mut knowing) = (None, 0);
            for (place, member) in self.members.iter().enumerate() {
                let Ok(mut client) = member.connect(self.who).await else { continue };
                let Ok(said) = client.status().await else { continue };
                knowing += usize::from(said.has_leader);
                leader = said.leads.then_some(place).or(leader);
            }
            match leader {
                Some(leader) if knowing == self.members.len() => return Ok(leader),
                _ if Instant::now() > end => {
                    return Err(format!("{:?}: no leader that all know", self.who).into());
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// The processes that run.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.members.iter().filter_map(Member::pid).collect()
    }

    /// Syncs of all logs so far; none if the cluster does not say.
    pub(crate) async fn syncs(&self) -> Result<Option<u64>> {
        let mut sum = None;
        for member in &self.members {
            if let Some(syncs) = member.connect(self.who).await?.status().await?.syncs {
                sum = Some(sum.unwrap_or(0) + syncs);
            }
        }
        Ok(sum)
    }
}

/// Keeps what a member says, and when it campaigned.
fn listen(said: ChildStderr, mut log: File, needle: &str, campaigns: &Mutex<Vec<Instant>>) {
    for line in BufReader::new(said).lines().map_while(Result::ok) {
        if line.contains(needle) {
            campaigns.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        }
        // For whoever looks into the directory while it is there.
        drop(std::io::Write::write_all(&mut log, format!("{line}\n").as_bytes()));
    }
}

/// Becomes a node of ours; returns when it has ended.
pub(crate) fn serve_node(arguments: &[String]) -> Result<()> {
    let [id, data, peer, client, peers @ ..] = arguments else {
        return Err("a node needs id, data directory, two addresses and peers".into());
    };
    let mut config = Config::new(id.parse()?, PathBuf::from(data));
    (config.listen_peer, config.listen_client) = (peer.parse()?, client.parse()?);
    (config.heartbeat, config.election) = (HEARTBEAT, ELECTION);
    config.parent_death_signal = true;
    for peer in peers {
        let (id, address) = peer.split_once('=').ok_or("a peer is ID=ADDRESS")?;
        config.peers.insert(id.parse()?, address.parse()?);
    }
    Ok(node::run(config)?)
}

/// Becomes a member of etcd; returns only if there is none.
pub(crate) fn serve_etcd(arguments: &[String]) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    Err(Command::new("etcd").args(arguments).exec().into())
}

/// The version of etcd on this machine, if there is one.
pub(crate) fn etcd_version() -> Option<String> {
    let output = Command::new("etcd").arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next()?.rsplit(' ').next().map(str::to_owned)
}
