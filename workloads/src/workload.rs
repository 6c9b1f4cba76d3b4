//! What a workload is.

use crate::{DecodeError, Generator, Invocation, OnlineJudge, Settings};
use checker::{Judgement, Limits};
use history::{Header, History, NodeId, Operation};
use serde_json::{Value, json};
use std::time::Duration;

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

    /// The operations of a run; none if histories of this workload can only be judged.
    fn generator(&self, settings: &Settings) -> Option<Box<dyn Generator>>;

    /// Whether it can be run, and not only judged.
    fn runs(&self) -> bool {
        let settings = Settings { seed: 0, keys: 1, retire_operations: 1, retire_unknown: 1 };
        self.generator(&settings).is_some()
    }

    /// What `node` is asked after the last heal until each of it is answered, in this order: something that changes what
    /// it holds, and something that only looks, as far as there is such. `attempt` counts from 1.
    fn recovery(&self, node: NodeId, attempt: u64) -> Vec<Invocation> {
        let key = || Some(format!("recovery-{node}"));
        let write = Invocation { f: "write", key: key(), value: json!(attempt) };
        vec![write, Invocation { f: "read", key: key(), value: Value::Null }]
    }

    /// How long nothing is asked before the final reads, for a promise that is kept some time later only.
    fn quiet(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether `history` obeys the spec. Most workloads say that some order of the operations must be legal and have that
    /// searched; one that promises something else looks for itself what breaks it.
    ///
    /// # Errors
    /// [`DecodeError`] names the first operation that is none of this workload's.
    fn judge(
        &self,
        history: &History,
        options: &JudgeOptions<'_>,
    ) -> Result<Judgement, DecodeError>;

    /// Judges a history while it is recorded, if this workload can be judged so: from the initial value of `header`,
    /// each key within `limits`.
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
    /// How much the search may spend.
    pub limits: Limits,
    /// Asked often; once it says true, what is undecided stays unknown. The caller owns the clock.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// How many keys are searched at once; 0 counts as 1.
    pub threads: usize,
    /// Whether to give a legal order of each valid key.
    pub certify: bool,
}
