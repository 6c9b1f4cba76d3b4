//! The input in blocks of whole lines.
//!
//! A block is what one thread parses at a time. It is cut after a newline, and what is behind the
//! cut begins the next one. No line is longer than [`LONGEST_LINE_BYTES`], and so no block is much
//! longer than that: a file of another kind is refused before it is in memory.

use super::LONGEST_LINE_BYTES;
use std::io::{self, Read};

/// Why no further lines follow.
#[derive(Debug)]
pub(super) enum End {
    /// The input ended. These bytes of a last line had no newline; mostly there are none.
    Input(Vec<u8>),
    /// The input could not be read on.
    Failed(io::Error),
    /// The next line is longer than any line may be.
    LongLine,
}

/// Whole lines, and what ended the input behind them.
pub(super) struct Block {
    /// A buffer, full up to `whole`.
    pub(super) bytes: Vec<u8>,
    /// Where the first line begins.
    pub(super) start: usize,
    /// Where the last line ends.
    pub(super) whole: usize,
    /// None if there is more.
    pub(super) end: Option<End>,
}

impl Block {
    pub(super) fn lines(&self) -> &[u8] {
        &self.bytes[self.start..self.whole]
    }
}

/// What is left of an input.
pub(super) struct Blocks<R> {
    input: R,
    size: usize,
    /// The beginning of a line whose end was not read yet.
    carry: Vec<u8>,
    returned: Option<Block>,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    /// Cuts `input` into blocks of about `size` bytes.
    pub(super) fn new(input: R, size: usize) -> Self {
        Self { input, size, carry: Vec::new(), returned: None, ended: false }
    }

    /// Gives a block back, of which something is still to be read; it will be the next.
    pub(super) fn put_back(&mut self, block: Block) {
        self.returned = Some(block);
    }

    /// No block follows any more.
    pub(super) fn stop(&mut self) {
        self.ended = true;
        self.returned = None;
    }

    /// The next block, in a buffer that is not needed any more; none after the end.
    pub(super) fn next(&mut self, mut bytes: Vec<u8>) -> Option<Block> {
        if let Some(block) = self.returned.take() {
            return Some(block);
        }
        if self.ended {
            return None;
        }
        let longest = LONGEST_LINE_BYTES as usize;
        let mut length = self.carry.len();
        bytes.resize(bytes.len().max(length), 0);
        bytes[..length].copy_from_slice(&self.carry);
        self.carry.clear();
        loop {
            let target = (length + self.size).min(longest);
            if bytes.len() < target {
                bytes.resize(target, 0);
            }
            let (read, failure) = fill(&mut self.input, &mut bytes[length..target]);
            let newline = bytes[length..length + read].iter().rposition(|byte| *byte == b'\n');
            let whole = newline.map(|at| length + at + 1);
            let short = length + read < target;
            length += read;
            let rest = whole.unwrap_or(0)..length;
            let end = match failure {
                Some(error) => Some(End::Failed(error)),
                None if short => Some(End::Input(bytes[rest.clone()].to_vec())),
                None if whole.is_none() && length >= longest => Some(End::LongLine),
                None if whole.is_none() => continue,
                None => None,
            };
            self.ended = end.is_some();
            self.carry.extend_from_slice(&bytes[rest]);
            return Some(Block { bytes, start: 0, whole: whole.unwrap_or(0), end });
        }
    }
}

/// Reads until `bytes` is full or the input ends: how much, and what went wrong after it.
fn fill(input: &mut impl Read, bytes: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut length = 0;
    while length < bytes.len() {
        match input.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (length, Some(error)),
        }
    }
    (length, None)
}
