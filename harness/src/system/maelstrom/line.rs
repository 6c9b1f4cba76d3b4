//! Lines out of a stream of bytes, whatever the bytes are.
//!
//! Whoever writes may forget the end of a line, write a gigabyte without one, or end in the middle of one. None of that
//! stops the reading of what comes after it, and no more than [`LIMIT_BYTES`] are ever kept.

/// The longest line that is taken for one, in bytes: a set of a million numbers fits. A bound for memory and no rule of the
/// protocol, so who writes more has done nothing wrong.
pub(super) const LIMIT_BYTES: usize = 16 << 20;

/// What the stream held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// The beginning of a line that is too long; the rest of it is passed over.
    TooLong(Vec<u8>),
}

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    pending: Vec<u8>,
    /// Whether the rest of a line that was too long is still to come.
    skipping: bool,
}

impl Cutter {
    /// Takes in what was read, and says what it completed.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut complete = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            if !self.skipping {
                let room = LIMIT_BYTES - self.pending.len();
                self.pending.extend_from_slice(&text[..text.len().min(room)]);
                if text.len() > room {
                    complete.push(Piece::TooLong(std::mem::take(&mut self.pending)));
                    self.skipping = true;
                } else if ends {
                    complete.push(Piece::Whole(std::mem::take(&mut self.pending)));
                }
            }
            if ends {
                self.skipping = false;
            }
        }
        complete
    }

    /// At the end of the stream: a last line that has no end, if there is one.
    pub(super) fn rest(self) -> Option<Vec<u8>> {
        (!self.pending.is_empty()).then_some(self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cutter, LIMIT_BYTES, Piece};

    fn whole(text: &str) -> Piece {
        Piece::Whole(text.into())
    }

    #[test]
    fn lines_are_cut_wherever_the_reads_fall() {
        let mut cutter = Cutter::default();
        assert_eq!(cutter.push(b"ab"), []);
        assert_eq!(cutter.push(b"c\n\nde\nf"), [whole("abc"), whole(""), whole("de")]);
        assert_eq!(cutter.push(b"\n"), [whole("f")]);
        assert_eq!(cutter.rest(), None);
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_reading_goes_on() {
        let mut cutter = Cutter::default();
        assert_eq!(cutter.push(&vec![b'x'; LIMIT_BYTES]), [], "it may still end");
        let beginning = vec![b'x'; LIMIT_BYTES];
        assert_eq!(cutter.push(b"x"), [Piece::TooLong(beginning.clone())]);
        assert_eq!(cutter.push(&beginning), []);
        assert_eq!(cutter.push(b"xx\nnext\n"), [whole("next")]);
        let mut exact = beginning.clone();
        exact.push(b'\n');
        assert_eq!(cutter.push(&exact), [Piece::Whole(beginning)]);
    }

    #[test]
    fn what_stands_at_the_end_without_a_newline_is_not_lost() {
        let mut cutter = Cutter::default();
        assert_eq!(cutter.push(b"one\ntwo"), [whole("one")]);
        assert_eq!(cutter.rest(), Some(b"two".to_vec()));
        assert_eq!(Cutter::default().rest(), None);
    }
}
