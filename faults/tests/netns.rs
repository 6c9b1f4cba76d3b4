//! Nodes in network namespaces of their own: the hub tells who is calling though each node has one address for all, and
//! nothing crosses a link that is cut. The nodes are this very program, started again as [`program`] through a door, so
//! it is one of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use faults::netns::{Namespaces, address, probe};
use faults::proxy::{Hub, Upstream};
use faults::{Accept, Counters, Heal, Link, Plan, Rule};
use history::NodeId;
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PORT: u16 = 2380;
const NOBODY: u32 = 65534;
/// The variable that makes [`program`] one, and says which node it is.
const NODE: &str = "NETNS_TEST_NODE";
/// Stands before what a program has to say, because the frame of tests writes to the same place.
const MARK: &str = "@ ";
/// The longest that a program waits for an answer to a call.
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough that what is not held would have arrived.
const QUIET: Duration = Duration::from_millis(150);
const REQUEST: &[u8; 8] = b"who am I";

async fn soon<T>(what: &str, doing: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, doing).await.unwrap_or_else(|_| panic!("{what}: nothing came"))
}

fn node(number: u16) -> NodeId {
    NodeId(number)
}

fn link(from: u16, to: u16) -> Link {
    Link::new(node(from), node(to))
}

fn place(node: NodeId) -> SocketAddr {
    SocketAddrV4::new(address(node), PORT).into()
}

