//! What clients do, and what is right.
//!
//! A [`Workload`] is a set of functions, a [`Generator`] that says which of them each client calls next, and the spec
//! that every history of them must obey. The traits that a system's clients implement, and the classes of their
//! errors, are here too ([`KvClient`], [`ErrorClass`]), so that a workload never knows which system it runs against.
//!
//! Adding a workload is one file and one line of the registry ([`all`]). Nothing here does I/O, reads a clock, or draws
//! anything that the seed does not fix.

mod client;
mod datum;
mod decode;
mod draw;
mod echo;
mod finding;
mod generator;
mod grow;
mod ids;
mod judged;
mod keyed;
mod keys;
mod kv;
mod online;
mod power;
mod register;
mod registry;
mod settings;
mod sums;
mod workload;

pub use client::{BoxFuture, ClientError, ErrorClass, KvAnswer, KvClient, KvOperation, execute};
pub use datum::Datum;
pub use decode::DecodeError;
pub use generator::{Caller, Completion, Generator, Invocation};
pub use online::{OnlineError, OnlineJudge};
pub use power::{CasPower, Concurrency, Power, Tally, power};
pub use registry::{all, by_name};
pub use settings::Settings;
pub use workload::{JudgeOptions, Workload};

/// The error code of a compare-and-set that compared unequal: an observation, where any other `fail` is none.
pub const MISMATCH: &str = "mismatch";
