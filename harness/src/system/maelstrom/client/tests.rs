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
}

async fn play(stream: TcpStream, does: Does) {
    let mut stream = BufReader::new(stream);
    if matches!(does, Does::Nothing) {
        return std::future::pending().await;
    }
    stream.write_all(b"{\"client\":\"c1\"}\n").await.expect("a client");
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.expect("text") == 0 {
            return;
        }
        let Does::Answers(bodies) = does else { return };
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
        (KvOperation::Read { key: key() }, Some(json!({"type": "read", "msg_id": 5, "key": 2}))),
        (
            KvOperation::Write { key: key(), value: 3 },
            Some(json!({"type": "write", "msg_id": 5, "key": 2, "value": 3})),
        ),
        (
            KvOperation::Cas { key: key(), from: 3, to: 4 },
            Some(json!({"type": "cas", "msg_id": 5, "key": 2, "from": 3, "to": 4})),
        ),
        (KvOperation::Delete { key: key() }, None),
    ] {
        assert_eq!(request(&operation, 5), body);
    }
}
