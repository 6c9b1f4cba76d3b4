//! One look at what the kernel knows of the nodes: their processes, who holds which socket, what each network has.
//!
//! The parts are read one after the other while everything goes on, so what is missing means little and what is
//! there means what it says: the number of a socket is not given to another one. A process that ends meanwhile is
//! passed over; one that may not be looked at is an error, and so is a kernel that shows nothing.

use super::Party;
use super::table::{self, Entry};
use faults::netns::Namespaces;
use history::NodeId;
use nix::sys::stat::{fstat, stat};
use std::collections::BTreeMap;
use std::io;

/// How many ancestors of a process are looked at.
const DEEPEST: usize = 64;

/// A network namespace, by its number on this machine.
pub(super) type Network = u64;

/// Who holds a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// This process: the hub, a relay, a door, a client. Or a child of it that is no node's.
    Harness,
    /// A process of a node.
    Node(Party),
    /// A process that was started by a node, and nothing tells by which: it has left its group and lost its parent.
    Stray(i32),
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    /// The network of this process.
    pub(super) machine: Network,
    /// Where each node has to live; empty where nodes have no networks of their own.
    pub(super) homes: BTreeMap<NodeId, Network>,
    /// Every process of a node and the network it is in, which has to be its home, or without homes that of this process.
    pub(super) residents: Vec<(Party, Network)>,
    /// The sockets of each home that somebody is in; without homes, of the network of this process.
    pub(super) tables: Vec<(Network, Vec<Entry>)>,
    /// Who holds each socket, by its inode.
    pub(super) holders: BTreeMap<u64, Vec<Holder>>,
    /// The network devices in the home of each node that runs.
    pub(super) devices: BTreeMap<NodeId, Vec<String>>,
}

/// One process of a node, as it was when it was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deploy) struct Process {
    pub(in crate::deploy) party: Party,
    /// When it started, by the kernel's clock: another process of its number started later.
    started: u64,
}

impl Process {
    /// The sockets that it holds, by their inodes; none if it is gone.
    ///
    /// # Errors
    /// It may not be looked at.
    pub(in crate::deploy) fn sockets(&self) -> Result<Vec<u64>, String> {
        held_by(&self.party.pid.to_string()).map(Option::unwrap_or_default)
    }

    /// What is left of it where another process has its number now.
    #[cfg(test)]
    pub(in crate::deploy) fn started_earlier(self) -> Self {
        Self { started: self.started - 1, ..self }
    }

    /// Whether the process of this number is still this one.
    pub(in crate::deploy) fn is_the_same(&self) -> bool {
        relation(self.party.pid).is_some_and(|one| one.started == self.started)
    }
}

/// Every process of these nodes, of each of which one is given that leads its group, where nodes share a network.
///
/// # Errors
/// There is no `/proc`.
pub(in crate::deploy) fn processes(nodes: &BTreeMap<NodeId, i32>) -> Result<Vec<Process>, String> {
    let relations = relations()?;
    let started: BTreeMap<i32, u64> = relations.iter().map(|one| (one.pid, one.started)).collect();
    let parties = parties(nodes, &BTreeMap::new(), &relations, None);
    let process = |party: Party| Some(Process { party, started: *started.get(&party.pid)? });
    Ok(parties.into_iter().filter_map(process).collect())
}

/// The sockets that this process holds, by their inodes.
///
/// # Errors
/// It may not look at itself.
pub(in crate::deploy) fn sockets_of_this_process() -> Result<Vec<u64>, String> {
    held_by("self").map(Option::unwrap_or_default)
}

