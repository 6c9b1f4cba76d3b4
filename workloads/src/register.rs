//! A few linearizable registers with read, write and compare-and-set over five small values.
//!
//! The classic of Jepsen: with so few values the same one comes back again and again, so a compare-and-set applied
//! twice, or decided on an old state, can succeed where unique values would always expose or refuse it.

use crate::decode::register::{self, Registers};
use crate::keyed::{Keyed, Mix, Values};
use crate::{DecodeError, Generator, JudgeOptions, OnlineJudge, Settings, Workload, decode};
use checker::{Judgement, Limits};
use history::{Header, History, Operation};

const FUNCTIONS: &[&str] = &["read", "write", "cas"];

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
        FUNCTIONS
    }

    fn generator(&self, settings: &Settings) -> Option<Box<dyn Generator>> {
        let mix = Mix { read: 44, write: 30, cas: 26, delete: 0 };
        Some(Box::new(Keyed::new(settings, mix, Values::Small(5))))
    }

    fn judge(
        &self,
        history: &History,
        options: &JudgeOptions<'_>,
    ) -> Result<Judgement, DecodeError> {
        let registers = Registers::of(history, FUNCTIONS);
        decode::judge(&registers, &Registers::initial(history), history, options)
    }

    fn online(&self, header: &Header, limits: Limits) -> Option<Box<dyn OnlineJudge>> {
        Some(register::online(header, limits, FUNCTIONS))
    }

    fn describe(&self, operation: &Operation) -> String {
        decode::describe(&Registers::to_describe(FUNCTIONS), operation)
    }
}
