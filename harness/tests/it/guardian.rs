//! The guardian with real processes: whatever becomes of the harness, nothing outlives it.

use faults::Ration;
use harness::guardian::{ExitStatus, Guardian, GuardianError, NodeSignal, Spawn, evidence};
use history::NodeId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(5);
/// What design.md promises for a harness that is killed.
const GONE_LIMIT: Duration = Duration::from_secs(2);
/// Says that it is ready, leaves one child in its group and one in a session of its own, prints both.
const FAMILY: &str = "sleep 600 & echo $!; setsid sleep 600 & echo $!; \
                      echo '{\"ok\":1}' > /proc/self/fd/200; wait";
/// Set for a copy of this test program that stands in for a harness; its value is a folder.
const STAND_IN: &str = "GUARDIAN_TEST_STAND_IN";

fn executable() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_harness"))
}

fn guardian() -> Guardian {
    Guardian::start(executable()).expect("a guardian")
}

fn shell(folder: &Path, node: u16, script: &str) -> Spawn {
    Spawn {
        node: NodeId(node),
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: Vec::new(),
        log: folder.join(format!("n{node}")),
        network: None,
    }
}

/// A zombie is gone too: the guardian is no child of this process once its starter is killed, and who
/// inherits it may be slow to reap.
fn is_gone(pid: i32) -> bool {
    evidence::thread_states(pid).iter().all(|state| matches!(state, 'Z' | 'X'))
}

