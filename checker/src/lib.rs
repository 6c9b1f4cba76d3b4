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
//! keys are decided one by one, the hardest first, on a few threads. Each goes to the fastest
//! algorithm that is exact on it, and the judgement says how many keys each decided:
//!
//! - one made for its data type ([`Spec::specialised`]): queues, counters, locks, sets and lists,
//!   near-linear where what is put in is told apart;
//! - one for everything like a register, wherever it is clear which write each call saw, with
//!   compare-and-sets, deletes and failed comparisons: `zones` and `blocks`, near-linear too;
//! - else the search, which always fits: depth first through the moments of a history, with rules
//!   that keep it small.
//!
//! An operation whose outcome is unknown may have happened at any time after it began, or never. A
//! compare-and-set that found another value is an observation like a read: it may need a write that
//! nobody else ever saw. `docs/checker.md` proves each algorithm and each rule.
//!
//! An illegal key is cut at the earliest moment that is already illegal, and shrunk to a few
//! operations that are illegal alone. Operations are left out only where that cannot create a
//! violation. The rest is told as a longest legal order, why nothing can follow it, and in
//! sentences. For a legal key there is a *certificate* if [`Options::certify`] asks for it: an
//! [`Order`] that anybody can replay on the plain object.
//!
//! A history that is still being made is judged by [`online::Checker`], which says *violation* as
//! soon as there is one and keeps only what may still matter.
//!
//! # A specification of your own
//!
//! Any [`SequentialSpec`] will do, once its operations and states can be told to people. What else
//! a [`Spec`] may say makes the check faster and changes no ruling: [`Spec::key`] splits the history,
//! [`Spec::shape`] tells where an operation is possible and what it leaves.
//!
//! ```
//! use checker::{Answer, Call, Coordinates, Limits, Options, Ruling, SequentialSpec, Spec};
//!
//! /// A ticket machine: each number once, in order.
//! #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! struct Tickets(u32);
//!
//! impl SequentialSpec for Tickets {
//!     type Op = ();
//!     type Ret = u32;
//!     fn invoke(&mut self, (): &()) -> u32 {
//!         self.0 += 1;
//!         self.0
//!     }
//! }
//!
//! impl Spec for Tickets {
//!     fn describe((): &(), ticket: Option<&u32>) -> String {
//!         ticket.map_or("draw".to_owned(), |ticket| format!("draw → {ticket}"))
//!     }
//!     fn describe_state(&self) -> String {
//!         format!("{} drawn", self.0)
//!     }
//! }
//!
//! let draw = |index, start, end, ret| {
//!     Call { index, process: index, start, op: (), answer: Some(Answer { end, ret }) }
//! };
//! // The second is open all the time and may come first; the third began after the first ended.
//! let mut calls = vec![draw(0, 0, 3, 2), draw(1, 0, 9, 1), draw(2, 4, 6, 3)];
//! let (limits, coordinates) = (Limits::default(), Coordinates::Positions);
//! let (stop, label) = (&|| false, &|_| None);
//! let options = Options { limits, threads: 1, coordinates, stop, label, certify: true };
//! let judgement = checker::linearizable(&Tickets(0), calls.clone(), &options);
//! assert_eq!(judgement.orders[0].operations, [1, 0, 2]);
//! assert_eq!(judgement.algorithms["search"], 1);
//!
//! calls[2] = draw(2, 4, 6, 2); // the same ticket twice
//! let judgement = checker::linearizable(&Tickets(0), calls, &options);
//! assert_eq!(judgement.ruling, Ruling::Invalid);
//! ```
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
//! knows no file and no workload. It does not verify a spec: what a spec says of its operations is
//! believed, except that a counterexample is searched again without it before anybody is accused.

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
