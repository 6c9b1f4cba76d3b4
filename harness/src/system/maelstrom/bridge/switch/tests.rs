//! Messages among three nodes, of which n2 is here.

use super::*;

struct Bench {
    switch: Arc<Switch>,
    said: Box<dyn Fn() -> String>,
}

fn bench() -> Bench {
    let (log, said) = Log::kept();
    Bench { switch: Switch::new(2, 3, log), said: Box::new(said) }
}

impl Bench {
    fn writes(&self, line: &str) {
        self.switch.node_writes(&Piece::Whole(line.into()));
    }

    fn to_node(&self) -> Option<String> {
        text(&self.switch.to_node())
    }

    fn to_peer(&self, node: u16) -> Option<String> {
        text(&self.switch.to_peer(node).expect("a peer"))
    }
}

fn text(queue: &Queue) -> Option<String> {
    queue.try_take().map(|line| String::from_utf8(line).expect("text"))
}

fn message(src: &str, dest: &str, body: &str) -> String {
    format!(r#"{{"src":"{src}","dest":"{dest}","body":{body}}}"#)
}

#[test]
fn what_a_node_says_to_another_one_waits_for_that_one_alone() {
    let bench = bench();
    let line = message("n2", "n3", r#"{"type":"gossip","anything":[1.0]}"#);
    bench.writes(&line);
    assert_eq!(bench.to_peer(3), Some(line));
    assert_eq!((bench.to_peer(1), bench.to_node()), (None, None));
    bench.writes(&message("n2", "n2", "{}"));
    assert_eq!(bench.to_node(), Some(r#"{"id":0,"src":"n2","dest":"n2","body":{}}"#.to_owned()));
    bench.switch.peer_says(message("n1", "n2", "{}").as_bytes());
    assert_eq!(bench.to_node(), Some(r#"{"id":1,"src":"n1","dest":"n2","body":{}}"#.to_owned()));
    bench.switch.peer_says(message("n1", "n3", "{}").as_bytes());
    assert_eq!((bench.to_node(), bench.to_peer(3)), (None, None), "nothing is passed on twice");
    assert_eq!((bench.said)(), "");
}

#[test]
fn a_client_asks_and_gets_its_own_answer() {
    let bench = bench();
    let (first, to_first) = bench.switch.admit();
    let (second, to_second) = bench.switch.admit();
    assert_eq!((first, second), (2, 5), "as those do that call at the second of three nodes");
    bench.switch.client_asks(second, r#"{"type":"read","msg_id":1,"key":3}"#);
    let asked = r#"{"id":0,"src":"c5","dest":"n2","body":{"type":"read","msg_id":1,"key":3}}"#;
    assert_eq!(bench.to_node(), Some(asked.to_owned()));
    let answer = message("n2", "c5", r#"{"type":"read_ok","in_reply_to":1,"value":4}"#);
    bench.writes(&answer);
    assert_eq!((text(&to_first), text(&to_second)), (None, Some(answer.clone())));
    bench.switch.dismiss(second);
    bench.writes(&answer);
    assert_eq!((text(&to_second), (bench.said)()), (None, String::new()), "late is not wrong");
}

#[test]
fn a_client_may_be_answered_by_a_node_at_which_it_does_not_call() {
    let bench = bench();
    let away = message("n2", "c4", r#"{"type":"write_ok","in_reply_to":1}"#);
    bench.writes(&away);
    assert_eq!(bench.to_peer(1), Some(away), "c4 calls at n1");
    let (client, queue) = bench.switch.admit();
    let here = message("n1", &format!("c{client}"), r#"{"type":"write_ok","in_reply_to":1}"#);
    bench.switch.peer_says(here.as_bytes());
    assert_eq!(text(&queue), Some(here));
    assert_eq!((bench.said)(), "");
}

#[test]
fn a_line_that_is_none_is_quoted_and_the_next_one_is_read() {
    let bench = bench();
    bench.writes("debug: 42");
    bench.switch.node_writes(&Piece::TooLong(b"xxx".to_vec()));
    bench.writes(&message("n2", "n4", "{}"));
    let (client, queue) = bench.switch.admit();
    let answer =
        message("n2", &format!("c{client}"), r#"{"type":"write_ok","in_reply_to":1,"k":2}"#);
    bench.writes(&answer);
    bench.switch.node_broke_off(b"{\"src\"");
    let line = message("n2", "n1", "{}");
    bench.writes(&line);
    assert_eq!(bench.to_peer(1), Some(line));
    assert_eq!(text(&queue), Some(answer.clone()), "it is passed on all the same");
    let told = [
        "it is no JSON object: `debug: 42`".to_owned(),
        "it is longer than 1 MiB: `xxx`".to_owned(),
        format!("`n4` is nobody: the nodes are n1 to n3: `{}`", message("n2", "n4", "{}")),
        format!("a `write_ok` has no `k`: `{answer}`"),
        "its last line has no end: `{\"src\"`".to_owned(),
    ];
    let told = told.map(|one| format!("[f00d] not of the protocol: {one}\n")).concat();
    assert_eq!((bench.said)(), told);
}

#[test]
fn a_service_is_asked_and_answers() {
    let bench = bench();
    let asked = message("n2", "seq-kv", r#"{"type":"read","msg_id":9,"key":"x"}"#);
    bench.writes(&asked);
    assert_eq!(text(&bench.switch.to_services()), Some(asked));
    assert_eq!(bench.to_node(), None);
    bench.switch.service_says(message("seq-kv", "n2", r#"{"type":"read_ok"}"#).as_bytes());
    let answer = r#"{"id":0,"src":"seq-kv","dest":"n2","body":{"type":"read_ok"}}"#;
    assert_eq!(bench.to_node(), Some(answer.to_owned()));
    assert_eq!((bench.said)(), "");
}

/// Such a program was given its own words again, without end.
#[test]
fn a_node_that_writes_back_what_it_reads_is_told_of_and_not_heard() {
    let bench = bench();
    bench.switch.initiate();
    let (client, answers) = bench.switch.admit();
    let _greeting = text(&answers);
    bench.switch.client_asks(client, r#"{"type":"read","msg_id":1,"key":1}"#);
    bench.switch.peer_says(message("n3", "n2", r#"{"type":"gossip"}"#).as_bytes());
    for src in ["c0", "c2", "n3"] {
        let echo = bench.to_node().expect("a message");
        assert!(echo.contains(&format!("\"src\":\"{src}\",\"dest\":\"n2\"")), "{echo}");
        bench.writes(&echo);
        let told = format!("it is sent as `{src}`, and this node is n2: `{echo}`\n");
        assert!((bench.said)().ends_with(&told), "{}", (bench.said)());
        // Nor may it answer as somebody else.
        bench.writes(&message(src, "c2", r#"{"type":"write_ok","in_reply_to":1}"#));
    }
    assert_eq!((bench.to_node(), text(&answers)), (None, None));
    assert_eq!((bench.to_peer(1), bench.to_peer(3)), (None, None));
}

#[test]
fn a_node_is_asked_to_begin_before_it_hears_anything_else() {
    let bench = bench();
    bench.switch.initiate();
    bench.switch.peer_says(message("n1", "n2", "{}").as_bytes());
    let first: Value = serde_json::from_str(&bench.to_node().expect("a line")).expect("JSON");
    let body =
        json!({"type": "init", "msg_id": 1, "node_id": "n2", "node_ids": ["n1", "n2", "n3"]});
    assert_eq!(first["body"], body);
    let said = || begun(&bench.switch.to_initiator().try_take().expect("an answer"));
    // What it says besides is not looked at, as in Maelstrom.
    bench.writes(&message("n2", "c0", r#"{"type":"init_ok","in_reply_to":1,"version":"0.1"}"#));
    assert_eq!(said(), Some(Ok(())));
    bench.writes(&message("n2", "c0", r#"{"type":"init_ok","in_reply_to":2}"#));
    assert_eq!(said(), None, "it answers something else");
    bench.writes(&message("n2", "c0", r#"{"type":"error","in_reply_to":1,"code":13}"#));
    let refusal = said().expect("an answer").expect_err("no");
    assert!(refusal.starts_with("it answered `init` with {\"code\":13,"), "{refusal}");
    assert_eq!((bench.said)(), "");
}
