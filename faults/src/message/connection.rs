//! One connection that a node dialled to another: two of HTTP/2, one with each, and the calls between them.
//!
//! The dialler is answered only when the target has answered a ping: over a held link its connection hangs as it
//! would without a relay. Either connection's end is the end of the other.

use super::call;
use super::line::Line;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Ping, client, server};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// How long the connection to the target may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long the target may be silent before the dialler is hung up on.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long answers may take that were on their way when the target ended its connection.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Bytes that may be on their way in a stream, and in a connection.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);
/// Calls at once.
const CALLS: u32 = 128;
/// Calls that a caller may give up in a row: more often than by default, where answers are lost on purpose.
const RESETS: usize = 4096;

type Down = server::Connection<TcpStream, Bytes>;
type Up = client::Connection<TcpStream, Bytes>;

/// Carries the calls of one connection until one of its ends is gone.
pub(super) async fn carry(line: Arc<Line>, down: TcpStream) {
    let connecting = timeout(CONNECT_LIMIT, TcpStream::connect(line.upstream)).await;
    let Ok(Ok(up)) = connecting else { return };
    let prompt = down.set_nodelay(true).and_then(|()| up.set_nodelay(true));
    let Ok(Ok(Some((sender, up, down)))) = timeout(ANSWER_LIMIT, introduce(up, down)).await else {
        return;
    };
    if prompt.is_ok() {
        line.connected(sender.clone());
        serve(line, sender, up, down).await;
    }
}

/// Speaks HTTP/2 with the target and, once it has answered, with the dialler.
async fn introduce(
    up: TcpStream,
    down: TcpStream,
) -> Result<Option<(SendRequest<Bytes>, Up, Down)>, h2::Error> {
    let (sender, mut up) = client::Builder::new()
        .initial_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .enable_push(false)
        .max_concurrent_reset_streams(RESETS)
        .max_local_error_reset_streams(Some(RESETS))
        .handshake(up)
        .await?;
    let Some(mut pings) = up.ping_pong() else { return Ok(None) };
    tokio::select! {
        ended = &mut up => return ended.map(|()| None),
        pong = pings.ping(Ping::opaque()) => { pong?; }
    }
    let down = server::Builder::new()
        .initial_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_concurrent_streams(CALLS)
        .max_concurrent_reset_streams(RESETS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(Some(RESETS))
        .handshake(down);
    let mut down = std::pin::pin!(down);
    let down = tokio::select! {
        ended = &mut up => return ended.map(|()| None),
        down = &mut down => down?,
    };
    Ok(Some((sender, up, down)))
}

async fn serve(line: Arc<Line>, sender: SendRequest<Bytes>, mut up: Up, mut down: Down) {
    let mut calls = JoinSet::new();
    let mut last = None;
    loop {
        tokio::select! {
            ended = &mut up, if last.is_none() => {
                if ended.is_err() {
                    return;
                }
                down.graceful_shutdown();
                last = Some(Instant::now() + LAST_WORDS);
            }
            accepted = down.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                calls.spawn(call::carry(Arc::clone(&line), sender.clone(), request, respond));
            }
            Some(_) = calls.join_next(), if !calls.is_empty() => {}
            () = sleep_until(last.unwrap_or_else(Instant::now)), if last.is_some() => return,
        }
    }
}
