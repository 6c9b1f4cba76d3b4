//! Starting one child of the guardian, and finding the ones nobody asked for.
//!
//! A child leads its own process group, so that signals reach its descendants and the terminal's
//! Ctrl-C does not reach it; it dies with the guardian; and it says that it is ready by one line on
//! a pipe, unless it knows nothing of that. It may live in a network namespace, which it enters before all else.

use super::message::{Network, READY_FD, Spawn};
use super::turns::Turns;
use faults::netns::Door;
use history::NodeId;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The longest ready line, in bytes.
const READY_LINE_LIMIT_BYTES: usize = 4096;

/// A live child.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) node: NodeId,
    /// Its turns, while it is starved.
    pub(super) turns: Option<Turns>,
    ready: Option<File>,
    ready_text: Vec<u8>,
}

impl Child {
    /// The read end of its ready pipe, until its line has come.
    pub(super) fn ready_fd(&self) -> Option<BorrowedFd<'_>> {
        self.ready.as_ref().map(AsFd::as_fd)
    }

    /// Reads what the pipe has; returns the line once, when it is complete.
    pub(super) fn take_ready_line(&mut self) -> Option<String> {
        let pipe = self.ready.as_mut()?;
        let mut buffer = [0u8; READY_LINE_LIMIT_BYTES];
        match pipe.read(&mut buffer) {
            Ok(0) => self.ready = None,
            Ok(count) => self.ready_text.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
            Err(_) => self.ready = None,
        }
        if let Some(end) = self.ready_text.iter().position(|byte| *byte == b'\n') {
            self.ready = None;
            let line = self.ready_text.drain(..=end).take(end).collect::<Vec<u8>>();
            return Some(String::from_utf8_lossy(&line).into_owned());
        }
        if self.ready_text.len() > READY_LINE_LIMIT_BYTES {
            self.ready = None;
        }
        None
    }
}

/// Starts a child. The error is a sentence's fragment.
pub(super) fn start(spawn: &Spawn) -> Result<(i32, Child), String> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&spawn.log)
        .map_err(|error| format!("open its log {}: {error}", spawn.log.display()))?;
    let second = log.try_clone().map_err(|error| format!("share its log: {error}"))?;
    let (ready, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .map_err(|errno| format!("make its ready pipe: {errno}"))?;
    let mut command = Command::new(&spawn.program);
    command
        .args(&spawn.args)
        .envs(spawn.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(second)
        .process_group(0);
    if spawn.program == Path::new("/proc/self/exe") {
        command.arg0("harness");
    }
    let door = spawn.network.as_ref().map(open_door).transpose()?;
    tie(&mut command, &write, door);
    let process =
        command.spawn().map_err(|error| format!("start {}: {error}", spawn.program.display()))?;
    // The kernel's process ids are at most 2^22, so the conversion keeps the number.
    let pid = i32::try_from(process.id()).map_err(|error| error.to_string())?;
    let ready = Some(File::from(ready));
    let child = Child { node: spawn.node, turns: None, ready, ready_text: Vec::new() };
    Ok((pid, child))
}

/// Starts the process of the disks, which inherits `socket`. The error is a sentence's fragment.
pub(super) fn start_disks(socket: &OwnedFd) -> Result<i32, String> {
    let fd = socket.as_raw_fd();
    let guardian = nix::unistd::getpid();
    let mut command = Command::new("/proc/self/exe");
    command.arg0("harness").arg("disk").arg(format!("--socket-fd={fd}"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let prepare = move || {
        tie_life(guardian)?;
        // SAFETY: a plain system call on a number that is open: the caller has it until the spawn has returned.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(())
    };
    // SAFETY: as for a node.
    unsafe { command.pre_exec(prepare) };
    let process = command.spawn().map_err(|error| error.to_string())?;
    i32::try_from(process.id()).map_err(|error| error.to_string())
}

/// In the child: it dies with the guardian, and has no signal blocked.
fn tie_life(guardian: Pid) -> std::io::Result<()> {
    SigSet::empty().thread_set_mask()?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if nix::unistd::getppid() != guardian {
        // The guardian died before the line above could have any effect.
        return Err(std::io::Error::from(nix::errno::Errno::ESRCH));
    }
    Ok(())
}

/// The way into the namespaces of a node. The error is a sentence's fragment.
fn open_door(network: &Network) -> Result<Door, String> {
    let open = |path: &Path| {
        let file = File::open(path);
        file.map(OwnedFd::from).map_err(|error| format!("find its network namespace: {error}"))
    };
    let user = network.user.as_deref().map(open).transpose()?;
    Ok(Door::new(user, open(&network.net)?))
}

/// Puts the child where it lives, ties its life to this process and gives it its ready pipe.
fn tie(command: &mut Command, ready: &OwnedFd, door: Option<Door>) {
    let guardian = nix::unistd::getpid();
    let ready = ready.as_raw_fd();
    let prepare = move || {
        if let Some(door) = &door {
            // First, because the kernel may forget what ties a life when it changes what a process may do.
            door.enter()?;
        }
        tie_life(guardian)?;
        // SAFETY: both numbers are plain integers; `ready` is open (the guardian keeps it until
        // the spawn has returned) and nothing else in this process uses `READY_FD`.
        if unsafe { libc::dup2(ready, READY_FD) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: as above. The pipe's flags are shared by both descriptors, so the node gets a
        // blocking one by clearing O_NONBLOCK on its own end only, which is a separate description
        // from the guardian's end.
        if unsafe { libc::fcntl(READY_FD, libc::F_SETFL, 0) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec in a single-threaded process and only makes
    // system calls; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(prepare) };
}

/// The processes whose parent this one is, grandchildren it has inherited included.
pub(super) fn below_this_process() -> Vec<i32> {
    let own = std::process::id();
    std::fs::read_to_string(format!("/proc/self/task/{own}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|text| text.parse().ok())
        .collect()
}
