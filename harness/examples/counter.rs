//! A tiny Maelstrom node for `g-counter` and `pn-counter`, which keeps the counter in Maelstrom's service `seq-kv`.
//!
//! Each node has a key with what was added through it. To read, a node first writes something new, since only who has changed
//! something has seen what is newest, and then asks for the keys of all nodes.
//!
//! ```text
//! cargo build --release --examples
//! harness run --system maelstrom --bin target/release/examples/counter --workload g-counter --faults partition,pause
//! ```
//!
//! With `--shared` there is one key for all nodes, which reads and writes it: then what was read may be old, and what others
//! added since is lost.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

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
            "--shared" => node.shared = true,
            other => return Err(io::Error::other(format!("unknown argument `{other}`"))),
        }
    }
    for line in input.lines() {
        let message: Value = serde_json::from_str(&line?)?;
        for said in node.take(&message) {
            writeln!(output, "{said}")?;
        }
        output.flush()?;
    }
    Ok(())
}

/// Why the service was asked.
enum Asked {
    /// For what there is, to add to it.
    Old(Client),
    /// To keep what a client added.
    Add(Client),
    /// To see what is newest, for a sum.
    Newest(u64),
    /// For a part of a sum.
    Part(u64),
}

/// Who waits for an answer, and to what.
struct Client {
    name: Value,
    request: Value,
}

/// A sum that is being made.
struct Sum {
    client: Client,
    total: i64,
    missing: usize,
}

#[derive(Default)]
struct Node {
    id: String,
    all: Vec<String>,
    /// What was added through this node.
    own: i64,
    numbers: u64,
    asked: BTreeMap<u64, Asked>,
    sums: BTreeMap<u64, Sum>,
    shared: bool,
}

impl Node {
    /// Takes a message in, and says what is to be sent.
    fn take(&mut self, message: &Value) -> Vec<Value> {
        let body = &message["body"];
        let client = || Client { name: message["src"].clone(), request: body.clone() };
        match body["type"].as_str().unwrap_or_default() {
            "init" => {
                self.id = text(&body["node_id"]);
                self.all = body["node_ids"].as_array().into_iter().flatten().map(text).collect();
                vec![self.answer(&client(), json!({"type": "init_ok"}))]
            }
            "add" if self.shared => {
                vec![self.ask(Asked::Old(client()), json!({"type": "read", "key": "sum"}))]
            }
            "add" => {
                self.own += body["delta"].as_i64().unwrap_or(0);
                let keep = json!({"type": "write", "key": self.id, "value": self.own});
                vec![self.ask(Asked::Add(client()), keep)]
            }
            "read" => {
                let sum = self.number();
                let missing = self.parts().len();
                self.sums.insert(sum, Sum { client: client(), total: 0, missing });
                let new =
                    json!({"type": "write", "key": format!("{} looks", self.id), "value": sum});
                vec![self.ask(Asked::Newest(sum), new)]
            }
            _ => self.hear(body),
        }
    }

    /// An answer of the service.
    fn hear(&mut self, body: &Value) -> Vec<Value> {
        let number = body["in_reply_to"].as_u64().unwrap_or_default();
        // Nobody there: the key has not been written yet.
        let failed = body["type"] == "error" && body["code"] != 20;
        match self.asked.remove(&number) {
            None => Vec::new(),
            Some(Asked::Add(client) | Asked::Old(client)) if failed => {
                vec![self.answer(&client, trouble(body))]
            }
            Some(Asked::Add(client)) => vec![self.answer(&client, json!({"type": "add_ok"}))],
            Some(Asked::Newest(sum) | Asked::Part(sum)) if failed => {
                let sum = self.sums.remove(&sum);
                sum.map(|sum| self.answer(&sum.client, trouble(body))).into_iter().collect()
            }
            Some(Asked::Old(client)) => {
                let [old, added] = [&body["value"], &client.request["delta"]];
                let sum = old.as_i64().unwrap_or(0) + added.as_i64().unwrap_or(0);
                vec![
                    self.ask(
                        Asked::Add(client),
                        json!({"type": "write", "key": "sum", "value": sum}),
                    ),
                ]
            }
            Some(Asked::Newest(sum)) => self.ask_parts(sum),
            Some(Asked::Part(number)) => {
                let Some(sum) = self.sums.get_mut(&number) else { return Vec::new() };
                sum.total += body["value"].as_i64().unwrap_or(0);
                sum.missing -= 1;
                if sum.missing > 0 {
                    return Vec::new();
                }
                let whole = self.sums.remove(&number);
                let value = |sum: &Sum| json!({"type": "read_ok", "value": sum.total});
                whole.map(|sum| self.answer(&sum.client, value(&sum))).into_iter().collect()
            }
        }
    }

    /// The keys of which the sum is made.
    fn parts(&self) -> Vec<String> {
        if self.shared { vec!["sum".to_owned()] } else { self.all.clone() }
    }

    fn ask_parts(&mut self, sum: u64) -> Vec<Value> {
        let keys = self.parts().into_iter();
        keys.map(|key| self.ask(Asked::Part(sum), json!({"type": "read", "key": key}))).collect()
    }

    fn ask(&mut self, why: Asked, mut body: Value) -> Value {
        let number = self.number();
        self.asked.insert(number, why);
        body["msg_id"] = json!(number);
        json!({"src": self.id, "dest": "seq-kv", "body": body})
    }

    fn answer(&self, client: &Client, mut body: Value) -> Value {
        body["in_reply_to"] = client.request["msg_id"].clone();
        json!({"src": self.id, "dest": client.name, "body": body})
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What was added may be kept later, with the next add: nobody knows.
fn trouble(body: &Value) -> Value {
    json!({"type": "error", "code": 13, "text": body["text"]})
}
