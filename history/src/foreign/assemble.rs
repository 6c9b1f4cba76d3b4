//! Recorded events made into a history of ours.
//!
//! What the formats leave open is settled here, once for all of them:
//!
//! - **Order.** Their clocks prove nothing, so the order of the lines decides. `:index` is kept
//!   where every event has one and it increases; otherwise events are counted from 0.
//! - **Processes.** A process whose operation ended as info may still be carrying it out. Jepsen
//!   retires its number; where a history goes on under it, the operation stays open for ever and
//!   what follows gets a fresh number.
//! - **Keys.** Independent keys print as a plain pair, which nothing tells from a value that is a
//!   pair, so only the caller can say that the pairs are keys.
//! - **Names.** `r`, `get` are `read`; `w`, `put` are `write`; where no event has a function and
//!   every value is a list of micro-operations, it is `txn`.
//! - **Nemesis.** Its events are all info here, whatever their type was.

use super::raw::{RawEvent, Recorded, Who};
use super::{ForeignOptions, Format, MISMATCH, workload};
use crate::{
    Event, Header, History, HistoryError, Kind, Operation, Order, Outcome, Process, key_text,
};
use serde_json::Value;
use std::collections::HashMap;

/// What is said of a process that goes on where ours would be retired.
const REUSED: &str = "operations were invoked by a process whose last one ended as info";

/// Makes a history of what a reader found.
pub(super) fn assemble(
    recorded: Recorded,
    options: &ForeignOptions,
) -> Result<History, HistoryError> {
    let Recorded { events: raw, left_out } = recorded;
    let lines: Vec<u64> = raw.iter().map(|event| event.line).collect();
    let mut warnings = Vec::new();
    let events = converted(raw, options, &mut warnings)?;
    if left_out {
        warnings
            .push("the last line has no newline: it may have been cut, and is left out".to_owned());
    }
    let name = match &options.workload {
        Some(name) => name.clone(),
        None => workload::deduce(&events).map_err(|unclear| HistoryError::Workload {
            line: unclear.position.and_then(|at| lines.get(at)).copied().unwrap_or(1),
            problem: unclear.problem,
        })?,
    };
    if name == "lock" && warnings.iter().any(|warning| warning.contains(REUSED)) {
        return Err(HistoryError::Workload {
            line: 1,
            problem:
                "a process goes on after an operation of unknown outcome, so it cannot be told who \
                      holds the lock"
                    .to_owned(),
        });
    }
    let mut header = Header::new(name);
    header.initial = initial(options);
    let mut history =
        History::from_events(header, events, Order::Position).map_err(|error| match error {
            HistoryError::Contradiction { position, problem, .. } => {
                let line = lines.get(position as usize - 1).copied();
                HistoryError::Contradiction { line, position, problem }
            }
            other => other,
        })?;
    history.warnings = warnings;
    history.left_out = left_out;
    doubt_null_reads(&mut history, options);
    Ok(history)
}

/// Where keys hold a value from the beginning and nobody takes it away, a read that was answered
/// null did not see what was there. Knossos, whose histories have such reads, takes them for reads
/// of which the answer is not known; so do we, and say so.
fn doubt_null_reads(history: &mut History, options: &ForeignOptions) {
    let prints_them = matches!(options.format, Format::Edn | Format::Txt | Format::Elle);
    let empties = |operation: &Operation| match operation.f.as_str() {
        "delete" => true,
        "write" => operation.input.is_null(),
        _ => false,
    };
    if !prints_them || history.header.initial.is_null() || history.operations.iter().any(empties) {
        return;
    }
    let is_null_read = |operation: &&Operation| {
        let null = matches!(&operation.outcome, Outcome::Ok { value: Value::Null, .. });
        null && operation.f.as_str() == "read"
    };
    let count = history.operations.iter().filter(is_null_read).count();
    if count > 0 {
        history.null_reads_are_unknown = true;
        history.warnings.push(format!(
            "null was the answer of {count} of the reads, which no key ever holds: such answers are taken as not known"
        ));
    }
}

/// Each recorded event as one of ours.
fn converted(
    raw: Vec<RawEvent>,
    options: &ForeignOptions,
    warnings: &mut Vec<String>,
) -> Result<Vec<Event>, HistoryError> {
    let indexed = indexes_decide(&raw, warnings);
    let mut callers = Callers::new(&raw, options);
    let mut events = Vec::with_capacity(raw.len());
    for (position, mut event) in (0_u64..).zip(raw) {
        let index = event.index.take().filter(|_| indexed).unwrap_or(position);
        let line = event.line;
        let event = callers.event(event, index);
        events.push(event.map_err(|problem| HistoryError::Event { line, column: 1, problem })?);
    }
    if callers.reused > 0 {
        warnings.push(format!(
            "{} {REUSED}: that one stays \
             open for ever, and the process goes on under a fresh number",
            callers.reused
        ));
    }
    Ok(events)
}

/// What a key holds before anything is written.
fn initial(options: &ForeignOptions) -> Value {
    match (&options.initial, options.format) {
        (Some(initial), _) => initial.clone(),
        (None, Format::Porcupine) => Value::String(String::new()),
        (None, _) => Value::Null,
    }
}

