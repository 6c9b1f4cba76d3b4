//! Processes that the harness starts beside the nodes: what tells a version, probes and stops a node, and clients.
//!
//! Each leads a process group of its own (so that the terminal's Ctrl-C does not reach it, and all of it can be ended)
//! and is killed by the kernel when the thread that started it ends, however that happens. What such a process started
//! itself does not die with a harness that is killed: it finds its pipes closed.

use crate::system::NodeCommand;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The most that is read of what a command prints, in bytes.
const OUTPUT_LIMIT_BYTES: usize = 64 * 1024;
/// Between two looks at a command, in milliseconds.
const LOOK_EVERY_MS: u8 = 5;

/// The command as a process of its own group whose life is tied to the thread that starts it. Its streams are the caller's
/// to set.
pub(super) fn prepared(command: &NodeCommand) -> Command {
    let mut process = Command::new(&command.program);
    process
        .args(&command.args)
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .process_group(0);
    let harness = nix::unistd::getpid();
    let tie = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        if nix::unistd::getppid() != harness {
            // The harness died before the line above could have any effect.
            return Err(std::io::Error::from(Errno::ESRCH));
        }
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec and makes two system calls; it allocates nothing and takes no lock.
    unsafe { process.pre_exec(tie) };
    process
}

/// Sends SIGKILL to a child that is not reaped yet, and to its group.
pub(super) fn kill_group(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        // ESRCH only means that the group is gone already.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Runs a command to its end and gives what it printed on standard output.
///
/// # Errors
/// It cannot be started, takes longer than `limit`, prints too much, or fails; as a fragment that follows its name.
pub(super) fn run(command: &NodeCommand, limit: Duration) -> Result<String, String> {
    let deadline = Instant::now() + limit;
    let mut process = prepared(command);
    process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = process.spawn().map_err(|error| format!("cannot be started: {error}"))?;
    let ended = watch(&mut child, deadline);
    if ended.is_err() {
        kill_group(child.id());
        // It has been sent SIGKILL, so this takes a moment.
        let _ = child.wait();
    }
    let (status, output) = ended.map_err(|error| match error {
        Unended::Late => format!("did not end within {} s", limit.as_secs_f64()),
        Unended::Loud => format!("printed more than {OUTPUT_LIMIT_BYTES} bytes"),
        Unended::System(why) => format!("cannot be watched: {why}"),
    })?;
    if status.success() {
        Ok(String::from_utf8_lossy(&output).into_owned())
    } else {
        Err(format!("failed ({status})"))
    }
}

enum Unended {
    Late,
    Loud,
    System(String),
}

/// Reads what the child prints until it has ended.
fn watch(child: &mut Child, deadline: Instant) -> Result<(ExitStatus, Vec<u8>), Unended> {
    let system = |error: &dyn std::fmt::Display| Unended::System(error.to_string());
    let mut stdout = child.stdout.take().ok_or_else(|| Unended::System("no pipe".to_owned()))?;
    let mut output = Vec::new();
    loop {
        // Asked before what it printed is read, so that nothing it printed before its end is missed.
        let ended = child.try_wait().map_err(|error| system(&error))?;
        drain(&mut stdout, &mut output)?;
        if let Some(status) = ended {
            return Ok((status, output));
        }
        if Instant::now() >= deadline {
            return Err(Unended::Late);
        }
        std::thread::sleep(Duration::from_millis(LOOK_EVERY_MS.into()));
    }
}

/// Reads what is there now.
fn drain(stdout: &mut ChildStdout, output: &mut Vec<u8>) -> Result<(), Unended> {
    let mut buffer = [0; 4096];
    loop {
        let mut wanted = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut wanted, 0_u8).map_err(|error| Unended::System(error.to_string()))?;
        if ready == 0 {
            return Ok(());
        }
        let count = stdout.read(&mut buffer).map_err(|error| Unended::System(error.to_string()))?;
        if count == 0 {
            return Ok(());
        }
        output.extend_from_slice(&buffer[..count]);
        if output.len() > OUTPUT_LIMIT_BYTES {
            return Err(Unended::Loud);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn sh(line: &str) -> NodeCommand {
        let args = vec!["-c".to_owned(), line.to_owned()];
        NodeCommand { program: PathBuf::from("/bin/sh"), args, env: Vec::new() }
    }

    #[test]
    fn a_command_is_run_to_its_end() {
        let long = Duration::from_secs(20);
        assert_eq!(run(&sh("echo a; echo b"), long), Ok("a\nb\n".to_owned()));
        assert_eq!(run(&sh("exit 3"), long), Err("failed (exit status: 3)".to_owned()));
        let absent = NodeCommand { program: PathBuf::from("/absent"), ..sh("") };
        assert!(run(&absent, long).unwrap_err().starts_with("cannot be started: "));
        assert!(run(&sh("yes"), long).unwrap_err().starts_with("printed more than"));
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let line = format!("sleep 1000 & echo $! > {}; wait", file.display());
        let told = run(&sh(&line), Duration::from_millis(300)).unwrap_err();
        assert_eq!(told, "did not end within 0.3 s");
        let pid: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        // Whoever inherits it reaps it a moment later.
        let is_there = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        while is_there() {
            assert!(Instant::now() < deadline, "{pid} is still there");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
