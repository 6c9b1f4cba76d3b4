//! Nodes with one address for everybody, in network namespaces of their own or together in one network: the reference
//! cluster, told to listen where such a node has to.

use crate::deployment::{Cluster, eventually, paths, read, start, write};
use faults::netns::probe;
use faults::{Heal, Link, Plan, Power};
use harness::deploy::{DeployError, Settings};
use harness::guardian::evidence;
use harness::system::reference::Reference;
use harness::system::{
    ClientSettings, MarkCount, NodeAddresses, NodeCommand, NodeSettings, NodeSpec, Probe, Route,
    SeededBug, System, Wiring,
};
use history::NodeId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use workloads::{KvAnswer, KvClient};

const PEERS: u16 = 2380;
const CLIENTS: u16 = 2379;
const NOBODY: u32 = 65534;
const PATIENCE: Duration = Duration::from_secs(20);
/// How long everything of a run may take to be gone once its harness or its guardian is killed.
const GONE_LIMIT: Duration = Duration::from_secs(5);
/// Set for a copy of this test program that stands in for a harness.
const STAND_IN: &str = "NAMESPACES_TEST_STAND_IN";

/// The reference cluster as a system whose nodes have an address each.
struct Housed {
    /// Whether what a node is runs in a session of its own, so that no signal for the node reaches it, below a process
    /// that lives on when that of the node is killed.
    escaping: bool,
}

impl System for Housed {
    fn name(&self) -> &str {
        "housed"
    }

    fn about(&self) -> &str {
        "the reference cluster in namespaces"
    }

    fn version(&self) -> String {
        Reference.version()
    }

    fn wiring(&self) -> Wiring {
        Wiring::OneAddress { peers: vec![PEERS], client: CLIENTS, unshared: None }
    }

    fn powers(&self) -> &'static [Power] {
        Reference.powers()
    }

    fn fault_budget(&self, nodes: u16) -> faults::Budget {
        Reference.fault_budget(nodes)
    }

    fn recovery_limit(&self, election: Duration) -> Duration {
        Reference.recovery_limit(election)
    }

    fn bugs(&self) -> Vec<SeededBug> {
        Vec::new()
    }

    fn command(&self, spec: &NodeSpec) -> NodeCommand {
        let own = spec.home.unwrap().own;
        let mut command = Reference.command(spec);
        for argument in &mut command.args {
            *argument = match argument.split_once('=') {
                Some(("--listen-peer", _)) => format!("--listen-peer={}", own.peer),
                Some(("--listen-client", _)) => format!("--listen-client={}", own.client),
                _ => continue,
            };
        }
        if self.escaping {
            // It would end because nobody reads its ready line any more.
            command.args.retain(|argument| !argument.starts_with("--ready-fd"));
            let program = env!("CARGO_BIN_EXE_harness").to_owned();
            let line = r#"setsid sh -c '"$@" & wait' sh "$@" & wait"#.to_owned();
            let before = ["-c".to_owned(), line, "sh".to_owned(), program];
            command.args.splice(0..0, before);
            command.program = "/bin/sh".into();
        }
        command
    }

    fn ready(&self, _: &str) -> Result<NodeAddresses, String> {
        Err("it is not asked where it listens".to_owned())
    }

    fn client(&self, settings: &ClientSettings) -> Box<dyn KvClient> {
        Reference.client(settings)
    }

    fn probe(&self, address: SocketAddr) -> Box<dyn Probe> {
        Reference.probe(address)
    }

    fn marks(&self, files: &[std::path::PathBuf]) -> Vec<MarkCount> {
        Reference.marks(files)
    }
}

fn deploy(shared_network: bool) -> Cluster {
    deploy_as(&Housed { escaping: false }, 3, shared_network)
}

fn deploy_as(system: &'static Housed, nodes: u16, shared_network: bool) -> Cluster {
    let folder = tempfile::tempdir().unwrap();
    let deployment = start(Settings {
        system,
        nodes: paths(folder.path(), nodes),
        node: NodeSettings { segment_bytes: 1 << 20, ..NodeSettings::default() },
        slow_node: None,
        clock_shim: None,
        relays: false,
        shared_network,
    });
    Cluster { deployment: deployment.unwrap(), _folder: folder }
}

