//! Reading what nodes wrote: the last lines for an error, panics and words about the protocol for the verdict.

use super::{Deployment, NodePaths};
use crate::system::ProtocolMarks;
use history::NodeId;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// How much of the end of a log is looked at for its last lines, in bytes.
const TAIL_BYTES: u64 = 16 * 1024;
/// The longest line that is shown, in characters.
const LINE_LIMIT: usize = 500;
/// How many panics of one node are told.
const PANIC_LIMIT: usize = 10;
/// How many words about the protocol of one node are told, besides their number.
const SPOKEN_LIMIT: usize = 10;

/// A panic that a node's log tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    /// Which node.
    pub node: NodeId,
    /// The line, and the one after it, which holds the message.
    pub lines: Vec<String>,
}

/// What a node's log tells of its protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// How often the node wrote what the protocol does not have.
    pub broken: u64,
    /// How often it asked for what the harness has not.
    pub unserved: u64,
    /// The first of each, in words; those that break the protocol before the others.
    pub lines: Vec<String>,
}

impl Deployment {
    /// What the nodes' logs tell of their protocol, by node; nothing where nobody reads along.
    #[must_use]
    pub fn spoken(&self) -> Vec<(NodeId, Spoken)> {
        let Some(marks) = self.system().protocol_marks() else { return Vec::new() };
        let logs = self.inner.settings.nodes.iter();
        let read =
            |(node, paths): (&NodeId, &NodePaths)| Some((*node, spoken(&paths.log, &marks)?));
        logs.filter_map(read).collect()
    }
}

/// The last `count` lines of a file that are not blank, newest last; none if it cannot be read.
#[must_use]
pub fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let tail = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = tail().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| shown(line)).collect()
}

/// The panics in a node's log, and lines with one of the system's own marks of a crash, the first few; none if it cannot
/// be read.
pub(super) fn panics(node: NodeId, path: &Path, marks: &[String]) -> Vec<Panic> {
    let Ok(file) = File::open(path) else { return Vec::new() };
    let mut lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if found.len() == PANIC_LIMIT {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let is_panic = text.starts_with("thread '") && text.contains("panicked at");
        if is_panic || marks.iter().any(|mark| text.contains(mark.as_str())) {
            let message = lines.next().map(|line| shown(&String::from_utf8_lossy(&line)));
            let lines = std::iter::once(shown(&text)).chain(message).collect();
            found.push(Panic { node, lines });
        }
    }
    found
}

/// What stands behind the marks in a node's log, wherever in a line; none if it cannot be read.
fn spoken(path: &Path, marks: &ProtocolMarks) -> Option<Spoken> {
    let file = File::open(path).ok()?;
    let mut spoken = Spoken::default();
    let mut unserved = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line.ok()?;
        let text = String::from_utf8_lossy(&line);
        // A line that the node itself has not ended yet may stand before it.
        let (count, told, words) = match text.split_once(marks.broken) {
            Some((_, words)) => (&mut spoken.broken, &mut spoken.lines, words),
            None => match text.split_once(marks.unserved) {
                Some((_, words)) => (&mut spoken.unserved, &mut unserved, words),
                None => continue,
            },
        };
        *count += 1;
        if told.len() < SPOKEN_LIMIT && !told.iter().any(|one| one == words) {
            told.push(shown(words));
        }
    }
    spoken.lines.append(&mut unserved);
    Some(spoken)
}

fn shown(line: &str) -> String {
    line.trim_end().chars().take(LINE_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(content.as_bytes()).expect("room for it");
        file
    }

    #[test]
    fn the_last_lines_are_the_newest() {
        let log = file("one\ntwo\n\nthree\nfour");
        assert_eq!(last_lines(log.path(), 2), ["three", "four"]);
        assert_eq!(last_lines(log.path(), 9).len(), 4);
        assert!(last_lines(Path::new("/nonexistent"), 2).is_empty());
        let long = file(&"x".repeat(100_000));
        assert_eq!(last_lines(long.path(), 5)[0].len(), LINE_LIMIT);
    }

    #[test]
    fn words_about_the_protocol_are_counted_and_the_first_of_them_told() {
        let marks = ProtocolMarks { broken: "broken: ", unserved: "unserved: " };
        let mut text = "fine\nhalf a lineunserved: a\nbroken: it is empty\n".to_owned();
        (0..15).for_each(|number| text.push_str(&format!("broken: {number}\nunserved: a\n")));
        let log = file(&text);
        let found = spoken(log.path(), &marks).expect("a log");
        assert_eq!((found.broken, found.unserved), (16, 16));
        assert_eq!(found.lines.len(), SPOKEN_LIMIT + 1);
        assert_eq!(
            (found.lines[0].as_str(), found.lines[SPOKEN_LIMIT].as_str()),
            ("it is empty", "a")
        );
        assert_eq!(spoken(file("fine\n").path(), &marks), Some(Spoken::default()));
        assert_eq!(spoken(Path::new("/nonexistent"), &marks), None);
    }

    #[test]
    fn a_panic_is_found_with_its_message() {
        let log = file("fine\nthread 'main' (7) panicked at src/a.rs:1:2:\nboom\nnote: run with\n");
        let found = panics(NodeId(2), log.path(), &[]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].lines[1], "boom");
        let own = panics(NodeId(2), log.path(), &["fine".to_owned(), "absent".to_owned()]);
        assert_eq!(own[0].lines[0], "fine", "{own:?}");
    }
}
