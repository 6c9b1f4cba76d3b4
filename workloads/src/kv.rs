//! Many keys with read, write, compare-and-set and delete, every written value unique.
//!
//! Unique values make a read name the write it saw, so a stale read or a lost write has nowhere to hide.

use crate::decode::register::{self, Registers};
use crate::keyed::{Keyed, Mix, Values};
use crate::{DecodeError, Generator, JudgeOptions, OnlineJudge, Settings, Workload, decode};
use checker::{Judgement, Limits};
use history::{Header, History, Operation};

const FUNCTIONS: &[&str] = &["read", "write", "cas", "delete"];

/// See the module.
pub(crate) struct Kv;

impl Workload for Kv {
    fn name(&self) -> &'static str {
        "kv"
    }

    fn about(&self) -> &'static str {
        "many keys: read, write, compare-and-set and delete, every written value unique"
    }

    fn check(&self) -> &'static str {
        "linearizable"
    }

    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }

    fn generator(&self, settings: &Settings) -> Option<Box<dyn Generator>> {
        let mix = Mix { read: 40, write: 30, cas: 22, delete: 8 };
        Some(Box::new(Keyed::new(settings, mix, Values::Unique)))
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
