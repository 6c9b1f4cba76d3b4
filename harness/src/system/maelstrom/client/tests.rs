//! A client and a bridge that answers from a script.

use super::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use workloads::ErrorClass::{Definite, Indefinite};

const DEADLINE: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_millis(200);

/// What a bridge does on one connection.
#[derive(Clone, Copy)]
enum Does {
    /// Takes it and says nothing.
    Nothing,
    /// Greets, and leaves when it was asked.
    Leaves,
    /// Greets, and answers each request with these bodies; `#` is the number that was asked.
    Answers(&'static [&'static str]),
    /// Greets, says this of the neighbours of its node, and answers each request with one of these bodies, in turn.
    InTurn(&'static str, &'static [&'static str]),
}

async fn play(stream: TcpStream, does: Does) {
    let mut stream = BufReader::new(stream);
    if matches!(does, Does::Nothing) {
        return std::future::pending().await;
    }
    stream.write_all(b"{\"client\":\"c1\"}\n").await.expect("a client");
    if let Does::InTurn(agrees, _) = does {
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("text");
        assert_eq!(line, "topology\n", "before anything else");
        stream.write_all(format!("{agrees}\n").as_bytes()).await.expect("a client");
    }
    for turn in 0.. {
        let mut line = String::new();
        if stream.read_line(&mut line).await.expect("text") == 0 {
            return;
        }
        let bodies = match does {
            Does::Answers(bodies) => bodies,
            Does::InTurn(_, bodies) => bodies.get(turn..=turn).unwrap_or_default(),
            Does::Nothing | Does::Leaves => return,
        };
        let asked: Value = serde_json::from_str(&line).expect("a body");
        for body in bodies {
            let body = body.replace('#', &asked["msg_id"].to_string());
            let line = format!("{{\"src\":\"n1\",\"dest\":\"c1\",\"body\":{body}}}\n");
            stream.write_all(line.as_bytes()).await.expect("a client");
        }
    }
}

/// Somebody who does these things, one on each connection, and a client that is pinned to it.
async fn client(script: &'static [Does]) -> MaelstromClient {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        for does in script {
            let (stream, _) = listener.accept().await.expect("a client");
            tokio::spawn(play(stream, *does));
        }
    });
    MaelstromClient::new(&ClientSettings {
        route: Route::Node(NodeId(1)),
        addresses: [(NodeId(1), address)].into(),
        attempt: ATTEMPT,
        lease_reads: false,
        first: 0,
        workload: "register",
    })
}

async fn read(
    client: &mut MaelstromClient,
) -> Result<KvAnswer, (workloads::ErrorClass, &'static str)> {
    let operation = KvOperation::Read { key: "k4".to_owned() };
    client.call(&operation, DEADLINE).await.map_err(|error| (error.class, error.code))
}

#[tokio::test]
async fn an_answer_is_known_by_its_number() {
    static SCRIPT: [Does; 1] = [Does::Answers(&[
        r#"{"type":"read_ok","in_reply_to":0,"value":1}"#,
        r#"{"type":"read_ok","in_reply_to":#,"value":7}"#,
        r#"{"type":"read_ok","in_reply_to":#,"value":8}"#,
    ])];
    let mut client = client(&SCRIPT).await;
    for _ in 0..3 {
        assert_eq!(
            read(&mut client).await,
            Ok(KvAnswer::Value(Some(7))),
            "the second answer is late"
        );
    }
    assert_eq!(client.node(), Some(NodeId(1)));
}

#[tokio::test]
async fn only_what_was_never_sent_is_certain_not_to_have_happened() {
    static SILENT: [Does; 1] = [Does::Nothing];
    assert_eq!(read(&mut client(&SILENT).await).await, Err((Definite, "unreached")));
    static MUTE: [Does; 1] = [Does::Answers(&[])];
    assert_eq!(read(&mut client(&MUTE).await).await, Err((Indefinite, "timeout")));
    static LEAVING: [Does; 2] = [Does::Leaves, Does::Leaves];
    let mut client = client(&LEAVING).await;
    assert_eq!(read(&mut client).await, Err((Indefinite, "connection")));
    assert_eq!(read(&mut client).await, Err((Indefinite, "connection")), "and connects again");
}

/// In this workload nothing is asked before the node knows its neighbours, on each connection.
#[tokio::test]
async fn neighbours_are_told_first_and_an_error_keeps_its_class() {
    static SCRIPT: [Does; 2] = [
        Does::InTurn(
            "",
            &[
                r#"{"type":"broadcast_ok","in_reply_to":#}"#,
                r#"{"type":"error","in_reply_to":#,"code":13}"#,
                r#"{"type":"error","in_reply_to":#,"code":11}"#,
                r#"{"type":"read_ok","in_reply_to":#,"value":[3]}"#,
            ],
        ),
        Does::InTurn("it says no", &[]),
    ];
    let mut client = client(&SCRIPT).await;
    client.workload = WITH_TOPOLOGY;
    let asked = |f, value| Invocation { f, key: None, value };
    let mut ends = Vec::new();
    for invocation in [
        asked("broadcast", json!(3)),
        asked("broadcast", json!(4)),
        asked("broadcast", json!(5)),
        asked("read", Value::Null),
        asked("add", json!(6)),
    ] {
        ends.push(
            client.request(&invocation, DEADLINE).await.map_err(|error| (error.class, error.code)),
        );
    }
    assert_eq!(
        ends,
        [
            Ok(json!(3)),
            Err((Indefinite, "crash")),
            Err((Definite, "temporarily-unavailable")),
            Err((Indefinite, "protocol")),
            Err((Definite, "unspeakable")),
        ]
    );
    client.connection = None;
    let refused = client.request(&asked("read", Value::Null), DEADLINE).await;
    let refused = refused.expect_err("no neighbours, no question");
    let said = (refused.class, refused.code, refused.message.as_str());
    assert_eq!(said, (Definite, "unreached", "it says no"));
}
