//! A string that can be written, appended to and read: what one key of Porcupine's key-value logs is.
//!
//! What an append leaves depends on what was there. Where the texts can be told apart, the reads say what was;
//! else histories are searched. Reads show the whole string and keep that search small.

use crate::fast::string::string;
use crate::{Budget, Call, Finding, Halt, Leaves, Needs, Shape, Spec};
use stateright::semantics::SequentialSpec;

/// The string.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub String);

/// What can be asked of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// What is it?
    Read,
    /// Make it this.
    Write(String),
    /// Put this at its end.
    Append(String),
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ret {
    /// The answer to a read.
    Value(String),
    /// The answer to a write or an append.
    Done,
}

impl SequentialSpec for Text {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Read => return Ret::Value(self.0.clone()),
            Op::Write(text) => self.0.clone_from(text),
            Op::Append(text) => self.0.push_str(text),
        }
        Ret::Done
    }

    fn is_valid_step(&mut self, op: &Op, ret: &Ret) -> bool {
        match (op, ret) {
            (Op::Read, Ret::Value(value)) => self.0 == *value,
            _ => self.invoke(op) == *ret,
        }
    }
}

impl Spec for Text {
    fn describe(op: &Op, ret: Option<&Ret>) -> String {
        match (op, ret) {
            (Op::Read, Some(Ret::Value(value))) => format!("read → {value:?}"),
            (Op::Read, _) => "read".to_owned(),
            (Op::Write(text), _) => format!("write {text:?}"),
            (Op::Append(text), _) => format!("append {text:?}"),
        }
    }

    fn describe_state(&self) -> String {
        format!("{:?}", self.0)
    }

    fn heap_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn specialised(
        &self,
        calls: &[Call<Self>],
        certify: bool,
        budget: &mut Budget<'_>,
    ) -> Result<Finding, Halt> {
        string(self, calls, certify, budget)
    }

    fn shape(op: &Op, ret: Option<&Ret>) -> Shape<Self> {
        let (needs, leaves) = match (op, ret) {
            (Op::Read, Some(Ret::Value(value))) => {
                (Needs::Exactly(Self(value.clone())), Leaves::Unchanged)
            }
            (Op::Read, None) => (Needs::Nothing, Leaves::Unchanged),
            (Op::Write(text), None | Some(Ret::Done)) => {
                (Needs::Nothing, Leaves::Always(Self(text.clone())))
            }
            (Op::Append(_), None | Some(Ret::Done)) => (Needs::Nothing, Leaves::Unclear),
            // An answer of another operation is never right: the search tries it and finds so.
            _ => (Needs::Unclear, Leaves::Unclear),
        };
        Shape { needs, leaves }
    }
}
