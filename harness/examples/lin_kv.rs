//! A tiny Maelstrom node for the workload `lin-kv`, which knows nothing of this harness.
//!
//! There is one copy of the data, in the memory of the first node; all others pass on to it what clients ask, and its answers
//! back. That is linearizable whatever the network does, and serves nobody who is cut off from the first node. A kill of that
//! node loses everything.
//!
//! ```text
//! cargo build --release --examples
//! harness run --system maelstrom --bin target/release/examples/lin_kv --workload register --faults partition,pause
//! ```
//!
//! Two bugs can be switched on by arguments: `--stale` has every node answer reads with what it saw last of the key, and
//! `--stray` writes a line that is no message now and then.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

/// With `--stray` a line that is no message comes after so many that are.
const STRAY_EVERY: u64 = 100;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    serve(&arguments, io::stdin().lock(), io::stdout().lock())
}

/// Is a node until its input ends.
///
/// # Errors
/// An argument is unknown, a line is no message, or nothing more can be read or written.
pub(crate) fn serve(
    arguments: &[String],
    input: impl BufRead,
    mut output: impl Write,
) -> io::Result<()> {
    let mut node = Node::default();
    for argument in arguments {
        match argument.as_str() {
            "--stale" => node.stale = true,
            "--stray" => node.stray = true,
            other => return Err(io::Error::other(format!("unknown argument `{other}`"))),
        }
    }
    for line in input.lines() {
        let message: Value = serde_json::from_str(&line?)?;
        if let Some(answer) = node.take(&message) {
            writeln!(output, "{answer}")?;
            node.written += 1;
            if node.stray && node.written.is_multiple_of(STRAY_EVERY) {
                writeln!(output, "debug: {} messages written", node.written)?;
            }
        }
        output.flush()?;
    }
    Ok(())
}

#[derive(Default)]
struct Node {
    id: String,
    /// The node with the data.
    first: String,
    data: BTreeMap<String, Value>,
    /// What this node saw last of each key.
    seen: BTreeMap<String, Value>,
    stale: bool,
    stray: bool,
    written: u64,
}

impl Node {
    /// Takes a message in, and says what is to be sent.
    fn take(&mut self, message: &Value) -> Option<Value> {
        let (src, body) = (&message["src"], &message["body"]);
        match body["type"].as_str()? {
            "init" => {
                self.id = body["node_id"].as_str()?.to_owned();
                self.first = body["node_ids"][0].as_str()?.to_owned();
                Some(self.to(src, answer(body, json!({"type": "init_ok"}))))
            }
            // Between nodes: a request of a client, and its answer.
            "pass" => {
                let answered = self.execute(&body["request"]);
                let back = json!({"type": "back", "client": body["client"],
                    "request": body["request"], "answer": answered});
                Some(self.to(src, back))
            }
            "back" => {
                self.see(&body["request"], &body["answer"]);
                Some(self.to(&body["client"], body["answer"].clone()))
            }
            "read" if self.stale && self.seen.contains_key(&key(body)) => {
                let value = &self.seen[&key(body)];
                Some(self.to(src, answer(body, json!({"type": "read_ok", "value": value}))))
            }
            _ if self.id == self.first => {
                let answered = self.execute(body);
                Some(self.to(src, answered))
            }
            _ => {
                let pass = json!({"type": "pass", "client": src, "request": body});
                Some(self.to(&json!(self.first), pass))
            }
        }
    }

    fn to(&self, dest: &Value, body: Value) -> Value {
        json!({"src": self.id, "dest": dest, "body": body})
    }

    /// Does what a client asks, where the data is.
    fn execute(&mut self, request: &Value) -> Value {
        let held = self.data.get(&key(request));
        let result = match (request["type"].as_str(), held) {
            (Some("read" | "cas"), None) => {
                json!({"type": "error", "code": 20, "text": "no such key"})
            }
            (Some("read"), Some(value)) => json!({"type": "read_ok", "value": value}),
            (Some("cas"), Some(value)) if *value != request["from"] => {
                json!({"type": "error", "code": 22, "text": format!("it is {value}")})
            }
            (Some("cas"), Some(_)) => {
                self.data.insert(key(request), request["to"].clone());
                json!({"type": "cas_ok"})
            }
            (Some("write"), _) => {
                self.data.insert(key(request), request["value"].clone());
                json!({"type": "write_ok"})
            }
            _ => json!({"type": "error", "code": 10, "text": "not supported"}),
        };
        answer(request, result)
    }

    /// Remembers what an answer tells of a key; only stale reads look at it.
    fn see(&mut self, request: &Value, answer: &Value) {
        let value = match answer["type"].as_str() {
            Some("read_ok") => &answer["value"],
            Some("write_ok") => &request["value"],
            Some("cas_ok") => &request["to"],
            _ => return,
        };
        self.seen.insert(key(request), value.clone());
    }
}

fn key(request: &Value) -> String {
    request["key"].to_string()
}

/// The body as an answer to a request.
fn answer(request: &Value, mut body: Value) -> Value {
    body["in_reply_to"] = request["msg_id"].clone();
    body
}
