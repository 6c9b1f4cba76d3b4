//! One of the two sockets of a connection. Nothing here waits.

use nix::sys::socket::{MsgFlags, Shutdown, recv, setsockopt, shutdown, sockopt};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A fixed kernel buffer towards each receiver: it bounds what is already past the hub when a link is
/// held, and cannot be called back.
pub(super) const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// One socket, until it is reset. Dropped without [`Side::close`] it is reset too: a connection that
/// the hub gives up must not look as if it had ended well.
#[derive(Debug)]
pub(super) struct Side {
    stream: Option<TcpStream>,
    /// The other end is gone: a read or a write has failed. What it had sent before may still be read.
    pub(super) broken: bool,
}

impl Side {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Both are tuning: a socket on which they fail is dead, and the first read or write says so.
        let _ = setsockopt(&stream, sockopt::TcpNoDelay, &true);
        let _ = setsockopt(&stream, sockopt::SndBuf, &SEND_BUFFER_BYTES);
        Self { stream: Some(stream), broken: false }
    }

    /// A side that was never there.
    pub(super) fn absent() -> Self {
        Self { stream: None, broken: false }
    }

    /// Neither read from nor written to any more.
    pub(super) fn is_gone(&self) -> bool {
        self.stream.is_none() || self.broken
    }

    /// Whether it can be read or written as asked; if not, the task is woken when it can.
    pub(super) fn is_ready(&self, read: bool, write: bool, context: &mut Context<'_>) -> bool {
        let Some(stream) = &self.stream else { return false };
        // An error shows again at the read or write that follows.
        let readable = read && matches!(stream.poll_read_ready(context), Poll::Ready(_));
        let writable = write && matches!(stream.poll_write_ready(context), Poll::Ready(_));
        readable || writable
    }

    /// Bytes read, 0 at the end of the stream, none if there is nothing to read now.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let mut read = None;
        let last = self.attempt(|stream| {
            stream.try_io(Interest::READABLE, || {
                match recv(stream.as_raw_fd(), into, MsgFlags::empty())? {
                    // Less than there was room for: the next read would find nothing, which is said here to
                    // save asking. An end that is already known is remembered by itself.
                    bytes if bytes > 0 && bytes < into.len() => {
                        read = Some(bytes);
                        Err(ErrorKind::WouldBlock.into())
                    }
                    bytes => Ok(bytes),
                }
            })
        })?;
        Ok(last.or(read))
    }

    /// Bytes written, none if there is no room now.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        self.attempt(|stream| stream.try_write(bytes))
    }

    fn attempt(
        &mut self,
        doing: impl FnOnce(&TcpStream) -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        let stream =
            self.stream.as_ref().ok_or_else(|| io::Error::from(ErrorKind::NotConnected))?;
        match doing(stream) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => {
                self.broken = true;
                Err(error)
            }
        }
    }

    /// Whether the other end has reset it. Asking forgets it, so the caller must act on it.
    pub(super) fn was_reset(&mut self) -> bool {
        let error = self.stream.as_ref().map(TcpStream::take_error);
        self.broken |= !matches!(error, None | Some(Ok(None)));
        self.broken
    }

    /// Sends FIN: nothing more will be written.
    pub(super) fn finish(&mut self) {
        if let Some(stream) = &self.stream {
            // It fails only if the other end is gone, which the next read tells.
            let _ = shutdown(stream.as_raw_fd(), Shutdown::Write);
        }
    }

    /// Sends RST and is gone.
    pub(super) fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
            // Without it the socket ends with FIN or RST as the kernel sees fit; still it ends.
            let _ = setsockopt(&stream, sockopt::Linger, &linger);
        }
    }

    /// Ends well: everything was delivered in both directions.
    pub(super) fn close(&mut self) {
        self.stream = None;
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.reset();
    }
}
