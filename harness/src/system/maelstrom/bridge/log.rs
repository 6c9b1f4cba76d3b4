//! What a bridge writes into the log of its node, beside what the node itself writes there.
//!
//! Both have the same file behind their standard error, opened to append, so each line is written in one piece. What the
//! node did against its protocol stands behind a mark, by which it is found again when the run is judged; a node that writes
//! gigabytes of it does not fill the disk, and how often it was is told at the end. Each mark holds a token that was drawn
//! for the run and told to the bridges alone: a node that writes the same words accuses nobody.
//!
//! A bridge says when it begins to read and when it has read all, so that one that was killed meanwhile is not taken for one
//! that saw nothing wrong. Behind its last mark stands what it counted ([`Counts`]): of a life that was killed nobody knows
//! that.

use crate::system::ProtocolMarks;
use crate::system::maelstrom::line::LIMIT_BYTES;
use crate::system::maelstrom::unread::Counts;
use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The marks in the logs of a run with this token.
pub(in super::super) fn marks(token: &str) -> ProtocolMarks {
    ProtocolMarks {
        broken: format!("[{token}] not of the protocol: "),
        begun: format!("[{token}] what the node writes is read from here on"),
        ended: format!("[{token}] all that the node wrote was read: "),
    }
}

/// How many marks a bridge writes at most.
const MOST_MARKS: u64 = 1_000;
/// How much of a line is quoted, in characters.
const QUOTED: usize = 200;

/// The log of one node.
pub(super) struct Log {
    to: Mutex<Box<dyn Write + Send>>,
    marks: ProtocolMarks,
    broken: AtomicU64,
    too_long: AtomicU64,
    dropped: AtomicU64,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl Log {
    /// This process's standard error, with the token of the run.
    pub(super) fn standard(token: &str) -> Arc<Self> {
        Self::to(Box::new(std::io::stderr()), token)
    }

    fn to(writer: Box<dyn Write + Send>, token: &str) -> Arc<Self> {
        let [broken, too_long, dropped] = [const { AtomicU64::new(0) }; 3];
        Arc::new(Self { to: Mutex::new(writer), marks: marks(token), broken, too_long, dropped })
    }

    /// A line for people.
    pub(super) fn say(&self, text: &str) {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody can be told that the log takes nothing.
        let _ = to.write_all(format!("{text}\n").as_bytes());
    }

    /// The node wrote what its protocol does not have.
    pub(super) fn broken(&self, why: &str, line: &[u8]) {
        match self.broken.fetch_add(1, Relaxed) {
            0..MOST_MARKS => {
                let mark = &self.marks.broken;
                self.say(&format!("{mark}{why}: `{}`", quoted(line)));
            }
            MOST_MARKS => self.say("and more like that, which is told no more"),
            _ => {}
        }
    }

    /// The node wrote a line that is too long to be read, so nobody knows what it is.
    pub(super) fn too_long(&self, beginning: &[u8]) {
        if self.too_long.fetch_add(1, Relaxed) < MOST_MARKS {
            let (limit, quote) = (LIMIT_BYTES >> 20, quoted(beginning));
            self.say(&format!(
                "a line of more than {limit} MiB is not read and not carried: `{quote}`"
            ));
        }
    }

    /// So many messages were not taken in time.
    pub(super) fn dropped(&self, count: u64) {
        self.dropped.fetch_add(count, Relaxed);
    }

    fn counts(&self) -> Counts {
        let [broken, too_long, dropped] =
            [&self.broken, &self.too_long, &self.dropped].map(|count| count.load(Relaxed));
        Counts { broken, too_long, dropped }
    }

    /// From here on what the node writes is read.
    pub(super) fn begun(&self) {
        self.say(&self.marks.begun);
    }

    /// The node's output has ended, and all of it was read.
    pub(super) fn ended(&self) {
        let counts = serde_json::to_string(&self.counts()).expect("three numbers are JSON");
        self.say(&format!("{}{counts}", self.marks.ended));
    }
}

/// The beginning of a line as it can stand within another one.
fn quoted(line: &[u8]) -> String {
    // A character has four bytes at most, so that is enough of them.
    let beginning = String::from_utf8_lossy(&line[..line.len().min(4 * QUOTED)]);
    let all = line.len() <= 4 * QUOTED && beginning.chars().nth(QUOTED).is_none();
    let quote = beginning.chars().take(QUOTED).map(visible);
    quote.chain((!all).then_some('…')).collect()
}

fn visible(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The token of every test.
    pub(in super::super) const TOKEN: &str = "f00d";

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        /// A log, and what stands in it.
        pub(in super::super) fn kept() -> (Arc<Self>, impl Fn() -> String) {
            let kept = Kept::default();
            let text = kept.clone();
            let read = move || {
                String::from_utf8_lossy(&text.0.lock().expect("nobody panics with it")).into_owned()
            };
            (Self::to(Box::new(kept), TOKEN), read)
        }
    }

    #[test]
    fn a_line_is_quoted_in_one_line_and_not_without_end() {
        assert_eq!(quoted(b"a\tb\x1b[1m"), "a b [1m");
        let long = "ä".repeat(500);
        assert_eq!(quoted(long.as_bytes()), format!("{}…", "ä".repeat(QUOTED)));
        assert_eq!(quoted("ä".as_bytes()), "ä");
    }

    #[test]
    fn so_many_marks_and_then_one_word_that_there_are_more() {
        let (log, said) = Log::kept();
        for _ in 0..2 * MOST_MARKS {
            log.broken("it is empty", b"");
        }
        let said = said();
        assert!(said.starts_with("[f00d] not of the protocol: it is empty: ``\n"), "{said}");
        assert_eq!(said.lines().count() as u64, MOST_MARKS + 1);
        assert!(said.ends_with("\nand more like that, which is told no more\n"));
    }

    #[test]
    fn at_the_end_it_is_told_how_often_what_was() {
        let (log, said) = Log::kept();
        (0..MOST_MARKS + 7).for_each(|_| log.broken("it is empty", b""));
        (0..MOST_MARKS + 2).for_each(|_| log.too_long(b"xyz"));
        log.dropped(5);
        log.ended();
        let said = said();
        let long = "a line of more than 16 MiB is not read and not carried: `xyz`";
        assert_eq!(said.lines().filter(|line| *line == long).count() as u64, MOST_MARKS);
        let (_, counts) = said.trim_end().split_once(&marks(TOKEN).ended).expect("the last mark");
        let told = Counts { broken: MOST_MARKS + 7, too_long: MOST_MARKS + 2, dropped: 5 };
        assert_eq!(serde_json::from_str::<Counts>(counts).expect("JSON"), told);
    }
}
