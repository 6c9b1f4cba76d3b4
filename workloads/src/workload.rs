//! What a workload is.

use crate::{DecodeError, Generator, OnlineJudge, Settings};
use checker::{Judgement, Limits};
use history::{Header, History, Operation};
use serde_json::Value;

/// What clients do, and the spec that every history of it must obey.
pub trait Workload: Sync {
    /// Its name on the command line and in the header of a history.
    fn name(&self) -> &'static str;

    /// One line for people who choose.
    fn about(&self) -> &'static str;

    /// The name of its check in a verdict, such as `linearizable`.
    fn check(&self) -> &'static str;

    /// Every function that its generator may issue.
    fn functions(&self) -> &'static [&'static str];

    /// The operations of a run.
    fn generator(&self, settings: &Settings) -> Box<dyn Generator>;

    /// Whether `history` obeys the spec.
    ///
    /// # Errors
    /// [`DecodeError`] names the first operation that is none of this workload's.
    fn judge(
        &self,
        history: &History,
        options: &JudgeOptions<'_>,
    ) -> Result<Judgement, DecodeError>;

    /// A judge of a history with this header while it is recorded; none if that cannot be done here.
    fn online(&self, header: &Header, limits: Limits) -> Option<Box<dyn OnlineJudge>> {
        let _ = (header, limits);
        None
    }

    /// An operation for people, with its answer if it has one: `write 3`, `read → 7`.
    fn describe(&self, operation: &Operation) -> String;
}

/// How to judge a history.
#[derive(Clone)]
pub struct JudgeOptions<'a> {
    /// The value of a key never written, where it is not the one in the header.
    pub initial: Option<Value>,
    /// Whether every failed compare-and-set says that it compared unequal, as in histories from elsewhere that have
    /// no other reason to fail.
    pub cas_fail_observes: bool,
    /// How much the search may spend.
    pub limits: Limits,
    /// Asked often; once it says true, what is undecided stays unknown. The caller owns the clock.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// How many keys are searched at once; 0 counts as 1.
    pub threads: usize,
}