fn assert_gone(pids: &[i32]) {
    let deadline = Instant::now() + GONE_LIMIT;
    while !pids.iter().all(|pid| is_gone(*pid)) {
        let left: Vec<_> = pids.iter().filter(|pid| !is_gone(**pid)).collect();
        assert!(
            Instant::now() < deadline,
            "still there after {GONE_LIMIT:?}: {left:?} of {pids:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The pids that [`FAMILY`] printed.
fn family(folder: &Path, node: u16) -> Vec<i32> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let log = std::fs::read_to_string(folder.join(format!("n{node}"))).unwrap_or_default();
        let pids: Vec<i32> = log.lines().filter_map(|line| line.parse().ok()).collect();
        if pids.len() == 2 {
            return pids;
        }
        assert!(Instant::now() < deadline, "the family never printed its pids: {log}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts two families and stops the second one; returns every pid below the guardian.
fn two_families(guardian: &Guardian, folder: &Path) -> Vec<i32> {
    let mut pids = Vec::new();
    for node in [1, 2] {
        let pid = guardian.spawn(shell(folder, node, FAMILY)).unwrap();
        guardian.await_ready(pid, LIMIT).unwrap();
        pids.push(pid);
        pids.extend(family(folder, node));
    }
    let paused = guardian.signal(NodeId(2), NodeSignal::Stop).unwrap();
    evidence::await_stopped(paused, LIMIT).unwrap();
    assert!(pids.iter().all(|pid| !is_gone(*pid)));
    pids
}

/// How many of fifty looks find the process stopped.
fn looks_stopped(pid: i32) -> usize {
    let look = |_| {
        std::thread::sleep(Duration::from_millis(7));
        evidence::stopped_and_cpu(pid).unwrap().0
    };
    (0..50).map(look).filter(|stopped| *stopped).count()
}

#[test]
fn a_process_that_is_starved_is_stopped_by_turns_until_any_signal() {
    let folder = tempfile::tempdir().unwrap();
    let guardian = guardian();
    let pid = guardian.spawn(shell(folder.path(), 1, FAMILY)).unwrap();
    guardian.await_ready(pid, LIMIT).unwrap();
    let ration = Ration { run_ms: 20, stop_ms: 80 };
    assert_eq!(guardian.ration(NodeId(1), Some(ration)).unwrap(), pid);
    let stopped = looks_stopped(pid);
    assert!((20..50).contains(&stopped), "stopped in {stopped} of 50 looks");
    guardian.ration(NodeId(1), None).unwrap();
    assert_eq!(looks_stopped(pid), 0);
    guardian.ration(NodeId(1), Some(ration)).unwrap();
    guardian.signal(NodeId(1), NodeSignal::Continue).unwrap();
    assert_eq!(looks_stopped(pid), 0, "the signal ended the turns");
    assert!(guardian.ration(NodeId(2), Some(ration)).is_err(), "there is no such node");
    guardian.close().unwrap();
    assert_gone(&[pid]);
}

#[test]
fn files_to_sweep_are_gone_with_the_processes() {
    let folder = tempfile::tempdir().unwrap();
    let guardian = guardian();
    let (early, late) = (folder.path().join("early"), folder.path().join("late"));
    std::fs::write(&early, "").unwrap();
    guardian.sweep(vec![early.clone(), late.clone(), folder.path().join("never")]).unwrap();
    std::fs::write(&late, "").unwrap();
    assert!(early.exists(), "only at the end");
    guardian.close().unwrap();
    assert!(!early.exists() && !late.exists());
}

#[test]
fn a_node_is_started_watched_and_killed() {
    let folder = tempfile::tempdir().unwrap();
    let guardian = guardian();
    let pid = guardian.spawn(shell(folder.path(), 1, FAMILY)).unwrap();
    assert_eq!(guardian.await_ready(pid, LIMIT).unwrap(), "{\"ok\":1}");
    let again = guardian.spawn(shell(folder.path(), 1, FAMILY));
    assert!(matches!(again, Err(GuardianError::Refused(_))), "{again:?}");

    guardian.signal(NodeId(1), NodeSignal::Stop).unwrap();
    evidence::await_stopped(pid, LIMIT).unwrap();
    guardian.signal(NodeId(1), NodeSignal::Continue).unwrap();
    evidence::await_running(pid, LIMIT).unwrap();

    guardian.signal(NodeId(1), NodeSignal::Kill).unwrap();
    let exit = guardian.await_exit(pid, LIMIT).unwrap();
    assert_eq!((exit.node, exit.status), (NodeId(1), ExitStatus::Signal(9)));
    assert_eq!(exit.status.to_string(), "SIGKILL");
    assert!(evidence::thread_states(pid).is_empty(), "reaped, not a zombie");
    let gone = guardian.signal(NodeId(1), NodeSignal::Kill);
    assert!(matches!(gone, Err(GuardianError::Refused(_))), "{gone:?}");
    let family = family(folder.path(), 1);
    guardian.close().unwrap();
    assert_gone(&family);
}

/// What a shell or an agent of CI had open, without the flag that would close it in others.
#[test]
fn nodes_do_not_get_what_the_harness_was_started_with() {
    let (socket, _other) = UnixStream::pair().unwrap();
    let inherited = nix::unistd::dup(&socket).unwrap();
    let place = |pid: u32, fd: &dyn std::fmt::Display| format!("/proc/{pid}/fd/{fd}");
    let is = std::fs::read_link(place(std::process::id(), &inherited.as_raw_fd())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let guardian = guardian();
    let node = guardian.spawn(shell(folder.path(), 1, FAMILY)).unwrap().unsigned_abs();
    let held: Vec<PathBuf> = std::fs::read_dir(format!("/proc/{node}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .collect();
    assert!(held.len() > 2, "{held:?}");
    assert!(!held.contains(&is), "{is:?} is open in the node: {held:?}");
}

#[test]
fn a_start_that_fails_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let guardian = guardian();
    let missing = Spawn { program: "/nonexistent".into(), ..shell(folder.path(), 1, "") };
    let error = guardian.spawn(missing).unwrap_err().to_string();
    assert!(error.contains("/nonexistent") && error.contains("No such file"), "{error}");
    let unwritable = Spawn { log: "/nonexistent/log".into(), ..shell(folder.path(), 1, "") };
    let error = guardian.spawn(unwritable).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/log"), "{error}");

    let pid = guardian.spawn(shell(folder.path(), 1, "exit 7")).unwrap();
    let error = guardian.await_ready(pid, LIMIT).unwrap_err().to_string();
    assert_eq!(error, "exited before it was ready (exit code 7)");
    let pid = guardian.spawn(shell(folder.path(), 1, "exec sleep 600")).unwrap();
    let late = guardian.await_ready(pid, Duration::from_millis(50));
    assert!(matches!(late, Err(GuardianError::Late { .. })), "{late:?}");
    guardian.close().unwrap();
    assert_gone(&[pid]);
}

#[test]
fn exits_are_told_once_and_before_the_wait_for_them_ends() {
    let folder = tempfile::tempdir().unwrap();
    let guardian = guardian();
    let (sender, exits) = std::sync::mpsc::channel();
    guardian.on_exit(Box::new(move |exit| sender.send(exit).unwrap()));
    let pid = guardian.spawn(shell(folder.path(), 1, "exit 3")).unwrap();
    let exit = guardian.await_exit(pid, LIMIT).unwrap();
    assert_eq!(exits.try_recv(), Ok(exit));
    assert_eq!(exit.status, ExitStatus::Code(3));
    guardian.close().unwrap();
    assert!(exits.try_recv().is_err());
}

#[test]
fn dropping_the_handle_ends_everything_even_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let guardian = guardian();
    let mut pids = two_families(&guardian, folder.path());
    pids.push(i32::try_from(guardian.pid().unwrap()).unwrap());
    let begin = Instant::now();
    drop(guardian);
    assert!(begin.elapsed() < GONE_LIMIT, "{:?}", begin.elapsed());
    assert_gone(&pids);
}

#[test]
fn the_signals_of_a_terminal_do_not_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let guardian = guardian();
    let own = Pid::from_raw(i32::try_from(guardian.pid().unwrap()).unwrap());
    assert_eq!(nix::unistd::getsid(Some(own)), Ok(own), "a session of its own");
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        kill(own, signal).unwrap();
    }
    let pid = guardian.spawn(shell(folder.path(), 1, FAMILY)).unwrap();
    guardian.await_ready(pid, LIMIT).unwrap();
    // What the guardian blocks, its nodes must not: SIGTERM ends them.
    guardian.signal(NodeId(1), NodeSignal::Terminate).unwrap();
    assert_eq!(guardian.await_exit(pid, LIMIT).unwrap().status, ExitStatus::Signal(15));
    guardian.close().unwrap();
}

#[test]
fn nodes_die_with_a_guardian_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let guardian = guardian();
    let nodes = [1, 2].map(|node| {
        let spawn = shell(folder.path(), node, "exec sleep 600");
        guardian.spawn(spawn).unwrap()
    });
    guardian.signal(NodeId(2), NodeSignal::Stop).unwrap();
    kill(Pid::from_raw(i32::try_from(guardian.pid().unwrap()).unwrap()), Signal::SIGKILL).unwrap();
    assert_gone(&nodes);
    let error = guardian.signal(NodeId(1), NodeSignal::Kill).unwrap_err();
    assert!(matches!(error, GuardianError::Gone(_)), "{error:?}");
    let error = guardian.close().unwrap_err();
    assert!(matches!(error, GuardianError::Behind(_)), "{error:?}");
}

#[test]
fn a_killed_harness_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut stand_in = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "guardian::stand_in_for_a_harness", "--ignored", "--nocapture"])
        .env(STAND_IN, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(stand_in.stdout.take().unwrap()).lines();
    let line = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("pids ").map(|(_, pids)| pids.to_owned()))
        .expect("the stand-in prints its pids");
    let pids: Vec<i32> = line.split(' ').filter_map(|pid| pid.parse().ok()).collect();
    assert_eq!(pids.len(), 7, "six processes and the guardian: {line}");
    assert!(pids.iter().all(|pid| !is_gone(*pid)));
    stand_in.kill().unwrap();
    assert_gone(&pids);
    stand_in.wait().unwrap();
}

