//! Is this history legal? If not, which few operations prove it?
//!
//! A history says when each operation began and ended and what it answered. It is *linearizable* if
//! the operations can be put in one order that respects real time (what ended before another began
//! comes first) and in which every answer is the one that a plain, sequential object would have
//! given. That object is a [`Spec`]: a [`SequentialSpec`] of stateright with a few words added for
//! the report.
//!
//! ```
//! use checker::specs::register::{Op, Register, Ret};
//! use checker::{Answer, Call, Coordinates, Limits, Options, Ruling, linearizable};
//!
//! let call = |index, start, end, op, ret| {
//!     Call { index, process: index, start, op, answer: Some(Answer { end, ret }) }
//! };
//! let calls = vec![
//!     call(0, 0, 9, Op::Write(3), Ret::Done),
//!     call(1, 12, 20, Op::Write(7), Ret::Done),
//!     call(2, 28, 36, Op::Read, Ret::Value(Some(3))), // stale: 7 was written before it began
//! ];
//! let (limits, coordinates) = (Limits::default(), Coordinates::Positions);
//! let (stop, label) = (&|| false, &|_| None);
//! let options = Options { limits, threads: 2, coordinates, stop, label, certify: false };
//! let judgement = linearizable(&Register(None), calls, &options);
//! assert_eq!(judgement.ruling, Ruling::Invalid);
//! assert_eq!(judgement.violations[0].operations, [0, 1, 2]);
//! assert_eq!(judgement.violations[0].blocked[0].why, "needs 3, finds 7");
//! ```
//!
//! # How it decides
//!
//! Operations on different keys do not concern each other, so a history is split by key and the
//! keys are decided one by one, on a few threads. One key is searched depth first through the
//! moments of its history; `search` names the rules that keep the search small and why each loses
//! no order. What they need to know of an operation is its [`Shape`]: in which states it is
//! possible and what it leaves. A spec that says nothing about shapes is checked just as rightly,
//! and more slowly.
//!
//! An operation whose outcome is unknown may have happened at any time after it began, or never. A
//! compare-and-set that found another value is an observation like a read: it may need a write that
//! nobody else ever saw.
//!
//! An illegal key is cut at the earliest moment that is already illegal, and shrunk to a few
//! operations that are illegal alone. Operations are left out only where that cannot create a
//! violation; `shrink` has the rule and its proof. The rest is told as a longest legal order, why
//! nothing can follow it, and in sentences.
//!
//! A history that is still being made is judged by [`online`], which keeps only what may still
//! matter.
//!
//! # What holds
//!
//! - Valid and invalid are certain. Whatever ends a check early (its steps, its memory, the
//!   caller's `stop`, a panic of a spec) makes the keys concerned unknown, by name, and never
//!   valid.
//! - A violation in one key is a violation, whatever the others are.
//! - The operations of a [`Violation`], taken alone with all their answers, are judged invalid
//!   again.
//! - The same history takes the same steps every time.
//!
//! # What this crate does not do
//!
//! No I/O, no clock, no randomness, no async: time limits are the caller's, through `stop`. It
//! knows no file and no workload. There is one algorithm, the search; a data type that admits a
//! faster one will say so through its shapes.

mod budget;
mod explain;
mod fast;
mod hash;
mod judgement;
mod linearizable;
mod memo;
pub mod online;
#[cfg(test)]
mod oracle;
mod partition;
mod problem;
mod proof;
mod route;
mod search;
mod shrink;
mod spec;
pub mod specs;
#[cfg(test)]
mod tests;

pub use budget::{Budget, Halt, Limits};
pub use judgement::{
    Blocked, Configuration, Judgement, Order, Ruling, Step, UnknownPartition, Violation,
};
pub use linearizable::{Coordinates, Options, Part, linearizable, linearizable_parts};
pub use spec::{Answer, Call, Finding, Leaves, Needs, Shape, Spec};
pub use stateright::semantics::SequentialSpec;
