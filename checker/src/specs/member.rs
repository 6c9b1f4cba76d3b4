//! Whether one element is in a set.
//!
//! Operations that name their element do not concern other elements, so a set that is never read
//! whole is many of these, [`Keyed`](super::keyed::Keyed) by element, each as easy to check as a
//! register of two values. A read of the whole set concerns all elements at once and belongs to
//! [`Set`](super::set::Set).

use crate::{Leaves, Needs, Shape, Spec};
use stateright::semantics::SequentialSpec;

/// Whether the element is in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member(pub bool);

/// What can be asked about the element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Have it in the set.
    Add,
    /// Have it not in the set.
    Remove,
    /// Is it in the set?
    Contains,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ret {
    /// The answer to an add or a remove, whether or not it changed anything.
    Done,
    /// The answer to the question.
    Bool(bool),
}

impl SequentialSpec for Member {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Add => self.0 = true,
            Op::Remove => self.0 = false,
            Op::Contains => return Ret::Bool(self.0),
        }
        Ret::Done
    }
}

impl Spec for Member {
    fn describe(op: &Op, ret: Option<&Ret>) -> String {
        match (op, ret) {
            (Op::Add, _) => "add".to_owned(),
            (Op::Remove, _) => "remove".to_owned(),
            (Op::Contains, Some(Ret::Bool(found))) => format!("contains → {found}"),
            (Op::Contains, _) => "contains".to_owned(),
        }
    }

    fn describe_state(&self) -> String {
        if self.0 { "in the set" } else { "not in the set" }.to_owned()
    }

    fn shape(op: &Op, ret: Option<&Ret>) -> Shape<Self> {
        let (needs, leaves) = match (op, ret) {
            (Op::Add, None | Some(Ret::Done)) => (Needs::Nothing, Leaves::Always(Self(true))),
            (Op::Remove, None | Some(Ret::Done)) => (Needs::Nothing, Leaves::Always(Self(false))),
            (Op::Contains, Some(Ret::Bool(found))) => {
                (Needs::Exactly(Self(*found)), Leaves::Unchanged)
            }
            (Op::Contains, None) => (Needs::Nothing, Leaves::Unchanged),
            // An answer of another operation is never right: the search tries it and finds so.
            _ => (Needs::Unclear, Leaves::Unclear),
        };
        Shape { needs, leaves }
    }
}