/// Looks at these nodes, of each of which a process is given that leads its group. They are descendants of the
/// `guardian`, if there is one.
///
/// # Errors
/// What cannot be seen, as a fragment.
pub(super) fn look(
    nodes: &BTreeMap<NodeId, i32>,
    namespaces: Option<&Namespaces>,
    guardian: Option<i32>,
) -> Result<Sight, String> {
    // A kernel without namespaces has one network, of no number.
    let machine = network_of("self").ok().flatten().unwrap_or_default();
    let mut sight = Sight { machine, ..Sight::default() };
    for node in namespaces.into_iter().flat_map(Namespaces::nodes) {
        let door = namespaces.and_then(|namespaces| namespaces.door(node));
        let home = door.and_then(|door| fstat(door.descriptors().1).ok());
        sight.homes.insert(node, home.ok_or("a namespace is gone")?.st_ino);
    }
    // First the tables: a socket that is in one and held by nobody later may have been closed, and never the other way.
    if sight.homes.is_empty() {
        sight.tables.push((sight.machine, sockets("self")?.unwrap_or_default()));
    }
    for (&node, &process) in nodes {
        let Some(&home) = sight.homes.get(&node) else { continue };
        let process = process.to_string();
        // Not the home's if the process is astray, which is a finding by itself.
        if network_of(&process)? == Some(home)
            && let Some(table) = sockets(&process)?
            && let Some(devices) = devices(&process)?
        {
            sight.tables.push((home, table));
            sight.devices.insert(node, devices);
        }
    }
    let holder = namespaces.map(Namespaces::holder);
    let relations = relations()?;
    let parties = parties(nodes, &sight.homes, &relations, holder);
    // One that is just being born holds what this process held a moment ago.
    let children =
        relations.iter().filter(|one| u32::try_from(one.parent) == Ok(std::process::id()));
    for child in children.filter(|child| parties.iter().all(|party| party.pid != child.pid)) {
        let held = held_by(&child.pid.to_string())?.unwrap_or_default();
        sight.note(&held, Holder::Harness);
    }
    if sight.homes.is_empty() {
        for pid in strays(&relations, &parties, guardian) {
            // It need not be a node's, and then nothing need be known of it.
            let held = held_by(&pid.to_string()).ok().flatten().unwrap_or_default();
            sight.note(&held, Holder::Stray(pid));
        }
    }
    for party in parties {
        let process = party.pid.to_string();
        let network = match network_of(&process) {
            // A kernel without namespaces, where nobody needs one.
            Err(_) if sight.homes.is_empty() => None,
            seen => seen?,
        };
        sight.residents.extend(network.map(|network| (party, network)));
        let held = held_by(&process)?.unwrap_or_default();
        sight.note(&held, Holder::Node(party));
    }
    let own = held_by("self")?.unwrap_or_default();
    sight.note(&own, Holder::Harness);
    Ok(sight)
}

impl Sight {
    fn note(&mut self, held: &[u64], holder: Holder) {
        for inode in held {
            self.holders.entry(*inode).or_default().push(holder);
        }
    }
}

/// What a process is to others.
struct Relation {
    pid: i32,
    parent: i32,
    group: i32,
    started: u64,
}

/// Every process of each node: in its group, started by one of them, or, of those that have left their group and lost
/// their parent, at home in its network.
fn parties(
    nodes: &BTreeMap<NodeId, i32>,
    homes: &BTreeMap<NodeId, Network>,
    relations: &[Relation],
    holder: Option<i32>,
) -> Vec<Party> {
    let leaders: BTreeMap<i32, NodeId> = nodes.iter().map(|(node, pid)| (*pid, *node)).collect();
    let parents: BTreeMap<i32, &Relation> = relations.iter().map(|one| (one.pid, one)).collect();
    let by_kin = |pid: i32| {
        let ancestors = std::iter::successors(parents.get(&pid), |one| parents.get(&one.parent));
        let ancestors = ancestors.take(DEEPEST);
        let mut kin = ancestors.flat_map(|one| [one.pid, one.group]);
        kin.find_map(|one| leaders.get(&one).copied())
    };
    let at_home = |pid: i32| {
        // Of a process of somebody else nothing may be known, and need not.
        let network = network_of(&pid.to_string()).ok().flatten()?;
        homes.iter().find(|(_, home)| **home == network).map(|(node, _)| *node)
    };
    let strangers = [i32::try_from(std::process::id()).ok(), holder];
    let others = relations.iter().filter(|one| !strangers.contains(&Some(one.pid)));
    let party = |one: &Relation| {
        let pid = one.pid;
        let node = by_kin(pid).or_else(|| at_home(pid))?;
        Some(Party { node, pid })
    };
    others.filter_map(party).collect()
}

