//! Registers, one a key: read, write, compare-and-set, delete.

use super::{Decode, Said, answer, done, otherwise, unknown_function};
use crate::online::Decoding;
use crate::{Datum, MISMATCH, OnlineJudge};
use checker::specs::keyed::Keyed;
use checker::specs::register::{Op, Register, Ret};
use checker::{Call, Limits};
use history::{Header, History, Operation, Outcome};

/// How registers are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    /// Whether a read that was answered null observed nothing.
    pub(crate) null_is_unknown: bool,
    /// Every function there is.
    pub(crate) functions: &'static [&'static str],
}

impl Registers {
    /// As a history wants to be read.
    pub(crate) fn of(history: &History, functions: &'static [&'static str]) -> Self {
        Self { null_is_unknown: history.null_reads_are_unknown, functions }
    }

    /// The register of a key never written.
    pub(crate) fn initial(history: &History) -> Register<Datum> {
        Register(Datum::from_json(&history.header.initial))
    }

    /// As an operation is described.
    pub(crate) fn to_describe(functions: &'static [&'static str]) -> Self {
        Self { null_is_unknown: false, functions }
    }
}

/// Judges registers while their history is recorded, in our own files.
pub(crate) fn online(
    header: &Header,
    limits: Limits,
    functions: &'static [&'static str],
) -> Box<dyn OnlineJudge> {
    let registers = Registers { null_is_unknown: false, functions };
    let initial = Keyed(Register(Datum::from_json(&header.initial)));
    let decode = move |operation: &Operation| {
        let key = operation.key.as_deref().unwrap_or_default();
        let keyed = |call: Call<Register<Datum>>| Call {
            index: call.index,
            process: call.process,
            start: call.start,
            op: (key.into(), call.op),
            answer: call.answer,
        };
        Ok(super::call(&registers, operation)?.map(keyed))
    };
    Box::new(Decoding::new(initial, limits, Box::new(decode)))
}

impl Decode for Registers {
    type Spec = Register<Datum>;

    fn op(&self, operation: &Operation) -> Result<Op<Datum>, String> {
        let input = &operation.input;
        match operation.f.as_str() {
            "read" => Ok(Op::Read),
            // Null is what a read of nothing answers, so to write it is to delete.
            "write" => Ok(Datum::from_json(input).map_or(Op::Delete, Op::Write)),
            "cas" => match input.as_array().map(Vec::as_slice) {
                Some([from, to]) => match Datum::from_json(to) {
                    Some(to) => Ok(Op::Cas(Datum::from_json(from), to)),
                    None => Err("a cas cannot write null".to_owned()),
                },
                _ => Err(format!("the value of a cas must be [from, to], not {input}")),
            },
            "delete" if self.functions.contains(&"delete") => Ok(Op::Delete),
            _ => Err(unknown_function(operation, self.functions)),
        }
    }

    fn said(&self, operation: &Operation, op: &Op<Datum>) -> Result<Said<Ret<Datum>>, String> {
        match (op, &operation.outcome) {
            (Op::Read, _) => Ok(match answer(operation) {
                None => otherwise(operation),
                Some(value) if value.is_null() && self.null_is_unknown => Said::Nothing,
                Some(value) => Said::Answer(Ret::Value(Datum::from_json(value))),
            }),
            (Op::Write(_) | Op::Delete, _) => done(operation, Ret::Done),
            (Op::Cas(..), Outcome::Fail { error, .. }) if error.as_deref() == Some(MISMATCH) => {
                Ok(Said::Answer(Ret::Mismatch))
            }
            // Whether `false` means that a cas did not swap is not for us to guess.
            (Op::Cas(..), _) => done(operation, Ret::Swapped),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
