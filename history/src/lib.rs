//! What happened, as values.
//!
//! A client *process* invokes an operation, and later learns that it happened (`ok`), that it
//! certainly did not (`fail`), or that nobody can tell (`info`). Each of these is an [`Event`]; an
//! invocation and its completion make an [`Operation`]; all of them, under a [`Header`], make a
//! [`History`]. A history is the only evidence of a run: the checker judges it, the report draws
//! it, and a counterexample is a smaller one.
//!
//! ```
//! # fn main() -> Result<(), history::HistoryError> {
//! let file = br#"{"history":1,"workload":"kv"}
//! {"index":0,"time":10,"process":0,"type":"invoke","f":"write","key":"a","value":3}
//! {"index":1,"time":25,"process":0,"type":"ok","f":"write","key":"a","value":3}
//! {"index":2,"time":30,"process":1,"type":"invoke","f":"read","key":"a","value":null}
//! "#;
//! let history = history::read_jsonl(&file[..])?;
//! assert_eq!(history.operations.len(), 2);
//! assert_eq!(history.operations[0].end, Some(25));
//! assert_eq!(history.operations[1].end, None, "never answered: it may or may not have happened");
//! # Ok(())
//! # }
//! ```
//!
//! # What holds of every [`History`]
//!
//! - Indexes increase, and need not be consecutive: a counterexample is a subset under the original
//!   indexes.
//! - Where time decides ([`Order::Time`]), it never runs against the indexes; equal times are
//!   concurrent.
//! - A process is sequential, at equal times too: it has one operation outstanding, and a
//!   completion names the function and the key of its invocation. After `info` its number is never
//!   used again.
//! - An operation without a completion is one whose outcome is unknown.
//!
//! A sequence of events that breaks one of these is refused with the event that broke it; nothing
//! is guessed or repaired, except that a last line without its newline, which a killed writer
//! leaves, is dropped and said so.
//!
//! Histories recorded by Jepsen and its relatives are read by [`read_foreign`]. There the order of
//! the lines decides, and a process that goes on after `info` is given a fresh number, with a
//! warning.
//!
//! # What this crate does not do
//!
//! It opens no file, reads no clock and knows no workload: it reads and writes through the
//! `Read` and `Write` that it is handed, and a value is a [`serde_json::Value`] whose meaning is
//! the workload's business.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | event | one line of a history |
//! | operation | an invocation and what became of it |
//! | invoke, ok, fail, info | started; happened; certainly did not happen; may or may not have happened |
//! | process | a logical single-threaded caller, retired after `info` |
//! | worker, client | the task that plays processes one after another, and its connection |
//! | nemesis | the process that injects faults and heals them |
//! | fault | one thing that goes wrong, between two `info` events of the nemesis with the same `id` |
//! | node | one of the machines (here: operating-system processes) under test, `n1`, `n2`, … |
//! | workload | what is done; its *generator* says what comes next, its *spec* what is right |
//! | verdict | valid, invalid or unknown |
//! | violation, counterexample | what is wrong, and the smallest part of the history that proves it |

mod error;
mod event;
mod foreign;
mod header;
mod history;
mod jsonl;
mod name;
mod operation;
mod pairing;

pub use error::HistoryError;
pub use event::{Event, Kind, Nanos, NodeId, ParseNodeIdError, Process};
pub use foreign::{ForeignOptions, Format, ParseFormatError, read_foreign};
pub use header::{Header, VERSION};
pub use history::{History, Order};
pub use jsonl::{
    LONGEST_LINE_BYTES, Writer, read_jsonl, read_jsonl_parallel, write_counterexample,
};
pub use name::{Name, key_text};
pub use operation::{Operation, Outcome, Unusual};