/// Those below the guardian that are no node's, as far as that can be seen.
fn strays(relations: &[Relation], parties: &[Party], guardian: Option<i32>) -> Vec<i32> {
    let Some(guardian) = guardian else { return Vec::new() };
    let parents: BTreeMap<i32, i32> = relations.iter().map(|one| (one.pid, one.parent)).collect();
    let is_below = |pid: i32| {
        let ancestors = std::iter::successors(parents.get(&pid), |one| parents.get(one));
        ancestors.take(DEEPEST).any(|one| *one == guardian)
    };
    let known = |pid: i32| parties.iter().any(|party| party.pid == pid);
    let pids = relations.iter().map(|one| one.pid);
    pids.filter(|pid| is_below(*pid) && !known(*pid)).collect()
}

fn relations() -> Result<Vec<Relation>, String> {
    let all = std::fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(relation).collect())
}

fn relation(pid: i32) -> Option<Relation> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Whatever a process calls itself stands before the last parenthesis; after it come state, parent and group, and as
    // the twentieth when it started.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(1);
    let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Relation { pid, parent, group, started: fields.nth(16)?.parse().ok()? })
}

/// The sockets that a process holds, by their inodes; none if it is gone.
fn held_by(process: &str) -> Result<Option<Vec<u64>>, String> {
    let folder = format!("/proc/{process}/fd");
    let Some(open) = unless_gone(process, &folder, std::fs::read_dir(&folder))? else {
        return Ok(None);
    };
    let socket = |entry: std::fs::DirEntry| {
        let to = std::fs::read_link(entry.path()).ok()?;
        to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    Ok(Some(open.flatten().filter_map(socket).collect()))
}

/// The network that a process is in; none if it is gone.
fn network_of(process: &str) -> Result<Option<Network>, String> {
    let link = format!("/proc/{process}/ns/net");
    let seen = unless_gone(process, &link, stat(link.as_str()).map_err(io::Error::from))?;
    Ok(seen.map(|seen| seen.st_ino))
}

/// All sockets for TCP in the network of a process; none if it is gone. The kernel walks through a table of the whole
/// machine for each of the two kinds, which takes milliseconds, so the second one is left out where there are none of it.
fn sockets(process: &str) -> Result<Option<Vec<Entry>>, String> {
    let Some(mut sockets) = table_of(process, "tcp")? else { return Ok(None) };
    let place = format!("/proc/{process}/net/sockstat6");
    // A kernel without IPv6 does not count such sockets either.
    let counts = std::fs::read_to_string(&place).unwrap_or_default();
    if counts.lines().any(|line| line.starts_with("TCP6:") && line != "TCP6: inuse 0") {
        sockets.extend(table_of(process, "tcp6")?.unwrap_or_default());
    }
    Ok(Some(sockets))
}

fn table_of(process: &str, kind: &str) -> Result<Option<Vec<Entry>>, String> {
    let place = format!("/proc/{process}/net/{kind}");
    let text = unless_gone(process, &place, std::fs::read_to_string(&place))?;
    let table = text.map(|text| table::parse(&text).map_err(|why| format!("{place}: {why}")));
    table.transpose()
}

/// The names of all devices in the network of a process; none if it is gone.
fn devices(process: &str) -> Result<Option<Vec<String>>, String> {
    let place = format!("/proc/{process}/net/dev");
    let text = unless_gone(process, &place, std::fs::read_to_string(&place))?;
    let name = |line: &str| line.split_once(':').map(|(name, _)| name.trim().to_owned());
    Ok(text.map(|text| text.lines().filter_map(name).collect()))
}

/// What was read of a process; none if it has ended, whatever the kernel says to a reader who comes at that moment.
fn unless_gone<T>(process: &str, what: &str, read: io::Result<T>) -> Result<Option<T>, String> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(_) if has_ended(process) => Ok(None),
        Err(error) => Err(format!("{what}: {error}")),
    }
}

