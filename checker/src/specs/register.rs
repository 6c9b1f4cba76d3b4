//! A register with compare-and-set and delete.
//!
//! The state is the value, none if there is none. This is what one key of a key-value store must
//! be.

use crate::{Leaves, Needs, Shape, Spec};
use stateright::semantics::SequentialSpec;
use std::fmt::{Debug, Display};
use std::hash::Hash;

/// The value of the register, none if it was deleted or never written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register<V>(pub Option<V>);

/// What can be asked of a register.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op<V> {
    /// What is the value?
    Read,
    /// Set it.
    Write(V),
    /// Set it to the second if it is the first.
    Cas(Option<V>, V),
    /// Set it to none.
    Delete,
}

/// What a register answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ret<V> {
    /// The answer to a read.
    Value(Option<V>),
    /// The answer to a write or a delete.
    Done,
    /// The compare-and-set found its value and replaced it.
    Swapped,
    /// The compare-and-set found another value and did nothing: an observation that the value was
    /// not the one.
    Mismatch,
}

/// What a value must be able to do.
pub trait Value: Clone + Eq + Hash + Debug + Display + Send + Sync {}

impl<V: Clone + Eq + Hash + Debug + Display + Send + Sync> Value for V {}

impl<V: Value> SequentialSpec for Register<V> {
    type Op = Op<V>;
    type Ret = Ret<V>;

    fn invoke(&mut self, op: &Op<V>) -> Ret<V> {
        match op {
            Op::Read => Ret::Value(self.0.clone()),
            Op::Write(value) => {
                self.0 = Some(value.clone());
                Ret::Done
            }
            Op::Cas(from, to) if self.0 == *from => {
                self.0 = Some(to.clone());
                Ret::Swapped
            }
            Op::Cas(..) => Ret::Mismatch,
            Op::Delete => {
                self.0 = None;
                Ret::Done
            }
        }
    }
}

impl<V: Value> Spec for Register<V> {
    fn describe(op: &Op<V>, ret: Option<&Ret<V>>) -> String {
        match (op, ret) {
            (Op::Read, Some(Ret::Value(value))) => format!("read → {}", text(value.as_ref())),
            (Op::Read, _) => "read".to_owned(),
            (Op::Write(value), _) => format!("write {value}"),
            (Op::Cas(from, to), Some(Ret::Mismatch)) => {
                format!("cas {} → {to} mismatch", text(from.as_ref()))
            }
            (Op::Cas(from, to), _) => format!("cas {} → {to}", text(from.as_ref())),
            (Op::Delete, _) => "delete".to_owned(),
        }
    }

    fn describe_state(&self) -> String {
        text(self.0.as_ref())
    }

    fn shape(op: &Op<V>, ret: Option<&Ret<V>>) -> Shape<Self> {
        let (needs, leaves) = match (op, ret) {
            (Op::Read, Some(Ret::Value(value))) => {
                (Needs::Exactly(Self(value.clone())), Leaves::Unchanged)
            }
            (Op::Read, None) => (Needs::Nothing, Leaves::Unchanged),
            (Op::Write(value), None | Some(Ret::Done)) => {
                (Needs::Nothing, Leaves::Always(Self(Some(value.clone()))))
            }
            (Op::Delete, None | Some(Ret::Done)) => (Needs::Nothing, Leaves::Always(Self(None))),
            (Op::Cas(from, to), None | Some(Ret::Swapped)) => {
                let needs = Needs::Exactly(Self(from.clone()));
                match from.as_ref() == Some(to) {
                    true => (needs, Leaves::Unchanged),
                    false => (needs, Leaves::Always(Self(Some(to.clone())))),
                }
            }
            (Op::Cas(from, _), Some(Ret::Mismatch)) => {
                (Needs::AnythingBut(Self(from.clone())), Leaves::Unchanged)
            }
            // An answer of another operation is never right: the search tries it and finds so.
            _ => (Needs::Unclear, Leaves::Unclear),
        };
        Shape { needs, leaves }
    }
}

fn text<V: Display>(value: Option<&V>) -> String {
    value.map_or_else(|| "null".to_owned(), ToString::to_string)
}
