//! The guardian process: one thread, one poll loop, no runtime.
//!
//! It leaves when the harness is gone, and then first kills and reaps every process it ever had
//! below it. It runs as `harness guardian --socket-fd N`, which only [`super::Guardian::start`]
//! does. It does not restart nodes, judge exits or write files (but for opening the log that a node
//! writes to, and removing what it was told to remove at the end): it does as it is told and tells what it saw.

use super::child::{self, Child};
use super::message::{self, ExitStatus, Lines, NodeSignal, Notice, Request};
use super::turns::Turns;
use faults::Ration;
use faults::disk::namespace::Entry;
use history::NodeId;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long everything below the guardian has to disappear after its SIGKILL.
const REAP_LIMIT: Duration = Duration::from_millis(1500);
/// What may wait to be written to a harness that does not read, in bytes.
const OUTBOX_LIMIT_BYTES: usize = 1024 * 1024;
/// The loop turns at least this often, in milliseconds, so that no wait is without a limit.
const TICK_MS: u16 = 1000;
/// Pause between two looks at what is still alive below the guardian, in milliseconds.
const REAP_PAUSE_MS: u16 = 5;

/// Why the loop ended. Whatever the reason, the nodes die.
#[derive(Debug, thiserror::Error)]
enum Ending {
    /// The harness closed its end, or died.
    #[error("the harness is gone")]
    HarnessGone,
    /// The harness said something that is not of the protocol, or does not read.
    #[error("the harness broke the protocol: {0}")]
    Protocol(String),
    /// The operating system refused something the guardian cannot do without.
    #[error("{0}: {1}")]
    System(&'static str, Errno),
    /// The disks are gone, or could not be made.
    #[error("the disks under the nodes: {0}")]
    Disks(String),
}

/// Serves `socket` until the harness is gone, then kills and reaps everything below this process.
/// Returns whether nothing was left.
pub(super) fn serve(socket: UnixStream, disks: Option<OwnedFd>) -> bool {
    let mut guardian = Process {
        socket,
        incoming: Lines::default(),
        outbox: Vec::new(),
        children: BTreeMap::new(),
        disks: None,
        sweep: Vec::new(),
    };
    let ending = match guardian.prepare(disks) {
        Ok(signals) => guardian.run(&signals),
        Err(ending) => ending,
    };
    let reason = ending.to_string();
    // Best effort: when the harness is gone nobody reads it, and nothing depends on it.
    let _ = guardian.send(&Notice::Leaving { reason });
    let _ = guardian.flush();
    guardian.kill_all();
    let nothing_left = guardian.reap_all();
    guardian.remove_files();
    nothing_left
}

struct Process {
    socket: UnixStream,
    incoming: Lines,
    outbox: Vec<u8>,
    /// The live children, by process id.
    children: BTreeMap<i32, Child>,
    /// The process of the disks.
    disks: Option<i32>,
    /// The files to remove at the end.
    sweep: Vec<PathBuf>,
}

impl Process {
    /// Becomes subreaper and turns every catchable signal into something to read: SIGCHLD to act on,
    /// the terminal's and the session's to ignore.
    fn prepare(&mut self, disks: Option<OwnedFd>) -> Result<SignalFd, Ending> {
        if let Some(socket) = disks {
            Entry::new()
                .enter()
                .map_err(|errno| Ending::System("enter a mount namespace", errno))?;
            self.disks = Some(child::start_disks(&socket).map_err(Ending::Disks)?);
        }
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(|errno| Ending::System("become subreaper", errno))?;
        let mut signals = SigSet::empty();
        for signal in [
            Signal::SIGCHLD,
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGQUIT,
            Signal::SIGTSTP,
            Signal::SIGPIPE,
        ] {
            signals.add(signal);
        }
        signals.thread_block().map_err(|errno| Ending::System("block signals", errno))?;
        self.socket
            .set_nonblocking(true)
            .map_err(|error| Ending::System("set up the socket", errno_of(&error)))?;
        SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(|errno| Ending::System("open a signalfd", errno))
    }