/// This test program again, for one of its tests, which is ignored otherwise.
fn again(executable: &Path, test: &str) -> Command {
    let mut command = Command::new(executable);
    command.args(["--exact", test, "--include-ignored", "--nocapture", "--test-threads=1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// A child that is told lines and says lines, and is gone with this value.
struct Program {
    child: Child,
    orders: ChildStdin,
    says: Receiver<String>,
}

impl Program {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (said, says) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some((_, said_so)) = line.split_once(MARK) {
                    let _ = said.send(said_so.to_owned());
                }
            }
        });
        Self { child, orders, says }
    }

    fn hear(&self) -> String {
        self.says.recv_timeout(2 * PATIENCE).unwrap()
    }

    fn ask(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        self.hear()
    }

    /// Calls a node so many times at once, and waits so long for answers. The connections stay.
    fn call(&mut self, target: u16, count: usize, wait: Duration) -> String {
        self.ask(&format!("call {} {count} {}", place(node(target)), wait.as_millis()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the kernel lets this user, or this process's, have a network namespace; asked without the code that is tested.
fn is_allowed(user: Option<u32>) -> bool {
    use nix::sched::{CloneFlags, unshare};
    let mut command = Command::new("true");
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let attempt = || {
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            unshare(CloneFlags::CLONE_NEWUSER)?;
            unshare(CloneFlags::CLONE_NEWNET)?;
        }
        Ok(())
    };
    // SAFETY: only system calls between fork and exec.
    unsafe { command.pre_exec(attempt) };
    command.status().is_ok_and(|status| status.success())
}

/// Whether there can be no namespaces here; says why.
fn is_missing() -> bool {
    let Err(why) = probe() else { return false };
    assert!(!is_allowed(None), "{why}");
    writeln!(std::io::stderr().lock(), "skipped: {why}").unwrap();
    true
}

struct Lab {
    programs: BTreeMap<u16, Program>,
    hub: Hub,
    namespaces: Namespaces,
}

impl Lab {
    /// None, having said why, where namespaces are forbidden.
    fn new(count: u16) -> Option<Self> {
        if is_missing() {
            return None;
        }
        let nodes: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let namespaces = Namespaces::start(&nodes).unwrap();
        let hub = Hub::start_within(&namespaces, &[PORT]).unwrap();
        let mut programs = BTreeMap::new();
        for &node in &nodes {
            let mut command = again(&std::env::current_exe().unwrap(), "program");
            command.env(NODE, node.0.to_string());
            let door = namespaces.door(node).unwrap();
            let prepare = move || {
                door.enter()?;
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                Ok(())
            };
            // SAFETY: only system calls between fork and exec.
            unsafe { command.pre_exec(prepare) };
            let program = Program::start(command);
            assert_eq!(program.hear(), "listening");
            programs.insert(node.0, program);
            hub.set_upstream(node, Some(Upstream { peer: place(node), client: place(node) }));
        }
        Some(Self { programs, hub, namespaces })
    }

    fn call(&mut self, dialler: u16, target: u16, count: usize, wait: Duration) -> String {
        self.programs.get_mut(&dialler).unwrap().call(target, count, wait)
    }

    fn counters(&self, from: u16, to: u16) -> Counters {
        self.hub.counters(link(from, to)).unwrap()
    }
}

/// That all calls were answered, and to whom the answerer says it spoke.
fn answered(count: usize, source: Ipv4Addr) -> String {
    format!("answered {count} as {source}")
}

fn own(number: u16) -> Ipv4Addr {
    address(node(number))
}

#[tokio::test]
async fn a_cut_between_namespaces_stops_every_byte() {
    let Some(mut lab) = Lab::new(3) else { return };
    let pairs = [(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)];
    for (dialler, target) in pairs {
        let heard = lab.call(dialler, target, 1, PATIENCE);
        assert_eq!(heard, answered(1, own(dialler)), "{dialler} calls {target}");
    }
    // Each link carried its dialler's request and its answer to the other's: nothing went past the hub, or by another link.
    let settled = lab.hub.apply(Plan::default()).await.unwrap().counters;
    for (from, to) in pairs {
        assert_eq!(settled[&link(from, to)].forwarded_bytes, 8 + 12, "{from} to {to}");
    }
    let cut = [link(1, 2), link(2, 1)];
    let before = lab.hub.apply(Plan::hold(cut, Heal::Deliver)).await.unwrap();
    let program = lab.programs.get_mut(&1).unwrap();
    let heard = program.ask(&format!("again {} 500", place(node(2))));
    assert_eq!(heard, "silent 1", "the connection that there was");
    assert_eq!(lab.call(1, 2, 2, QUIET), "silent 2");
    assert_eq!(lab.call(2, 1, 2, QUIET), "silent 2");
    for (dialler, target) in [(1, 3), (3, 2)] {
        assert_eq!(lab.call(dialler, target, 1, PATIENCE), answered(1, own(dialler)));
    }
    let after = lab.hub.apply(Plan::default()).await.unwrap();
    let passed = |link: Link| after.counters[&link].since(&before.counters[&link]);
    for link in cut {
        let passed = passed(link);
        assert_eq!(passed.forwarded_bytes, 0, "{passed:?}");
        assert_eq!(passed.hung, 2, "it was tried");
    }
    assert!(passed(link(1, 2)).read_bytes >= 8, "{:?}", passed(link(1, 2)));
    assert_eq!(lab.call(1, 2, 1, PATIENCE), answered(1, own(1)));
    assert_eq!(lab.call(2, 1, 1, PATIENCE), answered(1, own(2)));
}

fn calls_are(accept: Accept) -> Plan {
    Plan { rules: [(link(1, 2), Rule::accepting(accept))].into(), ..Plan::default() }
}

#[tokio::test]
async fn a_port_in_a_namespace_treats_callers_as_the_plan_says() {
    let Some(mut lab) = Lab::new(2) else { return };
    for (accept, heard) in
        [(Accept::Hang, "silent 1"), (Accept::Refuse, "refused 1"), (Accept::Reset, "reset 1")]
    {
        lab.hub.apply(calls_are(accept)).await.unwrap();
        assert_eq!(lab.call(1, 2, 1, QUIET), heard);
        assert_eq!(lab.call(2, 1, 1, PATIENCE), answered(1, own(2)), "not called so");
        lab.hub.apply(Plan::default()).await.unwrap();
    }
    // One after the other, with more sockets than the holder makes at a time.
    for round in 1..20 {
        for accept in [Accept::Hang, Accept::Refuse, Accept::Reset, Accept::Serve] {
            if let Err(error) = lab.hub.apply(calls_are(accept)).await {
                panic!("{accept:?} in round {round}: {error}");
            }
        }
    }
    assert_eq!(lab.call(1, 2, 1, PATIENCE), answered(1, own(1)));
    // Each of the twenty times the hub calls the port itself to see that it is closed, at the beginning and at the end.
    assert_eq!(lab.counters(1, 2).closed, 40);
}

#[tokio::test]
async fn of_500_connections_each_is_known_by_its_caller() {
    let Some(mut lab) = Lab::new(3) else { return };
    for (dialler, count) in [(2, 200), (3, 300)] {
        let heard = lab.call(dialler, 1, count, PATIENCE);
        assert_eq!(heard, answered(count, own(dialler)));
        let counters = lab.counters(dialler, 1);
        assert_eq!((counters.opened, counters.forwarded_bytes), (count as u64, count as u64 * 8));
    }
    assert_eq!(lab.hub.connections(), 500);
}

#[tokio::test]
async fn a_client_reaches_a_node_in_a_namespace_and_is_no_node() {
    let Some(lab) = Lab::new(2) else { return };
    let at = lab.hub.client_address(node(2)).unwrap();
    let mut stream = soon("connect", TcpStream::connect(at)).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    let mut answer = [0; 12];
    soon("an answer", stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!((&answer[..4], &answer[4..]), (&[127, 0, 0, 1][..], &REQUEST[..]));
    assert_eq!(lab.hub.client_counters(node(2)).unwrap().inward.forwarded_bytes, 8);
    lab.hub.set_upstream(node(2), None);
    // The reset may come before the connection is known to be there.
    let calling = async { TcpStream::connect(at).await?.read(&mut answer).await };
    let end = soon("an end", calling).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset, "a node that is down");
}

#[test]
fn a_hub_without_a_port_to_call_at_is_refused() {
    let Some(lab) = Lab::new(1) else { return };
    for ports in [&[][..], &[PORT, 0]] {
        let error = Hub::start_within(&lab.namespaces, ports).unwrap_err().to_string();
        assert!(error.contains("peers need a port"), "{error}");
    }
}

#[test]
fn somebody_who_is_not_root_has_namespaces_too() {
    let mut output = std::io::stderr().lock();
    if !nix::unistd::geteuid().is_root() {
        return writeln!(output, "skipped: who is not root sees it in the other tests").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let executable = folder.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &executable).unwrap();
    let mut command = again(&executable, "a_cut_between_namespaces_stops_every_byte");
    command.current_dir("/").uid(NOBODY).gid(NOBODY).stderr(Stdio::piped());
    let run = command.output().unwrap();
    let [said, why] = [run.stdout, run.stderr].map(|text| String::from_utf8(text).unwrap());
    if let Some((_, why)) = why.split_once("skipped: ") {
        assert!(!is_allowed(Some(NOBODY)), "{why}");
        return writeln!(output, "skipped: {why}").unwrap();
    }
    assert!(run.status.success() && said.contains("1 passed"), "{said}\n{why}");
}

#[test]
fn nothing_is_left_of_a_harness_that_is_killed() {
    if is_missing() {
        return;
    }
    let mut command = again(&std::env::current_exe().unwrap(), "harness");
    command.env(NODE, "harness");
    let mut harness = Program::start(command);
    let rooms: BTreeSet<String> = harness.hear().split(' ').map(str::to_owned).collect();
    assert_eq!(rooms.len(), 3);
    assert!(users_of(&rooms) >= 3, "a holder, and the descriptors of two namespaces");
    harness.child.kill().unwrap();
    harness.child.wait().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while users_of(&rooms) > 0 {
        assert!(Instant::now() < deadline, "somebody still has them");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn where_the_kernel_forbids_it_the_reason_is_told() {
    if is_missing() {
        return;
    }
    // In a user namespace of its own a process may forbid itself to have any network namespace.
    let mut command = again(&std::env::current_exe().unwrap(), "forbidden");
    command.env(NODE, "forbidden");
    let maps = [("uid", nix::unistd::geteuid().as_raw()), ("gid", nix::unistd::getegid().as_raw())]
        .map(|(kind, id)| (format!("/proc/self/{kind}_map"), format!("{id} {id} 1")));
    let set = |file: &str, text: &str| {
        use nix::fcntl::{OFlag, open};
        let file = open(file, OFlag::O_WRONLY, nix::sys::stat::Mode::empty())?;
        nix::unistd::write(file, text.as_bytes()).map(drop)
    };
    let prepare = move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER)?;
        set("/proc/self/setgroups", "deny")?;
        for (file, text) in &maps {
            set(file, text)?;
        }
        set("/proc/sys/user/max_net_namespaces", "0")?;
        Ok(())
    };
    // SAFETY: only system calls between fork and exec: the texts are there already.
    unsafe { command.pre_exec(prepare) };
    let why = Program::start(command).hear();
    let begin = "entering a network namespace is not possible here (ENOSPC";
    assert!(why.starts_with(begin) && why.contains("; run as root, or allow"), "{why}");
}

/// Not a test but a process of one: says why it has no namespaces.
#[test]
#[ignore = "a program that other tests start"]
fn forbidden() {
    if std::env::var(NODE).is_ok() {
        println!("{MARK}{}", probe().unwrap_err());
    }
}

/// How many processes are in one of these namespaces or bear this id, and how many descriptors there are of the namespaces.
fn users_of(rooms: &BTreeSet<String>) -> usize {
    let reads = |link: &Path| {
        std::fs::read_link(link).is_ok_and(|to| rooms.contains(to.to_str().unwrap_or_default()))
    };
    let mut users = 0;
    for process in std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()) {
        let is_alive = reads(&process.join("ns/net"));
        let descriptors = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        users += usize::from(is_alive);
        users += descriptors.filter(|entry| reads(&entry.path())).count();
        let name = process.file_name().and_then(|name| name.to_str()).map(|id| format!("pid:{id}"));
        let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
        let is_dead = stat.rsplit_once(')').is_none_or(|(_, rest)| rest.starts_with(" Z"));
        users += usize::from(name.is_some_and(|name| rooms.contains(&name)) && !is_dead);
    }
    users
}

/// Not a test but a process of one: holds namespaces until it is killed.
#[test]
#[ignore = "a program that other tests start"]
fn harness() {
    if std::env::var(NODE).is_err() {
        return;
    }
    let nodes = [node(1), node(2)];
    let namespaces = Namespaces::start(&nodes).unwrap();
    let names = nodes.map(|node| {
        use std::os::fd::AsRawFd;
        let door = namespaces.door(node).unwrap();
        let net = door.descriptors().1.as_raw_fd();
        std::fs::read_link(format!("/proc/self/fd/{net}")).unwrap().to_str().unwrap().to_owned()
    });
    println!("{MARK}{} pid:{}", names.join(" "), namespaces.holder());
    std::thread::sleep(6 * PATIENCE);
}

/// Not a test but a node of one: answers each caller with the address it sees and what it was sent, and calls others when
/// it is told to.
#[test]
#[ignore = "a program that other tests start"]
fn program() {
    let Ok(number) = std::env::var(NODE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let own = place(NodeId(number.parse().unwrap()));
        let listener = TcpListener::bind(own).await.unwrap();
        tokio::spawn(async move {
            while let Ok((stream, source)) = listener.accept().await {
                tokio::spawn(answer(stream, source.ip()));
            }
        });
        println!("{MARK}listening");
        let mut orders = tokio::io::BufReader::new(tokio::io::stdin()).lines();
        let mut kept: BTreeMap<String, Vec<TcpStream>> = BTreeMap::new();
        while let Ok(Some(order)) = orders.next_line().await {
            let words: Vec<&str> = order.split(' ').collect();
            let (target, wait) = (words[1].to_owned(), words.last().unwrap().parse().unwrap());
            let streams: Vec<Option<TcpStream>> = match words[0] {
                "again" => kept.remove(&target).unwrap_or_default().into_iter().map(Some).collect(),
                _ => (0..words[2].parse().unwrap()).map(|_| None).collect(),
            };
            let calls = streams.into_iter().map(|stream| {
                tokio::spawn(call(stream, target.clone(), Duration::from_millis(wait)))
            });
            let mut heard: BTreeMap<String, usize> = BTreeMap::new();
            for call in calls.collect::<Vec<_>>() {
                let (what, stream) = call.await.unwrap();
                *heard.entry(what).or_default() += 1;
                kept.entry(target.clone()).or_default().extend(stream);
            }
            let says = heard.iter().map(|(what, count)| match what.split_once(' ') {
                Some((what, more)) => format!("{what} {count} {more}"),
                None => format!("{what} {count}"),
            });
            println!("{MARK}{}", says.collect::<Vec<_>>().join(", "));
        }
    });
}

