//! Which workload a history belongs to, where its functions leave one possibility.
//!
//! Another workload would be another question, and a wrong question has no right answer: where more
//! than one fits, or none, the caller must say.

use crate::{Event, Kind, Process};
use serde_json::Value;
use std::collections::BTreeSet;

/// Why no workload can be named.
pub(super) struct Unclear {
    /// The event that shows it, counted from 0; none if there is no event of a client.
    pub(super) position: Option<usize>,
    pub(super) problem: String,
}

/// The only workload that has these functions and answers.
pub(super) fn deduce(events: &[Event]) -> Result<String, Unclear> {
    let clients = || events.iter().filter(|event| event.process != Process::Nemesis);
    let invoked: BTreeSet<&str> =
        clients().filter(|event| event.kind == Kind::Invoke).map(|event| &*event.f).collect();
    let within = |names: &[&str]| invoked.iter().all(|f| names.contains(f));
    let answers = |fits: fn(&Value) -> bool| {
        let mut answers = clients()
            .filter(|event| event.kind == Kind::Ok && event.f == "read")
            .map(|event| fits(&event.value))
            .peekable();
        answers.peek().is_some() && answers.all(|fits| fits)
    };
    let arguments = |f: &str, fits: fn(&Value) -> bool| {
        clients()
            .filter(|event| event.kind == Kind::Invoke && event.f == f)
            .all(|event| fits(&event.value))
    };
    let has = |f| invoked.contains(f);
    let found = if invoked.is_empty() {
        None
    } else if within(&["read", "write", "cas", "delete"]) && (has("write") || has("cas")) {
        Some("register")
    } else if within(&["add", "read"]) && has("add") && answers(Value::is_array) {
        Some("set")
    } else if within(&["add", "read"]) && has("add") && answers(Value::is_number) {
        Some("counter")
    } else if within(&["enqueue", "dequeue"]) {
        Some("queue")
    } else if within(&["acquire", "release"]) {
        Some("lock")
    } else if within(&["txn"]) && arguments("txn", appends) {
        Some("append")
    } else if within(&["read", "write", "append"])
        && has("append")
        && arguments("append", Value::is_string)
    {
        Some("porcupine-kv")
    } else {
        None
    };
    found.map(str::to_owned).ok_or_else(|| unclear(events, &invoked))
}

/// Whether every micro-operation is an append or a read of a list.
fn appends(value: &Value) -> bool {
    value.as_array().is_some_and(|operations| {
        operations.iter().all(|operation| matches!(operation[0].as_str(), Some("append" | "r")))
    })
}

/// Every function that a workload that can be told has.
const KNOWN: [&str; 11] = [
    "read", "write", "cas", "delete", "add", "enqueue", "dequeue", "acquire", "release", "txn",
    "append",
];

fn unclear(events: &[Event], invoked: &BTreeSet<&str>) -> Unclear {
    let position = events.iter().position(|event| event.process != Process::Nemesis);
    if invoked.is_empty() {
        return Unclear { position, problem: "no client invokes anything".to_owned() };
    }
    let mut names: Vec<String> = invoked.iter().take(8).map(|f| format!("`{f}`")).collect();
    if invoked.len() > names.len() {
        names.push("…".to_owned());
    }
    let strange = invoked.iter().find(|f| !KNOWN.contains(f));
    let problem = match strange {
        Some(f) => format!("no workload has the function `{f}`"),
        None => {
            format!("the functions are {}, which fit several workloads or none", names.join(", "))
        }
    };
    Unclear { position, problem }
}
