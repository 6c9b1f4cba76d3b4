//! The file form of a history: JSON Lines, a header and then one event a line.
//!
//! A writer that is killed in the middle of a line leaves a line without newline: the reader drops
//! it and warns, as one that was never written. Everything else that is not a line of this format
//! is refused, with the line, the column and what was expected there: a reader that skips what it
//! does not understand loses evidence. A byte order mark before the header, which some editors
//! leave, means nothing and is skipped.

mod blocks;
mod parse;
mod read;
mod scan;
mod write;

pub use read::{read_jsonl, read_jsonl_parallel};
pub use write::{Writer, write_counterexample};

/// The longest line that is read, in bytes. No event is that long; a file of another kind may be.
pub const LONGEST_LINE_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests;
