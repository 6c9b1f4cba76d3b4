//! Where clients that are processes of their own leave what is no answer: findings among the observations, because the
//! check `clients` is made of them, and their standard error in a log. Both are bounded: a client that is broken says the
//! same again and again.

use crate::recorder::Journal;
use crate::results::Observed;
use crate::system::ClientNotes;
use history::NodeId;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many findings of a run are written down; of the rest, that there were more.
const FINDINGS: usize = 100;
/// How much of what clients say is kept, in bytes.
const LOG_LIMIT_BYTES: usize = 1 << 20;
/// The last line of a log that was full.
const FULL: &[u8] = b"\n(this log is full; what clients wrote after this is not kept)\n";

/// The notes of one run.
pub(super) struct RunNotes {
    journal: Arc<Journal>,
    findings: AtomicUsize,
    log: Mutex<Log>,
}

/// A file that is made when there is something to write.
struct Log {
    path: PathBuf,
    file: Option<File>,
    left: usize,
}

impl RunNotes {
    pub(super) fn new(journal: Arc<Journal>, log: PathBuf) -> Self {
        let log = Mutex::new(Log { path: log, file: None, left: LOG_LIMIT_BYTES });
        Self { journal, findings: AtomicUsize::new(0), log }
    }
}

impl ClientNotes for RunNotes {
    fn finding(&self, node: Option<NodeId>, text: String) {
        let before = self.findings.fetch_add(1, Ordering::Relaxed);
        let text = match before.cmp(&FINDINGS) {
            std::cmp::Ordering::Less => text,
            std::cmp::Ordering::Equal => {
                "there were more findings than are written down".to_owned()
            }
            std::cmp::Ordering::Greater => return,
        };
        self.journal.observe(Observed::Finding { node, text });
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
    use crate::recorder::Recorder;
    use history::Header;

    #[test]
    fn a_client_that_never_stops_talking_fills_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        let recorder = Recorder::start(file("history"), &Header::new("kv")).unwrap();
        let journal = Journal::start(Arc::new(recorder), file("cluster")).unwrap();
        let log = folder.path().join("log");
        let notes = RunNotes::new(Arc::new(journal), log.clone());
        for number in 0..1000 {
            notes.finding(Some(NodeId(1)), format!("finding {number}"));
            notes.said(&[b'x'; 4096]);
        }
        let written = std::fs::read_to_string(folder.path().join("cluster")).unwrap();
        let lines: Vec<&str> = written.lines().skip(1).collect();
        assert_eq!(lines.len(), FINDINGS + 1);
        assert!(lines[0].contains("\"type\":\"finding\",\"node\":\"n1\",\"text\":\"finding 0\""));
        assert!(lines[FINDINGS].contains("there were more findings"), "{}", lines[FINDINGS]);
        let said = std::fs::read(log).unwrap();
        assert_eq!(said.len(), LOG_LIMIT_BYTES + FULL.len());
        assert!(said.ends_with(FULL));
    }
}
