//! Connections over loopback, with the other side played by the test.

use super::super::log::Log;
use super::*;
use crate::system::maelstrom::connection::Connection;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

/// The longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

async fn soon<T>(doing: impl Future<Output = T>) -> T {
    timeout(PATIENCE, doing).await.expect("it came in time")
}

async fn port() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

async fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    soon(stream.read_line(&mut line)).await.expect("text");
    line
}

#[tokio::test]
async fn what_waits_for_a_peer_goes_out_once_somebody_listens_again() {
    let (listener, address) = port().await;
    let queue = Queue::new("n1".to_owned(), Log::kept().0);
    let carrying = tokio::spawn(carry(Arc::clone(&queue), address));
    queue.push(b"one".to_vec());
    let (stream, _) = soon(listener.accept()).await.expect("a call");
    let mut stream = BufReader::new(stream);
    assert_eq!(line(&mut stream).await, "one\n");
    drop((stream, listener));
    // Whether a line that meets the end of a connection is lost is the network's affair; so first one that may be.
    queue.push(b"two".to_vec());
    tokio::time::sleep(CALL_EVERY).await;
    queue.push(b"three".to_vec());
    queue.push(b"four".to_vec());
    let listener = TcpListener::bind(address).await.expect("the same port");
    let (stream, _) = soon(listener.accept()).await.expect("another call");
    let mut stream = BufReader::new(stream);
    let mut heard = vec![line(&mut stream).await];
    while heard.last().is_some_and(|last| last != "four\n") {
        heard.push(line(&mut stream).await);
    }
    assert!(heard.ends_with(&["three\n".to_owned(), "four\n".to_owned()]), "{heard:?}");
    carrying.abort();
}

#[tokio::test]
async fn a_client_is_greeted_asks_and_is_answered_by_its_number() {
    let switch = Switch::new(1, 1, Log::kept().0);
    let (listener, address) = port().await;
    let serving = tokio::spawn(serve_clients(listener, Arc::clone(&switch)));
    let mut client = soon(Connection::open(address)).await.expect("a greeting");
    soon(client.knock()).await.expect("an answer");
    let asking = async {
        let body = json!({"type": "read", "msg_id": 4, "key": 1});
        client.ask(&body, 4).await
    };
    let node = async {
        let asked: Value = serde_json::from_slice(&switch.to_node().take().await).expect("JSON");
        assert_eq!((&asked["src"], &asked["body"]["msg_id"]), (&json!("c1"), &json!(4)));
        let answer =
            br#"{"src":"n1","dest":"c1","body":{"type":"read_ok","in_reply_to":4,"value":9}}"#;
        switch.node_writes(&Piece::Whole(answer.to_vec()));
    };
    let (answer, ()) = soon(async { tokio::join!(asking, node) }).await;
    assert_eq!(answer.expect("an answer")["value"], json!(9));
    assert_eq!(switch.to_node().try_take(), None, "a knock is nothing for the node");
    serving.abort();
}

#[tokio::test]
async fn what_peers_say_reaches_the_node_line_by_line() {
    let switch = Switch::new(1, 2, Log::kept().0);
    let (listener, address) = port().await;
    let hearing = tokio::spawn(hear_peers(listener, Arc::clone(&switch)));
    let mut peer = TcpStream::connect(address).await.expect("a port");
    let text = br#"{"src":"n2","dest":"n1","body":1}
{"src":"n2","dest":"n1","body":2}
{"src":"n2","de"#;
    peer.write_all(text).await.expect("a listener");
    drop(peer);
    for body in ["1", "2"] {
        let line = soon(switch.to_node().take()).await;
        assert!(String::from_utf8(line).expect("text").ends_with(&format!("\"body\":{body}}}")));
    }
    assert_eq!(switch.to_node().try_take(), None, "a line that was cut off is none");
    hearing.abort();
}
