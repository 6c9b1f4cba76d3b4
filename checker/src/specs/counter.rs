//! A counter to which amounts are added.
//!
//! It holds what fits into 64 bits. An add that would leave them changes nothing and says so, which
//! no answer of a real system matches.

use crate::fast::counter::counter;
use crate::{Budget, Call, Finding, Halt, Leaves, Needs, Shape, Spec};
use stateright::semantics::SequentialSpec;

/// The value of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counter(pub i64);

/// What can be asked of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Add this, which may be negative.
    Add(i64),
    /// What is the value?
    Read,
}

/// What a counter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ret {
    /// The answer to an add.
    Done,
    /// The answer to a read.
    Value(i64),
    /// The add would have left the range of the counter; it did nothing.
    Overflow,
}

impl SequentialSpec for Counter {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Read => Ret::Value(self.0),
            Op::Add(amount) => match self.0.checked_add(*amount) {
                Some(sum) => {
                    self.0 = sum;
                    Ret::Done
                }
                None => Ret::Overflow,
            },
        }
    }
}

impl Spec for Counter {
    fn describe(op: &Op, ret: Option<&Ret>) -> String {
        match (op, ret) {
            (Op::Add(amount), Some(Ret::Overflow)) => format!("add {amount} → overflow"),
            (Op::Add(amount), _) => format!("add {amount}"),
            (Op::Read, Some(Ret::Value(value))) => format!("read → {value}"),
            (Op::Read, _) => "read".to_owned(),
        }
    }

    fn describe_state(&self) -> String {
        self.0.to_string()
    }

    fn shape(op: &Op, ret: Option<&Ret>) -> Shape<Self> {
        let (needs, leaves) = match (op, ret) {
            (Op::Read, Some(Ret::Value(value))) => {
                (Needs::Exactly(Self(*value)), Leaves::Unchanged)
            }
            (Op::Read, None) => (Needs::Nothing, Leaves::Unchanged),
            // Where an add leads depends on where it began, and whether it fits does too.
            _ => (Needs::Unclear, Leaves::Unclear),
        };
        Shape { needs, leaves }
    }

    fn specialised(
        &self,
        calls: &[Call<Self>],
        _certify: bool,
        budget: &mut Budget<'_>,
    ) -> Result<Finding, Halt> {
        counter(self, calls, budget)
    }
}
