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
        format!("`n4` is nobody: the nodes are n1 to n3: `{}`", message("n2", "n4", "{}")),
        format!("a `write_ok` has no `k`: `{answer}`"),
        "its last line has no end: `{\"src\"`".to_owned(),
    ];
    let told = told.map(|one| format!("[f00d] not of the protocol: {one}\n"));
    let long = "a line of more than 16 MiB is not read and not carried: `xxx`\n";
    let (first, rest) = told.split_first().expect("some");
    assert_eq!((bench.said)(), format!("{first}{long}{}", rest.concat()), "too long is not wrong");
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
        let told = format!("it is sent as `{src}` to n2, and that is this node itself: `{echo}`\n");
        assert!((bench.said)().ends_with(&told), "{}", (bench.said)());
    }
    bench.writes(&message("n4", "n1", "{}"));
    let nobody = format!("it is sent as `n4`, which is nobody: `{}`\n", message("n4", "n1", "{}"));
    assert!((bench.said)().ends_with(&nobody), "{}", (bench.said)());
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

/// As Maelstrom's own `raft.py` does: a follower passes the request on to the leader as it is, under the client's name. The
/// client hears the leader where it called.
#[test]
fn a_request_may_be_passed_on_under_its_clients_name_and_is_answered_where_it_came_from() {
    let (follower, leader) = (bench(), Switch::new(1, 3, Log::kept().0));
    let (client, answers) = follower.switch.admit();
    follower.switch.client_asks(client, r#"{"type":"read","msg_id":7,"key":1}"#);
    let asked = follower.to_node().expect("a request");
    assert!(asked.contains(r#""src":"c2","dest":"n2""#), "{asked}");
    follower.writes(&asked.replace(r#""dest":"n2""#, r#""dest":"n1""#));
    leader.peer_says(follower.to_peer(1).expect("it is carried").as_bytes());
    let asked = text(&leader.to_node()).expect("the leader hears it");
    assert!(asked.contains(r#""src":"c2","dest":"n1""#), "{asked}");
    let answer = message("n1", "c2", r#"{"type":"read_ok","in_reply_to":7,"value":4}"#);
    leader.node_writes(&Piece::Whole(answer.clone().into_bytes()));
    let back = text(&leader.to_peer(2).expect("a peer")).expect("it is carried");
    follower.switch.peer_says(back.as_bytes());
    assert_eq!(text(&answers), Some(answer));
    // A service that is asked in a client's name answers that client, and one may hand on what the leader said.
    follower.writes(&message("c2", "lin-kv", r#"{"type":"read","msg_id":8,"key":1}"#));
    assert!(text(&follower.switch.to_services()).is_some());
    for src in ["lin-kv", "n1"] {
        let answer = message(src, "c2", r#"{"type":"read_ok","in_reply_to":8,"value":4}"#);
        match src {
            "n1" => follower.writes(&answer),
            _ => follower.switch.service_says(answer.as_bytes()),
        }
        assert_eq!(text(&answers), Some(answer));
    }
    assert_eq!((follower.to_node(), (follower.said)()), (None, String::new()));
}

/// The neighbours that n2 was told, if it was.
fn told(bench: &Bench) -> Option<String> {
    let line: Value = serde_json::from_str(&bench.to_node()?).expect("JSON");
    assert_eq!((&line["src"], &line["body"]["type"]), (&json!("c0"), &json!("topology")));
    assert_eq!(line["body"]["topology"]["n2"], json!(["n1"]));
    Some(line["body"]["msg_id"].to_string())
}

#[test]
fn a_node_is_told_its_neighbours_once_in_its_life_and_not_before_it_has_begun() {
    let bench = bench();
    let ((one, to_one), (two, to_two)) = (bench.switch.admit(), bench.switch.admit());
    bench.switch.client_introduces(one);
    assert_eq!(told(&bench), None, "it has not begun");
    bench.switch.begun();
    assert_eq!(told(&bench), Some("2".to_owned()));
    // Before anything that this node may say of what it is asked then.
    let word = Some("topology".to_owned());
    assert_eq!((bench.to_peer(1), bench.to_peer(3)), (word.clone(), word));
    bench.switch.client_introduces(two);
    bench.switch.peer_says(b"topology");
    assert_eq!((text(&to_one), text(&to_two)), (None, None), "it has not agreed");
    bench.writes(&message("n2", "c0", r#"{"type":"topology_ok","in_reply_to":2}"#));
    let agreed = Some(String::new());
    assert_eq!((text(&to_one), text(&to_two)), (agreed.clone(), agreed.clone()));
    bench.switch.client_introduces(one);
    assert_eq!(text(&to_one), agreed, "on another connection as well");
    assert_eq!((told(&bench), bench.to_peer(1), bench.to_peer(3)), (None, None, None));
    assert_eq!((bench.said)(), "");
}

#[test]
fn a_node_is_told_its_neighbours_before_it_hears_of_others_work_and_may_refuse() {
    let bench = bench();
    bench.switch.begun();
    bench.switch.peer_says(b"topology");
    bench.switch.peer_says(message("n1", "n2", r#"{"type":"gossip"}"#).as_bytes());
    assert_eq!(told(&bench), Some("2".to_owned()));
    assert!(bench.to_node().is_some_and(|line| line.contains("gossip")));
    bench.writes(&message("n2", "c0", r#"{"type":"error","in_reply_to":2,"code":10}"#));
    let (client, queue) = bench.switch.admit();
    bench.switch.client_introduces(client);
    let answer = text(&queue).expect("an answer");
    assert!(answer.starts_with("no answer to `topology`: {"), "{answer}");
    assert_eq!((bench.said)(), "");
}
