//! A few linearizable registers with read, write and compare-and-set over five small values.
//!
//! The classic of Jepsen: with so few values the same one comes back again and again, so a compare-and-set applied
//! twice, or decided on an old state, can succeed where unique values would always expose or refuse it.

use crate::keyed::{Keyed, Mix, Values};
use crate::{DecodeError, Generator, JudgeOptions, OnlineJudge, Settings, Workload, decode};
use checker::{Judgement, Limits};
use history::{Header, History, Operation};

/// See the module.
pub(crate) struct Register;

impl Workload for Register {
    fn name(&self) -> &'static str {
        "register"
    }

    fn about(&self) -> &'static str {
        "a few registers: read, write and compare-and-set over five small values"
    }

    fn check(&self) -> &'static str {
        "linearizable"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["read", "write", "cas"]
    }

    fn generator(&self, settings: &Settings) -> Box<dyn Generator> {
        let mix = Mix { read: 44, write: 30, cas: 26, delete: 0 };
        Box::new(Keyed::new(settings, mix, Values::Small(5)))
    }

    fn judge(
        &self,
        history: &History,
        options: &JudgeOptions<'_>,
    ) -> Result<Judgement, DecodeError> {
        decode::judge(history, options)
    }

    fn online(&self, header: &Header, limits: Limits) -> Option<Box<dyn OnlineJudge>> {
        Some(decode::online(header, limits))
    }

    fn describe(&self, operation: &Operation) -> String {
        decode::describe(operation)
    }
}
