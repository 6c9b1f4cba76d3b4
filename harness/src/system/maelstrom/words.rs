//! Maelstrom's words for the operations of our workloads: requests, and what is taken from their answers.
//!
//! `lin-kv` is our `register`; the other workloads have the names, and their operations the words, that they have there
//! (`src/maelstrom/workload/`). What an answer has besides is the bridge's affair, which knows what each kind may have.

use history::NodeId;
use serde_json::{Map, Value, json};
use workloads::{Invocation, KvOperation};

/// The workloads that can be run.
pub(super) const WORKLOADS: &[&str] =
    &["register", "unique-ids", "echo", "broadcast", "g-set", "g-counter", "pn-counter"];
/// The workload before whose operations nodes are told their neighbours.
pub(super) const WITH_TOPOLOGY: &str = "broadcast";

/// The number of the first key of the recovery clock, `recovery-n0`; no workload has so many others.
pub(super) const RECOVERY_KEYS: u64 = 1_000_000_000;

/// The body of a request of `lin-kv`; none if there is no such request.
pub(super) fn of_register(operation: &KvOperation) -> Option<Value> {
    let key = key_number(operation.key())?;
    Some(match operation {
        KvOperation::Read { .. } => json!({"type": "read", "key": key}),
        KvOperation::Write { value, .. } => json!({"type": "write", "key": key, "value": value}),
        KvOperation::Cas { from, to, .. } => {
            json!({"type": "cas", "key": key, "from": from, "to": to})
        }
        KvOperation::Delete { .. } => return None,
    })
}

/// The number that stands for a key on the way, another one for each.
pub(super) fn key_number(key: &str) -> Option<u64> {
    let (first, digits) = match key.strip_prefix("recovery-n") {
        Some(digits) => (RECOVERY_KEYS, digits),
        None => (0, key.strip_prefix('k')?),
    };
    let number: u64 = digits.parse().ok()?;
    (number < RECOVERY_KEYS && number.to_string() == digits).then_some(first + number)
}

