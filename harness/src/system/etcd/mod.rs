//! etcd as it is: unmodified members, one process a node, spoken to over its v3 API.
//!
//! Nothing of etcd is built in. A member is the program `etcd` of this machine (or that of `--bin`), started with flags; what is
//! sent and read are six messages written by hand ([`api`]). All members are told one address of each member, so each lives in a
//! network namespace of its own, and the proxies stand there in the place of its peers; or, where there are none, it listens at
//! another address than the one that it advertises, where a proxy stands for all.
//!
//! | module | what it is |
//! |---|---|
//! | [`answer`] | the one table of what etcd's words prove about an attempt |
//! | [`client`] | attempts under one deadline, without a session |
//! | [`probe`] | a member's own view, and which node a member's number means |
//! | `version` | which etcd this is |
//! | [`api`] | the messages, and the calls |
//!
//! `docs/systems.md` says the same to whoever runs it: flags, errors, what it is taken to survive.
//!
//! Left alone: authentication, TLS, leases, watches, changes of members, and its own settings but for those that are
//! flags here; any others can be given after `--`, and stand in the plan.

pub mod answer;
pub mod api;
pub mod client;
pub mod probe;
mod version;

use super::{
    Asides, ClientSettings, Home, MarkCount, NodeAddresses, NodeCommand, NodeSpec, Probe,
    SeededBug, Selection, System, Timing, Wiring,
};
use crate::exit::Failure;
use faults::disk::Promises;
use faults::{Budget, Power, netns};
use history::NodeId;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use workloads::KvClient;

/// The ports of a member, etcd's own.
const PEER_PORT: u16 = 2380;
const CLIENT_PORT: u16 = 2379;
/// The program of the members, looked for on the path.
const PROGRAM: &str = "etcd";
/// Variables that begin so are settings of etcd's.
const VARIABLES: &str = "ETCD_";
/// But for the one that only lets it run on a processor that its makers do not test.
const HARMLESS_VARIABLE: &str = "ETCD_UNSUPPORTED_ARCH";
/// etcd refuses fewer heartbeats than this in an election timeout.
const HEARTBEATS: u32 = 5;
/// And longer election timeouts than this.
const LONGEST_ELECTION: Duration = Duration::from_secs(50);

/// A panic ends the whole of a program written in Go, and such an exit is seen as one; only what answers a call over HTTP
/// survives its own, and says this.
const SURVIVED_PANIC: &str = "http: panic serving";

/// etcd with the program on the path.
pub static ON_PATH: Etcd = Etcd::new(None, Vec::new());

/// etcd, with a program and arguments.
#[derive(Debug)]
pub struct Etcd {
    program: Option<PathBuf>,
    arguments: Vec<String>,
    version: OnceLock<Result<String, Failure>>,
}

/// The system for a selection: the same value each time, so that its program is asked for its version once.
///
/// # Errors
/// A path that cannot be made absolute.
pub fn select(selection: &Selection) -> Result<&'static Etcd, Failure> {
    static KNOWN: Mutex<BTreeMap<Selection, &'static Etcd>> = Mutex::new(BTreeMap::new());
    if selection.program.is_none() && selection.arguments.is_empty() {
        return Ok(&ON_PATH);
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(one) = known.get(selection) {
        return Ok(one);
    }
    let program = selection.program.as_deref().map(from_here).transpose()?;
    // As long as this process, like everything else that a selection means; there are no more of them than are typed.
    let one: &'static Etcd = Box::leak(Box::new(Etcd::new(program, selection.arguments.clone())));
    known.insert(selection.clone(), one);
    Ok(one)
}

/// A bare name is looked for on the path, as a shell does it; any other path means the same from everywhere.
fn from_here(program: &Path) -> Result<PathBuf, Failure> {
    if program.components().count() == 1 {
        return Ok(program.to_owned());
    }
    std::path::absolute(program)
        .map_err(|e| Failure::usage(format!("`--bin {}` means nothing: {e}", program.display())))
}

impl Etcd {
    const fn new(program: Option<PathBuf>, arguments: Vec<String>) -> Self {
        Self { program, arguments, version: OnceLock::new() }
    }

    fn path(&self) -> &Path {
        self.program.as_deref().unwrap_or(Path::new(PROGRAM))
    }

    fn asked(&self) -> &Result<String, Failure> {
        self.version.get_or_init(|| version::ask(self.path()))
    }
}

