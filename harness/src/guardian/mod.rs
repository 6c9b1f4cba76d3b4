//! The guardian: one small process per run that owns every process the run starts, so that nothing
//! outlives the harness, however it ends.
//!
//! [`Guardian::start`] runs this very binary again as `harness guardian`, in a session of its own
//! (no signal of the terminal reaches it) and with one end of a socket pair. The guardian is a
//! subreaper; it starts each node on request, in the node's own process group, and reports what
//! becomes of it. When its end of the pair reads end-of-file, because the harness closed it, exited
//! or was killed, it sends SIGKILL to every group, stopped ones too, reaps them and exits.
//!
//! Two nets below that one: nodes are killed by the kernel when the guardian dies
//! (`PR_SET_PDEATHSIG`), and a guardian that breaks is noticed here as a closed socket.
//!
//! Invariants: the harness never signals a process itself (only the guardian knows that a number
//! still means the process it started, because it has not reaped it); every wait here has a limit;
//! every line and queue a bound. It starts from a fresh exec and not from a fork, so it may be
//! started whether or not a runtime's threads exist.
//!
//! With [`Guardian::start_with_disks`] it first enters a mount namespace of its own, in which nobody else sees what is
//! mounted and which ends with the last process in it, and starts `harness disk` there, to which the harness then
//! speaks by itself. A disk process that ends takes the run with it: its nodes would fail for a reason that is not
//! theirs.
//!
//! What it does not do: restart nodes, or decide which exits were faults (the deployment does).

mod child;
pub mod evidence;
mod message;
mod process;
mod turns;

pub use message::{ExitStatus, Network, NodeSignal, READY_FD, Spawn};

use crate::exit::{Exit as ExitCode, Failure};
use faults::Ration;
use history::NodeId;
use message::{Lines, Notice, Request};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the guardian may take to start.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long the guardian may take over one request.
const REPLY_LIMIT: Duration = Duration::from_secs(5);
/// How long the guardian may take to kill everything and exit.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);
/// How long one write to the guardian may take.
const WRITE_LIMIT: Duration = Duration::from_secs(2);

/// What can go wrong between the harness and its guardian.
#[derive(Debug, thiserror::Error)]
pub enum GuardianError {
    /// It could not be started.
    #[error("start the guardian: {0}")]
    Start(#[source] std::io::Error),
    /// It has exited; every node died with it.
    #[error("the guardian is gone ({0}), and every node with it")]
    Gone(String),
    /// It did not do as asked.
    #[error("{0}")]
    Refused(String),
    /// It did not answer, or something did not happen, in time.
    #[error("{what} within {limit:?}")]
    Late {
        /// What was waited for, as "no reply …".
        what: String,
        /// For how long.
        limit: Duration,
    },
    /// It, or something below it, is still there after the end of the run.
    #[error("the guardian left something behind: {0}")]
    Behind(String),
}

/// A node's process that ended and was reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Which node.
    pub node: NodeId,
    /// Its process, which no longer exists.
    pub pid: i32,
    /// How it ended.
    pub status: ExitStatus,
}

/// What to call, on the guardian's reader thread, as soon as an exit is heard of.
pub type ExitHook = Box<dyn Fn(Exit) + Send + Sync>;

/// The flags of the hidden `harness guardian`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Args {
    /// The inherited socket to the harness
    #[arg(long)]
    pub socket_fd: i32,
    /// The inherited socket by which the harness speaks to the disks, if there are to be any
    #[arg(long)]
    pub disks_fd: Option<i32>,
}