/// No test: the process that [`a_killed_harness_leaves_nothing`] kills.
#[test]
#[ignore = "a part of another test"]
fn stand_in_for_a_harness() {
    let Some(folder) = std::env::var_os(STAND_IN) else { return };
    let guardian = guardian();
    let mut pids = two_families(&guardian, Path::new(&folder));
    pids.push(i32::try_from(guardian.pid().unwrap()).unwrap());
    let text: Vec<String> = pids.iter().map(ToString::to_string).collect();
    println!("pids {}", text.join(" "));
    std::io::stdout().flush().unwrap();
    std::thread::sleep(Duration::from_secs(30));
}

/// A guardian whose other end is in this test's own hands.
fn raw_guardian() -> (UnixStream, Child) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(LIMIT)).unwrap();
    let fd = theirs.as_raw_fd();
    let mut command = Command::new(executable());
    command.arg("guardian").arg(format!("--socket-fd={fd}"));
    // SAFETY: one async-signal-safe system call on a descriptor that `theirs` keeps open.
    unsafe {
        command.pre_exec(move || {
            if libc::fcntl(fd, libc::F_SETFD, 0) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    (ours, command.spawn().unwrap())
}

#[test]
fn a_harness_that_talks_nonsense_loses_its_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("n1");
    let spawn = format!(
        "{{\"spawn\":{{\"id\":1,\"spawn\":{{\"node\":\"n1\",\"program\":\"/bin/sleep\",\
         \"args\":[\"600\"],\"env\":[],\"log\":{log:?}}}}}}}\n"
    );
    let endless = "x".repeat(1 << 20);
    for nonsense in ["{\"dance\":{}}\n", "\u{0}\n", endless.as_str()] {
        let (mut ours, mut process) = raw_guardian();
        ours.write_all(spawn.as_bytes()).unwrap();
        let mut replies = BufReader::new(ours.try_clone().unwrap()).lines();
        assert_eq!(replies.next().unwrap().unwrap(), "\"here\"");
        let reply = replies.next().unwrap().unwrap();
        let pid = reply.split_once("\"pid\":").unwrap().1.trim_end_matches('}').parse().unwrap();
        assert!(!is_gone(pid), "{reply}");
        // It hangs up in the middle of the endless one.
        let _ = ours.write_all(nonsense.as_bytes());
        let farewell = replies.map_while(Result::ok).last().unwrap_or_default();
        assert!(farewell.contains("broke the protocol"), "{farewell}");
        assert!(process.wait().unwrap().success());
        assert_gone(&[pid]);
    }
}

#[test]
fn a_descriptor_that_is_no_socket_is_refused() {
    for fd in ["0", "1", "999", "-1"] {
        let status = Command::new(executable())
            .arg("guardian")
            .arg(format!("--socket-fd={fd}"))
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(254), "{fd}");
    }
}
