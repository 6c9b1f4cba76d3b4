//! A tiny Maelstrom node for `echo`, `unique-ids`, `broadcast` and `g-set`, which knows nothing of this harness.
//!
//! Each node tells the others what they may not have, again and again, until they have said that they have it. So a set is
//! the same everywhere in the end, whatever the network did meanwhile; a kill loses what nobody else had yet.
//!
//! ```text
//! cargo build --release --examples
//! harness run --system maelstrom --bin target/release/examples/gossip --workload broadcast --faults partition,pause
//! ```
//!
//! Bugs can be switched on by arguments: `--silent` has nodes tell each other nothing, `--short` makes ids of numbers below a
//! hundred, `--mumble` swallows the end of some echoes.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two times that a node tells the others what it has.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// With `--short` there are so many ids.
const SHORT: u64 = 100;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    serve(&arguments, io::stdin().lock(), io::stdout())
}

/// Is a node until its input ends.
///
/// # Errors
/// An argument is unknown, a line is no message, or nothing more can be read or written.
pub(crate) fn serve(
    arguments: &[String],
    input: impl BufRead,
    output: impl Write + Send + 'static,
) -> io::Result<()> {
    let mut node = Node::default();
    for argument in arguments {
        match argument.as_str() {
            "--silent" => node.silent = true,
            "--short" => node.short = true,
            "--mumble" => node.mumble = true,
            other => return Err(io::Error::other(format!("unknown argument `{other}`"))),
        }
    }
    let shared = Arc::new(Mutex::new((node, output)));
    let clock = Arc::clone(&shared);
    // It ends with the process.
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(TELL_EVERY);
            let mut shared = clock.lock().unwrap_or_else(PoisonError::into_inner);
            let (node, output) = &mut *shared;
            let told = node.tell();
            if write(output, &told).is_err() {
                return;
            }
        }
    });
    for line in input.lines() {
        let message: Value = serde_json::from_str(&line?)?;
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (node, output) = &mut *shared;
        let said = node.take(&message);
        write(output, &said)?;
    }
    Ok(())
}

fn write(output: &mut impl Write, messages: &[Value]) -> io::Result<()> {
    for message in messages {
        writeln!(output, "{message}")?;
    }
    output.flush()
}

#[derive(Default)]
struct Node {
    id: String,
    others: Vec<String>,
    elements: BTreeSet<i64>,
    /// What each other node is known to have.
    known: BTreeMap<String, BTreeSet<i64>>,
    /// Who sends a topology wants a set under another name.
    broadcast: bool,
    ids: u64,
    silent: bool,
    short: bool,
    mumble: bool,
}

impl Node {
    /// Takes a message in, and says what is to be sent.
    fn take(&mut self, message: &Value) -> Vec<Value> {
        let (src, body) = (&message["src"], &message["body"]);
        let answer = match body["type"].as_str().unwrap_or_default() {
            "init" => {
                self.id = text(&body["node_id"]);
                let all = body["node_ids"].as_array().into_iter().flatten().map(text);
                self.others = all.filter(|other| *other != self.id).collect();
                json!({"type": "init_ok"})
            }
            "topology" => {
                self.broadcast = true;
                json!({"type": "topology_ok"})
            }
            "echo" => json!({"type": "echo_ok", "echo": self.heard(&body["echo"])}),
            "generate" => json!({"type": "generate_ok", "id": self.fresh()}),
            "broadcast" => {
                self.elements.extend(body["message"].as_i64());
                json!({"type": "broadcast_ok"})
            }
            "add" => {
                self.elements.extend(body["element"].as_i64());
                json!({"type": "add_ok"})
            }
            "read" if self.broadcast => json!({"type": "read_ok", "messages": self.elements}),
            "read" => json!({"type": "read_ok", "value": self.elements}),
            // Between nodes.
            "tell" => {
                self.elements.extend(numbers(&body["elements"]));
                json!({"type": "told", "elements": body["elements"]})
            }
            "told" => {
                self.known.entry(text(src)).or_default().extend(numbers(&body["elements"]));
                return Vec::new();
            }
            _ => json!({"type": "error", "code": 10, "text": "not supported"}),
        };
        vec![self.to(src, reply(body, answer))]
    }

    /// What the others may not have yet.
    fn tell(&self) -> Vec<Value> {
        let others = self.others.iter().filter(|_| !self.silent);
        let message = |other: &String| {
            let nothing = BTreeSet::new();
            let known = self.known.get(other).unwrap_or(&nothing);
            let missing: Vec<&i64> = self.elements.difference(known).collect();
            let body = json!({"type": "tell", "elements": missing});
            (!missing.is_empty()).then(|| self.to(&json!(other), body))
        };
        others.filter_map(message).collect()
    }

    fn heard(&self, told: &Value) -> Value {
        match told.as_str() {
            Some(told) if self.mumble => json!(told.trim_end_matches('7')),
            _ => told.clone(),
        }
    }

    fn fresh(&mut self) -> Value {
        self.ids += 1;
        if self.short {
            json!(self.ids % SHORT)
        } else {
            json!(format!("{}-{}", self.id, self.ids))
        }
    }

    fn to(&self, dest: &Value, body: Value) -> Value {
        json!({"src": self.id, "dest": dest, "body": body})
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn numbers(list: &Value) -> Vec<i64> {
    list.as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
}

/// The body as an answer to a request.
fn reply(request: &Value, mut body: Value) -> Value {
    body["in_reply_to"] = request["msg_id"].clone();
    body
}