async fn answer(mut stream: TcpStream, source: IpAddr) {
    let IpAddr::V4(source) = source else { return };
    let mut request = [0; REQUEST.len()];
    while stream.read_exact(&mut request).await.is_ok() {
        let answer = [&source.octets()[..], &request].concat();
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// What came of one call: in a word, and if it was answered by whom it was taken for.
async fn call(
    stream: Option<TcpStream>,
    target: String,
    wait: Duration,
) -> (String, Option<TcpStream>) {
    let calling = async {
        let mut stream = match stream {
            Some(stream) => stream,
            None => TcpStream::connect(&target).await?,
        };
        stream.write_all(REQUEST).await?;
        let mut answer = [0; 4 + REQUEST.len()];
        stream.read_exact(&mut answer).await?;
        assert_eq!(&answer[4..], REQUEST);
        let [a, b, c, d, ..] = answer;
        Ok::<_, std::io::Error>((format!("answered as {}", Ipv4Addr::new(a, b, c, d)), stream))
    };
    match tokio::time::timeout(wait, calling).await {
        Ok(Ok((what, stream))) => (what, Some(stream)),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => ("refused".into(), None),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset => ("reset".into(), None),
        Ok(Err(error)) => (format!("failed {error}"), None),
        Err(_) => ("silent".into(), None),
    }
}
