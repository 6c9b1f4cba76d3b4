//! The process of a client: its pipes, what it says on them, and its end.

use super::super::protocol::{LINE_LIMIT_BYTES, quoted};
use super::super::{keeper, process};
use crate::system::{ClientNotes, NodeCommand};
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// How long the end of a process that closed its pipe is waited for, to tell how it ended.
const END_LIMIT: Duration = Duration::from_millis(200);
/// Between two looks whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How much of the end of what it writes to standard error is kept, in bytes.
const WORDS_LIMIT_BYTES: usize = 2048;
/// How many lines of that are told.
const WORDS: usize = 5;

/// What was heard in answer to a question.
pub(super) enum Heard {
    /// A line, without its end.
    Line(String),
    /// The beginning of one that has no end.
    TooLong(String),
    /// The pipe is closed; what came before without an end of line.
    End(String),
}

/// What was heard although nothing was asked.
pub(super) enum Unasked {
    Line(String),
    End,
}

/// A process that runs; ended with all that it started when it is dropped.
pub(super) struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// What was read and not taken yet.
    read: Vec<u8>,
    pub(super) started: Instant,
    /// Whether it was ever asked for an operation.
    pub(super) asked: bool,
    /// The end of what it wrote to standard error.
    said: Arc<Mutex<VecDeque<u8>>>,
    /// Ends when that is closed.
    keeping: JoinHandle<()>,
}

impl Process {
    pub(super) fn start(
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
        let said = Arc::default();
        let keeping = tokio::spawn(keep(stderr, Arc::clone(&said), Arc::clone(notes)));
        let (read, started) = (Vec::new(), Instant::now());
        let process = Self { child, stdin, stdout, read, started, asked: false, said, keeping };
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
    pub(super) async fn ask(&mut self, question: &str) -> Heard {
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
    pub(super) fn unasked(&mut self) -> Option<Unasked> {
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
    pub(super) fn has_read(&self) -> bool {
        let mut unread: libc::c_int = 0;
        // SAFETY: the descriptor is open as long as `stdin` is, and the kernel writes one number to a place that is one.
        let asked =
            unsafe { libc::ioctl(self.stdin.as_fd().as_raw_fd(), libc::FIONREAD, &mut unread) };
        asked == 0 && unread == 0
    }

    pub(super) async fn in_words(&self, unasked: Unasked) -> String {
        match unasked {
            Unasked::Line(line) => format!("wrote {}", quoted(&line)),
            Unasked::End => self.how_it_ended().await,
        }
    }

    /// How it ended, in words; its keeper ends in the same way. That is not reaped, so that its number stays its own.
    pub(super) async fn how_it_ended(&self) -> String {
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

    /// The last lines that it wrote to standard error, oldest first. Of one that has ended this waits, at most so long,
    /// for all that came before its end; of another, so long for what it wrote a moment ago and nobody has read yet.
    pub(super) async fn last_words(&mut self, wait: Duration) -> Vec<String> {
        let _ = timeout(wait, &mut self.keeping).await;
        let said: Vec<u8> = lock(&self.said).iter().copied().collect();
        let said = text(&said);
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(WORDS)..].iter().map(|line| (*line).to_owned()).collect()
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
async fn keep(
    mut stderr: ChildStderr,
    said: Arc<Mutex<VecDeque<u8>>>,
    notes: Arc<dyn ClientNotes>,
) {
    let mut buffer = [0; 4096];
    while let Ok(count) = stderr.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        notes.said(&buffer[..count]);
        let mut said = lock(&said);
        said.extend(&buffer[..count]);
        let over = said.len().saturating_sub(WORDS_LIMIT_BYTES);
        said.drain(..over);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