    fn run(&mut self, signals: &SignalFd) -> Ending {
        let here = self.send(&Notice::Here).and_then(|()| self.flush());
        if let Err(ending) = here {
            return ending;
        }
        loop {
            if let Err(ending) = self.turn(signals) {
                return ending;
            }
        }
    }

    /// Waits for something to happen, then looks everywhere: simple, and cheap at this rate.
    fn turn(&mut self, signals: &SignalFd) -> Result<(), Ending> {
        self.wait(signals)?;
        while matches!(signals.read_signal(), Ok(Some(_))) {}
        self.take_turns();
        self.hear_nodes()?;
        self.reap()?;
        self.hear_harness()?;
        self.flush()
    }

    fn wait(&self, signals: &SignalFd) -> Result<(), Ending> {
        let mut interest = PollFlags::POLLIN;
        interest.set(PollFlags::POLLOUT, !self.outbox.is_empty());
        let mut watched = vec![
            PollFd::new(self.socket.as_fd(), interest),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        for child in self.children.values() {
            if let Some(ready) = child.ready_fd() {
                watched.push(PollFd::new(ready, PollFlags::POLLIN));
            }
        }
        match poll(&mut watched, PollTimeout::from(self.tick_ms())) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Ending::System("poll", errno)),
        }
    }

    /// Passes on the ready lines that have arrived.
    fn hear_nodes(&mut self) -> Result<(), Ending> {
        let mut lines = Vec::new();
        for (pid, child) in &mut self.children {
            if let Some(line) = child.take_ready_line() {
                let (node, pid) = (child.node, *pid);
                lines.push(Notice::Ready { node, pid, line });
            }
        }
        lines.iter().try_for_each(|notice| self.send(notice))
    }

