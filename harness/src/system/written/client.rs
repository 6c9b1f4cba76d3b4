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

mod child;

use super::protocol::{self, LINE_LIMIT_BYTES, quoted};
use crate::system::{ClientNotes, ClientSettings, Finding, NodeCommand, Route};
use child::{Heard, Process, Unasked};
use history::NodeId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use workloads::{BoxFuture, ClientError, ErrorClass, KvAnswer, KvClient, KvOperation};

/// How long a process may take from its start until it has read its first line.
const START_LIMIT: Duration = Duration::from_secs(20);
/// After an answer that was none, so that a client that is broken is not started again in a tight loop.
const PAUSE: Duration = Duration::from_millis(100);
/// How long its last words may take to arrive.
const WORDS_LIMIT: Duration = Duration::from_millis(100);
/// Between two looks whether it has read what was written to it.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The reason of an operation that was not answered in time.
const SILENT: &str = "client-silent";

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
                    let what = process.in_words(unasked).await;
                    let why = format!("it {what} {}, although it was asked nothing", self.after());
                    let words = process.last_words(WORDS_LIMIT).await;
                    self.find(why.clone(), words, None);
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
                    let limit = START_LIMIT.as_secs();
                    let why = format!("it did not read its first line in {limit} s");
                    let words = process.last_words(Duration::ZERO).await;
                    let finding = self.finding(why, words, None);
                    self.notes.finding(Finding { is_late: true, ..finding });
                }
                return Err(failed("client-not-ready", why));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn unstarted(&self, why: String) -> ClientError {
        self.find(why.clone(), Vec::new(), None);
        ClientError { class: ErrorClass::Definite, code: "client-not-started", message: why }
    }

    fn after(&self) -> String {
        match self.id {
            0 => "before the first operation".to_owned(),
            id => format!("after operation {id} was answered"),
        }
    }

    fn find(&self, what: String, words: Vec<String>, asked: Option<&str>) {
        self.notes.finding(self.finding(what, words, asked));
    }

    /// What it did, what it said last to standard error, and what it was asked.
    fn finding(&self, what: String, words: Vec<String>, asked: Option<&str>) -> Finding {
        let mut text = what.clone();
        if let Some(last) = words.last() {
            text.push_str(&format!(", and said last {} to standard error", quoted(last.trim())));
        }
        if let Some(asked) = asked {
            text.push_str(&format!("; it was asked {}", quoted(asked)));
        }
        Finding { node: self.node(), what, text, words, is_late: false }
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
                    self.notes.answered();
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
            Err(_) => (SILENT, "it did not answer before the deadline".to_owned()),
        };
        let (code, why) = trouble;
        // The deadline of one that was silent is over.
        let wait = if code == SILENT { Duration::ZERO } else { WORDS_LIMIT };
        let words = process.last_words(wait).await;
        let finding = self.finding(why.clone(), words, Some(&question));
        self.notes.finding(Finding { is_late: code == SILENT, ..finding });
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
            let what = format!("it wrote {} {after}, although it was asked nothing", quoted(&line));
            self.find(what, Vec::new(), None);
        }
    }
}

#[cfg(test)]
mod tests;
