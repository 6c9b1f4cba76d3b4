//! Which completion belongs to which invocation, and which sequences of events cannot have
//! happened.
//!
//! One pass, one small record for each process. It never repairs: an event that cannot follow those
//! before it is named with the reason, because whatever wrote it may have been wrong about
//! everything else too.
//!
//! A history is as long as somebody's patience, and this is the part of reading it that nobody can
//! share: each event costs a look at its process and no more, and names become shared ones
//! only for the invocation, since a completion must repeat them.

use crate::name::Names;
use crate::operation::Unusual;
use crate::{Event, Kind, Nanos, NodeId, Operation, Order, Outcome, Process};
use serde_json::Value;
use std::collections::HashMap;

/// An event whose texts are somebody else's.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) index: u64,
    pub(crate) time: Nanos,
    pub(crate) process: Process,
    pub(crate) kind: Kind,
    pub(crate) f: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) value: Value,
    pub(crate) node: Option<NodeId>,
    pub(crate) error: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// Borrows the texts of an event and takes its value.
    pub(crate) fn of(event: &'a mut Event) -> Self {
        Self {
            index: event.index,
            time: event.time,
            process: event.process,
            kind: event.kind,
            f: &event.f,
            key: event.key.as_deref(),
            value: event.value.take(),
            node: event.node,
            error: event.error.as_deref(),
        }
    }

    /// The event by itself.
    pub(crate) fn into_event(self) -> Event {
        Event {
            index: self.index,
            time: self.time,
            process: self.process,
            kind: self.kind,
            f: self.f.to_owned(),
            key: self.key.map(str::to_owned),
            value: self.value,
            node: self.node,
            error: self.error.map(str::to_owned),
        }
    }
}

/// The state of the pass.
pub(crate) struct Pairing {
    order: Order,
    previous: Option<(u64, Nanos)>,
    callers: Callers,
    names: Names,
    operations: Vec<Operation>,
    nemesis: Vec<Event>,
}

/// What a client process is doing.
#[derive(Clone, Copy, Default)]
enum Caller {
    #[default]
    Idle,
    /// It waits for the operation at this place of the list.
    Open(usize),
    /// The operation of this index ended without a known outcome.
    Retired(u64),
}

impl Pairing {
    pub(crate) fn new(order: Order) -> Self {
        Self {
            order,
            previous: None,
            callers: Callers::default(),
            names: Names::new(),
            operations: Vec::new(),
            nemesis: Vec::new(),
        }
    }

    /// Takes the next event, or says why it cannot be the next.
    pub(crate) fn push(&mut self, position: u64, line: Line<'_>) -> Result<(), String> {
        self.check_order(&line)?;
        let coordinate = match self.order {
            Order::Time => line.time.0,
            Order::Position => position,
        };
        match (line.process, line.kind) {
            (Process::Nemesis, Kind::Info) => {
                self.nemesis.push(line.into_event());
                Ok(())
            }
            (Process::Nemesis, kind) => {
                Err(format!("the nemesis has an event of type {}, expected info", name(kind)))
            }
            (Process::Client(process), Kind::Invoke) => self.invoke(process, coordinate, line),
            (Process::Client(process), _) => self.complete(process, coordinate, line),
        }
    }

    /// The operations and the events of the nemesis.
    pub(crate) fn finish(self) -> (Vec<Operation>, Vec<Event>) {
        (self.operations, self.nemesis)
    }

    fn check_order(&mut self, line: &Line<'_>) -> Result<(), String> {
        if let Some((index, time)) = self.previous {
            if line.index <= index {
                return Err(format!(
                    "index {} after index {index}, expected a greater one",
                    line.index
                ));
            }
            if self.order == Order::Time && line.time < time {
                return Err(format!(
                    "index {} has time {}, which is before the time {} of index {index}",
                    line.index, line.time.0, time.0
                ));
            }
        }
        self.previous = Some((line.index, line.time));
        Ok(())
    }

