//! Reading what nodes wrote: the last lines for an error, panics and words about the protocol for the verdict.

use super::{Deployment, NodePaths};
use crate::system::ProtocolMarks;
use crate::system::maelstrom::unread::{Counts, Unread};
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
    /// How often the node wrote what the protocol does not have; at least, if a life was not read to its end.
    pub broken: u64,
    /// The first of them, in words.
    pub lines: Vec<String>,
    /// Whether there may be more of it than was read, and what did not come through.
    pub unread: Unread,
}

impl Deployment {
    /// What the nodes' logs tell of their protocol, by node; nothing where nobody reads along.
    #[must_use]
    pub fn spoken(&self) -> Vec<(NodeId, Spoken)> {
        let settings = &self.inner.settings.node;
        let Some(marks) = self.system().protocol_marks(settings) else { return Vec::new() };
        let logs = self.inner.settings.nodes.iter();
        logs.map(|(node, paths): (&NodeId, &NodePaths)| (*node, spoken(&paths.log, &marks)))
            .collect()
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

/// What the marks in a node's log tell, wherever they stand in a line: one that the node has not ended may come before.
/// A life that begins before the last one was read to its end says that nobody did; its end says more than its marks.
fn spoken(path: &Path, marks: &ProtocolMarks) -> Spoken {
    let unread = Unread { end: true, ..Unread::default() };
    let mut spoken = Spoken { unread, ..Spoken::default() };
    // Whether a life has begun and not ended, and how many marks it has.
    let (mut open, mut marked) = (false, 0);
    let Ok(file) = File::open(path) else { return spoken };
    for line in BufReader::new(file).split(b'\n') {
        let Ok(line) = line else {
            spoken.unread.end = true;
            return spoken;
        };
        let text = String::from_utf8_lossy(&line);
        if let Some((_, words)) = text.split_once(&marks.broken) {
            spoken.broken += 1;
            marked += 1;
            if spoken.lines.len() < SPOKEN_LIMIT && !spoken.lines.iter().any(|one| one == words) {
                spoken.lines.push(shown(words));
            }
        } else if text.contains(&marks.begun) {
            spoken.unread.killed_lives += u64::from(open);
            spoken.unread.end = true;
            (open, marked) = (true, 0);
        } else if let Some((_, counts)) = text.split_once(&marks.ended) {
            // Cut off it is no end.
            let Ok(counts) = serde_json::from_str::<Counts>(counts) else { continue };
            spoken.broken += counts.broken.saturating_sub(marked);
            spoken.unread.too_long += counts.too_long;
            spoken.unread.dropped += counts.dropped;
            spoken.unread.end = false;
            open = false;
        }
    }
    spoken
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
        let [broken, begun, ended] = ["[7] broken: ", "[7] begun", "[7] ended"].map(str::to_owned);
        let marks = ProtocolMarks { broken, begun, ended };
        let mut text = "[7] begun\nhalf a line[7] broken: it is empty\n".to_owned();
        (0..15).for_each(|number| text.push_str(&format!("[7] broken: {number}\n")));
        let found = spoken(file(&text).path(), &marks);
        assert_eq!((found.broken, found.lines.len()), (16, SPOKEN_LIMIT));
        assert_eq!(found.lines[0], "it is empty");
        // The node itself wrote this.
        let own = format!("[7] begun\nbroken: x\n[8] broken: y\n[7] ended{}\n", counts(0, 0, 0));
        assert_eq!(spoken(file(&own).path(), &marks), Spoken::default());
        // Not all of it has a mark, and that is told at the end, once for each life.
        let first = format!("[7] begun\n[7] broken: x\n[7] ended{}\n", counts(7, 2, 3));
        let second = format!("[7] begun\n[7] broken: y\n[7] ended{}\n", counts(1, 0, 4));
        let found = spoken(file(&format!("{first}{second}")).path(), &marks);
        let unread = Unread { too_long: 2, dropped: 7, ..Unread::default() };
        assert_eq!((found.broken, found.unread), (8, unread));
    }

    fn counts(broken: u64, too_long: u64, dropped: u64) -> String {
        serde_json::to_string(&Counts { broken, too_long, dropped }).expect("numbers")
    }

    #[test]
    fn who_did_not_read_to_the_end_of_the_last_life_may_have_missed_something() {
        let marks = ["broken", "begun", "ended"].map(|word| format!("[7] {word}"));
        let [broken, begun, ended] = marks;
        let marks = ProtocolMarks { broken, begun, ended };
        for (text, end, killed_lives) in [
            ("", true, 0),
            ("[7] begun\n", true, 0),
            ("[7] begun\n[7] ended#\n", false, 0),
            // Killed, and started again.
            ("[7] begun\n[7] begun\n[7] begun\n[7] ended#\n", false, 2),
            ("[7] begun\n[7] ended#\n[7] begun\n", true, 0),
            ("[7] begun\n[7] begun\n", true, 1),
            ("[7] begun\nended#\n", true, 0),
            // Cut off in the middle of its last words.
            ("[7] begun\n[7] ended{\"broken\":", true, 0),
        ] {
            let unread = Unread { end, killed_lives, ..Unread::default() };
            let text = text.replace('#', &counts(0, 0, 0));
            assert_eq!(spoken(file(&text).path(), &marks).unread, unread, "{text}");
        }
        assert!(spoken(Path::new("/nonexistent"), &marks).unread.end);
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