impl System for Etcd {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn about(&self) -> &'static str {
        "unmodified etcd (3.4, 3.5, 3.6), each member in a network namespace of its own where that is allowed; `--bin` names its program"
    }

    fn version(&self) -> String {
        self.asked().clone().unwrap_or_else(|_| "unknown".to_owned())
    }

    fn machine(&self) -> Result<(), Failure> {
        self.asked().as_ref().map_err(Clone::clone)?;
        refuse_settings(std::env::vars_os().map(|(name, _)| name))
    }

    fn warning(&self) -> Option<String> {
        self.asked().as_ref().ok().and_then(|version| version::warning(version))
    }

    fn wiring(&self) -> Wiring {
        Wiring::OneAddress { peers: vec![PEER_PORT], client: CLIENT_PORT, unshared: None }
    }

    /// etcd's own defaults.
    fn timing(&self) -> Timing {
        Timing { heartbeat: Duration::from_millis(100), election: Duration::from_millis(1000) }
    }

    /// What etcd itself refuses at its start, so that it is said before anything is.
    fn check_timing(&self, timing: Timing) -> Result<(), Failure> {
        let text = crate::duration::text;
        for time in [timing.heartbeat, timing.election] {
            if !time.as_micros().is_multiple_of(1000) {
                let time = text(time);
                return Err(Failure::usage(format!("{time}: etcd counts in whole milliseconds")));
            }
        }
        if timing.election < timing.heartbeat * HEARTBEATS {
            let (election, heartbeat) = (text(timing.election), text(timing.heartbeat));
            return Err(Failure::usage(format!(
                "`--election {election}` with heartbeats of {heartbeat}: etcd asks for at least {HEARTBEATS} heartbeats in an election timeout"
            ))
            .hint(format!("give `--election` at least {}", text(timing.heartbeat * HEARTBEATS))));
        }
        if timing.election > LONGEST_ELECTION {
            let (election, most) = (text(timing.election), text(LONGEST_ELECTION));
            return Err(Failure::usage(format!(
                "`--election {election}`: etcd takes at most {most}"
            )));
        }
        Ok(())
    }

    fn has_pre_vote(&self) -> bool {
        true
    }

    fn crash_marks(&self) -> &[String] {
        static MARKS: OnceLock<[String; 1]> = OnceLock::new();
        MARKS.get_or_init(|| [SURVIVED_PANIC.to_owned()])
    }

    fn has_revisions(&self) -> bool {
        true
    }

    fn program(&self) -> Option<PathBuf> {
        Some(self.path().to_owned())
    }

    /// Not clocks: programs written in Go ask the kernel and not libc.
    fn powers(&self) -> &'static [Power] {
        &[Power::Cut, Power::Kill, Power::Pause, Power::Disk]
    }

    /// A majority system that syncs before it acknowledges. It does not claim to notice damage in the file that its
    /// store is in.
    fn fault_budget(&self, nodes: u16) -> Budget {
        Budget { damaged: 0, ..Budget::majority(usize::from(nodes)) }
    }

    /// A member that finds no space for its store says so and ends by itself, as its makers mean it to.
    fn does_not_survive(&self, class: &str) -> Option<&'static str> {
        (class == "disk-full").then_some("a member of etcd ends by itself when it finds no space")
    }

    /// A leader that is told to stop hands over first, and waits for it seven seconds where too few are left to take over.
    fn is_killed_at_the_end(&self) -> bool {
        true
    }

    /// Its users run it on ext4 and its like, and it never syncs the names of its own folders.
    fn disk_promises(&self) -> Promises {
        Promises::Ext4
    }

    /// Time for some elections without a winner, and for members to call each other again, which they try each tenth of a
    /// second at first and more seldom later.
    fn recovery_limit(&self, election: Duration) -> Duration {
        (election * 30).max(Duration::from_secs(30))
    }

    fn bugs(&self) -> Vec<SeededBug> {
        Vec::new()
    }

    fn command(&self, spec: &NodeSpec) -> NodeCommand {
        let settings = &spec.settings;
        let url = |address: SocketAddr| format!("http://{address}");
        let Home { own, known } = spec.home.unwrap_or_else(|| home(spec.node));
        let mut members: BTreeMap<NodeId, SocketAddr> = spec.peers.clone();
        members.insert(spec.node, known);
        let members = members.iter().map(|(node, at)| format!("{node}={}", url(*at)));
        let mut args = Vec::new();
        let mut flag = |name: &str, value: String| args.push(format!("--{name}={value}"));
        flag("name", spec.node.to_string());
        flag("data-dir", spec.data.display().to_string());
        flag("listen-peer-urls", url(own.peer));
        flag("initial-advertise-peer-urls", url(known));
        flag("listen-client-urls", url(own.client));
        flag("advertise-client-urls", url(own.client));
        flag("initial-cluster", members.collect::<Vec<_>>().join(","));
        flag("initial-cluster-state", "new".to_owned());
        flag("heartbeat-interval", settings.heartbeat.as_millis().to_string());
        flag("election-timeout", settings.election.as_millis().to_string());
        if let Some(pre_vote) = settings.pre_vote {
            flag("pre-vote", pre_vote.to_string());
        }
        if let Some(entries) = settings.snapshot_every {
            flag("snapshot-count", entries.to_string());
        }
        flag("logger", "zap".to_owned());
        flag("log-outputs", "stderr".to_owned());
        // Last, so that whoever gives one that stands above has the last word.
        args.extend(self.arguments.iter().cloned());
        NodeCommand { program: self.path().to_owned(), args, env: Vec::new() }
    }

    fn ready(&self, _line: &str) -> Result<NodeAddresses, String> {
        Err("etcd says no such line: it serves once it listens".to_owned())
    }

    fn client(&self, settings: &ClientSettings) -> Box<dyn KvClient> {
        self.client_with(settings, &Asides::unheard())
    }

    fn client_with(&self, settings: &ClientSettings, asides: &Asides) -> Box<dyn KvClient> {
        Box::new(client::EtcdClient::new(settings, asides.revisions.clone()))
    }

    fn probe(&self, address: SocketAddr) -> Box<dyn Probe> {
        Box::new(probe::EtcdProbe::new(address))
    }

    fn marks(&self, _files: &[PathBuf]) -> Vec<MarkCount> {
        Vec::new()
    }
}