/// How an operation of another workload is asked and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// The type of the request; that of its answer is the same with `_ok`.
    kind: &'static str,
    /// The field that has the argument.
    argument: Option<&'static str>,
    answer: Shape,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// That it happened.
    Nothing,
    /// Anything, in this field.
    Any(&'static str),
    /// A list in this field.
    List(&'static str),
    /// A whole number in this field.
    Whole(&'static str),
}

impl Words {
    /// Those for `f` in this workload, if there are any.
    pub(super) fn of(workload: &str, f: &str) -> Option<Self> {
        let (kind, argument, answer) = match (workload, f) {
            ("unique-ids", "generate") => ("generate", None, Shape::Any("id")),
            ("echo", "echo") => ("echo", Some("echo"), Shape::Any("echo")),
            ("broadcast", "broadcast") => ("broadcast", Some("message"), Shape::Nothing),
            ("broadcast", "read") => ("read", None, Shape::List("messages")),
            ("g-set", "add") => ("add", Some("element"), Shape::Nothing),
            ("g-set", "read") => ("read", None, Shape::List("value")),
            ("g-counter" | "pn-counter", "add") => ("add", Some("delta"), Shape::Nothing),
            ("g-counter" | "pn-counter", "read") => ("read", None, Shape::Whole("value")),
            _ => return None,
        };
        Some(Self { kind, argument, answer })
    }

    /// The body of the request.
    pub(super) fn body(self, invocation: &Invocation) -> Value {
        let mut body = json!({"type": self.kind});
        if let Some(argument) = self.argument {
            body[argument] = invocation.value.clone();
        }
        body
    }

    /// What the answer says, in the form of `history.jsonl`; none if it is no answer to this request.
    pub(super) fn answer(self, invocation: &Invocation, body: &Value) -> Option<Value> {
        let kind = body.get("type")?.as_str()?;
        if kind.strip_suffix("_ok") != Some(self.kind) {
            return None;
        }
        let (field, fits): (_, fn(&Value) -> bool) = match self.answer {
            Shape::Nothing => return Some(invocation.value.clone()),
            Shape::Any(field) => (field, |_| true),
            // An element is something: null is the word for nothing.
            Shape::List(field) => {
                (field, |list| list.as_array().is_some_and(|list| !list.iter().any(Value::is_null)))
            }
            Shape::Whole(field) => (field, Value::is_i64),
        };
        body.get(field).filter(|value| fits(value)).cloned()
    }
}

/// The neighbours of each node in Maelstrom's usual topology, a grid as square as may be.
pub(super) fn topology(nodes: &[NodeId]) -> Value {
    let side = (1..).find(|side| side * side >= nodes.len()).unwrap_or(1);
    let at = |row: Option<usize>, column: Option<usize>| {
        let (row, column) = (row?, column.filter(|column| *column < side)?);
        nodes.get(row * side + column)
    };
    let mut neighbours = Map::new();
    for (place, node) in nodes.iter().enumerate() {
        let (row, column) = (place / side, place % side);
        let around = [
            at(Some(row + 1), Some(column)),
            at(row.checked_sub(1), Some(column)),
            at(Some(row), Some(column + 1)),
            at(Some(row), column.checked_sub(1)),
        ];
        let around: Vec<String> = around.iter().flatten().map(ToString::to_string).collect();
        neighbours.insert(node.to_string(), json!(around));
    }
    json!({"type": "topology", "topology": neighbours})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_numbers_on_the_way_and_no_two_the_same() {
        for (key, number) in [
            ("k0", Some(0)),
            ("k12", Some(12)),
            ("recovery-n3", Some(RECOVERY_KEYS + 3)),
            ("k1000000000", None),
            ("k01", None),
            ("k+1", None),
            ("12", None),
            ("", None),
        ] {
            assert_eq!(key_number(key), number, "{key}");
        }
    }

    #[test]
    fn requests_are_those_of_lin_kv() {
        let key = || "k2".to_owned();
        for (operation, body) in [
            (KvOperation::Read { key: key() }, Some(json!({"type": "read", "key": 2}))),
            (
                KvOperation::Write { key: key(), value: 3 },
                Some(json!({"type": "write", "key": 2, "value": 3})),
            ),
            (
                KvOperation::Cas { key: key(), from: 3, to: 4 },
                Some(json!({"type": "cas", "key": 2, "from": 3, "to": 4})),
            ),
            (KvOperation::Delete { key: key() }, None),
        ] {
            assert_eq!(of_register(&operation), body);
        }
    }

    #[test]
    fn each_workload_has_words_for_all_that_it_issues() {
        for name in WORKLOADS.iter().filter(|name| **name != "register") {
            let workload = workloads::by_name(name).expect("a workload of ours");
            assert!(workload.runs(), "{name}");
            for f in workload.functions() {
                assert!(Words::of(name, f).is_some(), "{f} of {name}");
            }
        }
        assert_eq!(Words::of("register", "read"), None, "that is a matter of keys");
    }

    /// Workload, operation, argument, request, answer, and what that says; nothing if it is no answer.
    const EXCHANGES: &str = r#"
        unique-ids | generate | null | {"type":"generate"} | {"type":"generate_ok","id":[1]} | [1]
        echo | echo | "x" | {"type":"echo","echo":"x"} | {"type":"echo_ok","echo":"y"} | "y"
        broadcast | broadcast | 3 | {"type":"broadcast","message":3} | {"type":"broadcast_ok"} | 3
        broadcast | read | "final" | {"type":"read"} | {"type":"read_ok","messages":[1,"a"]} | [1,"a"]
        broadcast | read | null | {"type":"read"} | {"type":"read_ok","value":[1,"a"]} |
        g-set | add | 3 | {"type":"add","element":3} | {"type":"add_ok"} | 3
        g-set | read | null | {"type":"read"} | {"type":"read_ok","value":[1,"a"]} | [1,"a"]
        g-set | read | null | {"type":"read"} | {"type":"read_ok","value":[null]} |
        g-set | add | 3 | {"type":"add","element":3} | {"type":"write_ok"} |
        pn-counter | add | -3 | {"type":"add","delta":-3} | {"type":"add_ok"} | -3
        g-counter | read | null | {"type":"read"} | {"type":"read_ok","value":7} | 7
        g-counter | read | null | {"type":"read"} | {"type":"read_ok","value":7.5} |
    "#;

    #[test]
    fn requests_and_answers_are_those_of_maelstrom() {
        let json = |text: &str| -> Value { serde_json::from_str(text).expect(text) };
        for line in EXCHANGES.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            let [workload, f, value, body, answer, taken] = parts[..] else { panic!("{line}") };
            let words = Words::of(workload, f).expect("there is such an operation");
            let invocation = Invocation { f: words.kind, key: None, value: json(value) };
            assert_eq!(words.body(&invocation), json(body), "{line}");
            let expected = (!taken.is_empty()).then(|| json(taken));
            assert_eq!(words.answer(&invocation, &json(answer)), expected, "{line}");
        }
    }

    #[test]
    fn neighbours_are_those_of_maelstroms_grid() {
        let topology = |count: u16| {
            let nodes: Vec<NodeId> = (1..=count).map(NodeId).collect();
            topology(&nodes)["topology"].clone()
        };
        assert_eq!(topology(1), json!({"n1": []}));
        let five = json!({
            "n1": ["n4", "n2"], "n2": ["n5", "n3", "n1"], "n3": ["n2"],
            "n4": ["n1", "n5"], "n5": ["n2", "n4"],
        });
        assert_eq!(topology(5), five);
    }
}