    /// Reaps whatever has ended, and reports those that were nodes.
    fn reap(&mut self) -> Result<(), Ending> {
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, ExitStatus::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    (pid, ExitStatus::Signal(signal as i32))
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(errno) => return Err(Ending::System("wait for a child", errno)),
            };
            if self.disks == Some(pid.as_raw()) {
                return Err(Ending::Disks(format!("their process ended ({status})")));
            }
            if let Some(child) = self.children.remove(&pid.as_raw()) {
                self.send(&Notice::Exited { node: child.node, pid: pid.as_raw(), status })?;
            }
        }
    }

    fn hear_harness(&mut self) -> Result<(), Ending> {
        let mut buffer = [0u8; 16 * 1024];
        loop {
            let count = match self.socket.read(&mut buffer) {
                Ok(0) => return Err(Ending::HarnessGone),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Err(Ending::HarnessGone),
            };
            let lines = self
                .incoming
                .push(&buffer[..count])
                .map_err(|error| Ending::Protocol(error.to_string()))?;
            for line in lines {
                let request = serde_json::from_slice(&line)
                    .map_err(|error| Ending::Protocol(error.to_string()))?;
                self.obey(request)?;
            }
        }
    }

    fn obey(&mut self, request: Request) -> Result<(), Ending> {
        let notice = match request {
            Request::Spawn { id, spawn } => match self.spawn(&spawn) {
                Ok(pid) => Notice::Done { id, pid },
                Err(reason) => Notice::Failed { id, reason },
            },
            Request::Signal { id, node, signal } => match self.signal(node, signal) {
                Ok(pid) => Notice::Done { id, pid },
                Err(reason) => Notice::Failed { id, reason },
            },
            Request::Ration { id, node, ration } => match self.ration(node, ration) {
                Ok(pid) => Notice::Done { id, pid },
                Err(reason) => Notice::Failed { id, reason },
            },
            Request::Sweep { id, files } => {
                self.sweep.extend(files);
                Notice::Done { id, pid: 0 }
            }
        };
        self.send(&notice)
    }

    fn spawn(&mut self, spawn: &message::Spawn) -> Result<i32, String> {
        if self.child_of(spawn.node).is_some() {
            return Err(format!("{} is running already", spawn.node));
        }
        let (pid, child) = child::start(spawn)?;
        self.children.insert(pid, child);
        Ok(pid)
    }

    fn signal(&mut self, node: NodeId, signal: NodeSignal) -> Result<i32, String> {
        let pid = self.child_of(node).ok_or_else(|| format!("{node} is not running"))?;
        if let Some(child) = self.children.get_mut(&pid) {
            // What is asked for now must not be undone by a turn that comes later.
            child.turns = None;
        }
        let signal = match signal {
            NodeSignal::Kill => Signal::SIGKILL,
            NodeSignal::Stop => Signal::SIGSTOP,
            NodeSignal::Continue => Signal::SIGCONT,
            NodeSignal::Terminate => Signal::SIGTERM,
        };
        // The child led its own group before it was exec'd, and it is not reaped yet, so this
        // number can be nobody else's.
        killpg(Pid::from_raw(pid), signal).map_err(|errno| format!("send {signal}: {errno}"))?;
        Ok(pid)
    }

    /// Begins turns, with one in which it runs, or ends them.
    fn ration(&mut self, node: NodeId, ration: Option<Ration>) -> Result<i32, String> {
        let pid = self.signal(node, NodeSignal::Continue)?;
        if let (Some(child), Some(ration)) = (self.children.get_mut(&pid), ration) {
            child.turns = Some(Turns::start(ration, Instant::now()));
        }
        Ok(pid)
    }

    /// Stops or continues whose turn is over.
    fn take_turns(&mut self) {
        let now = Instant::now();
        for (pid, child) in &mut self.children {
            if let Some(signal) = child.turns.as_mut().and_then(|turns| turns.take(now)) {
                // ESRCH only means that the group is gone already.
                let _ = killpg(Pid::from_raw(*pid), signal);
            }
        }
    }

    /// How long the loop may wait: until the next turn, if there are any.
    fn tick_ms(&self) -> u16 {
        let now = Instant::now();
        let turns = self.children.values().filter_map(|child| child.turns.as_ref());
        turns.map(|turns| turns.left_ms(now)).min().unwrap_or(TICK_MS).min(TICK_MS)
    }

    /// Nobody is left who could be told of a file that stays, and one that is gone already is as it should be.
    fn remove_files(&self) {
        for file in &self.sweep {
            let _ = std::fs::remove_file(file);
        }
    }

    fn child_of(&self, node: NodeId) -> Option<i32> {
        self.children.iter().find(|(_, child)| child.node == node).map(|(pid, _)| *pid)
    }

    fn send(&mut self, notice: &Notice) -> Result<(), Ending> {
        let line = message::line(notice).map_err(|error| Ending::Protocol(error.to_string()))?;
        if self.outbox.len() + line.len() > OUTBOX_LIMIT_BYTES {
            return Err(Ending::Protocol("it does not read".to_owned()));
        }
        self.outbox.extend_from_slice(&line);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Ending> {
        while !self.outbox.is_empty() {
            match self.socket.write(&self.outbox) {
                Ok(0) => return Err(Ending::HarnessGone),
                Ok(count) => drop(self.outbox.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Ending::HarnessGone),
            }
        }
        Ok(())
    }

    /// SIGKILL to every group: it reaches stopped processes too.
    fn kill_all(&self) {
        for pid in self.children.keys() {
            // ESRCH only means that the group is gone already.
            let _ = killpg(Pid::from_raw(*pid), Signal::SIGKILL);
        }
    }

    /// Reaps until nothing is left, killing what had left its group (it becomes a child of this
    /// subreaper as soon as its own parent is gone).
    fn reap_all(&self) -> bool {
        let deadline = Instant::now() + REAP_LIMIT;
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::ECHILD) => return true,
                Ok(WaitStatus::StillAlive) => {
                    if Instant::now() >= deadline {
                        return false;
                    }
                    for pid in child::below_this_process() {
                        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                    }
                    let _ = poll(&mut [], PollTimeout::from(REAP_PAUSE_MS));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}
