//! Connections on which what is ready leaves in one go.
//!
//! Our implementation of HTTP/2 writes a message of 256 bytes or more from where it lies, before it looks at the next
//! frame. The answer to a read of such a value, with what ends it, took two system calls, two answers took three, and each
//! was a packet of its own, which the client had to take in. On a connection that says it can write from one place only,
//! frames up to 1 KiB are copied together instead. It then writes a larger one in pieces, which are gathered here until
//! the flush that follows.
//!
//! Nothing waits here beyond a flush, and never more than [`ROOM`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// Bytes that may wait for a flush: a full frame with what goes before it.
const ROOM: usize = 32 << 10;

/// A connection that writes when it is flushed.
pub(super) struct Gathering<C> {
    connection: C,
    waiting: BytesMut,
}

impl<C> Gathering<C> {
    pub(super) fn new(connection: C) -> Gathering<C> {
        Gathering { connection, waiting: BytesMut::new() }
    }
}

impl<C: AsyncWrite + Unpin> Gathering<C> {
    /// Writes all that waits.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.waiting.has_remaining() {
            let written = Pin::new(&mut self.connection).poll_write(context, &self.waiting);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                // The room of what was written is used again once all has been.
                written if written == self.waiting.len() => self.waiting.clear(),
                written => self.waiting.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Gathering<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.waiting.len() + bytes.len() > ROOM {
            ready!(self.poll_send(context))?;
        }
        if bytes.len() > ROOM {
            return Pin::new(&mut self.connection).poll_write(context, bytes);
        }
        self.waiting.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Gathering<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl<C: Connected> Connected for Gathering<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> C::ConnectInfo {
        self.connection.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    /// A connection that keeps what each write brought, and takes only so many bytes of each.
    struct Taker {
        most: usize,
        writes: Vec<Vec<u8>>,
        is_shut: bool,
    }

    impl AsyncWrite for Taker {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.most);
            self.writes.push(bytes[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.is_shut = true;
            Poll::Ready(Ok(()))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }
    }

    fn gathering(most: usize) -> Gathering<Taker> {
        Gathering::new(Taker { most, writes: Vec::new(), is_shut: false })
    }

    #[tokio::test]
    async fn what_comes_before_a_flush_leaves_in_one_write() {
        let mut gathering = gathering(usize::MAX);
        for round in [&b"abc"[..], &b"de"[..]] {
            gathering.write_all(round).await.unwrap();
            gathering.write_all(b"!").await.unwrap();
            assert!(gathering.connection.writes.iter().all(|write| write.ends_with(b"!")));
            gathering.flush().await.unwrap();
        }
        assert_eq!(gathering.connection.writes, [&b"abc!"[..], &b"de!"[..]]);
        gathering.flush().await.unwrap();
        assert_eq!(gathering.connection.writes.len(), 2, "nothing is written when nothing waits");
        assert!(!gathering.is_write_vectored(), "or HTTP/2 would flush after each small message");
    }

    #[tokio::test]
    async fn no_more_waits_than_there_is_room_for_and_the_order_stays() {
        let mut gathering = gathering(1000);
        let lengths = [10, ROOM - 10, 1, ROOM + 1, ROOM, 5];
        let mut all = Vec::new();
        for (number, length) in lengths.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 7 + number) as u8).collect();
            gathering.write_all(&bytes).await.unwrap();
            assert!(gathering.waiting.len() <= ROOM);
            all.extend(bytes);
        }
        gathering.shutdown().await.unwrap();
        assert!(gathering.connection.is_shut && gathering.waiting.is_empty());
        assert!(gathering.connection.writes.concat() == all, "bytes were lost, or changed places");
    }

    #[tokio::test]
    async fn a_connection_that_takes_nothing_is_an_error() {
        let mut gathering = gathering(0);
        gathering.write_all(b"abc").await.unwrap();
        assert_eq!(gathering.flush().await.unwrap_err().kind(), io::ErrorKind::WriteZero);
    }

    #[tokio::test]
    async fn what_a_full_connection_does_not_take_goes_with_the_next_flush() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut gathering = Gathering::new(near);
        let told = async {
            gathering.write_all(b"abcdef").await.unwrap();
            let is_full = poll_fn(|context| {
                Poll::Ready(Pin::new(&mut gathering).poll_flush(context).is_pending())
            });
            let is_full = is_full.await;
            let mut four = [0; 4];
            far.read_exact(&mut four).await.unwrap();
            gathering.write_all(b"g").await.unwrap();
            gathering.flush().await.unwrap();
            let mut rest = [0; 3];
            far.read_exact(&mut rest).await.unwrap();
            (is_full, four, rest)
        };
        // Without gathering the first write would wait for a reader.
        let told = timeout(Duration::from_secs(5), told).await.unwrap();
        assert_eq!(told, (true, *b"abcd", *b"efg"));
    }
}
