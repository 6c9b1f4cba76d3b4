//! The audit on made-up sights, and on processes that are what it looks for. Those are this test program again, as
//! [`stand_in`].

use super::sight::{Holder, Sight};
use super::table::{Entry, State};
use super::{Leak, Party, audit, leaks, strangers};
use crate::deploy::DeployError;
use crate::exit::{Exit, Failure};
use faults::netns::{self, Namespaces};
use history::NodeId;
use nix::sys::socket::{Backlog, SockaddrIn, bind, listen};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Set for a copy of this test program that is a node: what it is to do.
const ORDER: &str = "AUDIT_TEST_ORDER";
const MACHINE: u64 = 1;

fn party(node: u16, pid: i32) -> Party {
    Party { node: NodeId(node), pid }
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn entry(local: &str, remote: &str, inode: u64) -> Entry {
    Entry { local: at(local), remote: at(remote), state: State::Connected, inode }
}

fn listening(local: &str, inode: u64) -> Entry {
    Entry { state: State::Listening, ..entry(local, "0.0.0.0:0", inode) }
}

/// Two nodes, n1 in network 11 and n2 in 12, each with a connection to itself and one to the other through the hub.
fn clean() -> Sight {
    let [one, other] = [party(1, 100), party(2, 200)];
    let table = vec![
        entry("10.77.0.2:50", "10.77.0.2:2380", 1),
        entry("10.77.0.2:2380", "10.77.0.2:50", 2),
        listening("10.77.0.2:2380", 3),
        entry("127.0.0.1:60", "127.0.0.1:61", 4),
        entry("127.0.0.1:61", "127.0.0.1:60", 5),
        // Not accepted yet: by the hub, and by the node itself.
        entry("10.77.0.2:51", "10.77.0.2:2380", 6),
        entry("10.77.0.2:2380", "10.77.0.2:51", 0),
        entry("10.77.0.1:52", "10.77.0.1:2379", 7),
        listening("0.0.0.0:2379", 8),
    ];
    let mine = Holder::Node(one);
    let holders = [(1, mine), (2, Holder::Harness), (3, Holder::Harness), (4, mine), (5, mine)];
    let holders = holders.into_iter().chain([(6, mine), (7, mine), (8, mine)]);
    Sight {
        machine: MACHINE,
        homes: [(one.node, 11), (other.node, 12)].into(),
        residents: vec![(one, 11), (other, 12)],
        tables: vec![(MACHINE, Vec::new()), (11, table), (12, Vec::new())],
        holders: holders.map(|(inode, holder)| (inode, vec![holder])).collect(),
        devices: [(one.node, vec!["lo".to_owned()]), (other.node, vec!["lo".to_owned()])].into(),
    }
}

fn found(sight: &Sight) -> Vec<String> {
    leaks(sight).iter().map(Leak::to_string).collect()
}

#[test]
fn what_goes_through_the_hub_is_no_leak() {
    let sight = clean();
    assert_eq!(found(&sight), Vec::<String>::new());
    assert!(strangers(&sight).is_empty(), "{:?}", strangers(&sight));
}

#[test]
fn an_end_of_another_node_is_a_leak_wherever_it_is() {
    let mut sight = clean();
    sight.holders.insert(2, vec![Holder::Harness, Holder::Node(party(2, 201))]);
    let in_home = "10.77.0.2:50 to 10.77.0.2:2380 in the network of n1";
    let wanted = [
        format!("n1 (process 100) is connected to n2 (process 201) past the proxies, {in_home}"),
        "n2 (process 201) holds a socket in the network of n1, 10.77.0.2:2380 to 10.77.0.2:50"
            .to_owned(),
    ];
    assert_eq!(found(&sight), wanted);
    // Not accepted yet, by another node.
    let mut sight = clean();
    sight.holders.insert(3, vec![Holder::Node(party(2, 200))]);
    assert!(found(&sight).iter().any(|leak| leak.contains("10.77.0.2:51 to 10.77.0.2:2380 in")));
    // In the network that all share; seen from either end it is one.
    let mut sight = Sight { machine: MACHINE, ..Sight::default() };
    let [one, other] = ["127.0.0.1:5", "127.0.0.1:6"];
    sight.tables = vec![(MACHINE, vec![entry(other, one, 21), entry(one, other, 22)])];
    sight.holders = [(21, vec![Holder::Node(party(2, 200))])].into();
    sight.holders.insert(22, vec![Holder::Harness]);
    assert_eq!(found(&sight), Vec::<String>::new());
    sight.holders.insert(22, vec![Holder::Node(party(1, 100))]);
    let wanted = "n1 (process 100) is connected to n2 (process 200) past the proxies, \
                  127.0.0.1:5 to 127.0.0.1:6 in the network of the harness";
    assert_eq!(found(&sight), [wanted]);
    // One end is on its way out.
    sight.tables[0].1[1].state = State::Ending;
    assert_eq!(found(&sight), [wanted]);
}

#[test]
fn in_a_network_that_all_share_no_socket_has_two_nodes_and_nobody_is_elsewhere() {
    let [one, other] = [party(1, 100), party(2, 200)];
    let mut sight = Sight { machine: MACHINE, ..Sight::default() };
    sight.residents = vec![(one, MACHINE), (other, MACHINE)];
    // Each calls the other through the hub: the address by which it is known, and from there on the hub.
    let table = vec![
        entry("127.130.5.1:50", "127.130.4.2:2380", 1),
        entry("127.130.4.2:2380", "127.130.5.1:50", 2),
        entry("127.130.4.1:51", "127.130.5.2:2380", 3),
        entry("127.130.5.2:2380", "127.130.4.1:51", 4),
        listening("127.130.4.2:2380", 5),
        listening("127.130.5.2:2380", 6),
    ];
    sight.tables = vec![(MACHINE, table)];
    let holders = [(1, Holder::Node(one)), (2, Holder::Harness), (3, Holder::Harness)];
    let holders = holders.into_iter().chain([(4, Holder::Node(other)), (5, Holder::Harness)]);
    sight.holders = holders.map(|(inode, holder)| (inode, vec![holder])).collect();
    sight.holders.insert(6, vec![Holder::Node(other), Holder::Node(party(2, 201))]);
    assert_eq!(found(&sight), Vec::<String>::new());
    assert!(strangers(&sight).is_empty());
    sight.holders.insert(1, vec![Holder::Node(other), Holder::Node(one)]);
    let wanted = "n1 (process 100) and n2 (process 200) hold the same socket, \
                  127.130.5.1:50 to 127.130.4.2:2380 in the network of the harness";
    assert_eq!(found(&sight), [wanted]);
    sight.holders.insert(1, vec![Holder::Node(one)]);
    // Past the hub, not accepted yet.
    sight.tables[0].1.push(entry("127.130.5.1:52", "127.130.5.2:2380", 7));
    sight.holders.insert(7, vec![Holder::Node(one)]);
    let wanted = "n1 (process 100) is connected to n2 (process 200) past the proxies, \
                  127.130.5.1:52 to 127.130.5.2:2380 in the network of the harness";
    assert!(found(&sight).contains(&wanted.to_owned()), "{:?}", found(&sight));
    sight.tables[0].1.pop();
    sight.residents[1].1 = 99;
    let wanted = "n2 (process 200) is not in the network of its node but in a network that is not of this run";
    assert_eq!(found(&sight), [wanted]);
}

#[test]
fn a_home_has_its_own_people_and_leads_nowhere() {
    let mut sight = clean();
    sight.residents.extend([(party(1, 101), 12), (party(1, 102), MACHINE), (party(2, 202), 99)]);
    sight.devices.insert(NodeId(2), vec!["lo".to_owned(), "eth0".to_owned()]);
    let wanted = [
        "n1 (process 101) is not in the network of its node but in the network of n2",
        "n1 (process 102) is not in the network of its node but in the network of the harness",
        "n2 (process 202) is not in the network of its node but in a network that is not of this run",
        "the network of n2 has a device besides lo: eth0",
    ];
    assert_eq!(found(&sight), wanted);
}

#[test]
fn who_holds_what_nobody_holds_is_asked_twice() {
    let mut sight = clean();
    sight.holders.remove(&2);
    assert_eq!(found(&sight), Vec::<String>::new(), "it may have been closed meanwhile");
    let strangers = strangers(&sight);
    assert_eq!(strangers.keys().collect::<Vec<_>>(), [&2]);
    let wanted = "nobody of this run holds the end 10.77.0.2:2380 of a connection to 10.77.0.2:50 in the network of n1";
    assert_eq!(strangers[&2].to_string(), wanted);
    // In the network that all share there may be anybody.
    sight.homes.clear();
    assert!(super::strangers(&sight).is_empty());
}

/// A node: a process of this test program, which ends with the value.
struct Node(Child);

impl Node {
    /// Starts one and waits until it has done as it is told.
    fn start(mut command: Command, order: &str) -> Self {
        command.args(["--exact", "deploy::audit::tests::stand_in", "--ignored", "--nocapture"]);
        command.env(ORDER, order).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let done = lines.map_while(Result::ok).any(|line| line.contains("done"));
        assert!(done, "{order}");
        Self(child)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn own() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

/// Not a test but a node of one: calls where it is told, or nobody, and waits for its end.
#[test]
#[ignore = "a program that other tests start"]
fn stand_in() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let called = order.strip_prefix("call ").map(|at| TcpStream::connect(at).unwrap());
    println!("done");
    let _ = std::io::stdin().read_line(&mut String::new());
    drop(called);
}

/// As the processes of n1 and n2.
fn seen(nodes: [&Node; 2], namespaces: Option<&Namespaces>) -> Result<usize, DeployError> {
    seen_below(nodes, namespaces, None)
}

fn seen_below(
    nodes: [&Node; 2],
    namespaces: Option<&Namespaces>,
    guardian: Option<i32>,
) -> Result<usize, DeployError> {
    let pids: BTreeMap<NodeId, i32> =
        [1, 2].map(NodeId).into_iter().zip(nodes.map(Node::pid)).collect();
    audit(|| pids.clone(), namespaces, guardian)
}

/// Has the child that is started next inherit these descriptors.
fn with(mut command: Command, fds: Vec<i32>) -> Command {
    let inherit = move || {
        for fd in &fds {
            // SAFETY: a plain system call on a number that is open in this child.
            if unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: one system call a descriptor between fork and exec.
    unsafe { command.pre_exec(inherit) };
    command
}

#[test]
fn a_node_that_calls_another_is_seen() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let caller = Node::start(own(), &format!("call {at}"));
    let other = Node::start(own(), "wait");
    let accepted = listener.accept().unwrap().0;
    assert!(seen([&caller, &other], None).unwrap() > 0, "this process has the other end");
    let callee = Node::start(with(own(), vec![accepted.as_raw_fd()]), "wait");
    let error = seen([&caller, &callee], None).unwrap_err();
    let DeployError::Bypassed(leaks) = &error else { panic!("{error}") };
    let [Leak::Direct { between, ends, .. }] = leaks.as_slice() else { panic!("{leaks:?}") };
    let mut wanted = [(party(1, caller.pid()), false), (party(2, callee.pid()), true)];
    wanted.sort();
    assert_eq!(*between, wanted.map(|(party, _)| party));
    assert_eq!(wanted.map(|(_, called)| called), ends.map(|end| end == at));
    let failure = Failure::from(error);
    assert_eq!(failure.exit, Exit::Error);
    assert!(failure.message.contains("past the proxies") && !failure.hints.is_empty(), "{failure}");
    drop((accepted, callee));
    assert!(seen([&caller, &other], None).is_ok(), "it is gone");
}

/// Also one that has left the group of its node.
#[test]
fn a_child_of_a_node_that_calls_another_is_seen() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    for start in ["\"$@\" & wait", "setsid \"$@\" & wait"] {
        let mut shell = Command::new("/bin/sh");
        // What leaves its group is ended by the end of its standard input.
        shell.args(["-c", &format!("exec 3<&0; {}", start.replace(" &", " <&3 &")), "sh"]);
        shell.arg(std::env::current_exe().unwrap());
        let caller = Node::start(shell, &format!("call {at}"));
        let accepted = listener.accept().unwrap().0;
        let callee = Node::start(with(own(), vec![accepted.as_raw_fd()]), "wait");
        let error = seen([&caller, &callee], None).unwrap_err();
        let DeployError::Bypassed(leaks) = &error else { panic!("{error}") };
        let [Leak::Direct { between, .. }] = leaks.as_slice() else { panic!("{leaks:?}") };
        let child = between.iter().find(|party| party.node == NodeId(1)).unwrap();
        assert!(child.pid != caller.pid(), "{start}: it is the child that calls");
    }
}

#[test]
fn a_process_that_has_left_its_node_is_seen_by_its_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nodes = [(), ()].map(|()| Node::start(own(), "wait"));
    // Started by who stands in for the guardian, so of no node that is known.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exec 3<&0; sleep 600 <&3 3<&- & echo $!; exec 0</dev/null 3<&-; wait"]);
    command.stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())));
    let mut guardian = Node(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(guardian.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let stray: i32 = line.trim().parse().unwrap();
    assert!(seen([&nodes[0], &nodes[1]], None).is_ok(), "without a guardian nobody is below it");
    let error = seen_below([&nodes[0], &nodes[1]], None, Some(guardian.pid())).unwrap_err();
    let DeployError::Bypassed(leaks) = &error else { panic!("{error}") };
    let [Leak::Stray { pid, ends, .. }] = leaks.as_slice() else { panic!("{leaks:?}") };
    assert_eq!((*pid, ends[0]), (stray, listener.local_addr().unwrap()));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(stray), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    assert!(seen_below([&nodes[0], &nodes[1]], None, Some(guardian.pid())).is_ok());
}

#[test]
fn a_node_outside_of_its_home_or_with_a_socket_of_another_is_seen() {
    if let Err(why) = netns::probe() {
        return writeln!(std::io::stderr().lock(), "skipped: {why}").unwrap();
    }
    let [n1, n2] = [1, 2].map(NodeId);
    let namespaces = Namespaces::start(&[n1, n2]).unwrap();
    let within = |node: NodeId| {
        let door = namespaces.door(node).unwrap();
        let mut command = own();
        // SAFETY: system calls only between fork and exec.
        unsafe { command.pre_exec(move || Ok(door.enter()?)) };
        command
    };
    let leaks = |nodes: [&Node; 2]| match seen(nodes, Some(&namespaces)) {
        Ok(_) => Vec::new(),
        Err(DeployError::Bypassed(leaks)) => leaks,
        Err(error) => panic!("{error}"),
    };
    let at = SocketAddrV4::new(netns::address(n1), 2380);
    let listener = namespaces.stream_socket(n1).unwrap();
    bind(listener.as_raw_fd(), &SockaddrIn::from(at)).unwrap();
    listen(&listener, Backlog::new(8).unwrap()).unwrap();
    let caller = Node::start(within(n1), &format!("call {at}"));
    let other = Node::start(within(n2), "wait");
    assert_eq!(leaks([&caller, &other]), [], "a call to this process");

    let outside = Node::start(own(), "wait");
    let network = "the network of the harness".to_owned();
    let astray = Leak::Astray { party: party(2, outside.pid()), network };
    assert_eq!(leaks([&caller, &outside]), [astray]);

    let callee = Node::start(with(within(n2), vec![listener.as_raw_fd()]), "wait");
    let leaks = leaks([&caller, &callee]);
    let [Leak::Direct { between, .. }, Leak::Foreign { party: holder, network, .. }] =
        leaks.as_slice()
    else {
        panic!("{leaks:?}");
    };
    let mut wanted = [party(1, caller.pid()), party(2, callee.pid())];
    wanted.sort();
    assert_eq!((between, holder), (&wanted, &party(2, callee.pid())));
    assert_eq!(network, "the network of n1");
}
