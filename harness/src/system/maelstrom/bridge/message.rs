//! What a node writes: one message a line, and what is wrong with a line that is none.
//!
//! The envelope is closed: `src`, `dest`, `body`, an integer `id` or none, and nothing else. What nodes say to each other
//! in `body` is their own business; an answer to a client is not, because it means something to the one who judges. The
//! text of a message is passed on as it was written: nothing here is read and written anew.

use crate::system::maelstrom::service;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::borrow::Cow;

/// Who asks a node to begin, in the words of the protocol a client of its own.
pub(super) const INITIATOR: &str = "c0";

/// A line that is a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Who sends it, as it says.
    pub(super) src: String,
    /// Whom it is for, as it says.
    pub(super) dest: String,
    /// Whether it has a number already.
    has_id: bool,
    line: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    src: Cow<'a, str>,
    #[serde(borrow)]
    dest: Cow<'a, str>,
    id: Option<i64>,
    // Only whether it is there.
    #[serde(rename = "body")]
    _body: IgnoredAny,
}

impl Message {
    /// Reads a line.
    ///
    /// # Errors
    /// Why it is no message, as a fragment.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
        if text.trim().is_empty() {
            return Err("it is empty".to_owned());
        }
        // Serde would take a list for the fields in their order.
        if !text.trim_start().starts_with('{') {
            return Err("it is no JSON object".to_owned());
        }
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| wrong(&error))?;
        let (src, dest) = (envelope.src.into_owned(), envelope.dest.into_owned());
        Ok(Self { src, dest, has_id: envelope.id.is_some(), line: line.to_vec() })
    }

    /// Its body.
    ///
    /// # Errors
    /// Why it cannot be read, as a fragment.
    pub(super) fn body(&self) -> Result<Value, String> {
        #[derive(Deserialize)]
        struct Inside {
            body: Value,
        }
        let inside: Inside = serde_json::from_slice(&self.line).map_err(|error| wrong(&error))?;
        Ok(inside.body)
    }

    /// The line as it was written.
    pub(super) fn into_line(self) -> Vec<u8> {
        self.line
    }

    /// The line with the number that a network gives each message; one that it has already stays.
    pub(super) fn numbered(self, number: u64) -> Vec<u8> {
        match self.line.iter().position(|byte| *byte == b'{') {
            Some(brace) if !self.has_id => {
                let mut line = format!("{{\"id\":{number},").into_bytes();
                line.extend_from_slice(&self.line[brace + 1..]);
                line
            }
            _ => self.line,
        }
    }
}