/// Runs the guardian process to its end.
///
/// # Errors
/// When the descriptor is not a socket, or when something is left below the guardian.
pub fn enter(args: Args) -> Result<ExitCode, Failure> {
    let fd = args.socket_fd;
    let refused = || Failure::usage(format!("descriptor {fd} in `--socket-fd` is not a socket"));
    if !is_socket(fd) {
        return Err(refused());
    }
    // SAFETY: the descriptor is open (checked above), was inherited for this purpose and is known
    // to nothing else in this process, which has only just started.
    let socket = UnixStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
    let flags = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC);
    nix::fcntl::fcntl(&socket, flags).map_err(|_| refused())?;
    let disks = match args.disks_fd {
        None => None,
        Some(fd) if !is_socket(fd) => {
            let message = format!("descriptor {fd} in `--disks-fd` is not a socket");
            return Err(Failure::usage(message));
        }
        // SAFETY: as above.
        Some(fd) => Some(unsafe { OwnedFd::from_raw_fd(fd) }),
    };
    keep_from_children();
    if process::serve(socket, disks) {
        Ok(ExitCode::Valid)
    } else {
        Err(Failure::environment("a process of the run could not be ended"))
    }
}

/// Keeps to this process what whoever started the harness had open: a socket that came along would be held by every
/// node, and would look like a way from one to another. A kernel that cannot do so (before Linux 5.11) passes it on.
fn keep_from_children() {
    let (first, last, how) = (3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: the call sets a flag of descriptors of this process, and touches no memory.
    let _ = unsafe { libc::syscall(libc::SYS_close_range, first, last, how) };
}

/// Whether an inherited descriptor is a socket, and none of the standard ones.
pub(crate) fn is_socket(fd: i32) -> bool {
    std::fs::metadata(format!("/proc/self/fd/{fd}"))
        .is_ok_and(|data| std::os::unix::fs::FileTypeExt::is_socket(&data.file_type()))
        && fd > 2
}

/// The harness's handle on its guardian. Dropping it ends every node.
pub struct Guardian {
    socket: UnixStream,
    writing: Mutex<u64>,
    process: Mutex<Option<Child>>,
    /// The line to the disks, if there are any.
    disks: Option<UnixDatagram>,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    on_exit: Mutex<Option<ExitHook>>,
}

#[derive(Default)]
struct State {
    /// The guardian has taken its place: from now on no signal of the terminal ends it.
    here: bool,
    /// Answers nobody has taken yet, by request.
    replies: BTreeMap<u64, Result<i32, String>>,
    /// The ready line of each live process that has one.
    ready: BTreeMap<i32, String>,
    /// How each process ended.
    exits: BTreeMap<i32, Exit>,
    /// Why the guardian is gone.
    gone: Option<String>,
}

impl Guardian {
    /// Starts a guardian from `executable`, which is `/proc/self/exe` except in tests.
    ///
    /// # Errors
    /// When the process or its socket cannot be made.
    pub fn start(executable: &Path) -> Result<Self, GuardianError> {
        Self::start_beside(executable, None)
    }

    /// As [`start`](Self::start), in a mount namespace of its own and with a process for the disks under the nodes.
    ///
    /// # Errors
    /// Also when this machine has no such namespaces.
    pub fn start_with_disks(executable: &Path) -> Result<Self, GuardianError> {
        let pair = UnixDatagram::pair().map_err(GuardianError::Start)?;
        Self::start_beside(executable, Some(pair))
    }

    fn start_beside(
        executable: &Path,
        disks: Option<(UnixDatagram, UnixDatagram)>,
    ) -> Result<Self, GuardianError> {
        let (socket, theirs) = UnixStream::pair().map_err(GuardianError::Start)?;
        socket.set_write_timeout(Some(WRITE_LIMIT)).map_err(GuardianError::Start)?;
        let reading = socket.try_clone().map_err(GuardianError::Start)?;
        let (disks, their_disks) = disks.unzip();
        let mut inherited = vec![("socket-fd", theirs.as_raw_fd())];
        inherited.extend(their_disks.as_ref().map(|socket| ("disks-fd", socket.as_raw_fd())));
        let process = exec(executable, &inherited).map_err(GuardianError::Start)?;
        drop((theirs, their_disks));
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            on_exit: Mutex::default(),
        });
        let heard = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("guardian".to_owned())
            .spawn(move || heard.listen(reading))
            .map_err(GuardianError::Start)?;
        let process = Mutex::new(Some(process));
        let guardian = Self { socket, writing: Mutex::new(0), process, disks, shared };
        let here = |state: &mut State| state.here.then_some(Ok(()));
        guardian.shared.wait("no word of the guardian", START_LIMIT, here)?;
        Ok(guardian)
    }

    /// Has `hook` called for each exit from now on, in order, before any wait on it returns.
    pub fn on_exit(&self, hook: ExitHook) {
        *lock(&self.shared.on_exit) = Some(hook);
    }

    /// Starts a node and returns its process id.
    ///
    /// # Errors
    /// When the node runs already, its program or log cannot be opened, or the guardian is gone.
    pub fn spawn(&self, spawn: Spawn) -> Result<i32, GuardianError> {
        self.request(|id| Request::Spawn { id, spawn })
    }

    /// Signals a node's whole group; returns the process id it was sent to.
    ///
    /// # Errors
    /// When the node is not running or the guardian is gone.
    pub fn signal(&self, node: NodeId, signal: NodeSignal) -> Result<i32, GuardianError> {
        self.request(|id| Request::Signal { id, node, signal })
    }

    /// Lets a node's whole group run by turns only, or, without a ration, all the time again; returns the process.
    /// Any signal ends the turns too.
    ///
    /// # Errors
    /// When the node is not running or the guardian is gone.
    pub fn ration(&self, node: NodeId, ration: Option<Ration>) -> Result<i32, GuardianError> {
        self.request(|id| Request::Ration { id, node, ration })
    }

    /// Has these files removed once every process below the guardian is gone, however the run ends.
    ///
    /// # Errors
    /// When the guardian is gone.
    pub fn sweep(&self, files: Vec<PathBuf>) -> Result<(), GuardianError> {
        self.request(|id| Request::Sweep { id, files }).map(drop)
    }

    /// Waits for the line a node writes when it serves.
    ///
    /// # Errors
    /// [`GuardianError::Refused`] with the exit if the node ended first, [`GuardianError::Late`] if
    /// neither happened within `limit`.
    pub fn await_ready(&self, pid: i32, limit: Duration) -> Result<String, GuardianError> {
        self.shared.wait("no ready line", limit, |state| {
            if let Some(line) = state.ready.get(&pid) {
                return Some(Ok(line.clone()));
            }
            let exit = state.exits.get(&pid)?;
            let reason = format!("exited before it was ready ({})", exit.status);
            Some(Err(GuardianError::Refused(reason)))
        })
    }

    /// Waits until a process has ended and was reaped.
    ///
    /// # Errors
    /// When it has not within `limit`, or the guardian is gone.
    pub fn await_exit(&self, pid: i32, limit: Duration) -> Result<Exit, GuardianError> {
        self.shared.wait("no exit", limit, |state| state.exits.get(&pid).copied().map(Ok))
    }

    /// The guardian's own process id, none once it is gone.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        lock(&self.process).as_ref().map(Child::id)
    }

    /// The socket by which disks are mounted; none without such disks.
    #[must_use]
    pub fn disks(&self) -> Option<&UnixDatagram> {
        self.disks.as_ref()
    }

    /// Ends every node and the guardian, and says whether nothing is left.
    ///
    /// # Errors
    /// [`GuardianError::Behind`] when the guardian had to be killed or could not end everything.
    pub fn close(&self) -> Result<(), GuardianError> {
        self.end()
    }

    fn request(&self, request: impl FnOnce(u64) -> Request) -> Result<i32, GuardianError> {
        let id = {
            // One writer at a time, so that lines never mix.
            let mut last = lock(&self.writing);
            *last += 1;
            let line = message::line(&request(*last))
                .map_err(|error| GuardianError::Refused(error.to_string()))?;
            if line.len() > message::LINE_LIMIT_BYTES {
                return Err(GuardianError::Refused("the command is too long".to_owned()));
            }
            (&self.socket)
                .write_all(&line)
                .map_err(|error| self.shared.gone(&error.to_string()))?;
            *last
        };
        self.shared.wait("no reply of the guardian", REPLY_LIMIT, |state| {
            let reply = state.replies.remove(&id)?;
            Some(reply.map_err(GuardianError::Refused))
        })
    }

    fn end(&self) -> Result<(), GuardianError> {
        let Some(mut process) = lock(&self.process).take() else {
            return Ok(());
        };
        // An error means that the socket is closed already, which is what is wanted.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let deadline = Instant::now() + LEAVE_LIMIT;
        while Instant::now() < deadline {
            match process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(GuardianError::Behind(status.to_string())),
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(GuardianError::Behind(error.to_string())),
            }
        }
        // Its nodes die with it, by PR_SET_PDEATHSIG.
        let _ = process.kill();
        let _ = process.wait();
        Err(GuardianError::Behind("it did not exit".to_owned()))
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // Nobody is left to tell; `close` is for those who want to know.
        let _ = self.end();
    }
}

