//! Processes that the harness starts beside the nodes: what tells a version, probes and stops a node, and clients.
//!
//! Each leads a process group of its own, so that the terminal's Ctrl-C does not reach it, and has a keeper, who is the
//! child that the caller sees. So whatever such a process started is ended with it, also in other groups and sessions; and
//! both end with the thread that started them, however that happens.

use super::keeper;
use crate::system::NodeCommand;
use nix::poll::{PollFd, PollFlags, poll};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The most that is read of what a command prints, in bytes.
const OUTPUT_LIMIT_BYTES: usize = 64 * 1024;
/// Between two looks at a command, in milliseconds.
const LOOK_EVERY_MS: u8 = 5;

/// The command as a process whose child is its keeper, to be ended by [`keeper::end`]. Its streams are the caller's to set.
pub(super) fn prepared(command: &NodeCommand) -> Command {
    let mut process = Command::new(&command.program);
    process
        .args(&command.args)
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .process_group(0);
    let harness = nix::unistd::getpid();
    // SAFETY: the closure runs between fork and exec and makes system calls only; it allocates nothing and takes no lock.
    unsafe { process.pre_exec(move || keeper::stand_between(harness)) };
    process
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
    // One that has ended is reaped now, and its number may be somebody else's.
    if ended.is_err() && matches!(child.try_wait(), Ok(None)) {
        keeper::end(child.id());
        // It ends whatever it keeps first, within a limit.
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
    use std::path::{Path, PathBuf};

    const PATIENCE: Duration = Duration::from_secs(20);
    /// Names the file of a copy of this test program that stands in for a harness.
    const STAND_IN: &str = "PROCESS_TEST_STAND_IN";

    fn sh(line: &str) -> NodeCommand {
        let args = vec!["-c".to_owned(), line.to_owned()];
        NodeCommand { program: PathBuf::from("/bin/sh"), args, env: Vec::new() }
    }

    #[test]
    fn a_command_is_run_to_its_end() {
        assert_eq!(run(&sh("echo a; echo b"), PATIENCE), Ok("a\nb\n".to_owned()));
        assert_eq!(run(&sh("exit 3"), PATIENCE), Err("failed (exit status: 3)".to_owned()));
        let absent = NodeCommand { program: PathBuf::from("/absent"), ..sh("") };
        assert!(run(&absent, PATIENCE).unwrap_err().starts_with("cannot be started: "));
        assert!(run(&sh("yes"), PATIENCE).unwrap_err().starts_with("printed more than"));
    }

    /// A line that starts something in a session of its own, which writes its number into this file.
    fn leaving(file: &Path) -> String {
        let file = file.display();
        format!(
            "setsid sh -c 'echo $$ > {file}; exec sleep 1000' & while [ ! -s {file} ]; do sleep 0.01; done"
        )
    }

    fn number_in(file: &Path) -> i32 {
        std::fs::read_to_string(file).unwrap().trim().parse().unwrap()
    }

    fn is_there(pid: i32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }

    #[test]
    fn nothing_that_a_command_started_is_there_when_it_has_been_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let left = leaving(&file);
        // It has the command's standard output, too.
        assert_eq!(run(&sh(&format!("{left}; echo a")), PATIENCE), Ok("a\n".to_owned()));
        assert!(!is_there(number_in(&file)), "after its end");
        std::fs::remove_file(&file).unwrap();
        let crashed = run(&sh(&format!("{left}; kill -SEGV $$")), PATIENCE).unwrap_err();
        assert!(crashed.starts_with("failed (signal: 11"), "{crashed}");
        assert!(!is_there(number_in(&file)), "after its crash");
        std::fs::remove_file(&file).unwrap();
        let hangs = run(&sh(&format!("{left}; sleep 1000")), Duration::from_secs(4)).unwrap_err();
        assert_eq!(hangs, "did not end within 4 s");
        assert!(!is_there(number_in(&file)), "after its time");
    }

    /// The test program again, as a harness that runs a command until it is killed.
    #[test]
    fn nothing_that_a_command_started_outlives_a_harness_that_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let mut stand_in = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "system::written::process::tests::stand_in_for_a_harness",
                "--ignored",
            ])
            .env(STAND_IN, &file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')) {
            assert!(Instant::now() < deadline, "nothing was started");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(is_there(number_in(&file)));
        stand_in.kill().unwrap();
        stand_in.wait().unwrap();
        while is_there(number_in(&file)) {
            assert!(Instant::now() < deadline, "{} is still there", number_in(&file));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    #[ignore = "a program that another test starts"]
    fn stand_in_for_a_harness() {
        let Some(file) = std::env::var_os(STAND_IN) else { return };
        let line = format!("{}; sleep 1000", leaving(Path::new(&file)));
        let _ = run(&sh(&line), 6 * PATIENCE);
    }
}
