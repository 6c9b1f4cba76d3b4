//! Runs the binary in a directory of its own.

use std::process::{Command, Output};
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
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(words.split_whitespace())
            .current_dir(self.directory.path())
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        Left {
            code: status.code().expect("no signal ends it"),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }
}
