//! The reference cluster as it is deployed: real processes, real proxies, the real client.

use faults::message::MessageRule;
use faults::{Link, Messages, ProcessState};
use harness::deploy::{Change, DeployError, Deployment, NodePaths, Settings};
use harness::guardian::{ExitStatus, Guardian, evidence};
use harness::results::ExitCause;
use harness::system::{self, ClientSettings, NodeSettings, NodeStatus, Role, Route, Selection};
use history::{Nanos, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use workloads::{ClientError, ErrorClass, KvAnswer, KvClient, KvOperation};

const DEADLINE: Duration = Duration::from_secs(2);
const ATTEMPT: Duration = Duration::from_millis(500);
/// How long a cluster of debug nodes on a busy machine may take to be of one mind.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Cluster {
    pub(crate) deployment: Deployment,
    pub(crate) _folder: TempDir,
}

pub(crate) fn paths(folder: &Path, nodes: u16) -> BTreeMap<NodeId, NodePaths> {
    let of = |node: NodeId| {
        let place = folder.join(node.to_string());
        std::fs::create_dir_all(&place).unwrap();
        let file = |name: &str| place.join(name);
        let (log, data, marks) = (file("log"), file("data"), file("marks"));
        (node, NodePaths { log, data, marks, clock: file("clock") })
    };
    (1..=nodes).map(NodeId).map(of).collect()
}

fn deploy(
    nodes: BTreeMap<NodeId, NodePaths>,
    slow: Option<NodeId>,
) -> Result<Deployment, DeployError> {
    start(Settings {
        system: system::select(&Selection::named("reference")).unwrap(),
        nodes,
        node: NodeSettings { segment_bytes: 1 << 20, ..NodeSettings::default() },
        slow_node: slow,
        clock_shim: None,
        relays: false,
        shared_network: false,
    })
}

/// The harness; a copy of it where this program was copied too, for a user who cannot read the usual one.
fn executable() -> PathBuf {
    let usual = || env!("CARGO_BIN_EXE_harness").into();
    std::env::var_os("HARNESS_TEST_EXECUTABLE").map_or_else(usual, Into::into)
}

pub(crate) fn start(settings: Settings) -> Result<Deployment, DeployError> {
    let guardian = Guardian::start(&executable())?;
    let begin = Instant::now();
    let clock = move || Nanos(u64::try_from(begin.elapsed().as_nanos()).unwrap());
    Deployment::start(guardian, settings, Arc::new(clock))
}

fn cluster(nodes: u16) -> Cluster {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deploy(paths(folder.path(), nodes), None).unwrap();
    Cluster { deployment, _folder: folder }
}

impl Cluster {
    pub(crate) fn client(&self, route: Route) -> Box<dyn KvClient> {
        self.deployment.system().client(&ClientSettings {
            route,
            addresses: self.deployment.client_addresses(),
            attempt: ATTEMPT,
            lease_reads: false,
            first: 0,
            workload: "kv",
        })
    }

    pub(crate) async fn status(&self, node: NodeId) -> Result<NodeStatus, String> {
        let address = self.deployment.address(node).ok_or("it is down")?;
        self.deployment.probe(address).status(Duration::from_secs(1)).await
    }