/// Where a member lives that has a namespace.
fn home(node: NodeId) -> Home {
    let at = |port| (netns::address(node), port).into();
    Home {
        own: NodeAddresses { peer: at(PEER_PORT), client: at(CLIENT_PORT) },
        known: at(PEER_PORT),
    }
}

/// Members inherit the environment, and etcd takes settings from there that would stand in no plan.
fn refuse_settings(names: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let mut names = names.map(|name| name.to_string_lossy().into_owned());
    match names.find(|name| name.starts_with(VARIABLES) && name != HARMLESS_VARIABLE) {
        None => Ok(()),
        Some(name) => Err(Failure::usage(format!(
            "the environment variable `{name}` would change what the members of etcd do, and stand in no plan"
        ))
        .hint("unset it, and give etcd's own flags after `--`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::NodeSettings;

    fn spec(node: u16, settings: NodeSettings) -> NodeSpec {
        let peers = (1..=3).map(NodeId).filter(|peer| peer.0 != node);
        NodeSpec {
            node: NodeId(node),
            life: 0,
            home: Some(home(NodeId(node))),
            peers: peers.map(|peer| (peer, home(peer).known)).collect(),
            data: PathBuf::from("/run/n2/data"),
            marks: PathBuf::from("/run/n2/marks"),
            settings,
        }
    }

    #[test]
    fn a_member_is_started_like_this() {
        let settings = NodeSettings {
            election: Duration::from_millis(1000),
            pre_vote: Some(true),
            snapshot_every: Some(500),
            ..NodeSettings::default()
        };
        let arguments = vec!["--auto-compaction-retention=1".to_owned()];
        let system = Etcd::new(Some(PathBuf::from("/opt/etcd")), arguments);
        let command = system.command(&spec(2, settings));
        assert_eq!(command.program, Path::new("/opt/etcd"));
        assert_eq!(
            command.args,
            [
                "--name=n2",
                "--data-dir=/run/n2/data",
                "--listen-peer-urls=http://10.77.0.2:2380",
                "--initial-advertise-peer-urls=http://10.77.0.2:2380",
                "--listen-client-urls=http://10.77.0.2:2379",
                "--advertise-client-urls=http://10.77.0.2:2379",
                "--initial-cluster=n1=http://10.77.0.1:2380,n2=http://10.77.0.2:2380,n3=http://10.77.0.3:2380",
                "--initial-cluster-state=new",
                "--heartbeat-interval=100",
                "--election-timeout=1000",
                "--pre-vote=true",
                "--snapshot-count=500",
                "--logger=zap",
                "--log-outputs=stderr",
                "--auto-compaction-retention=1",
            ]
        );
        assert!(command.env.is_empty());
    }

    #[test]
    fn a_member_listens_where_it_lives_and_advertises_where_it_is_known() {
        let mut spec = spec(2, NodeSettings::default());
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let own = NodeAddresses { peer: at("127.130.5.2:2380"), client: at("127.130.5.2:2379") };
        spec.home = Some(Home { own, known: at("127.130.4.2:2380") });
        let args = ON_PATH.command(&spec).args;
        for wanted in [
            "--listen-peer-urls=http://127.130.5.2:2380",
            "--initial-advertise-peer-urls=http://127.130.4.2:2380",
            "--listen-client-urls=http://127.130.5.2:2379",
            "--initial-cluster=n1=http://10.77.0.1:2380,n2=http://127.130.4.2:2380,n3=http://10.77.0.3:2380",
        ] {
            assert!(args.iter().any(|arg| arg == wanted), "{wanted}: {args:?}");
        }
    }

    #[test]
    fn all_members_are_told_the_same_cluster_and_only_what_was_chosen() {
        let cluster = |node| {
            let args = ON_PATH.command(&spec(node, NodeSettings::default())).args;
            assert!(!args.iter().any(|a| a.contains("pre-vote") || a.contains("snapshot")));
            args.into_iter().find(|arg| arg.starts_with("--initial-cluster=")).unwrap()
        };
        assert!(cluster(1) == cluster(2) && cluster(2) == cluster(3));
        assert_eq!(ON_PATH.path(), Path::new("etcd"));
    }

    #[test]
    fn one_selection_is_one_system() {
        let of = |program: &str, argument: Option<&str>| {
            let name = "etcd".to_owned();
            let program = Some(PathBuf::from(program));
            let arguments = argument.map(str::to_owned).into_iter().collect();
            select(&Selection { name, program, arguments }).unwrap()
        };
        assert!(std::ptr::eq(of("bin/etcd", None), of("bin/etcd", None)));
        assert!(!std::ptr::eq(of("bin/etcd", None), of("bin/etcd", Some("--v=1"))));
        assert!(of("bin/etcd", None).path().is_absolute());
        assert_eq!(of("etcd-3.5", None).path(), Path::new("etcd-3.5"), "on the path");
        assert!(std::ptr::eq(select(&Selection::named("etcd")).unwrap(), &ON_PATH));
    }

    #[test]
    fn timings_that_etcd_refuses_are_refused() {
        let check = |heartbeat, election| {
            let [heartbeat, election] = [heartbeat, election].map(Duration::from_millis);
            ON_PATH.check_timing(Timing { heartbeat, election }).map_err(|f| f.message)
        };
        assert_eq!(check(100, 500), Ok(()));
        assert_eq!(check(100, 50_000), Ok(()));
        let said = check(100, 499).unwrap_err();
        assert!(said.contains("at least 5 heartbeats in an election timeout"), "{said}");
        assert!(check(100, 50_001).unwrap_err().contains("at most 50s"));
        let odd = Timing { heartbeat: Duration::from_micros(7500), ..ON_PATH.timing() };
        assert!(
            ON_PATH.check_timing(odd).is_err() && ON_PATH.check_timing(ON_PATH.timing()).is_ok()
        );
    }

    #[test]
    fn a_full_disk_is_not_what_it_claims_to_survive() {
        for fault in faults::registry::all() {
            let spared = ON_PATH.does_not_survive(fault.name()).is_some();
            assert_eq!(spared, fault.name() == "disk-full", "{}", fault.name());
        }
        assert!(faults::registry::by_name("disk-full").is_some());
        assert_eq!(ON_PATH.fault_budget(3).damaged, 0);
    }

    #[test]
    fn settings_in_the_environment_are_refused() {
        let refuse = |names: &[&str]| refuse_settings(names.iter().map(OsString::from));
        assert!(refuse(&["PATH", "ETCDCTL_API", "ETCD_UNSUPPORTED_ARCH"]).is_ok());
        let said = refuse(&["PATH", "ETCD_UNSAFE_NO_FSYNC"]).unwrap_err().message;
        assert!(said.contains("`ETCD_UNSAFE_NO_FSYNC`"), "{said}");
    }
}
