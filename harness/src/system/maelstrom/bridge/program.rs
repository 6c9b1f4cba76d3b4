//! The node's program: an unmodified Maelstrom binary with pipes on its standard input and output.
//!
//! It is in the process group of the bridge, so what is done to the one is done to both: a kill, a pause, turns. Its
//! standard error is that of the bridge, which is the log: nothing of it can be lost, and nobody has to read it. Whatever it
//! writes to its output is read at once.

use super::switch::Switch;
use crate::exit::Failure;
use crate::system::maelstrom::line::Cutter;
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long it may take to end after SIGTERM, and after its end until nothing is left in its output.
const END_LIMIT: Duration = Duration::from_secs(1);
/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// A program that runs.
pub(super) struct Program {
    child: Child,
    pub(super) input: ChildStdin,
    pub(super) output: ChildStdout,
}

impl Program {
    /// Starts it in `folder`. To be called on the thread that lives as long as this process.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(
        program: &Path,
        arguments: &[String],
        folder: &Path,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command.kill_on_drop(true);
        let bridge = nix::unistd::getpid();
        let tie_life = move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            if nix::unistd::getppid() != bridge {
                // The bridge died before the line above could have any effect.
                return Err(nix::errno::Errno::ESRCH.into());
            }
            Ok(())
        };
        // SAFETY: the closure runs between fork and exec and only makes system calls; it allocates nothing and takes no
        // lock.
        unsafe { command.pre_exec(tie_life) };
        let unstarted = |why: String| {
            Failure::environment(format!("the node's program cannot be started: {why}"))
                .hint(format!("it is {}", program.display()))
        };
        let mut child = command.spawn().map_err(|error| unstarted(error.to_string()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(unstarted("it has no pipes".to_owned()));
        };
        Ok(Self { child, input, output })
    }

    /// Takes it apart: the process, and its two pipes.
    pub(super) fn into_parts(self) -> (Process, ChildStdin, ChildStdout) {
        (Process(self.child), self.input, self.output)
    }
}

/// The process of a program.
pub(super) struct Process(Child);

impl Process {
    /// Waits until it has ended by itself, and says how.
    pub(super) async fn ended(&mut self) -> String {
        match self.0.wait().await {
            Ok(status) => how(status),
            Err(error) => error.to_string(),
        }
    }

    /// Waits a moment for a process that was told to end, and then ends it.
    pub(super) async fn end(mut self) {
        if timeout(END_LIMIT, self.0.wait()).await.is_err() {
            // It has ended just now, or it will.
            let _ = self.0.start_kill();
            let _ = timeout(END_LIMIT, self.0.wait()).await;
        }
    }
}

/// `exit code 3`, or the name of a signal.
fn how(status: ExitStatus) -> String {
    use crate::guardian::ExitStatus::{Code, Signal};
    use std::os::unix::process::ExitStatusExt;
    let how = status.code().map(Code).or(status.signal().map(Signal));
    how.map_or_else(|| status.to_string(), |how| how.to_string())
}

/// Writes to the program whatever is for it, until it takes no more.
pub(super) async fn write(switch: Arc<Switch>, mut input: impl AsyncWrite + Unpin) {
    let queue = switch.to_node();
    loop {
        let mut line = queue.take().await;
        line.push(b'\n');
        // There is no limit to how long a program may take to read; what waits for it is bounded.
        if input.write_all(&line).await.is_err() {
            switch.log().say("the node takes no more input");
            return;
        }
    }
}

/// Reads what the program writes, until its end. Returns a last line that has none.
pub(super) async fn read(
    switch: Arc<Switch>,
    mut output: impl AsyncRead + Unpin,
) -> Option<Vec<u8>> {
    let mut cutter = Cutter::default();
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(count @ 1..) = output.read(&mut buffer).await {
        for piece in cutter.push(&buffer[..count]) {
            switch.node_writes(&piece);
        }
    }
    cutter.rest()
}
