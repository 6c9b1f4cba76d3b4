//! Where the bridges of a run reach its services: a port on loopback, one line a request and one an answer.
//!
//! A connection is read no faster than its answers are taken, so nothing piles up here. It ends with the run, with all
//! its connections.

use super::Services;
use crate::system::Companion;
use crate::system::maelstrom::line::{Cutter, Piece};
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// After an error that passes by itself, such as a lack of descriptors.
const PAUSE: Duration = Duration::from_millis(20);

/// Serves as long as it is kept.
struct Host(JoinHandle<()>);

impl Drop for Host {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the services of a run. To be called where there is a runtime.
///
/// # Errors
/// There is no port.
pub(in super::super) fn start(seed: u64) -> io::Result<Companion> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let listener = TcpListener::from_std(listener)?;
    let services = Arc::new(Mutex::new(Services::new(seed)));
    Ok(Companion { address, keeper: Box::new(Host(tokio::spawn(accept(listener, services)))) })
}

async fn accept(listener: TcpListener, services: Arc<Mutex<Services>>) {
    // They end with this task.
    let mut served = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let services = Arc::clone(&services);
                served.spawn(async move {
                    // A bridge that has gone asks again on another connection.
                    let _ = serve(stream, &services).await;
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        while served.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, services: &Mutex<Services>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut cutter = Cutter::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        for piece in cutter.push(&buffer[..count]) {
            let Piece::Whole(line) = piece else { continue };
            let answer = services.lock().unwrap_or_else(PoisonError::into_inner).answer(&line);
            if let Some(mut answer) = answer {
                answer.push(b'\n');
                stream.write_all(&answer).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, BufReader};

    async fn ask(stream: &mut BufReader<TcpStream>, line: &str) -> Value {
        stream.write_all(format!("{line}\n").as_bytes()).await.expect("a host");
        let mut answer = String::new();
        stream.read_line(&mut answer).await.expect("an answer");
        serde_json::from_str(&answer).expect("JSON")
    }

    #[tokio::test]
    async fn two_nodes_meet_the_same_services_and_they_end_with_the_run() {
        let companion = start(1).expect("a port");
        let connect =
            async || BufReader::new(TcpStream::connect(companion.address).await.expect("a host"));
        let (mut one, mut two) = (connect().await, connect().await);
        let ask_one = |number| {
            format!(r#"{{"src":"n1","dest":"lin-tso","body":{{"type":"ts","msg_id":{number}}}}}"#)
        };
        let answer = ask(&mut one, &ask_one(7)).await;
        let body = json!({"type": "ts_ok", "ts": 0, "in_reply_to": 7});
        assert_eq!(answer, json!({"src": "lin-tso", "dest": "n1", "body": body}));
        let asked = ask_one(8).replace("n1", "n2");
        assert_eq!(ask(&mut two, &asked).await["body"]["ts"], json!(1));
        drop(companion);
        let mut rest = String::new();
        assert_eq!(one.read_line(&mut rest).await.unwrap_or(0), 0, "it is gone: {rest}");
    }
}
