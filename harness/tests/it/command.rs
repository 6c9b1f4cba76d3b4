//! Runs the binary in a directory of its own.

use std::fs::File;
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