    /// The node that says it leads, once all say that they follow it.
    pub(crate) async fn leader(&self) -> NodeId {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut leaders = Vec::new();
            for node in self.deployment.live() {
                leaders.push(self.status(node).await.ok().and_then(|status| status.leader));
            }
            if let [Some(leader), rest @ ..] = leaders.as_slice()
                && rest.iter().all(|other| *other == Some(*leader))
                && self.status(*leader).await.is_ok_and(|status| status.role == Role::Leader)
            {
                return *leader;
            }
            assert!(Instant::now() < deadline, "no leader: {leaders:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn process(&self, node: NodeId) -> i32 {
        self.deployment.record().nodes[&node.to_string()].pid.unwrap()
    }
}

pub(crate) fn read(key: &str) -> KvOperation {
    KvOperation::Read { key: key.to_owned() }
}

pub(crate) fn write(key: &str, value: i64) -> KvOperation {
    KvOperation::Write { key: key.to_owned(), value }
}

fn cas(key: &str, from: i64, to: i64) -> KvOperation {
    KvOperation::Cas { key: key.to_owned(), from, to }
}

/// Performs it, again and again where an election may be in the way.
pub(crate) async fn eventually(client: &mut dyn KvClient, operation: KvOperation) -> KvAnswer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client.call(&operation, DEADLINE).await {
            Ok(answer) => return answer,
            Err(error) => assert!(Instant::now() < deadline, "{operation:?}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_serves_every_operation() {
    let cluster = cluster(3);
    cluster.leader().await;
    let mut follow = cluster.client(Route::Leader);
    let key = "k";
    assert_eq!(eventually(&mut *follow, read(key)).await, KvAnswer::Value(None));
    assert_eq!(eventually(&mut *follow, write(key, -1)).await, KvAnswer::Done);
    for node in cluster.deployment.nodes() {
        let value = i64::from(node.0);
        let mut pinned = cluster.client(Route::Node(node));
        let before = value - 1 - i64::from(node.0 == 1);
        assert_eq!(eventually(&mut *pinned, read(key)).await, KvAnswer::Value(Some(before)));
        assert_eq!(eventually(&mut *pinned, cas(key, before, value)).await, KvAnswer::Swapped);
        assert_eq!(eventually(&mut *pinned, cas(key, before, value)).await, KvAnswer::Mismatch);
        assert_eq!(pinned.node(), Some(node));
    }
    let delete = KvOperation::Delete { key: key.to_owned() };
    assert_eq!(eventually(&mut *follow, delete).await, KvAnswer::Done);
    assert_eq!(eventually(&mut *follow, read(key)).await, KvAnswer::Value(None));
    let stopped = cluster.deployment.stop(PATIENCE).await.unwrap();
    assert!(stopped.forced.is_empty(), "{stopped:?}");
    let exits = cluster.deployment.exits();
    assert_eq!(exits.len(), 3);
    assert!(exits.iter().all(|exit| exit.cause == ExitCause::Stop), "{exits:?}");
    assert!(cluster.deployment.panics().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_comes_back_with_its_data_on_other_ports() {
    let cluster = cluster(3);
    let deployment = &cluster.deployment;
    let mut client = cluster.client(Route::Leader);
    assert_eq!(eventually(&mut *client, write("k", 7)).await, KvAnswer::Done);
    let leader = cluster.leader().await;
    let (pid, address) = (cluster.process(leader), deployment.address(leader));

    let sighting = deployment.kill(leader).unwrap();
    assert_eq!((sighting.node, sighting.state), (leader, ProcessState::Gone));
    assert!(evidence::thread_states(pid).is_empty());
    assert_eq!((deployment.address(leader), deployment.live().len()), (None, 2));
    assert!(matches!(deployment.kill(leader), Err(DeployError::NotRunning(_))));
    assert_eq!(eventually(&mut *client, read("k")).await, KvAnswer::Value(Some(7)));

    let sighting = deployment.restart(leader).unwrap();
    assert_eq!(sighting.state, ProcessState::Running);
    assert_ne!(i32::try_from(sighting.pid).unwrap(), pid);
    assert_ne!(deployment.address(leader), address);
    assert_eq!(deployment.restart(leader).unwrap(), sighting, "left alone");
    let mut pinned = cluster.client(Route::Node(leader));
    assert_eq!(eventually(&mut *pinned, read("k")).await, KvAnswer::Value(Some(7)));

    let exits = deployment.exits();
    assert_eq!(exits.len(), 1);
    assert_eq!((exits[0].pid, &exits[0].cause), (pid, &ExitCause::Fault));
    let ready = deployment.changes(0).into_iter().filter(|c| matches!(c, Change::Ready { .. }));
    assert_eq!(ready.count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_leader_is_seen_stopped_and_gone_around() {
    let cluster = cluster(3);
    let deployment = &cluster.deployment;
    let leader = cluster.leader().await;
    let mut client = cluster.client(Route::Leader);
    assert_eq!(eventually(&mut *client, write("k", 1)).await, KvAnswer::Done);
    assert_eq!(deployment.pause(leader).unwrap().state, ProcessState::Stopped);
    let states = evidence::thread_states(cluster.process(leader));
    assert!(states.iter().all(|state| *state == 'T'), "{states:?}");
    assert!(!deployment.is_running(leader));
    assert_eq!(eventually(&mut *client, write("k", 2)).await, KvAnswer::Done);
    assert_ne!(client.node(), Some(leader));
    assert_eq!(deployment.resume(leader).unwrap().state, ProcessState::Running);
    let mut pinned = cluster.client(Route::Node(leader));
    assert_eq!(eventually(&mut *pinned, read("k")).await, KvAnswer::Value(Some(2)));
    deployment.pause(leader).unwrap();
    let stopped = deployment.stop(PATIENCE).await.unwrap();
    assert!(stopped.forced.is_empty(), "a paused node continues to be stopped: {stopped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_that_nobody_asked_for_is_unexplained() {
    let cluster = cluster(3);
    let node = NodeId(2);
    let pid = nix::unistd::Pid::from_raw(cluster.process(node));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGABRT).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while cluster.deployment.exits().is_empty() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let exit = cluster.deployment.exits().remove(0);
    assert_eq!((exit.node, &exit.cause), (node, &ExitCause::Unexplained));
    assert_eq!(exit.status, ExitStatus::Signal(6));
    assert!(exit.log.iter().any(|line| line.contains("listening")), "{:?}", exit.log);
}

/// Without a majority nothing is promised, but everything ends in time and says the truth about it.
#[tokio::test(flavor = "multi_thread")]
async fn without_nodes_calls_end_at_their_deadline_without_hurry() {
    let cluster = cluster(3);
    let deployment = &cluster.deployment;
    let mut known = cluster.client(Route::Leader);
    assert_eq!(eventually(&mut *known, write("k", 1)).await, KvAnswer::Done);
    for node in deployment.nodes() {
        deployment.kill(node).unwrap();
    }
    let dialled = |node| deployment.hub().client_counters(node).unwrap().inward.dialled;
    let before: u64 = deployment.nodes().into_iter().map(dialled).sum();
    let mut fresh = cluster.client(Route::Leader);
    for (has_session, operation, class, code) in [
        (true, write("k", 2), ErrorClass::Indefinite, "connection"),
        (true, read("k"), ErrorClass::Indefinite, "connection"),
        (false, write("k", 3), ErrorClass::Definite, "no-session"),
    ] {
        let client = if has_session { &mut known } else { &mut fresh };
        let begin = Instant::now();
        let error = client.call(&operation, DEADLINE).await.unwrap_err();
        let took = begin.elapsed();
        assert_eq!((error.class, error.code), (class, code), "{error}");
        assert!(took < DEADLINE + Duration::from_secs(1), "{took:?}");
    }
    let after: u64 = deployment.nodes().into_iter().map(dialled).sum();
    assert!(after - before < 100, "{} connections for three operations", after - before);
}

/// A node that is stopped after it took a write may still perform it: the client does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_into_a_minority_is_unknown_and_may_happen() {
    let cluster = cluster(3);
    let deployment = &cluster.deployment;
    let leader = cluster.leader().await;
    let mut pinned = cluster.client(Route::Node(leader));
    assert_eq!(eventually(&mut *pinned, write("k", 1)).await, KvAnswer::Done);
    let others: Vec<_> = deployment.nodes().into_iter().filter(|node| *node != leader).collect();
    for node in &others {
        deployment.pause(*node).unwrap();
    }
    let error: ClientError = pinned.call(&write("k", 2), DEADLINE).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Indefinite, "{error}");
    for node in others {
        deployment.resume(node).unwrap();
    }
    let mut fresh = cluster.client(Route::Leader);
    let answer = eventually(&mut *fresh, read("k")).await;
    assert!(matches!(answer, KvAnswer::Value(Some(1 | 2))), "{answer:?}");
}

#[test]
fn a_node_that_cannot_start_is_named_with_the_end_of_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = paths(folder.path(), 3);
    let file = folder.path().join("a file");
    std::fs::write(&file, "not a folder").unwrap();
    nodes.get_mut(&NodeId(3)).unwrap().data = file.join("data");
    let Err(error) = deploy(nodes, None) else { panic!("a folder inside a file") };
    let DeployError::NotReady { node, reason, log_lines, .. } = &error else { panic!("{error}") };
    assert_eq!(*node, NodeId(3));
    assert!(reason.starts_with("exited before it was ready"), "{reason}");
    assert!(log_lines.iter().any(|line| line.contains("Not a directory")), "{log_lines:?}");
    let failure = harness::exit::Failure::from(error);
    assert_eq!(failure.exit, harness::exit::Exit::Error);
    assert!(failure.message.starts_with("n3 exited before it was ready"), "{failure}");
    assert!(!failure.details.is_empty() && !failure.hints.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_deployments_share_a_machine_and_one_may_be_slow() {
    let folder = tempfile::tempdir().unwrap();
    let fast = cluster(1);
    let slow = tokio::task::spawn_blocking({
        let nodes = paths(folder.path(), 1);
        move || deploy(nodes, Some(NodeId(1)))
    });
    let slow = Cluster { deployment: slow.await.unwrap().unwrap(), _folder: folder };
    for (cluster, value) in [(&fast, 1), (&slow, 2)] {
        let mut client = cluster.client(Route::Leader);
        assert_eq!(eventually(&mut *client, write("k", value)).await, KvAnswer::Done);
        let begin = Instant::now();
        assert_eq!(eventually(&mut *client, read("k")).await, KvAnswer::Value(Some(value)));
        if value == 2 {
            assert!(begin.elapsed() >= Duration::from_millis(80), "{:?}", begin.elapsed());
        }
    }
    drop(fast.deployment);
    let mut client = slow.client(Route::Leader);
    assert_eq!(eventually(&mut *client, read("k")).await, KvAnswer::Value(Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_speak_through_relays_where_there_are_any() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = start(Settings {
        system: system::select(&Selection::named("reference")).unwrap(),
        nodes: paths(folder.path(), 3),
        node: NodeSettings { segment_bytes: 1 << 20, ..NodeSettings::default() },
        slow_node: None,
        clock_shim: None,
        relays: true,
        shared_network: false,
    });
    let cluster = Cluster { deployment: deployment.unwrap(), _folder: folder };
    let relays = cluster.deployment.relays().unwrap();
    let leader = cluster.leader().await;
    let nodes = cluster.deployment.nodes();
    let pairs = nodes.iter().flat_map(|&from| nodes.iter().map(move |&to| Link::new(from, to)));
    let links: BTreeSet<Link> = pairs.filter(|link| link.from != link.to).collect();
    let rule = MessageRule { duplicate: 0.5, delay_ms: [0, 40], ..MessageRule::default() };
    relays.begin(1, links.clone(), rule, 7);
    let mut client = cluster.client(Route::Leader);
    for value in 0..20 {
        assert_eq!(eventually(&mut *client, write("k", value)).await, KvAnswer::Done);
    }
    let counts = relays.end(1);
    // Followers have nothing to say to each other.
    for link in links.iter().filter(|link| link.from == leader || link.to == leader) {
        let counts = counts[link];
        assert!(counts.duplicated > 0 && counts.delayed > 0, "{link}: {counts:?}");
    }
    for node in nodes {
        let mut pinned = cluster.client(Route::Node(node));
        assert_eq!(eventually(&mut *pinned, read("k")).await, KvAnswer::Value(Some(19)));
    }
}
