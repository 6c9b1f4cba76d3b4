//! Locks: `acquire`, which answers a fencing token or null, and `release`. The owner is the process.

use super::{Decode, Said, answer, counter::number, done, otherwise, unknown_function};
use checker::specs::lock::{Lock, Op, Ret};
use history::{Operation, Process};

pub(crate) const FUNCTIONS: &[&str] = &["acquire", "release"];

/// Locks, one a key.
pub(crate) struct Locks;

impl Decode for Locks {
    type Spec = Lock;

    fn op(&self, operation: &Operation) -> Result<Op, String> {
        let Process::Client(owner) = operation.process else {
            return Err("the nemesis owns no lock".to_owned());
        };
        match operation.f.as_str() {
            "acquire" => Ok(Op::Acquire(owner)),
            "release" => Ok(Op::Release(owner)),
            _ => Err(unknown_function(operation, FUNCTIONS)),
        }
    }

    fn said(&self, operation: &Operation, op: &Op) -> Result<Said<Ret>, String> {
        match (op, answer(operation)) {
            (_, None) => Ok(otherwise(operation)),
            (Op::Release(_), Some(_)) => done(operation, Ret::Done),
            (Op::Acquire(_), Some(value)) if value.is_null() || *value == operation.input => {
                Ok(Said::Answer(Ret::Token(None)))
            }
            (Op::Acquire(_), Some(value)) => {
                let token = number(value, "the fencing token of an acquire")?;
                Ok(Said::Answer(Ret::Token(Some(token))))
            }
        }
    }
}
