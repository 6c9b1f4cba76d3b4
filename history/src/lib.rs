//! What happened, as values.
mod event;
mod operation;
pub use event::{Event, Kind, Nanos, NodeId, ParseNodeIdError, Process};
pub use operation::{Operation, Outcome};
