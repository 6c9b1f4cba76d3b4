//! Judging a history while it is recorded.
//!
//! A workload that can be judged so hands out an [`OnlineJudge`], which is told of every event as it comes and hides
//! the types of the spec. What an operation says is decided where the judgement of a whole history decides it: each
//! event is made an operation with what is known of it by then, and the workload's decoder sees no difference.

use crate::DecodeError;
use checker::online::{Checker, Notice, Refusal};
use checker::{Call, Limits, Spec};
use history::{Event, Kind, Name, Nanos, Operation, Outcome, Process};
use std::collections::HashMap;

/// Judges a history while it is recorded. Never accuses too early: what it calls violated is, however the history goes
/// on. It does not explain.
pub trait OnlineJudge: Send {
    /// The next event.
    ///
    /// # Errors
    /// [`OnlineError`] if it is none of this workload's, or cannot follow those before it. The judge is of no use then.
    fn push(&mut self, event: &Event) -> Result<(), OnlineError>;

    /// Nothing that comes will be earlier than `now`. Says no more than the events do, but says it sooner.
    ///
    /// # Errors
    /// [`OnlineError`] if something was later.
    fn wait(&mut self, now: Nanos) -> Result<(), OnlineError>;

    /// Whether no continuation of the history can be legal any more.
    fn is_violated(&self) -> bool;
}

/// Why a history cannot be judged any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnlineError {
    /// An operation is none of the workload's.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An event cannot follow those before it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What a decoder makes of an operation: a call, or none if it says nothing.
pub(crate) type Decoder<S> = Box<dyn Fn(&Operation) -> Result<Option<Call<S>>, DecodeError> + Send>;

/// A checker with a decoder before it.
pub(crate) struct Decoding<S: Spec> {
    checker: Checker<S>,
    decode: Decoder<S>,
    /// What is open, by who called.
    open: HashMap<u64, Operation>,
}

impl<S: Spec> Decoding<S> {
    pub(crate) fn new(initial: S, limits: Limits, decode: Decoder<S>) -> Self {
        Self { checker: Checker::new(initial, limits), decode, open: HashMap::new() }
    }

    fn start(&mut self, process: u64, event: &Event) -> Result<(), OnlineError> {
        let operation = Operation {
            index: event.index,
            process: event.process,
            f: event.f.as_str().into(),
            key: event.key.as_deref().map(Into::into),
            input: event.value.clone(),
            node: event.node,
            invoked: event.time,
            start: event.time.0,
            end: None,
            outcome: Outcome::Info { index: None, time: None, error: None },
            unusual: None,
        };
        // Of an operation that is open a decoder makes a call without an answer.
        if let Some(Call { index, start: time, op, .. }) = (self.decode)(&operation)? {
            self.checker.push(Notice::Invoke { index, process, time, op })?;
            self.open.insert(process, operation);
        }
        Ok(())
    }

    fn end(&mut self, process: u64, event: &Event) -> Result<(), OnlineError> {
        let mut operation = self.open.remove(&process).ok_or(Refusal::Idle { process })?;
        let (index, time, error) =
            (event.index, event.time, event.error.as_deref().map(Name::from));
        (operation.end, operation.outcome) = match event.kind {
            Kind::Ok => (Some(time.0), Outcome::Ok { index, time, value: event.value.clone() }),
            Kind::Fail => (Some(time.0), Outcome::Fail { index, time, error }),
            Kind::Info | Kind::Invoke => {
                (None, Outcome::Info { index: Some(index), time: Some(time), error })
            }
        };
        let notice = match (self.decode)(&operation)?.map(|call| call.answer) {
            Some(Some(answer)) => Notice::Return { process, time: answer.end, ret: answer.ret },
            Some(None) => Notice::Unknown { process },
            None => Notice::Fail { process },
        };
        Ok(self.checker.push(notice)?)
    }
}

impl<S: Spec> OnlineJudge for Decoding<S> {
    fn push(&mut self, event: &Event) -> Result<(), OnlineError> {
        match (event.process, event.kind) {
            (Process::Nemesis, _) => Ok(()),
            (Process::Client(process), Kind::Invoke) => self.start(process, event),
            (Process::Client(process), _) => self.end(process, event),
        }
    }

    fn wait(&mut self, now: Nanos) -> Result<(), OnlineError> {
        Ok(self.checker.push(Notice::Wait { time: now.0 })?)
    }

    fn is_violated(&self) -> bool {
        self.checker.violation().is_some()
    }
}

#[cfg(test)]
mod tests;