/// Whether there can be no namespaces here; says why.
fn is_missing() -> bool {
    let Err(why) = probe() else { return false };
    writeln!(std::io::stderr().lock(), "skipped: {why}").unwrap();
    true
}

fn network(process: &str) -> String {
    let link = std::fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
    link.to_str().unwrap().to_owned()
}

/// The networks of all nodes, each of which has one of its own.
fn networks(cluster: &Cluster) -> BTreeSet<String> {
    let of = |node| network(&cluster.process(node).to_string());
    let networks: BTreeSet<String> = cluster.deployment.nodes().into_iter().map(of).collect();
    assert_eq!(networks.len(), 3);
    assert!(!networks.contains(&network("self")));
    networks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_in_namespaces_is_cut_and_asked_past_the_cut() {
    if is_missing() {
        return;
    }
    let cluster = tokio::task::spawn_blocking(|| deploy(false)).await.unwrap();
    networks(&cluster);
    is_cut_and_asked_past_the_cut(&cluster).await;
    assert_eq!(cluster.deployment.callers(), None, "nobody had to look for them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_in_one_network_is_cut_and_asked_past_the_cut() {
    let cluster = tokio::task::spawn_blocking(|| deploy(true)).await.unwrap();
    let process = cluster.process(NodeId(1)).to_string();
    assert_eq!(network(&process), network("self"));
    is_cut_and_asked_past_the_cut(&cluster).await;
    let callers = cluster.deployment.callers().unwrap();
    assert!(callers.found >= 6 && callers.p50_us > 0, "each calls each: {callers:?}");
    // A second one is in nobody's way.
    let other = tokio::task::spawn_blocking(|| deploy(true)).await.unwrap();
    other.leader().await;
    assert!(other.deployment.audit().unwrap() > 0);
}

async fn is_cut_and_asked_past_the_cut(cluster: &Cluster) {
    let deployment = &cluster.deployment;
    let mut client = cluster.client(Route::Leader);
    assert_eq!(eventually(&mut *client, write("k", 1)).await, KvAnswer::Done);
    assert!(deployment.audit().unwrap() > 0);

    let old = cluster.leader().await;
    let cut: Vec<Link> = deployment
        .nodes()
        .into_iter()
        .filter(|node| *node != old)
        .flat_map(|node| [Link::new(old, node), Link::new(node, old)])
        .collect();
    let plan = Plan::hold(cut.iter().copied(), Heal::Deliver);
    let before = deployment.hub().apply(plan).await.unwrap().counters;
    let deadline = Instant::now() + PATIENCE;
    let new = loop {
        let mut leader = None;
        for node in deployment.nodes().into_iter().filter(|node| *node != old) {
            // Past the proxies, and so is the one that is cut off.
            leader = cluster.status(node).await.ok().and_then(|status| status.leader).or(leader);
        }
        if let Some(new) = leader.filter(|leader| *leader != old) {
            break new;
        }
        assert!(Instant::now() < deadline, "nobody else led");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(cluster.status(old).await.is_ok(), "it is asked past the cut");
    let mut pinned = cluster.client(Route::Node(new));
    assert_eq!(eventually(&mut *pinned, write("k", 2)).await, KvAnswer::Done);
    let after = deployment.hub().apply(Plan::default()).await.unwrap().counters;
    for link in cut {
        let passed = after[&link].since(&before[&link]);
        assert_eq!(passed.forwarded_bytes, 0, "{link}: {passed:?}");
    }
    let mut pinned = cluster.client(Route::Node(old));
    assert_eq!(eventually(&mut *pinned, read("k")).await, KvAnswer::Value(Some(2)));

    let home = network(&cluster.process(old).to_string());
    deployment.kill(old).unwrap();
    assert!(cluster.status(old).await.is_err());
    deployment.restart(old).unwrap();
    assert_eq!(network(&cluster.process(old).to_string()), home);
    assert_eq!(eventually(&mut *pinned, read("k")).await, KvAnswer::Value(Some(2)));
    assert!(deployment.audit().unwrap() > 0);

    // The kernel ends them with the guardian.
    let nodes: Vec<i32> =
        deployment.nodes().into_iter().map(|node| cluster.process(node)).collect();
    let guardian = deployment.record().guardian_pid.unwrap();
    kill(Pid::from_raw(i32::try_from(guardian).unwrap()), Signal::SIGKILL).unwrap();
    let deadline = Instant::now() + GONE_LIMIT;
    let lives = |pid: &i32| evidence::thread_states(*pid).iter().any(|state| *state != 'Z');
    while nodes.iter().any(lives) {
        assert!(Instant::now() < deadline, "a node lives on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn somebody_who_is_not_root_has_a_cluster_in_namespaces() {
    let mut output = std::io::stderr().lock();
    if !nix::unistd::geteuid().is_root() {
        return writeln!(output, "skipped: who is not root sees it in the other tests").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let copy = |from: &Path, name: &str| {
        let to = folder.path().join(name);
        std::fs::copy(from, &to).unwrap();
        to
    };
    let tests = copy(&std::env::current_exe().unwrap(), "tests");
    let harness = copy(Path::new(env!("CARGO_BIN_EXE_harness")), "harness");
    let mut command = Command::new(tests);
    command.args(["--exact", "namespaces::a_cluster_in_namespaces_is_cut_and_asked_past_the_cut"]);
    command.args(["--nocapture"]).env("HARNESS_TEST_EXECUTABLE", harness).current_dir("/");
    let run = command.uid(NOBODY).gid(NOBODY).stdin(Stdio::null()).output().unwrap();
    let [said, why] = [run.stdout, run.stderr].map(|text| String::from_utf8(text).unwrap());
    if let Some((_, why)) = why.split_once("skipped: ") {
        return writeln!(output, "skipped: {why}").unwrap();
    }
    assert!(run.status.success() && said.contains("1 passed"), "{said}\n{why}");
}

/// A node that answers on was not killed, whatever became of its process.
#[test]
fn a_node_of_which_something_outlives_its_kill_was_not_killed() {
    if is_missing() {
        return;
    }
    let cluster = deploy_as(&Housed { escaping: true }, 1, false);
    let node = NodeId(1);
    let error = cluster.deployment.kill(node).unwrap_err();
    let DeployError::NotSeen { node: told, signal: "SIGKILL", wanted: "gone", seen } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*told, node);
    assert!(seen.contains("still takes calls") && seen.contains("process group"), "{seen}");
    // Nor is it started anew beside what is left of it.
    let error = cluster.deployment.restart(node).unwrap_err();
    assert!(matches!(error, DeployError::NotSeen { .. }), "{error}");
    let whole = deploy_as(&Housed { escaping: false }, 1, false);
    whole.deployment.kill(node).unwrap();
    whole.deployment.restart(node).unwrap();
}

#[test]
fn nothing_is_left_of_a_harness_that_is_killed() {
    if is_missing() {
        return;
    }
    let mut stand_in = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "namespaces::stand_in_for_a_harness", "--ignored", "--nocapture"])
        .env(STAND_IN, "")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(stand_in.stdout.take().unwrap()).lines();
    let line = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("networks ").map(|(_, networks)| networks.to_owned()))
        .expect("the stand-in names its networks");
    let networks: BTreeSet<&str> = line.split(' ').collect();
    let users = users_of(&networks);
    assert!(users.len() >= 4, "three nodes and who makes sockets for them: {users:?}");
    stand_in.kill().unwrap();
    stand_in.wait().unwrap();
    let deadline = Instant::now() + GONE_LIMIT;
    loop {
        let left = users_of(&networks);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still there: {left:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes that are in one of these networks.
fn users_of(networks: &BTreeSet<&str>) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let is_in = |place: &Path| {
        std::fs::read_link(place.join("ns/net"))
            .is_ok_and(|to| networks.contains(to.to_str().unwrap_or_default()))
    };
    let named = processes.map(|one| one.path()).filter(|place| is_in(place));
    named.map(|place| place.display().to_string()).collect()
}

/// Not a test but a process of one: deploys a cluster in namespaces and waits to be killed.
#[test]
#[ignore = "a program that another test starts"]
fn stand_in_for_a_harness() {
    if std::env::var(STAND_IN).is_err() {
        return;
    }
    let cluster = deploy(false);
    let networks: Vec<String> = networks(&cluster).into_iter().collect();
    println!("networks {}", networks.join(" "));
    std::thread::sleep(6 * PATIENCE);
}
