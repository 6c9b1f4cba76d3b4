//! The key-value logs that come with Porcupine: Jepsen's maps with a `:key`.
//!
//! ```text
//! {:process 3, :type :invoke, :f :append, :key "0", :value "x 3 1 y"}
//! ```
//!
//! `:get` and `:put` are a read and a write of one key; `:append` puts its string behind the one
//! that the key holds, and a key that was never written holds the empty string. An append stays an
//! `append` with its string: which state that leaves is for a spec to say.

use super::jepsen;
use super::raw::{RawEvent, Recorded, Who};
use super::text::Text;
use crate::HistoryError;

/// Every operation in the order written.
pub(super) fn read(text: &Text<'_>) -> Result<Recorded, HistoryError> {
    let recorded = jepsen::read(text)?;
    let keyless = |event: &&RawEvent| event.who != Who::Nemesis && event.key.is_none();
    match recorded.events.iter().find(keyless) {
        None => Ok(recorded),
        Some(event) => Err(HistoryError::Event {
            line: event.line,
            column: 1,
            problem: "an operation of this format needs :key".to_owned(),
        }),
    }
}
