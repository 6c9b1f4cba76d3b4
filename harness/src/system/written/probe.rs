//! Asks a node for its role by running a command, at most once a second.
//!
//! The command prints one JSON object: `{"role":"leader","term":3}`, or `follower` or `candidate`; a system without
//! terms says 0, and then of several that say they lead any may be taken for the leader. The observer asks more often
//! than that, and from a new probe after each error, so what was answered last is kept by whoever hands out the
//! probes, for each address.
//!
//! What is answered is up to [`PERIOD`] and [`LIMIT`] old. It colours reports and helps a fault to aim; nothing is judged by it.

use super::process;
use super::protocol::quoted;
use crate::system::{NodeCommand, NodeStatus, Probe, Role};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use workloads::BoxFuture;

/// Between two starts of the command for one node.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the command may take.
const LIMIT: Duration = Duration::from_secs(2);

/// What the nodes of a run answered last, by where they are asked.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<BTreeMap<SocketAddr, Arc<Mutex<Last>>>>);

impl Answers {
    /// What the node at `address` answered last, shared by all who ask it.
    pub(super) fn at(&self, address: SocketAddr) -> Arc<Mutex<Last>> {
        let mut answers = lock(&self.0);
        // Those of earlier runs.
        answers.retain(|_, last| Arc::strong_count(last) > 1 || lock(last).is_of_use());
        Arc::clone(answers.entry(address).or_default())
    }
}

#[derive(Debug, Default)]
pub(super) struct Last {
    /// When the command was last started.
    asked: Option<Instant>,
    /// Whether it still runs.
    running: bool,
    answer: Option<Result<NodeStatus, String>>,
    /// When it came.
    answered: Option<Instant>,
}

impl Last {
    fn is_recent(&self) -> bool {
        self.asked.is_some_and(|asked| asked.elapsed() < PERIOD)
    }

    /// Whether somebody may still want the answer: that of a slow command comes when it was asked long ago.
    fn is_of_use(&self) -> bool {
        self.is_recent() || self.answered.is_some_and(|answered| answered.elapsed() < PERIOD)
    }
}

/// Asks one node.
pub(super) struct CommandProbe {
    command: NodeCommand,
    last: Arc<Mutex<Last>>,
}

impl CommandProbe {
    pub(super) fn new(command: NodeCommand, last: Arc<Mutex<Last>>) -> Self {
        Self { command, last }
    }

    /// Starts the command if it is time for it.
    fn ask(&self) {
        let mut last = lock(&self.last);
        if last.running || last.is_recent() {
            return;
        }
        (last.asked, last.running) = (Some(Instant::now()), true);
        let (command, shared) = (self.command.clone(), Arc::clone(&self.last));
        // On a thread of its own, which lives as long as the command does.
        tokio::task::spawn_blocking(move || {
            let answer = process::run(&command, LIMIT)
                .map_err(|why| format!("the probe {why}"))
                .and_then(|printed| status(&printed));
            let mut last = lock(&shared);
            (last.answer, last.running) = (Some(answer), false);
            last.answered = Some(Instant::now());
        });
    }
}

impl Probe for CommandProbe {
    fn status<'a>(&'a mut self, _: Duration) -> BoxFuture<'a, Result<NodeStatus, String>> {
        Box::pin(async {
            self.ask();
            let answer = lock(&self.last).answer.clone();
            answer.unwrap_or_else(|| Err("the probe has not ended yet".to_owned()))
        })
    }
}

#[derive(Deserialize)]
struct Printed {
    role: Role,
    term: u64,
}

fn status(printed: &str) -> Result<NodeStatus, String> {
    let told = serde_json::from_str::<Printed>(printed.trim()).map_err(|error| {
        let quoted = quoted(printed.trim());
        format!("the probe printed {quoted}, expected {{\"role\":\"leader\",\"term\":1}}: {error}")
    })?;
    Ok(NodeStatus::of(told.role, told.term))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn what_a_probe_prints_is_a_role_and_a_term() {
        let told = status("{\"role\":\"leader\",\"term\":7}\n").unwrap();
        assert_eq!((told.role, told.term), (Role::Leader, 7));
        for bad in ["", "leader", "{\"role\":\"master\",\"term\":1}", "{\"role\":\"leader\"}"] {
            assert!(status(bad).unwrap_err().starts_with("the probe printed `"), "{bad}");
        }
    }

    /// Also where everybody who asks has a probe of their own and is gone before it ends.
    #[tokio::test]
    async fn the_answer_of_a_command_that_takes_longer_than_a_second_is_heard() {
        let line = "sleep 1.2; echo '{\"role\":\"leader\",\"term\":2}'".to_owned();
        let args = vec!["-c".to_owned(), line];
        let command = NodeCommand { program: PathBuf::from("/bin/sh"), args, env: Vec::new() };
        let (answers, address) = (Answers::default(), "127.0.0.1:1".parse().unwrap());
        let begin = Instant::now();
        loop {
            let mut probe = CommandProbe::new(command.clone(), answers.at(address));
            if probe.status(Duration::ZERO).await.is_ok() {
                return;
            }
            drop(probe);
            assert!(begin.elapsed() < Duration::from_secs(30), "no answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// However often somebody asks, and with however many probes.
    #[tokio::test]
    async fn a_node_is_asked_no_more_than_once_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("asked");
        let line =
            format!("echo x >> {}; echo '{{\"role\":\"follower\",\"term\":2}}'", file.display());
        let args = vec!["-c".to_owned(), line];
        let command = NodeCommand { program: PathBuf::from("/bin/sh"), args, env: Vec::new() };
        let (answers, address) = (Answers::default(), "127.0.0.1:1".parse().unwrap());
        let begin = Instant::now();
        let mut answered = 0;
        while answered < 20 {
            let mut probe = CommandProbe::new(command.clone(), answers.at(address));
            if probe.status(Duration::ZERO).await.is_ok_and(|told| told.role == Role::Follower) {
                answered += 1;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "no answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let asked = std::fs::read_to_string(file).unwrap().lines().count() as u64;
        assert!(asked <= 1 + begin.elapsed().as_secs(), "{asked} in {:?}", begin.elapsed());
    }
}