/// Whether the indexes that were recorded can be kept.
fn indexes_decide(events: &[RawEvent], warnings: &mut Vec<String>) -> bool {
    if events.iter().all(|event| event.index.is_none()) {
        return false;
    }
    let increases = |pair: &[RawEvent]| pair[0].index.is_some() && pair[0].index < pair[1].index;
    let Some(at) = events.windows(2).position(|pair| !increases(pair)) else {
        return true;
    };
    warnings.push(format!(
        "line {}: :index is missing or does not increase, so the order of the lines decides",
        events[at + 1].line
    ));
    false
}

/// One client process.
struct Caller {
    /// The number it goes by now.
    number: u64,
    /// The key of its open operation.
    key: Option<String>,
    /// Whether its last operation ended as info.
    retired: bool,
}

/// What is known of the clients while their events pass.
struct Callers<'a> {
    options: &'a ForeignOptions,
    callers: HashMap<u64, Caller>,
    /// The next number that no process was recorded with.
    fresh: u64,
    reused: u64,
    /// No event of a client names a function.
    nameless: bool,
}

impl<'a> Callers<'a> {
    fn new(events: &[RawEvent], options: &'a ForeignOptions) -> Self {
        let clients = || events.iter().filter(|event| event.who != Who::Nemesis);
        let highest = clients().map(|event| match event.who {
            Who::Client(number) => number,
            Who::Nemesis => 0,
        });
        Self {
            options,
            callers: HashMap::new(),
            fresh: highest.max().map_or(0, |highest| highest + 1),
            reused: 0,
            nameless: clients().all(|event| event.f.is_none()),
        }
    }

    fn event(&mut self, event: RawEvent, index: u64) -> Result<Event, String> {
        match event.who {
            Who::Nemesis => Ok(of_nemesis(event, index)),
            Who::Client(recorded) => self.of_client(recorded, event, index),
        }
    }

    fn of_client(&mut self, recorded: u64, event: RawEvent, index: u64) -> Result<Event, String> {
        let RawEvent { time, kind, f, key, value, error, .. } = event;
        let caller = self.callers.entry(recorded).or_insert(Caller {
            number: recorded,
            key: None,
            retired: false,
        });
        if kind == Kind::Invoke && caller.retired {
            caller.retired = false;
            caller.number = self.fresh;
            self.fresh += 1;
            self.reused += 1;
        }
        let (key, value) = match self.options.independent {
            true => pair(kind, key, value, caller.key.as_ref())?,
            false => (key.or_else(|| answered(kind, caller)), value),
        };
        match kind {
            Kind::Invoke => caller.key.clone_from(&key),
            Kind::Info => caller.retired = true,
            Kind::Ok | Kind::Fail => {}
        }
        let f = match f {
            Some(f) => normal(f),
            None if self.nameless && is_transaction(kind, &value) => "txn".to_owned(),
            None => return Err("an operation needs :f".to_owned()),
        };
        if kind == Kind::Invoke && f == "read" && asks_for_key(&value) {
            return Err("this read asks with a pair: if that is its key and a value to be read, \
                        say --independent"
                .to_owned());
        }
        let error = error.map(|error| reason(error, self.options.format));
        let process = Process::Client(caller.number);
        Ok(Event { index, time, process, kind, f, key, value, node: None, error })
    }
}

/// The word for an observation is ours; elsewhere it may mean anything.
fn reason(error: String, format: Format) -> String {
    match format {
        Format::Log => error,
        _ if error == MISMATCH => format!(":{error}"),
        _ => error,
    }
}

fn of_nemesis(event: RawEvent, index: u64) -> Event {
    Event {
        index,
        time: event.time,
        process: Process::Nemesis,
        kind: Kind::Info,
        f: event.f.unwrap_or_else(|| "nemesis".to_owned()),
        key: None,
        value: event.value,
        node: None,
        error: event.error,
    }
}

/// The key of a completion that names none: that of its invocation.
fn answered(kind: Kind, caller: &Caller) -> Option<String> {
    caller.key.clone().filter(|_| kind != Kind::Invoke)
}

/// Takes a value apart into its key and the rest. A completion that did not happen, or may not
/// have, often has a reason in its place; then the invocation's key counts, as its value does.
fn pair(
    kind: Kind,
    key: Option<String>,
    value: Value,
    invoked: Option<&String>,
) -> Result<(Option<String>, Value), String> {
    if key.is_some() {
        return Err("this operation has a :key; --independent is for keys within values".to_owned());
    }
    if matches!(kind, Kind::Fail | Kind::Info) {
        return Ok((invoked.cloned(), value));
    }
    match value {
        Value::Array(mut items) if items.len() == 2 => {
            let value = items.pop().unwrap_or_default();
            Ok((items.first().map(key_text), value))
        }
        _ => Err("with --independent a value is a pair, [key value]".to_owned()),
    }
}

fn normal(f: String) -> String {
    match f.as_str() {
        "r" | "get" => "read".to_owned(),
        "w" | "put" => "write".to_owned(),
        _ => f,
    }
}

/// Whether a read is invoked with `[x nil]`, which is how a read of the independent key x prints.
fn asks_for_key(value: &Value) -> bool {
    matches!(value.as_array().map(Vec::as_slice), Some([key, Value::Null]) if !key.is_null())
}

/// Whether this is a list of micro-operations such as `[:append k v]`, or may be without one.
fn is_transaction(kind: Kind, value: &Value) -> bool {
    match value {
        Value::Array(operations) => operations.iter().all(|operation| {
            matches!(operation.as_array().map(Vec::as_slice),
                Some([Value::String(f), _, _]) if matches!(f.as_str(), "append" | "r" | "w"))
        }),
        _ => matches!(kind, Kind::Fail | Kind::Info),
    }
}
