//! One connection to the bridge of a node: a greeting, and then lines both ways.

use super::bridge::TOPOLOGY_WORD;
use super::line::{Cutter, Piece};
use serde::Deserialize;
use serde_json::Value;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 4096;

/// A connection on which the bridge has spoken. What waits on it has no limit of its own; callers have.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    cutter: Cutter,
    lines: VecDeque<Vec<u8>>,
}

#[derive(Deserialize)]
struct Answer {
    body: Value,
}

impl Connection {
    /// Connects, and waits until the bridge greets: nothing has been sent by then.
    ///
    /// # Errors
    /// Nobody is there.
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut connection = Self { stream, cutter: Cutter::default(), lines: VecDeque::new() };
        connection.line().await?;
        Ok(connection)
    }

    /// Itself, unless the other side has closed it, as far as that is known here. Late answers may lie in it.
    pub(super) fn still_open(mut self) -> Option<Self> {
        let mut buffer = [0; READ_BYTES];
        loop {
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.take_in(&buffer[..count]),
                Err(error) => return (error.kind() == io::ErrorKind::WouldBlock).then_some(self),
            }
        }
    }

    /// Sends a body and waits for what answers the number `asked`; all other answers are late ones and dropped.
    ///
    /// # Errors
    /// The connection ended.
    pub(super) async fn ask(&mut self, body: &Value, asked: u64) -> io::Result<Value> {
        self.stream.write_all(format!("{body}\n").as_bytes()).await?;
        loop {
            let line = self.line().await?;
            let Ok(Answer { body }) = serde_json::from_slice(&line) else { continue };
            if body.get("in_reply_to").and_then(Value::as_u64) == Some(asked) {
                return Ok(body);
            }
        }
    }

    /// Waits until the node has been told its neighbours, once in its life. To be called before anything is asked.
    ///
    /// # Errors
    /// The connection ended, or the node did not agree.
    pub(super) async fn introduce(&mut self) -> io::Result<()> {
        self.stream.write_all(format!("{TOPOLOGY_WORD}\n").as_bytes()).await?;
        let answer = self.line().await?;
        match answer.is_empty() {
            true => Ok(()),
            false => Err(io::Error::other(String::from_utf8_lossy(&answer))),
        }
    }

    /// Asks the bridge whether it is there.
    ///
    /// # Errors
    /// It is not.
    pub(super) async fn knock(&mut self) -> io::Result<()> {
        self.stream.write_all(b"\n").await?;
        self.line().await.map(drop)
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(line);
            }
            let mut buffer = [0; READ_BYTES];
            match self.stream.read(&mut buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.take_in(&buffer[..count]),
            }
        }
    }

    fn take_in(&mut self, bytes: &[u8]) {
        // No bridge passes on a line that is too long.
        let whole = self.cutter.push(bytes).into_iter().filter_map(|piece| match piece {
            Piece::Whole(line) => Some(line),
            Piece::TooLong(_) => None,
        });
        self.lines.extend(whole);
    }
}
