//! The few things that both directions of a call do with HTTP/2.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use http::request::Parts;
use std::future::poll_fn;

/// Why a call does not go on.
#[derive(Debug)]
pub(super) enum Broken {
    /// One side reset the stream.
    Reset(Reason),
    /// A connection is gone, and with it every call on it.
    Gone,
}

impl From<h2::Error> for Broken {
    fn from(error: h2::Error) -> Self {
        if error.is_io() || error.is_go_away() {
            return Self::Gone;
        }
        Self::Reset(error.reason().unwrap_or(Reason::CANCEL))
    }
}

/// Opens a call like the one with this head.
pub(super) async fn open(
    sender: SendRequest<Bytes>,
    head: &Parts,
    ended: bool,
) -> Result<(ResponseFuture, SendStream<Bytes>), Broken> {
    let mut sender = sender.ready().await?;
    Ok(sender.send_request(Request::from_parts(head.clone(), ()), ended)?)
}

/// Sends bytes as fast as the receiver's windows allow.
pub(super) async fn send(to: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<(), Broken> {
    while !bytes.is_empty() {
        to.reserve_capacity(bytes.len());
        while to.capacity() == 0 {
            match poll_fn(|context| to.poll_capacity(context)).await {
                Some(more) => drop(more?),
                None => return Err(closed(to).await),
            }
        }
        let now = bytes.split_to(to.capacity().min(bytes.len()));
        to.send_data(now, false)?;
    }
    Ok(())
}

/// Why nothing more can be sent.
async fn closed(to: &mut SendStream<Bytes>) -> Broken {
    poll_fn(|context| to.poll_reset(context)).await.map_or_else(Broken::from, Broken::Reset)
}

/// The next data of a stream; none at its end. What is read makes room in the sender's window at once.
pub(super) async fn next(from: &mut RecvStream) -> Result<Option<Bytes>, Broken> {
    let Some(data) = from.data().await else { return Ok(None) };
    let data = data?;
    from.flow_control().release_capacity(data.len())?;
    Ok(Some(data))
}

/// A call of one message, whose answer is read and forgotten.
pub(super) async fn call(
    sender: SendRequest<Bytes>,
    head: &Parts,
    message: Bytes,
    sent: impl FnOnce(),
) -> Result<(), Broken> {
    let (response, mut to) = open(sender, head, false).await?;
    send(&mut to, message).await?;
    to.send_data(Bytes::new(), true)?;
    sent();
    let mut answer = response.await?.into_body();
    while next(&mut answer).await?.is_some() {}
    Ok(())
}
