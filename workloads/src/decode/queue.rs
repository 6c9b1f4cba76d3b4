//! Queues: `enqueue` of an item, `dequeue` of the oldest, or of null if there is none.

use super::{Decode, Said, answer, datum, done, otherwise, unknown_function};
use crate::Datum;
use checker::specs::queue::{Op, Queue, Ret};
use history::Operation;

pub(crate) const FUNCTIONS: &[&str] = &["enqueue", "dequeue"];

/// Queues, one a key.
pub(crate) struct Queues;

impl Decode for Queues {
    type Spec = Queue<Datum>;

    fn op(&self, operation: &Operation) -> Result<Op<Datum>, String> {
        match operation.f.as_str() {
            "enqueue" => Ok(Op::Enqueue(datum(&operation.input, "an item")?)),
            "dequeue" => Ok(Op::Dequeue),
            _ => Err(unknown_function(operation, FUNCTIONS)),
        }
    }

    fn said(&self, operation: &Operation, op: &Op<Datum>) -> Result<Said<Ret<Datum>>, String> {
        match (op, answer(operation)) {
            (_, None) => Ok(otherwise(operation)),
            (Op::Enqueue(_), Some(_)) => done(operation, Ret::Done),
            (Op::Dequeue, Some(value)) => Ok(Said::Answer(Ret::Item(Datum::from_json(value)))),
        }
    }
}
