//! Raft, as a pure function of what happens to it.
#![forbid(unsafe_code)]

mod config;
mod event;
mod message;
mod node;
mod quorum;

pub use config::{Config, Limits};
pub use event::{Batch, Effect, Event, HardState, Proposal, Recovered, Rejection, Role, Timer};
pub use message::{Body, Entry, Hint, Index, Message, NodeId, Payload, Position, Term};
pub use node::Raft;
pub use quorum::Configuration;
