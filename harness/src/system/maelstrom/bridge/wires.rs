//! The connections of a bridge: to other bridges, from them, and from clients.
//!
//! To each peer there is one connection, dialled when there is something to say, at the address at which only this node
//! calls that one. Nothing comes back on it. A line that was not taken whole goes out again on the next connection; what a
//! connection has taken and lost is lost, as on any network. Between two calls there is a pause, so that a peer that is
//! down costs little. A connection that is held keeps its line, and what comes after that waits in the queue.
//!
//! To the services there is one connection both ways, past the proxies.
//!
//! A client is greeted with its number before it asks: until then it knows that nothing of its request has left it. It
//! writes bodies, one a line, and reads whole messages; an empty line is a question whether somebody is there, and
//! [`topology::WORD`] the wish that the node know its neighbours.

use super::queue::Queue;
use super::switch::Switch;
use super::topology;
use crate::system::maelstrom::line::{Cutter, Piece};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Between two calls of one peer.
const CALL_EVERY: Duration = Duration::from_millis(50);
/// How long a peer may take to answer a call.
const CALL_LIMIT: Duration = Duration::from_secs(2);
/// How long a line may be on its way into a connection. A link may be held for long, but not for ever.
const WRITE_LIMIT: Duration = Duration::from_secs(120);
/// How many connections of one kind there are at most; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 256;
/// After an error that passes by itself, such as a lack of descriptors.
const PAUSE: Duration = Duration::from_millis(20);
/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// Carries what waits in `queue` to the peer that listens at `address`, for ever.
pub(super) async fn carry(queue: Arc<Queue>, address: SocketAddr) {
    let mut called: Option<Instant> = None;
    let mut open: Option<TcpStream> = None;
    loop {
        let mut line = queue.take().await;
        line.push(b'\n');
        loop {
            if open.as_ref().is_none_or(has_ended) {
                if let Some(called) = called {
                    tokio::time::sleep_until(called + CALL_EVERY).await;
                }
                called = Some(Instant::now());
                open = call(address).await;
            }
            let Some(stream) = &mut open else { continue };
            match timeout(WRITE_LIMIT, stream.write_all(&line)).await {
                Ok(Ok(())) => break,
                // Not all of it went, so there is no line of it at the other end.
                Ok(Err(_)) | Err(_) => open = None,
            }
        }
    }
}

/// Carries what the node asks of Maelstrom's services to where they are, and what they answer back, for ever. They are
/// reached past the proxies: Maelstrom cuts nobody off from them.
pub(super) async fn consult(switch: Arc<Switch>, address: SocketAddr) {
    let queue = switch.to_services();
    loop {
        if let Some(stream) = call(address).await {
            let (reading, mut writing) = stream.into_split();
            let hear = read(reading, |piece| {
                if let Piece::Whole(line) = piece {
                    switch.service_says(&line);
                }
            });
            tokio::select! {
                () = hear => {}
                () = tell(&queue, &mut writing) => {}
            }
        }
        tokio::time::sleep(CALL_EVERY).await;
    }
}

/// Writes what waits in `queue` until the other side takes no more.
async fn tell(queue: &Queue, writing: &mut (impl AsyncWrite + Unpin)) {
    loop {
        let mut line = queue.take().await;
        line.push(b'\n');
        if !matches!(timeout(WRITE_LIMIT, writing.write_all(&line)).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn call(address: SocketAddr) -> Option<TcpStream> {
    let stream = timeout(CALL_LIMIT, TcpStream::connect(address)).await.ok()?.ok()?;
    // Without it a short line may wait for the acknowledgement of the one before.
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

/// Whether the other side has gone, as far as that is known here.
fn has_ended(stream: &TcpStream) -> bool {
    let mut nothing = [0_u8; 64];
    match stream.try_read(&mut nothing) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Takes what peers say, for ever.
pub(super) async fn hear_peers(listener: TcpListener, switch: Arc<Switch>) {
    accept(listener, move |stream| {
        let switch = Arc::clone(&switch);
        async move { read(stream, |piece| take_from_peer(&switch, &piece)).await }
    })
    .await;
}

fn take_from_peer(switch: &Switch, piece: &Piece) {
    if let Piece::Whole(line) = piece {
        switch.peer_says(line);
    }
}

/// Takes what clients ask, for ever.
pub(super) async fn serve_clients(listener: TcpListener, switch: Arc<Switch>) {
    accept(listener, move |stream| serve(stream, Arc::clone(&switch))).await;
}

async fn serve(stream: TcpStream, switch: Arc<Switch>) {
    let (number, answers) = switch.admit();
    let (reading, mut writing) = stream.into_split();
    answers.push(format!(r#"{{"client":"c{number}"}}"#).into_bytes());
    let (asking, telling) = (Arc::clone(&switch), Arc::clone(&answers));
    let hear = read(reading, move |piece| match piece {
        Piece::Whole(line) if line.is_empty() => telling.push(Vec::new()),
        Piece::Whole(line) if line == topology::WORD.as_bytes() => asking.client_introduces(number),
        Piece::Whole(line) => asking.client_asks(number, &String::from_utf8_lossy(&line)),
        Piece::TooLong(_) => {}
    });
    // Whoever ends first ends both.
    tokio::select! {
        () = hear => {}
        () = tell(&answers, &mut writing) => {}
    }
    switch.dismiss(number);
}

/// Reads lines until the stream ends; what stands at its end without a newline was cut off and is no line.
async fn read(mut from: impl AsyncRead + Unpin, mut take: impl FnMut(Piece)) {
    let mut cutter = Cutter::default();
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        cutter.push(&buffer[..count]).into_iter().for_each(&mut take);
    }
}

/// Serves every connection in a task of its own.
async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F,
) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut served = JoinSet::new();
    loop {
        // Nobody closes it.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let serving = serve(stream);
                served.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        while served.try_join_next().is_some() {}
    }
}

#[cfg(test)]
mod tests;