/// A message to a node, of a body that is text already.
pub(super) fn compose(number: u64, src: &str, dest: &str, body: &str) -> Vec<u8> {
    format!(r#"{{"id":{number},"src":"{src}","dest":"{dest}","body":{body}}}"#).into_bytes()
}

fn wrong(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or(&text);
    match reason {
        "trailing characters" => {
            "it is more than one JSON object; is a newline missing?".to_owned()
        }
        reason if error.is_data() => format!("it is no message: {reason}"),
        reason => format!("it is not JSON: {reason}"),
    }
}

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Addressee {
    /// A node, by its number.
    Node(u16),
    /// A client, by its number, and the number of the node at which it calls.
    Client(u64, u16),
    /// Who asks nodes to begin.
    Initiator,
    /// A service of Maelstrom.
    Service,
    /// Nobody.
    Nobody,
}

/// Whom `dest` means among so many nodes.
pub(super) fn addressee(dest: &str, nodes: u16) -> Addressee {
    if dest == INITIATOR {
        return Addressee::Initiator;
    }
    if service::NAMES.contains(&dest) {
        return Addressee::Service;
    }
    // Not `n01` and not `n+1`.
    let number = |digits: &str| digits.parse::<u64>().ok().filter(|one| one.to_string() == digits);
    if let Some(client) = dest.strip_prefix('c').and_then(number) {
        return Addressee::Client(client, home(client, nodes));
    }
    let node = dest.strip_prefix('n').and_then(number).and_then(|one| u16::try_from(one).ok());
    match node {
        Some(node) if (1..=nodes).contains(&node) => Addressee::Node(node),
        _ => Addressee::Nobody,
    }
}

/// The number of the `count`-th client (from 1) that calls at this node. The numbers of two nodes never meet, so that a
/// node may answer a client of another one: who has to be asked for it is known by the number.
pub(super) fn client(count: u64, node: u16, nodes: u16) -> u64 {
    (count - 1) * u64::from(nodes) + u64::from(node)
}

/// At which node that client calls.
fn home(client: u64, nodes: u16) -> u16 {
    let place = client.saturating_sub(1) % u64::from(nodes.max(1));
    // Below the number of nodes.
    u16::try_from(place).unwrap_or(0) + 1
}

/// Checks what a node answers to a client: exactly what its kind of answer has. An error may say more. What `init` is
/// answered with is not looked at so closely, here as in Maelstrom.
///
/// # Errors
/// What is wrong, as a fragment.
pub(super) fn check_answer(body: &Value) -> Result<(), String> {
    let body = body.as_object().ok_or("its body is no object")?;
    let kind = body.get("type").and_then(Value::as_str).ok_or("its body has no `type`")?;
    if !body.get("in_reply_to").is_some_and(Value::is_u64) {
        return Err("it answers nothing: its body has no integer `in_reply_to`".to_owned());
    }
    if body.get("msg_id").is_some_and(|id| !id.is_i64() && !id.is_u64()) {
        return Err("its `msg_id` is no integer".to_owned());
    }
    let own: &[&str] = match kind {
        // Of a broadcast node all messages.
        "read_ok" if body.contains_key("messages") => &["messages"],
        "read_ok" => &["value"],
        "generate_ok" => &["id"],
        "echo_ok" => &["echo"],
        "write_ok" | "cas_ok" | "add_ok" | "broadcast_ok" | "topology_ok" => &[],
        "error" if body.get("code").is_some_and(Value::is_i64) => return Ok(()),
        "error" => return Err("its error has no integer `code`".to_owned()),
        other => return Err(format!("nothing is answered with a `{other}` here")),
    };
    if let Some(missing) = own.iter().find(|name| !body.contains_key(**name)) {
        return Err(format!("a `{kind}` without `{missing}`"));
    }
    let known =
        |name: &str| ["type", "in_reply_to", "msg_id"].contains(&name) || own.contains(&name);
    match body.keys().find(|name| !known(name)) {
        Some(extra) => Err(format!("a `{kind}` has no `{extra}`")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PLAIN: &str =
        r#"{"src": "n1","dest":"n2","body":{"type":"x","big":123456789012345678901234567890}}"#;

    #[test]
    fn a_message_is_passed_on_as_it_was_written() {
        let message = Message::parse(PLAIN.as_bytes()).expect("a message");
        assert_eq!((message.src.as_str(), message.dest.as_str()), ("n1", "n2"));
        assert_eq!(message.clone().into_line(), PLAIN.as_bytes());
        let numbered = String::from_utf8(message.numbered(7)).expect("text");
        assert_eq!(numbered, PLAIN.replacen('{', "{\"id\":7,", 1));
        let own = r#" {"id":-3,"src":"n1","dest":"n2","body":[]}"#;
        let message = Message::parse(own.as_bytes()).expect("a message with a number of its own");
        assert_eq!(message.numbered(7), own.as_bytes());
    }

    #[test]
    fn what_is_no_message_is_said_in_words() {
        for (line, said) in [
            ("", "it is empty"),
            (" \r", "it is empty"),
            ("debug: hello", "it is no JSON object"),
            (r#"["n1","n2",null,{}]"#, "it is no JSON object"),
            (r#"{"src":"n1""#, "it is not JSON: EOF while parsing an object"),
            (r#"{"src":"n1","dest":"n2"}"#, "it is no message: missing field `body`"),
            (r#"{"dest":"n2","body":{}}"#, "it is no message: missing field `src`"),
            (r#"{"src":"n1","dest":2,"body":{}}"#, "it is no message: invalid type: integer `2`"),
            (r#"{"src":"n1","dest":"n2","body":{},"x":1}"#, "it is no message: unknown field `x`"),
            (r#"{"id":"7","src":"n1","dest":"n2","body":{}}"#, "it is no message: invalid type"),
        ] {
            let error = Message::parse(line.as_bytes()).expect_err(line);
            assert!(error.starts_with(said), "{line}: {error}");
        }
        assert_eq!(Message::parse(b"\xff{}").expect_err("bytes"), "it is not UTF-8");
        let two = format!("{PLAIN}{PLAIN}");
        let error = Message::parse(two.as_bytes()).expect_err("two");
        assert_eq!(error, "it is more than one JSON object; is a newline missing?");
        assert!(Message::parse(format!("{PLAIN}\r").as_bytes()).is_ok(), "as some write lines");
    }

    #[test]
    fn an_address_means_one_of_those_that_there_are() {
        for (dest, meant) in [
            ("n1", Addressee::Node(1)),
            ("n5", Addressee::Node(5)),
            ("n6", Addressee::Nobody),
            ("n0", Addressee::Nobody),
            ("n01", Addressee::Nobody),
            ("n70000", Addressee::Nobody),
            ("", Addressee::Nobody),
            ("c", Addressee::Nobody),
            ("c0", Addressee::Initiator),
            ("c7", Addressee::Client(7, 2)),
            ("lin-kv", Addressee::Service),
            ("lin-tso", Addressee::Service),
        ] {
            assert_eq!(addressee(dest, 5), meant, "{dest}");
        }
    }

    #[test]
    fn the_number_of_a_client_says_where_it_calls() {
        let mut seen = std::collections::BTreeSet::new();
        for node in 1..=3 {
            for count in 1..=10 {
                let number = client(count, node, 3);
                assert!(number > 0 && seen.insert(number), "{number} is given twice");
                assert_eq!(addressee(&format!("c{number}"), 3), Addressee::Client(number, node));
            }
        }
    }

    #[test]
    fn an_answer_has_what_its_kind_has_and_nothing_else() {
        let head = |kind: &str| json!({"type": kind, "in_reply_to": 4});
        let with = |kind: &str, name: &str, value: Value| {
            let mut body = head(kind);
            body[name] = value;
            body
        };
        for good in [
            with("read_ok", "value", json!(null)),
            head("write_ok"),
            with("cas_ok", "msg_id", json!(9)),
            with("read_ok", "messages", json!([1])),
            with("generate_ok", "id", json!(null)),
            with("echo_ok", "echo", json!({"a": 1})),
            head("add_ok"),
            with("error", "code", json!(20)),
            json!({"type": "error", "in_reply_to": 4, "code": 1001, "text": "x", "extra": [1]}),
        ] {
            assert_eq!(check_answer(&good), Ok(()), "{good}");
        }
        for (bad, said) in [
            (json!("ok"), "its body is no object"),
            (json!({"in_reply_to": 4}), "its body has no `type`"),
            (json!({"type": "write_ok"}), "it answers nothing"),
            (json!({"type": "write_ok", "in_reply_to": "4"}), "it answers nothing"),
            (head("read_ok"), "a `read_ok` without `value`"),
            (with("write_ok", "value", json!(1)), "a `write_ok` has no `value`"),
            (with("write_ok", "msg_id", json!("a")), "its `msg_id` is no integer"),
            (head("error"), "its error has no integer `code`"),
            (head("echo_ok"), "a `echo_ok` without `echo`"),
            (head("txn_ok"), "nothing is answered with a `txn_ok` here"),
        ] {
            let error = check_answer(&bad).expect_err("wrong");
            assert!(error.starts_with(said), "{bad}: {error}");
        }
    }
}