impl Shared {
    /// The reader thread: until the guardian's end closes, or it says something it must not.
    fn listen(&self, mut socket: UnixStream) {
        let mut lines = Lines::default();
        let mut buffer = [0u8; 16 * 1024];
        let reason = loop {
            let count = match socket.read(&mut buffer) {
                Ok(0) => break "it closed its socket".to_owned(),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => break error.to_string(),
            };
            let Ok(complete) = lines.push(&buffer[..count]) else {
                break "it sent too long a line".to_owned();
            };
            if let Some(reason) = complete.iter().find_map(|line| self.hear(line)) {
                break reason;
            }
        };
        lock(&self.state).gone.get_or_insert(reason);
        self.changed.notify_all();
    }

    /// Takes in one line; returns why to stop listening, if so.
    fn hear(&self, line: &[u8]) -> Option<String> {
        let notice = match serde_json::from_slice(line) {
            Ok(notice) => notice,
            Err(error) => return Some(format!("it sent something else than a notice: {error}")),
        };
        if let Notice::Exited { node, pid, status } = notice {
            // Before the state, so that whoever waits for the exit finds it recorded.
            if let Some(hook) = lock(&self.on_exit).as_ref() {
                hook(Exit { node, pid, status });
            }
        }
        let mut state = lock(&self.state);
        match notice {
            Notice::Here => state.here = true,
            Notice::Done { id, pid } => drop(state.replies.insert(id, Ok(pid))),
            Notice::Failed { id, reason } => drop(state.replies.insert(id, Err(reason))),
            Notice::Ready { pid, line, .. } => drop(state.ready.insert(pid, line)),
            Notice::Exited { node, pid, status } => {
                state.ready.remove(&pid);
                state.exits.insert(pid, Exit { node, pid, status });
            }
            Notice::Leaving { reason } => state.gone = Some(reason),
        }
        drop(state);
        self.changed.notify_all();
        None
    }

    fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&mut State) -> Option<Result<T, GuardianError>>,
    ) -> Result<T, GuardianError> {
        let deadline = Instant::now() + limit;
        let mut state = lock(&self.state);
        loop {
            if let Some(found) = look(&mut state) {
                return found;
            }
            if let Some(reason) = &state.gone {
                return Err(GuardianError::Gone(reason.clone()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let what = what.to_owned();
                return Err(GuardianError::Late { what, limit });
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn gone(&self, otherwise: &str) -> GuardianError {
        let known = lock(&self.state).gone.clone();
        GuardianError::Gone(known.unwrap_or_else(|| otherwise.to_owned()))
    }
}

/// Runs `executable guardian` in a session of its own, with these descriptors inherited.
fn exec(executable: &Path, inherited: &[(&str, RawFd)]) -> std::io::Result<Child> {
    let fds: Vec<RawFd> = inherited.iter().map(|(_, fd)| *fd).collect();
    let mut command = Command::new(executable);
    command
        .arg0("harness")
        .arg("guardian")
        .args(inherited.iter().map(|(flag, fd)| format!("--{flag}={fd}")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let prepare = move || {
        nix::unistd::setsid()?;
        for fd in &fds {
            // SAFETY: a plain system call on a number that is open: the parent keeps its sockets until
            // the spawn has returned. It lets the descriptor survive the exec.
            if unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec and makes async-signal-safe system calls only;
    // it allocates nothing and takes no lock.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