    fn invoke(&mut self, process: u64, coordinate: u64, line: Line<'_>) -> Result<(), String> {
        let caller = self.callers.get(process);
        match caller {
            Caller::Idle => *caller = Caller::Open(self.operations.len()),
            Caller::Open(open) => {
                let open = self.operations[*open].index;
                return Err(format!(
                    "process {process} invokes again while its operation {open} is open"
                ));
            }
            Caller::Retired(last) => {
                return Err(format!(
                    "process {process} invokes again although its operation {last} ended as info, \
                     which retires its number"
                ));
            }
        }
        let unusual = line.error.map(|error| {
            let asked_error = Some(self.names.share(error));
            Box::new(Unusual { asked: line.node, asked_error, ..Unusual::default() })
        });
        self.operations.push(Operation {
            index: line.index,
            process: line.process,
            f: self.names.share(line.f),
            key: line.key.map(|key| self.names.share(key)),
            input: line.value,
            node: line.node,
            invoked: line.time,
            start: coordinate,
            end: None,
            outcome: Outcome::Info { index: None, time: None, error: None },
            unusual,
        });
        Ok(())
    }

    fn complete(&mut self, process: u64, coordinate: u64, line: Line<'_>) -> Result<(), String> {
        let caller = self.callers.get(process);
        let Caller::Open(place) = *caller else {
            return Err(format!(
                "{} of process {process}, which has nothing open",
                name(line.kind)
            ));
        };
        let operation = &mut self.operations[place];
        let same_key = match (&operation.key, line.key) {
            (Some(key), Some(said)) => key.is(said),
            (key, said) => key.is_none() && said.is_none(),
        };
        if !same_key || !operation.f.is(line.f) {
            return Err(stranger(process, operation, &line));
        }
        *caller = match line.kind {
            Kind::Info => Caller::Retired(operation.index),
            _ => {
                operation.end = Some(coordinate);
                Caller::Idle
            }
        };
        end(operation, line, &mut self.names);
        Ok(())
    }
}

/// Puts what the completion says into its operation.
fn end(operation: &mut Operation, line: Line<'_>, names: &mut Names) {
    let (index, time) = (line.index, line.time);
    let error = line.error.map(|error| names.share(error));
    let asked = operation.node;
    operation.node = line.node.or(asked);
    let mut unusual = operation.unusual.take();
    if asked != line.node {
        unusual.get_or_insert_default();
    }
    let mut repeated = |value: Value| {
        if value != operation.input {
            unusual.get_or_insert_default().value = Some(value);
        }
    };
    operation.outcome = match line.kind {
        Kind::Ok => {
            if error.is_some() {
                unusual.get_or_insert_default().ok_error = error;
            }
            Outcome::Ok { index, time, value: line.value }
        }
        Kind::Fail => {
            repeated(line.value);
            Outcome::Fail { index, time, error }
        }
        // The value proves nothing: nobody knows the answer, and the argument is the invocation's.
        Kind::Info | Kind::Invoke => {
            repeated(line.value);
            Outcome::Info { index: Some(index), time: Some(time), error }
        }
    };
    if let Some(unusual) = &mut unusual {
        (unusual.asked, unusual.answered) = (asked, line.node);
    }
    operation.unusual = unusual;
}

/// Why this completion is none of this operation's.
fn stranger(process: u64, operation: &Operation, line: &Line<'_>) -> String {
    let (kind, index) = (name(line.kind), operation.index);
    if operation.f != line.f {
        let (f, invoked) = (line.f, &operation.f);
        format!("{kind} of `{f}`, but process {process} had invoked `{invoked}` (index {index})")
    } else {
        let (said, invoked) = (key(line.key), key(operation.key.as_deref()));
        format!(
            "{kind} with {said}, but process {process} had invoked with {invoked} (index {index})"
        )
    }
}

/// Process numbers below this are looked up by place, at sixteen bytes each.
const DENSE: u64 = 1 << 16;

/// What every process is doing: those of our own files are numbered from 0, others as they like.
#[derive(Default)]
struct Callers {
    dense: Vec<Caller>,
    sparse: HashMap<u64, Caller>,
}

impl Callers {
    fn get(&mut self, process: u64) -> &mut Caller {
        if process >= DENSE {
            return self.sparse.entry(process).or_default();
        }
        let place = process as usize;
        if place >= self.dense.len() {
            self.dense.resize(place + 1, Caller::Idle);
        }
        &mut self.dense[place]
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Invoke => "invoke",
        Kind::Ok => "ok",
        Kind::Fail => "fail",
        Kind::Info => "info",
    }
}

fn key(key: Option<&str>) -> String {
    key.map_or_else(|| "no key".to_owned(), |key| format!("key `{key}`"))
}
