//! What happened, as values.
mod error;
mod event;
mod header;
mod history;
mod jsonl;
mod operation;
pub use error::HistoryError;
pub use event::{Event, Kind, Nanos, NodeId, ParseNodeIdError, Process};
pub use header::{Header, VERSION};
pub use history::{History, Order};
pub use jsonl::{Writer, read_jsonl, write_counterexample};
pub use operation::{Operation, Outcome};
