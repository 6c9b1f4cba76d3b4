//! Histories that were recorded elsewhere.
//!
//! Jepsen, Knossos, elle-cli and Porcupine write down the same thing in different ways. A reader
//! for each (`jepsen`, `txt`, `log`, `porcupine`, `elle`) turns bytes into recorded events, and
//! `assemble` makes a history of them under rules that are the same for all. `edn` and `scalar`
//! read the notation that most of them share.
//!
//! What holds of every reader:
//!
//! - It never guesses. What is not of its format is refused with the line, the column and what was
//!   expected there; what is odd and harmless becomes a warning of the history.
//! - Clocks prove nothing here: the order is that of the lines ([`Order::Position`]).
//! - It is bounded by its input: memory is a multiple of the bytes that it is given, and values are
//!   nested to a fixed depth.
//!
//! They do not decompress and open nothing, and what an operation means is not their business.
//!
//! [`Order::Position`]: crate::Order::Position

mod assemble;
mod edn;
mod elle;
mod format;
mod jepsen;
mod log;
mod porcupine;
mod raw;
mod scalar;
mod text;
mod txt;
mod workload;

use crate::{History, HistoryError, read_jsonl};
use serde_json::Value;
use text::{Fault, Text};

pub use format::{Format, ParseFormatError};

/// The reason code of a failed compare-and-set that observed another value.
const MISMATCH: &str = "mismatch";

/// What the bytes of a history from elsewhere do not say themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignOptions {
    /// How it is written; [`Format::detect`] may tell.
    pub format: Format,
    /// The workload; none to deduce it from the functions where they leave one possibility.
    pub workload: Option<String>,
    /// Whether each value is a pair of a key and a value, as Jepsen's independent tests print it.
    pub independent: bool,
    /// What a key holds before anything is written; none for null, or what the format says.
    pub initial: Option<Value>,
}

impl ForeignOptions {
    /// Options that leave everything to the bytes.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, workload: None, independent: false, initial: None }
    }
}

/// Reads a history in any format.
///
/// A history of our own is read as [`read_jsonl`] reads it; a workload and an initial value that
/// are given replace those of its header.
///
/// # Errors
/// [`HistoryError`] names the line, the column where it is known, and what was expected.
pub fn read_foreign(bytes: &[u8], options: &ForeignOptions) -> Result<History, HistoryError> {
    let reader = match options.format {
        Format::Jsonl => return ours(bytes, options),
        Format::Edn => jepsen::read,
        Format::Txt => txt::read,
        Format::Log => log::read,
        Format::Porcupine => porcupine::read,
        Format::Elle => elle::read,
    };
    let text = Text::new(bytes)?;
    let recorded = reader(&text)?;
    if recorded.events.is_empty() {
        let problem = format!("there is no operation in this history of format {}", options.format);
        return Err(text.refuse(Fault::new(text.as_str().len(), problem)));
    }
    assemble::assemble(recorded, options)
}

fn ours(bytes: &[u8], options: &ForeignOptions) -> Result<History, HistoryError> {
    if options.independent {
        let problem = "this is a history of our own: its keys are in its `key` fields";
        return Err(HistoryError::Header { column: 1, problem: problem.to_owned() });
    }
    let mut history = read_jsonl(text::without_mark(bytes))?;
    if let Some(workload) = &options.workload {
        history.header.workload.clone_from(workload);
    }
    if let Some(initial) = &options.initial {
        history.header.initial.clone_from(initial);
    }
    Ok(history)
}
