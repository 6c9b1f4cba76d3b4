//! A replicated key-value store on Raft: the system that `harness` tests, and a text to learn Raft from.
//!
//! One process is one node. It keeps a log on its own disk, agrees on that log with its peers, and applies
//! it to a map of keys to values. Clients speak to any node over gRPC ([`proto`], `docs/protocol.md`).
//!
//! | module | what it is | I/O |
//! |---|---|---|
//! | [`raft`] | agreement on one log: a pure function of events | none |
//! | [`bug`] | mistakes that can be switched on, to be found | none |
//! | [`kv`] | the map and the session table that the log is applied to | none |
//! | [`simulator`] | whole clusters in simulated time, from a seed | none |
//! | [`wal`] | the log on disk, with group commit and recovery | files |
//! | [`snapshot`] | the applied state on disk, and from another node | files |
//! | [`node`] | the process around them: driver, services, connections, timers | all |
//! | [`bug_marks`] | counters of the mistakes, in a file that outlives the node | a mapped page |
//! | `members` | bytes of a configuration, on disk | none |
//! | [`log`] | what a node says on stderr | stderr |
//! | [`proto`] | the messages and services on the wire | – |
//! | [`codec`] | their bytes | none |
//!
//! Nothing else in the workspace is a dependency of this crate: it is an island that the harness knows as
//! bytes on a socket.

pub mod bug;
pub mod bug_marks;
pub mod codec;
pub mod kv;
pub mod log;
mod members;
pub mod node;
pub mod proto;
pub mod raft;
pub mod simulator;
pub mod snapshot;
pub mod wal;
