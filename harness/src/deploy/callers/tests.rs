//! Callers that are real processes: shells that keep a connection open, alone, with others, or not at all.

use super::{CallersFound, Finder, probe};
use faults::proxy::{Call, Callers};
use history::NodeId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps it in a child's child only, which has a session of its own. A shell gives what it starts beside it another
/// standard input, if it is not told which.
const FORKED: &str =
    "exec 3<&0; setsid sh -c 'sleep 600 & sleep 600' <&3 3<&- & exec 0</dev/null 3<&-; wait";

/// Nodes that come and go, and who finds them.
struct Lab {
    listener: TcpListener,
    running: Arc<Mutex<BTreeMap<NodeId, i32>>>,
    finder: Finder,
}

impl Lab {
    fn new() -> Self {
        let running = Arc::<Mutex<BTreeMap<NodeId, i32>>>::default();
        let known = Arc::clone(&running);
        let finder = Finder::start(Box::new(move || known.lock().unwrap().clone())).unwrap();
        Self { listener: TcpListener::bind("127.0.0.3:0").unwrap(), running, finder }
    }

    /// A connection, from both ends, and what the hub would ask about it.
    fn connect(&self) -> (TcpStream, TcpStream, Call) {
        let caller = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        let (accepted, from) = self.listener.accept().unwrap();
        let (SocketAddr::V4(from), SocketAddr::V4(to)) = (from, accepted.local_addr().unwrap())
        else {
            panic!("IPv6")
        };
        (caller, accepted, Call { from, to })
    }

    fn start(&self, node: u16, process: &Process) {
        self.running.lock().unwrap().insert(NodeId(node), process.pid());
    }

    fn who(&self, call: Call) -> Option<NodeId> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let asked = async { tokio::time::timeout(PATIENCE, self.finder.who(call)).await };
        runtime.block_on(asked).expect("an answer")
    }
}

/// A process in a group of its own, gone with this value, and all that it has started.
struct Process(Child);

impl Process {
    /// Runs this line, with a connection as its standard input.
    fn holding(socket: &impl AsFd, line: &str) -> Self {
        let socket: OwnedFd = socket.as_fd().try_clone_to_owned().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).stdin(Stdio::from(socket)).process_group(0);
        Self(command.spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let started = super::sight::processes(&BTreeMap::from([(NodeId(1), self.pid())]));
        for process in started.unwrap_or_default() {
            let _ = kill(Pid::from_raw(process.party.pid), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

#[test]
fn a_caller_is_the_node_whose_processes_hold_its_end() {
    let lab = Lab::new();
    assert_eq!(probe(), Ok(()));
    let [(one, _a, of_one), (other, _b, of_other)] = [lab.connect(), lab.connect()];
    // Itself; and only a child of it, in a session of its own, which has forked again.
    let first = Process::holding(&one, "exec sleep 600");
    let second = Process::holding(&other, FORKED);
    drop((one, other));
    lab.start(1, &first);
    lab.start(2, &second);
    assert_eq!((lab.who(of_one), lab.who(of_other)), (Some(NodeId(1)), Some(NodeId(2))));
    // A process that was not there when processes were listed.
    let (late, _c, of_late) = lab.connect();
    let third = Process::holding(&late, "exec sleep 600");
    drop(late);
    lab.start(3, &third);
    assert_eq!(lab.who(of_late), Some(NodeId(3)));
    let CallersFound { found, gone, unknown, p50_us, p99_us } = lab.finder.found();
    assert_eq!((found, gone, unknown), (3, 0, 0));
    assert!(0 < p50_us && p50_us <= p99_us, "{p50_us} {p99_us}");
}

#[test]
fn who_is_gone_or_of_no_node_is_nobody() {
    let lab = Lab::new();
    let (held, _a, call) = lab.connect();
    let node = Process::holding(&held, "exec sleep 600");
    lab.start(1, &node);
    drop(held);
    assert_eq!(lab.who(call), Some(NodeId(1)));
    drop(node);
    assert_eq!(lab.who(call), None, "its process has ended");
    // This process has it, which is no node.
    let (_own, _b, call) = lab.connect();
    assert_eq!(lab.who(call), None);
    let never = Call { from: call.to, to: call.from };
    assert_eq!(lab.who(Call { from: "127.0.0.3:1".parse().unwrap(), ..never }), None);
    let error = super::find_self("127.0.0.3:1".parse().unwrap(), call.to).unwrap_err();
    assert_eq!(error, "the kernel does not say whose a connection is");
    let found = lab.finder.found();
    assert_eq!((found.found, found.gone, found.unknown), (1, 2, 1));
}

#[test]
fn a_socket_of_two_nodes_is_nobodys() {
    let lab = Lab::new();
    let (held, _a, call) = lab.connect();
    let [one, other] = [(), ()].map(|()| Process::holding(&held, "exec sleep 600"));
    drop(held);
    lab.start(1, &one);
    lab.start(2, &other);
    assert_eq!(lab.who(call), None);
    assert_eq!(lab.finder.found().unknown, 1);
    drop(other);
    assert_eq!(lab.who(call), Some(NodeId(1)), "the other has let go of it");
}

/// Who is looked for delays nobody else, and is found as soon as it is known.
#[test]
fn a_process_that_is_not_known_yet_is_waited_for_alone() {
    let lab = Lab::new();
    let [(early, _a, of_early), (held, _b, of_held)] = [lab.connect(), lab.connect()];
    let [unknown, known] = [&early, &held].map(|socket| Process::holding(socket, "exec sleep 600"));
    drop((early, held));
    lab.start(1, &known);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let looked_for = lab.finder.who(of_early);
    assert_eq!(lab.who(of_held), Some(NodeId(1)), "while the other is looked for");
    lab.start(2, &unknown);
    assert_eq!(runtime.block_on(looked_for), Some(NodeId(2)));
}

#[test]
fn a_process_that_took_the_number_of_another_is_not_that_one() {
    let lab = Lab::new();
    let (held, _a, call) = lab.connect();
    let node = Process::holding(&held, "exec sleep 600");
    drop(held);
    let nodes = BTreeMap::from([(NodeId(1), node.pid())]);
    let listed = super::sight::processes(&nodes).unwrap();
    let wanted =
        [super::Kernel::open().unwrap().inode(call.from, call.to).unwrap().unwrap()].into();
    assert_eq!(super::holders(&listed, &wanted).len(), 1);
    let earlier: Vec<_> = listed.into_iter().map(super::sight::Process::started_earlier).collect();
    assert!(super::holders(&earlier, &wanted).is_empty());
}
