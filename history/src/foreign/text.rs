//! The input as text with places: what every reader of the other formats starts from.
//!
//! Readers work with byte offsets; only an error needs a line and a column, so those are looked up
//! late. Lines end in `\n` or `\r\n`, and a byte order mark at the start counts as nothing.

use crate::HistoryError;

/// Something is wrong at this offset.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) problem: String,
}

impl Fault {
    pub(super) fn new(at: usize, problem: impl Into<String>) -> Self {
        Self { at, problem: problem.into() }
    }
}

/// One line without its end.
pub(super) struct Line<'a> {
    /// Offset of its first byte.
    pub(super) at: usize,
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) text: &'a str,
    /// Whether its newline is there; only the last line may lack it.
    pub(super) terminated: bool,
}

/// The whole input.
pub(super) struct Text<'a> {
    text: &'a str,
    /// Offset of the first byte of each line.
    starts: Vec<usize>,
}

impl<'a> Text<'a> {
    /// Takes the bytes as UTF-8.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, HistoryError> {
        let bytes = without_mark(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let good = &bytes[..error.valid_up_to()];
            let line_start = good.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            HistoryError::Event {
                line: 1 + good.iter().filter(|b| **b == b'\n').count() as u64,
                column: (good.len() - line_start) as u64 + 1,
                problem: "this is not UTF-8 text".to_owned(),
            }
        })?;
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Ok(Self { text, starts })
    }

    pub(super) fn as_str(&self) -> &'a str {
        self.text
    }

    /// The line that holds this offset, counted from 1.
    pub(super) fn line(&self, at: usize) -> u64 {
        self.starts.partition_point(|start| *start <= at) as u64
    }

    /// The fault as an error with its line and its column, both from 1, the column in bytes.
    pub(super) fn refuse(&self, fault: Fault) -> HistoryError {
        let line = self.line(fault.at);
        let column = fault.at - self.starts[line as usize - 1] + 1;
        HistoryError::Event { line, column: column as u64, problem: fault.problem }
    }

    /// Every line in order; what follows the last newline is a line only if there is something.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'a>> {
        let (text, mut at) = (self.text, 0);
        text.split_inclusive('\n').zip(1..).map(move |(whole, number)| {
            let line = whole.strip_suffix('\n');
            let bare = line.map_or(whole, |line| line.strip_suffix('\r').unwrap_or(line));
            let found = Line { at, number, text: bare, terminated: line.is_some() };
            at += whole.len();
            found
        })
    }
}

/// The bytes after a byte order mark, if there is one.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
