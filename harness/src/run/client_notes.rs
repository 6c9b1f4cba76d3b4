//! Where clients that are processes of their own leave what is no answer: findings among the observations, because the
//! check `clients` is made of them, and their standard error in a log. Both are bounded: a client that is broken says the
//! same again and again.
//!
//! A program of which no process ever gives one answer is no client, and a run with it says nothing of any system. As soon as that
//! is certain the run ends with what the first of them did and said ([`RunNotes::useless`]).

use crate::exit::Failure;
use crate::recorder::Journal;
use crate::results::Observed;
use crate::system::{ClientNotes, Finding};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// How many findings of a run are written down; of the rest, that there were more.
const FINDINGS: usize = 100;
/// How much of what clients say is kept, in bytes.
const LOG_LIMIT_BYTES: usize = 1 << 20;
/// The last line of a log that was full.
const FULL: &[u8] = b"\n(this log is full; what clients wrote after this is not kept)\n";
/// So many wrong ends, lines or starts for each client, and no answer of any, are no accident ...
const WRONG_EACH: usize = 2;
/// ... and so many in all are enough, however many clients there are.
const WRONG_ENOUGH: usize = 40;
/// What is only late may be late because of the system or the machine, so that it takes more of it.
const LATE_EACH: usize = 3;

/// The notes of one run.
pub(super) struct RunNotes {
    journal: Arc<Journal>,
    /// How many clients are at work at once.
    clients: usize,
    /// Whether any of them ever answered.
    answered: AtomicBool,
    findings: AtomicUsize,
    late: AtomicUsize,
    first: Mutex<Option<Finding>>,
    useless: watch::Sender<Option<Failure>>,
    log: Mutex<Log>,
}

/// A file that is made when there is something to write.
struct Log {
    path: PathBuf,
    file: Option<File>,
    left: usize,
}

impl RunNotes {
    pub(super) fn new(journal: Arc<Journal>, clients: usize, log: PathBuf) -> Self {
        Self {
            journal,
            clients,
            answered: AtomicBool::new(false),
            findings: AtomicUsize::new(0),
            late: AtomicUsize::new(0),
            first: Mutex::default(),
            useless: watch::channel(None).0,
            log: Mutex::new(Log { path: log, file: None, left: LOG_LIMIT_BYTES }),
        }
    }

    /// Ends when it is certain that the program is no client.
    pub(super) fn useless(&self) -> impl Future<Output = Failure> + use<> {
        let mut useless = self.useless.subscribe();
        async move {
            match useless.wait_for(Option::is_some).await.map(|failure| failure.clone()) {
                Ok(Some(failure)) => failure,
                // Nobody takes notes any more.
                _ => std::future::pending().await,
            }
        }
    }

    /// Why the work came to nothing, if clients did what they may not do and none of them ever answered.
    pub(super) fn never_answered(&self) -> Option<Failure> {
        if self.answered.load(Ordering::Relaxed) {
            return None;
        }
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let times = match self.findings.load(Ordering::Relaxed) {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        let message = format!(
            "the client program never gave an answer, tried {times}; first, {}",
            first.what
        );
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failure = Failure::environment(message).details(first.words);
        if first.is_late {
            failure = failure.hint(
                "every answer must leave at once: in Python print(..., flush=True), and a time-out for what waits",
            );
        }
        if log.file.is_some() {
            failure = failure.hint(format!(
                "all that clients wrote to standard error is {}",
                log.path.display()
            ));
        }
        Some(failure.hint("docs/your-system.md says what a client reads and writes"))
    }

    /// Whether so many findings, so many of them about time only, are no accident.
    fn are_enough(&self, findings: usize, late: usize) -> bool {
        let wrong = findings - late;
        wrong >= (WRONG_EACH * self.clients).min(WRONG_ENOUGH)
            || findings >= LATE_EACH * self.clients
    }
}

impl ClientNotes for RunNotes {
    fn finding(&self, finding: Finding) {
        let late = self.late.fetch_add(usize::from(finding.is_late), Ordering::Relaxed);
        let late = late + usize::from(finding.is_late);
        let before = self.findings.fetch_add(1, Ordering::Relaxed);
        let Finding { node, text, .. } = finding.clone();
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(finding);
        if self.are_enough((before + 1).max(late), late)
            && let Some(failure) = self.never_answered()
        {
            self.useless.send_if_modified(|known| known.replace(failure).is_none());
        }
        let text = match before.cmp(&FINDINGS) {
            std::cmp::Ordering::Less => text,
            std::cmp::Ordering::Equal => {
                "there were more findings than are written down".to_owned()
            }
            std::cmp::Ordering::Greater => return,
        };
        self.journal.observe(Observed::Finding { node, text });
    }

    fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// What cannot be written is lost: it is for people, and nothing is judged by it.
    fn said(&self, bytes: &[u8]) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = &bytes[..bytes.len().min(log.left)];
        if bytes.is_empty() {
            return;
        }
        if log.file.is_none() {
            log.file = File::options().append(true).create(true).open(&log.path).ok();
        }
        log.left -= bytes.len();
        let full = log.left == 0;
        if let Some(file) = &mut log.file {
            let _ =
                file.write_all(bytes).and_then(|()| file.write_all(if full { FULL } else { b"" }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::recorder::Recorder;
    use history::{Header, NodeId};
    use std::path::Path;

    fn notes(folder: &Path, clients: usize) -> RunNotes {
        let file = |name: &str| File::create(folder.join(name)).unwrap();
        let recorder = Recorder::start(file("history"), &Header::new("kv")).unwrap();
        let journal = Journal::start(Arc::new(recorder), file("cluster")).unwrap();
        RunNotes::new(Arc::new(journal), clients, folder.join("log"))
    }

    fn finding(text: &str, is_late: bool) -> Finding {
        let words = vec!["Traceback:".to_owned(), "NameError".to_owned()];
        let text = text.to_owned();
        Finding { node: Some(NodeId(1)), what: format!("it {text}"), text, words, is_late }
    }

    #[test]
    fn a_client_that_never_stops_talking_fills_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let notes = notes(folder.path(), 3);
        for number in 0..1000 {
            notes.finding(finding(&format!("finding {number}"), false));
            notes.said(&[b'x'; 4096]);
        }
        let written = std::fs::read_to_string(folder.path().join("cluster")).unwrap();
        let lines: Vec<&str> = written.lines().skip(1).collect();
        assert_eq!(lines.len(), FINDINGS + 1);
        assert!(lines[0].contains("\"type\":\"finding\",\"node\":\"n1\",\"text\":\"finding 0\""));
        assert!(lines[FINDINGS].contains("there were more findings"), "{}", lines[FINDINGS]);
        let said = std::fs::read(folder.path().join("log")).unwrap();
        assert_eq!(said.len(), LOG_LIMIT_BYTES + FULL.len());
        assert!(said.ends_with(FULL));
    }

    /// How many findings it takes until it is certain.
    fn findings_until_useless(clients: usize, is_late: bool) -> (usize, Failure) {
        let folder = tempfile::tempdir().unwrap();
        let notes = notes(folder.path(), clients);
        (1..1000)
            .find_map(|number| {
                notes.finding(finding("ended", is_late));
                let told = notes.useless.borrow().clone();
                told.map(|failure| (number, failure))
            })
            .expect("it is certain some time")
    }

    #[test]
    fn a_program_that_never_answers_ends_the_run_with_its_own_words() {
        let (number, failure) = findings_until_useless(4, false);
        assert_eq!(number, 8);
        assert_eq!(
            failure.message,
            "the client program never gave an answer, tried 8 times; first, it ended"
        );
        assert_eq!(failure.details, ["Traceback:", "NameError"]);
        assert_eq!(failure.exit, Exit::Error);
        assert_eq!(findings_until_useless(1000, false).0, WRONG_ENOUGH);
        let (number, failure) = findings_until_useless(100, true);
        assert_eq!(number, 300, "what is late may be somebody else's fault");
        assert!(failure.hints[0].contains("flush=True"), "{failure:?}");
    }

    #[test]
    fn one_answer_makes_it_a_client() {
        let folder = tempfile::tempdir().unwrap();
        let notes = notes(folder.path(), 1);
        assert_eq!(notes.never_answered(), None, "nobody did anything wrong");
        notes.finding(finding("ended", false));
        assert!(notes.never_answered().is_some());
        notes.answered();
        (0..50).for_each(|_| notes.finding(finding("ended", false)));
        assert_eq!(notes.never_answered(), None);
        assert!(notes.useless.borrow().is_none());
    }
}