fn has_ended(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::{has_ended, held_by, network_of, parties, relations, sockets, table_of};
    use faults::netns::{self, Namespaces};
    use history::NodeId;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::collections::{BTreeMap, BTreeSet};
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    const NODE: NodeId = NodeId(1);
    /// One child in the group, one in a session of its own, one in the group that has lost its parent, and one that has
    /// lost both; says which.
    const FAMILY: &str = "sleep 600 & echo $!; setsid sleep 600 & echo $!; sh -c 'sleep 600 & echo $!'; \
                          setsid sh -c 'sleep 600 & echo $!'; echo done; wait";

    struct Family {
        leader: Child,
        others: Vec<i32>,
    }

    impl Family {
        fn start(mut command: Command) -> Self {
            command.args(["-c", FAMILY]).stdout(Stdio::piped()).process_group(0);
            let mut leader = command.spawn().unwrap();
            let lines = BufReader::new(leader.stdout.take().unwrap()).lines();
            let others = lines.map_while(Result::ok).map_while(|line| line.parse().ok()).collect();
            Self { leader, others }
        }

        fn leader(&self) -> i32 {
            i32::try_from(self.leader.id()).unwrap()
        }
    }

    impl Drop for Family {
        fn drop(&mut self) {
            for pid in &self.others {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            let _ = self.leader.kill();
            let _ = self.leader.wait();
        }
    }

    #[test]
    fn who_has_ended_is_passed_over_and_what_cannot_be_read_is_an_error() {
        let mut ended = Command::new("true").spawn().unwrap();
        let process = ended.id().to_string();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !has_ended(&process) {
            assert!(Instant::now() < deadline, "`true` does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
        // As a zombie, and reaped.
        for _ in 0..2 {
            assert_eq!(network_of(&process), Ok(None));
            assert!(held_by(&process).unwrap().unwrap_or_default().is_empty());
            assert!(sockets(&process).unwrap().is_none());
            ended.wait().unwrap();
        }
        let error = table_of("self", "no such table").unwrap_err();
        assert!(error.starts_with("/proc/self/net/no such table: No such file"), "{error}");
    }

    #[test]
    fn of_a_node_are_its_group_its_descendants_and_who_lives_at_its_home() {
        let found = |family: &Family, homes: &BTreeMap<NodeId, u64>| {
            let nodes = BTreeMap::from([(NODE, family.leader())]);
            let parties = parties(&nodes, homes, &relations().unwrap(), None);
            assert!(parties.iter().all(|party| party.node == NODE));
            parties.into_iter().map(|party| party.pid).collect::<BTreeSet<i32>>()
        };
        let family = Family::start(Command::new("/bin/sh"));
        let [in_group, descendant, orphan_in_group, orphan] = family.others[..] else {
            panic!("{:?}", family.others)
        };
        let kin = BTreeSet::from([family.leader(), in_group, descendant, orphan_in_group]);
        assert_eq!(found(&family, &BTreeMap::new()), kin);
        assert!(relations().unwrap().iter().any(|one| one.pid == orphan), "it lives");
        if let Err(why) = netns::probe() {
            return writeln!(std::io::stderr().lock(), "skipped: {why}").unwrap();
        }
        let namespaces = Namespaces::start(&[NODE]).unwrap();
        let door = namespaces.door(NODE).unwrap();
        let mut command = Command::new("/bin/sh");
        // SAFETY: system calls only between fork and exec.
        unsafe { command.pre_exec(move || Ok(door.enter()?)) };
        let family = Family::start(command);
        let home = network_of(&family.leader().to_string()).unwrap().unwrap();
        // The process that makes the namespace is in it too, and none of the node.
        let all = found(&family, &BTreeMap::from([(NODE, home)]));
        let wanted = family.others.iter().copied().chain([family.leader(), namespaces.holder()]);
        assert_eq!(all, wanted.collect());
        let nodes = BTreeMap::from([(NODE, family.leader())]);
        let holder = Some(namespaces.holder());
        let parties = parties(&nodes, &[(NODE, home)].into(), &relations().unwrap(), holder);
        assert_eq!(parties.len(), 5);
    }
}
