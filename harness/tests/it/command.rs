//! Runs the binary in a directory of its own.

use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A fresh directory to run commands in.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// Puts a file there.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap()
    }

    /// Runs `harness` with these words as arguments.
    pub(crate) fn harness(&self, words: &str) -> Left {
        Left::of(self.command(words).output().unwrap())
    }

    /// The same where the kernel lets nobody have a network namespace.
    pub(crate) fn harness_without_namespaces(&self, words: &str) -> Left {
        let mut command = self.command(words);
        if faults::netns::probe().is_ok() {
            forbid_namespaces(&mut command);
        }
        Left::of(command.output().unwrap())
    }

    /// The same with these bytes on its standard input.
    pub(crate) fn harness_reading(&self, words: &str, input: &[u8]) -> Left {
        self.file(".input", input);
        let input = File::open(self.directory.path().join(".input")).unwrap();
        Left::of(self.command(words).stdin(input).output().unwrap())
    }

    /// The same with its standard output elsewhere.
    pub(crate) fn harness_writing_to(&self, words: &str, path: &str) -> Left {
        let output = File::options().write(true).open(path).unwrap();
        let child = self.command(words).stdout(output).stderr(Stdio::piped()).spawn().unwrap();
        Left::of(child.wait_with_output().unwrap())
    }

    /// The same, not started yet.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command
            .args(words.split_whitespace())
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .env_remove("RUST_BACKTRACE");
        command
    }
}

impl Left {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("no signal ends it"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// In a user namespace of its own a process may forbid itself to have any network namespace.
fn forbid_namespaces(command: &mut Command) {
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let files = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{user} {user} 1")),
        ("/proc/self/gid_map", format!("{group} {group} 1")),
        ("/proc/sys/user/max_net_namespaces", "0".to_owned()),
    ];
    let forbid = move || {
        unshare(CloneFlags::CLONE_NEWUSER)?;
        for (file, text) in &files {
            let file = open(*file, OFlag::O_WRONLY, Mode::empty())?;
            nix::unistd::write(file, text.as_bytes())?;
        }
        Ok(())
    };
    // SAFETY: system calls only between fork and exec: the texts are there already.
    unsafe { command.pre_exec(forbid) };
}
