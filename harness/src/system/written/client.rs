//! A client that is a process of its own, in whatever language, one operation outstanding.
//!
//! It is started when the harness makes the client, not when it first asks, and asked when it has read its first line. So
//! an interpreter that takes its time to start takes it while the caller waits for its turn, and an operation that comes
//! too early certainly did not happen. After an unknown outcome the caller asks for a fresh client, and gets a fresh process.
//!
//! Invariants:
//! - an operation ends as ok or fail only by one whole line that answers it, and nothing after it; whatever else the
//!   process does (another line, two of them, too long a one, silence, its end) ends it as info, leaves a finding that
//!   quotes the line, and is the end of the process;
//! - a call returns by its deadline, whatever the process does: all of it is under one time-out, writing too;
//! - what is kept of a process that talks is bounded: one line, and what its log still takes.
//!
//! What was printed between two operations is noticed before the next one is asked, or when the client is dropped.

use super::protocol::{self, LINE_LIMIT_BYTES, quoted};
use super::{keeper, process};
use crate::system::{ClientNotes, ClientSettings, NodeCommand, Route};
use history::NodeId;
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::{Instant, sleep, timeout_at};
use workloads::{BoxFuture, ClientError, ErrorClass, KvAnswer, KvClient, KvOperation};

/// How long a process may take from its start until it has read its first line.
const START_LIMIT: Duration = Duration::from_secs(20);
/// After an answer that was none, so that a client that is broken is not started again in a tight loop.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the end of a process that closed its pipe is waited for, to tell how it ended.
const END_LIMIT: Duration = Duration::from_millis(200);
/// Between two looks whether it has, or has read what was written to it.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One client; see the module.
pub(super) struct ChildClient {
    command: NodeCommand,
    init: String,
    nodes: BTreeSet<NodeId>,
    pinned: Option<NodeId>,
    notes: Arc<dyn ClientNotes>,
    process: Option<Process>,
    /// Of the last operation asked.
    id: u64,
    /// Who answered last.
    answered: Option<NodeId>,
}

impl ChildClient {
    /// Starts the process, if it can be started now; else the first call tries again.
    pub(super) fn new(
        command: NodeCommand,
        settings: &ClientSettings,
        notes: Arc<dyn ClientNotes>,
    ) -> Self {
        let pinned = match settings.route {
            Route::Node(node) => Some(node),
            Route::Leader => None,
        };
        let init = protocol::init(pinned, &settings.addresses, settings.attempt);
        let nodes = settings.addresses.keys().copied().collect();
        let mut client =
            Self { command, init, nodes, pinned, notes, process: None, id: 0, answered: None };
        if tokio::runtime::Handle::try_current().is_ok() {
            client.process = client.start().ok();
        }
        client
    }

    fn start(&self) -> Result<Process, String> {
        Process::start(&self.command, &self.init, &self.notes).map_err(|error| {
            format!("the client {} cannot be started: {error}", self.command.program.display())
        })
    }

