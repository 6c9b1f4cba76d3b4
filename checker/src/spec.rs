//! What is right: stateright's sequential specification, and what the search and the report need
//! besides.

use crate::budget::{Budget, Halt};
use stateright::semantics::SequentialSpec;
use std::fmt::Debug;
use std::hash::Hash;

/// Why a spec without an algorithm of its own declines.
pub(crate) const NO_ALGORITHM: &str = "this data type has no algorithm of its own";

/// A sequential specification that histories can be checked against.
///
/// Only the two `describe` methods are required; every other default is right for any
/// specification, and slower. The state of a spec with keys is that of one key: histories are split
/// by key before they are searched.
pub trait Spec:
    SequentialSpec<
        Op: Clone + Eq + Hash + Debug + Send + Sync,
        Ret: Clone + PartialEq + Debug + Send + Sync,
    > + Clone
    + Eq
    + Hash
    + Debug
    + Send
    + Sync
{
    /// The key an operation is about. None on any operation: the history is checked whole.
    fn key(op: &Self::Op) -> Option<String> {
        let _ = op;
        None
    }

    /// An operation for people: `write 3`, `read → 7`; without an answer if its outcome is unknown.
    fn describe(op: &Self::Op, ret: Option<&Self::Ret>) -> String;

    /// A state for people.
    fn describe_state(&self) -> String;

    /// How many bytes the state takes besides itself, for the memory budget: what its collections
    /// hold. The default says none.
    fn heap_bytes(&self) -> u64 {
        0
    }

    /// Every state that an operation may lead to when its answer is unknown. The default is the one
    /// of `invoke`.
    fn successors(&self, op: &Self::Op) -> Vec<Self> {
        let mut next = self.clone();
        next.invoke(op);
        vec![next]
    }

    /// What the operation needs and what it leaves, if that can be said without running it.
    ///
    /// The default promises nothing. See [`Shape`] for what the other answers promise.
    fn shape(op: &Self::Op, ret: Option<&Self::Ret>) -> Shape<Self> {
        let _ = (op, ret);
        Shape { needs: Needs::Unclear, leaves: Leaves::Unclear }
    }

    /// Decides calls that begin in this state by an algorithm made for this data type, if there is
    /// one and it is exact on these calls; else it declines, and the search decides.
    ///
    /// The calls are sorted by start and index. One came before another if it ended *before* the
    /// other started; equal coordinates are concurrent, and the caller has seen to it that no two
    /// calls of one process touch.
    ///
    /// Where an order is a cost of its own, it is only found if `certify`.
    ///
    /// # Errors
    /// When the budget is spent: every loop over the calls takes steps from it.
    fn specialised(
        &self,
        calls: &[Call<Self>],
        certify: bool,
        budget: &mut Budget<'_>,
    ) -> Result<Finding, Halt> {
        let _ = (calls, certify, budget);
        Ok(Finding::Declined(NO_ALGORITHM))
    }
}

/// What a specialised algorithm says. Calls are named by their places in the slice it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Some order of the calls is legal.
    Legal {
        /// Name of the algorithm, such as `queue`.
        by: &'static str,
        /// Such an order: every answered call, and those of unknown outcome that happened. It may be empty if nobody
        /// asked for it.
        order: Vec<u32>,
    },
    /// No order is.
    Illegal {
        /// Name of the algorithm.
        by: &'static str,
        /// A few calls, ascending, that are illegal alone, chosen *soundly*: were all calls
        /// together legal, these would be too. So whatever a chosen call relies on is chosen.
        calls: Vec<u32>,
    },
    /// It cannot say, for this reason.
    Declined(&'static str),
}

/// What is known of an operation with its answer (or without, if its outcome is unknown) in every
/// state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape<S> {
    /// In which states it is possible; of unknown outcome: in which states it changes anything.
    pub needs: Needs<S>,
    /// What it leaves behind where it is possible.
    pub leaves: Leaves<S>,
}

/// In which states an operation is possible with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs<S> {
    /// In every state.
    Nothing,
    /// In this one only.
    Exactly(S),
    /// In every state but this one.
    AnythingBut(S),
    /// It must be tried.
    Unclear,
}

impl<S> Needs<S> {
    /// The same, of another type of state.
    pub fn map<T>(self, f: impl FnOnce(S) -> T) -> Needs<T> {
        match self {
            Self::Nothing => Needs::Nothing,
            Self::Exactly(state) => Needs::Exactly(f(state)),
            Self::AnythingBut(state) => Needs::AnythingBut(f(state)),
            Self::Unclear => Needs::Unclear,
        }
    }
}

/// The state after an operation, where it was possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaves<S> {
    /// The one before it.
    Unchanged,
    /// Always this one.
    Always(S),
    /// It must be tried.
    Unclear,
}

impl<S> Leaves<S> {
    /// The same, of another type of state.
    pub fn map<T>(self, f: impl FnOnce(S) -> T) -> Leaves<T> {
        match self {
            Self::Unchanged => Leaves::Unchanged,
            Self::Always(state) => Leaves::Always(f(state)),
            Self::Unclear => Leaves::Unclear,
        }
    }
}

/// One operation of a history, typed.
pub struct Call<S: SequentialSpec> {
    /// Names the operation: the index of its invocation.
    pub index: u64,
    /// Who called. Of one process, a call begins only after the one before it ended, even where
    /// their times are equal.
    pub process: u64,
    /// Where it started, on the coordinate that orders the history.
    pub start: u64,
    /// What was asked.
    pub op: S::Op,
    /// What came back and when; none if that is unknown: it may have happened, at any time after
    /// `start`, or never.
    pub answer: Option<Answer<S::Ret>>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<R> {
    /// Where it ended, on the coordinate that orders the history.
    pub end: u64,
    /// What came back.
    pub ret: R,
}

impl<S: SequentialSpec<Op: Clone, Ret: Clone>> Clone for Call<S> {
    fn clone(&self) -> Self {
        Self {
            index: self.index,
            process: self.process,
            start: self.start,
            op: self.op.clone(),
            answer: self.answer.clone(),
        }
    }
}

impl<S: SequentialSpec<Op: Debug, Ret: Debug>> Debug for Call<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("index", &self.index)
            .field("process", &self.process)
            .field("start", &self.start)
            .field("op", &self.op)
            .field("answer", &self.answer)
            .finish()
    }
}
