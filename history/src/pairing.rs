//! Which completion belongs to which invocation, and which sequences of events cannot have
//! happened.
//!
//! One pass, one small record for each process. It never repairs: an event that cannot follow those
//! before it is named with the reason, because whatever wrote it may have been wrong about
//! everything else too.

use crate::{Event, Kind, Operation, Order, Outcome, Process};
use std::collections::HashMap;

/// The state of the pass.
pub(crate) struct Pairing {
    order: Order,
    previous: Option<(u64, crate::Nanos)>,
    processes: HashMap<u64, Caller>,
    operations: Vec<Operation>,
    nemesis: Vec<Event>,
}

/// What a client process is doing.
enum Caller {
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
            processes: HashMap::new(),
            operations: Vec::new(),
            nemesis: Vec::new(),
        }
    }

    /// Takes the next event, or says why it cannot be the next.
    pub(crate) fn push(&mut self, position: u64, event: &Event) -> Result<(), String> {
        self.check_order(event)?;
        match (event.process, event.kind) {
            (Process::Nemesis, Kind::Info) => self.nemesis.push(event.clone()),
            (Process::Nemesis, kind) => {
                return Err(format!(
                    "the nemesis has an event of type {}, expected info",
                    name(kind)
                ));
            }
            (Process::Client(process), Kind::Invoke) => self.invoke(process, position, event)?,
            (Process::Client(process), _) => self.complete(process, position, event)?,
        }
        Ok(())
    }

    /// The operations and the events of the nemesis.
    pub(crate) fn finish(self) -> (Vec<Operation>, Vec<Event>) {
        (self.operations, self.nemesis)
    }

    fn check_order(&mut self, event: &Event) -> Result<(), String> {
        if let Some((index, time)) = self.previous {
            if event.index <= index {
                return Err(format!(
                    "index {} after index {index}, expected a greater one",
                    event.index
                ));
            }
            if self.order == Order::Time && event.time < time {
                return Err(format!(
                    "index {} has time {}, which is before the time {} of index {index}",
                    event.index, event.time.0, time.0
                ));
            }
        }
        self.previous = Some((event.index, event.time));
        Ok(())
    }

    fn invoke(&mut self, process: u64, position: u64, event: &Event) -> Result<(), String> {
        let caller = self.processes.entry(process).or_insert(Caller::Idle);
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
        self.operations.push(Operation {
            index: event.index,
            process: event.process,
            f: event.f.clone(),
            key: event.key.clone(),
            input: event.value.clone(),
            node: event.node,
            invoked: event.time,
            start: self.coordinate(position, event),
            end: None,
            outcome: Outcome::Info { index: None, time: None, error: None },
        });
        Ok(())
    }

    fn complete(&mut self, process: u64, position: u64, event: &Event) -> Result<(), String> {
        let kind = name(event.kind);
        let place = match self.processes.get(&process) {
            Some(Caller::Open(open)) => *open,
            _ => return Err(format!("{kind} of process {process}, which has nothing open")),
        };
        let coordinate = self.coordinate(position, event);
        let operation = &mut self.operations[place];
        if operation.f != event.f {
            return Err(format!(
                "{kind} of `{}`, but process {process} had invoked `{}` (index {})",
                event.f, operation.f, operation.index
            ));
        }
        if operation.key != event.key {
            return Err(format!(
                "{kind} with {}, but process {process} had invoked with {} (index {})",
                key(event.key.as_deref()),
                key(operation.key.as_deref()),
                operation.index
            ));
        }
        operation.node = event.node.or(operation.node);
        operation.outcome = outcome(event);
        let next = match event.kind {
            Kind::Info => Caller::Retired(operation.index),
            _ => {
                operation.end = Some(coordinate);
                Caller::Idle
            }
        };
        self.processes.insert(process, next);
        Ok(())
    }

    fn coordinate(&self, position: u64, event: &Event) -> u64 {
        match self.order {
            Order::Time => event.time.0,
            Order::Position => position,
        }
    }
}

fn outcome(event: &Event) -> Outcome {
    let (index, time, error) = (event.index, event.time, event.error.clone());
    match event.kind {
        Kind::Ok => Outcome::Ok { index, time, value: event.value.clone() },
        Kind::Fail => Outcome::Fail { index, time, error },
        // The value is not looked at: nobody knows the answer, and the argument is the
        // invocation's.
        Kind::Info | Kind::Invoke => Outcome::Info { index: Some(index), time: Some(time), error },
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
