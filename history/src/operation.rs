//! An invocation paired with its completion.
//!
//! An operation is all that is kept of its two events, and it can be turned into them again without
//! loss: a counterexample is written from operations. What an event says beyond the fields that
//! everybody reads is rare, and lies in a box of its own so that a million operations stay small.

use crate::{Event, Kind, Name, Nanos, NodeId, Process};
use serde_json::Value;

/// One operation: what was asked, by whom, when, and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Index of the invocation; names the operation everywhere.
    pub index: u64,
    /// Who asked. A process is sequential.
    pub process: Process,
    /// The function, such as `read`.
    pub f: Name,
    /// The key of a keyed workload.
    pub key: Option<Name>,
    /// The argument.
    pub input: Value,
    /// The node asked, or that answered last.
    pub node: Option<NodeId>,
    /// When it was invoked.
    pub invoked: Nanos,
    /// Where it starts in the order of the history: its time in our files, its line in others.
    pub start: u64,
    /// Where it ends in that order; none while its outcome is unknown.
    pub end: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// What its events said otherwise than usual; none for most.
    pub unusual: Option<Box<Unusual>>,
}

/// What the events of an operation say that [`Operation`] has no field for. No verdict looks at it.
///
/// Usual are events that both carry [`Operation::node`], a fail or info that repeats the argument,
/// and a reason on a fail or info only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unusual {
    /// The node of the invocation.
    pub asked: Option<NodeId>,
    /// The node of the completion.
    pub answered: Option<NodeId>,
    /// The value of a fail or info; none for an ok, whose answer the outcome has.
    pub value: Option<Value>,
    /// A reason on the invocation.
    pub asked_error: Option<Name>,
    /// A reason on an ok.
    pub ok_error: Option<Name>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It happened, with this answer.
    Ok {
        /// Index of the completion.
        index: u64,
        /// When the answer had been read.
        time: Nanos,
        /// The answer.
        value: Value,
    },
    /// It certainly did not happen.
    Fail {
        /// Index of the completion.
        index: u64,
        /// When the answer had been read.
        time: Nanos,
        /// The reason code; `mismatch` is an observation, every other observes nothing.
        error: Option<Name>,
    },
    /// It may or may not have happened; no completion at all (index none) means the same.
    Info {
        /// Index of the completion, none if the history ends without one.
        index: Option<u64>,
        /// When the caller gave up.
        time: Option<Nanos>,
        /// The reason code.
        error: Option<Name>,
    },
}

impl Operation {
    /// Its invocation, as recorded.
    pub(crate) fn invocation(&self) -> Event {
        let unusual = self.unusual.as_deref();
        Event {
            index: self.index,
            time: self.invoked,
            process: self.process,
            kind: Kind::Invoke,
            f: self.f.to_string(),
            key: self.key.as_deref().map(str::to_owned),
            value: self.input.clone(),
            node: unusual.map_or(self.node, |unusual| unusual.asked),
            error: unusual.and_then(|unusual| unusual.asked_error.as_deref()).map(str::to_owned),
        }
    }

    /// Its completion, as recorded; none if it has none.
    pub(crate) fn completion(&self) -> Option<Event> {
        let unusual = self.unusual.as_deref();
        let given = || unusual.and_then(|unusual| unusual.value.as_ref()).unwrap_or(&self.input);
        let (kind, index, time, value, error) = match &self.outcome {
            Outcome::Ok { index, time, value } => {
                let error = unusual.and_then(|unusual| unusual.ok_error.as_ref());
                (Kind::Ok, *index, *time, value, error)
            }
            Outcome::Fail { index, time, error } => {
                (Kind::Fail, *index, *time, given(), error.as_ref())
            }
            Outcome::Info { index, time, error } => {
                (Kind::Info, (*index)?, (*time)?, given(), error.as_ref())
            }
        };
        Some(Event {
            index,
            time,
            kind,
            value: value.clone(),
            node: unusual.map_or(self.node, |unusual| unusual.answered),
            error: error.map(Name::to_string),
            ..self.invocation()
        })
    }
}