    /// A process that waits for an operation, or a definite failure: nothing was asked. One that said something although
    /// it was asked nothing is replaced.
    async fn ready(&mut self, deadline: Instant) -> Result<Process, ClientError> {
        let failed = |code, message| ClientError { class: ErrorClass::Definite, code, message };
        let mut process = match self.process.take() {
            Some(process) => process,
            None => self.start().map_err(|why| self.unstarted(why))?,
        };
        loop {
            match process.unasked() {
                None if process.has_read() => return Ok(process),
                None => {}
                Some(unasked) => {
                    let what = process.words(unasked).await;
                    let why = format!("it {what} {}, although it was asked nothing", self.after());
                    self.find(why.clone());
                    if !process.asked {
                        // A new one would do the same, and at once.
                        drop(process);
                        sleep(PAUSE.min(deadline.saturating_duration_since(Instant::now()))).await;
                        return Err(failed("client-not-ready", why));
                    }
                    process = self.start().map_err(|why| self.unstarted(why))?;
                }
            }
            if Instant::now() >= deadline {
                let why = "it has not read its first line yet".to_owned();
                if process.started.elapsed() < START_LIMIT {
                    self.process = Some(process);
                } else {
                    self.find(format!(
                        "it did not read its first line in {} s",
                        START_LIMIT.as_secs()
                    ));
                }
                return Err(failed("client-not-ready", why));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn unstarted(&self, why: String) -> ClientError {
        self.find(why.clone());
        ClientError { class: ErrorClass::Definite, code: "client-not-started", message: why }
    }

    fn after(&self) -> String {
        match self.id {
            0 => "before the first operation".to_owned(),
            id => format!("after operation {id} was answered"),
        }
    }

    fn find(&self, text: String) {
        self.notes.finding(self.node(), text);
    }

    async fn perform(
        &mut self,
        operation: &KvOperation,
        deadline: Instant,
    ) -> Result<KvAnswer, ClientError> {
        // If it takes longer to start, the next operation is its first, and has its time.
        let soon = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        let mut process = self.ready(soon).await?;
        process.asked = true;
        self.id += 1;
        self.answered = None;
        let question = protocol::question(self.id, operation);
        let heard = timeout_at(deadline, process.ask(&question)).await;
        let trouble = match heard {
            Ok(Heard::Line(line)) => match self.understand(&line, &mut process, operation) {
                Ok(outcome) => {
                    self.process = Some(process);
                    return outcome;
                }
                Err(why) => ("client-answer", why),
            },
            Ok(Heard::TooLong(start)) => {
                let start = quoted(&start);
                let why = format!(
                    "it wrote more than {LINE_LIMIT_BYTES} bytes without an end of line: {start}"
                );
                ("client-answer", why)
            }
            Ok(Heard::End(rest)) => {
                let how = process.how_it_ended().await;
                let rest = if rest.is_empty() { rest } else { format!(" after {}", quoted(&rest)) };
                ("client-ended", format!("it {how}{rest}"))
            }
            Err(_) => ("client-silent", "it did not answer before the deadline".to_owned()),
        };
        let (code, why) = trouble;
        self.find(format!("{why}; it was asked {}", quoted(&question)));
        drop(process);
        sleep(PAUSE.min(deadline.saturating_duration_since(Instant::now()))).await;
        Err(ClientError { class: ErrorClass::Indefinite, code, message: why })
    }

    /// The outcome that a line tells, if it is the one answer to what was asked.
    fn understand(
        &mut self,
        line: &str,
        process: &mut Process,
        operation: &KvOperation,
    ) -> Result<Result<KvAnswer, ClientError>, String> {
        let answer = protocol::answer(line, self.id, operation, &self.nodes)
            .map_err(|why| format!("it wrote {}, which {why}", quoted(line)))?;
        // Its end is no contradiction of what it said, and is noticed before the next operation.
        if let Some(Unasked::Line(more)) = process.unasked() {
            let (line, more) = (quoted(line), quoted(&more));
            return Err(format!("it wrote {line} and then {more}, where one answer was asked for"));
        }
        self.answered = answer.node;
        Ok(answer.outcome)
    }
}

impl KvClient for ChildClient {
    fn call<'a>(
        &'a mut self,
        operation: &'a KvOperation,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<KvAnswer, ClientError>> {
        Box::pin(self.perform(operation, Instant::now() + deadline))
    }

    /// One that asks one node alone is served through that node, whoever answered in the end.
    fn node(&self) -> Option<NodeId> {
        self.pinned.or(self.answered)
    }
}

impl Drop for ChildClient {
    fn drop(&mut self) {
        if let Some(Unasked::Line(line)) = self.process.as_mut().and_then(Process::unasked) {
            let after = self.after();
            self.find(format!("it wrote {} {after}, although it was asked nothing", quoted(&line)));
        }
    }
}

/// What was heard in answer to a question.
enum Heard {
    /// A line, without its end.
    Line(String),
    /// The beginning of one that has no end.
    TooLong(String),
    /// The pipe is closed; what came before without an end of line.
    End(String),
}

/// What was heard although nothing was asked.
enum Unasked {
    Line(String),
    End,
}

/// A process that runs; ended with all that it started when it is dropped.
struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// What was read and not taken yet.
    read: Vec<u8>,
    started: Instant,
    /// Whether it was ever asked for an operation.
    asked: bool,
}

impl Process {
    fn start(
        command: &NodeCommand,
        init: &str,
        notes: &Arc<dyn ClientNotes>,
    ) -> std::io::Result<Self> {
        let mut command = tokio::process::Command::from(process::prepared(command));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(std::io::Error::other("it has no pipes"));
        };
        tokio::spawn(keep(stderr, Arc::clone(notes)));
        let (read, started) = (Vec::new(), Instant::now());
        let process = Self { child, stdin, stdout, read, started, asked: false };
        // The pipe is empty and takes all of it, at once.
        let line = format!("{init}\n");
        match nix::unistd::write(process.stdin.as_fd(), line.as_bytes()) {
            Ok(count) if count == line.len() => Ok(process),
            // It has ended already, which is told when it is asked.
            Err(Errno::EPIPE) => Ok(process),
            Ok(_) => Err(std::io::Error::other("its first line does not fit into a pipe")),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Asks, and waits for a line. What the process does not read it does not answer either.
    async fn ask(&mut self, question: &str) -> Heard {
        // An error means that it has closed its end, which reading tells.
        let _ = self.stdin.write_all(format!("{question}\n").as_bytes()).await;
        loop {
            if let Some(line) = self.take_line() {
                return Heard::Line(line);
            }
            if self.read.len() > LINE_LIMIT_BYTES {
                return Heard::TooLong(text(&self.read));
            }
            match self.stdout.read_buf(&mut self.read).await {
                Ok(0) | Err(_) => return Heard::End(text(&self.read)),
                Ok(_) => {}
            }
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.read.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.read.drain(..=end).take(end).collect();
        Some(text(&line))
    }

    /// What it wrote without being asked, if anything has arrived.
    fn unasked(&mut self) -> Option<Unasked> {
        let mut buffer = [0; 4096];
        if self.read.is_empty() {
            // The pipe does not block, as every pipe of the runtime.
            match nix::unistd::read(self.stdout.as_fd(), &mut buffer) {
                Ok(0) => return Some(Unasked::End),
                Ok(count) => self.read.extend_from_slice(&buffer[..count]),
                Err(_) => return None,
            }
        }
        let line = self.take_line().unwrap_or_else(|| text(&self.read));
        Some(Unasked::Line(line))
    }

    /// Whether it has read all that was written to it.
    fn has_read(&self) -> bool {
        let mut unread: libc::c_int = 0;
        // SAFETY: the descriptor is open as long as `stdin` is, and the kernel writes one number to a place that is one.
        let asked =
            unsafe { libc::ioctl(self.stdin.as_fd().as_raw_fd(), libc::FIONREAD, &mut unread) };
        asked == 0 && unread == 0
    }

    async fn words(&self, unasked: Unasked) -> String {
        match unasked {
            Unasked::Line(line) => format!("wrote {}", quoted(&line)),
            Unasked::End => self.how_it_ended().await,
        }
    }

    /// How it ended, in words; its keeper ends in the same way. That is not reaped, so that its number stays its own.
    async fn how_it_ended(&self) -> String {
        let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) else {
            return "ended".to_owned();
        };
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let end = Instant::now() + END_LIMIT;
        while Instant::now() < end {
            match waitid(Id::Pid(Pid::from_raw(pid)), flags) {
                Ok(WaitStatus::Exited(_, code)) => return format!("ended with exit code {code}"),
                Ok(WaitStatus::Signaled(_, signal, _)) => return format!("was ended by {signal}"),
                Ok(_) => sleep(LOOK_EVERY).await,
                Err(_) => break,
            }
        }
        "closed its standard output".to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // None once it is reaped, and nothing reaps it before this.
        if let Some(pid) = self.child.id() {
            keeper::end(pid);
        }
    }
}

/// Keeps what a client writes to its standard error, until its end.
async fn keep(mut stderr: ChildStderr, notes: Arc<dyn ClientNotes>) {
    let mut buffer = [0; 4096];
    while let Ok(count) = stderr.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        notes.said(&buffer[..count]);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
