//! What a run, or a history from elsewhere, amounts to.
//!
//! Five checks, each a pure function of recorded facts: the workload's own (such as `linearizable`),
//! `crashes`, `recovery`, `coverage` and `power`; where somebody read what nodes say to each other, `protocol`; and where
//! clients are programs of somebody else, `clients`; and where answers carry revisions of a whole store, `revisions`. `harness run` and `harness check` call the same
//! functions on the same files, so a run can be judged again at any time. Rulings merge worst-wins.
//! No check reads a clock, and none reads the counters of seeded bugs.

mod clients;
mod coverage;
mod crashes;
mod document;
mod facts;
mod injection;
mod power;
mod protocol;
mod recovery;
mod revisions;
mod workload;

#[cfg(test)]
mod tests;

pub use clients::clients;
pub use coverage::coverage;
pub use crashes::crashes;
pub use document::{
    Blocked, Check, Coverage, FaultCoverage, HarnessFacts, Mark, OperationRow, OutcomeCounts,
    Outcomes, Overlap, Place, Ruling, Seconds, Step, UnknownKey, VerdictDocument, Violation,
};
pub use facts::{Facts, Injection};
pub use injection::{detail, injections};
pub use power::power;
pub use protocol::protocol;
pub use recovery::recovery;
pub use revisions::revisions;
pub use workload::workload;
