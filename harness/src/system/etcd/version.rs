//! Which etcd this is, as it says itself.
//!
//! It is asked once, before anything starts, with a limit: a program that does not answer is not etcd. What it proves is small
//! on purpose. Whoever names a program that says to be another version than it is gets what they asked for, with that
//! version in the plan.

use crate::exit::Failure;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to say.
const LIMIT: Duration = Duration::from_secs(5);
/// Between two looks whether it has said so.
const PAUSE: Duration = Duration::from_millis(5);
/// How much of what it says is read, in bytes: the version stands in the first line.
const MOST_BYTES: u64 = 4096;
/// How that line begins.
const LINE: &str = "etcd Version: ";
/// The versions whose words were read (see `answer`), as the beginning of a version.
const READ: [&str; 3] = ["3.4.", "3.5.", "3.6."];

/// Asks `program` for its version.
///
/// # Errors
/// It is not there, cannot be run, does not answer, or says nothing of etcd.
pub(super) fn ask(program: &Path) -> Result<String, Failure> {
    let name = program.display();
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => missing(program),
        _ => Failure::usage(format!("`{name}` cannot be run: {error}")),
    })?;
    let ended = wait(&mut child);
    let mut text = String::new();
    if let (true, Some(output)) = (ended, child.stdout.take()) {
        // What is no text is no version either.
        let _ = output.take(MOST_BYTES).read_to_string(&mut text);
    }
    if let Some(version) = parse(&text) {
        return Ok(version.to_owned());
    }
    let said = match text.lines().next() {
        _ if !ended => format!("gave no answer in {} s", LIMIT.as_secs()),
        Some(line) => format!("said `{}`", line.chars().take(100).collect::<String>()),
        None => "said nothing".to_owned(),
    };
    Err(Failure::usage(format!("`{name}` is no etcd: asked for its version, it {said}"))
        .hint("`--bin PATH` names the program of the members"))
}

fn missing(program: &Path) -> Failure {
    let name = program.display();
    let message = if program.components().count() == 1 {
        format!("there is no `{name}` on the path")
    } else {
        format!("there is no `{name}`")
    };
    Failure::usage(message)
        .hint("on Debian and Ubuntu: `apt-get install etcd-server`")
        .hint("or get a release of etcd from its project, and name the program with `--bin PATH`")
}

/// Whether it ended within the limit; after that it is gone either way.
fn wait(child: &mut Child) -> bool {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        match child.try_wait() {
            Ok(Some(_)) => return true,
            Ok(None) => std::thread::sleep(PAUSE),
            Err(_) => break,
        }
    }
    // It may have ended just now.
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// `3.4.23` of `etcd Version: 3.4.23`.
fn parse(text: &str) -> Option<&str> {
    let version = text.lines().find_map(|line| line.strip_prefix(LINE))?.trim();
    let begins = version.starts_with(|c: char| c.is_ascii_digit());
    (begins && version.len() <= 40).then_some(version)
}

/// What somebody should know before a verdict on this version is believed, if there is anything.
pub(super) fn warning(version: &str) -> Option<String> {
    if READ.iter().any(|known| version.starts_with(known)) {
        return None;
    }
    let read = READ.map(|known| known.trim_end_matches('.')).join(", ");
    Some(format!(
        "etcd {version} is none of the versions whose errors were read ({read}): an error that this one gives may prove less than it is taken for"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A program of these lines. Another process writes it: one that is written here could be open for that in a child that
    /// another test has just forked, and then it cannot be run.
    fn program(folder: &tempfile::TempDir, lines: &str) -> PathBuf {
        let path = folder.path().join("etcd");
        let made = Command::new("sh")
            .args(["-c", "printf '#!/bin/sh\n%s\n' \"$2\" > \"$1\" && chmod +x \"$1\"", "sh"])
            .args([path.as_os_str(), lines.as_ref()])
            .status();
        assert!(made.unwrap().success());
        path
    }

    #[test]
    fn the_version_stands_in_its_line() {
        let debian =
            "etcd Version: 3.4.23\nGit SHA: Not provided (use ./build)\nGo Version: go1.19.8\n";
        assert_eq!(parse(debian), Some("3.4.23"));
        assert_eq!(parse("warning: x\netcd Version: 3.6.0-rc.1\n"), Some("3.6.0-rc.1"));
        for nothing in ["", "etcd Version: \n", "etcd Version: x", "etcdctl version: 3.4.23"] {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_version_that_was_not_read_has_a_warning() {
        for version in ["3.4.23", "3.5.0", "3.6.13"] {
            assert_eq!(warning(version), None);
        }
        for version in ["3.3.27", "3.7.0", "3.40.1", "4.0.0"] {
            let text = warning(version).unwrap();
            assert!(text.starts_with(&format!("etcd {version} is none of")), "{text}");
        }
    }

    #[test]
    fn what_is_no_etcd_is_named() {
        let said = |program: &str| {
            let failure = ask(Path::new(program)).unwrap_err();
            assert_eq!(failure.exit, crate::exit::Exit::Usage);
            (failure.message, failure.hints.join(" "))
        };
        let (message, hints) = said("no-such-program-of-ours");
        assert_eq!(message, "there is no `no-such-program-of-ours` on the path");
        assert!(hints.contains("apt-get install etcd-server"), "{hints}");
        assert_eq!(said("/nowhere/etcd").0, "there is no `/nowhere/etcd`");
        assert!(said("/etc/passwd").0.starts_with("`/etc/passwd` cannot be run: "));
        let folder = tempfile::tempdir().unwrap();
        for (lines, wanted) in [("", "said nothing"), ("echo etcd 3.4", "said `etcd 3.4`")] {
            let path = program(&folder, lines).display().to_string();
            let wanted = format!("`{path}` is no etcd: asked for its version, it {wanted}");
            assert_eq!(said(&path).0, wanted);
        }
    }

    #[test]
    fn a_program_that_says_a_version_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(&folder, "echo 'etcd Version: 9.8.7'");
        assert_eq!(ask(&path), Ok("9.8.7".to_owned()));
    }
}
