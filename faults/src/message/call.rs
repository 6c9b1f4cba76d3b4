//! One call: its request and its answer side by side, and how it ends when either breaks.

use super::line::Line;
use super::replies::{self, SILENCE};
use super::requests::{Ended, Requests};
use super::wire::{self, Broken};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Request;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use tokio::time::timeout;

/// Carries a call to the target of the line, and its answer back.
pub(super) async fn carry(
    line: Arc<Line>,
    sender: SendRequest<Bytes>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    match pass_on(&line, sender, request, &mut respond).await {
        Ok(Ended::Sent) => {}
        Ok(Ended::Swallowed) => {
            let given_up = poll_fn(|context| respond.poll_reset(context));
            if timeout(SILENCE, given_up).await.is_err() {
                respond.send_reset(Reason::CANCEL);
            }
        }
        Err(Broken::Reset(reason)) => respond.send_reset(reason),
        // The connection ends next, and with it this call: a reset before it would say something else.
        Err(Broken::Gone) => pending().await,
    }
}

async fn pass_on(
    line: &Arc<Line>,
    sender: SendRequest<Bytes>,
    request: Request<RecvStream>,
    respond: &mut SendResponse<Bytes>,
) -> Result<Ended, Broken> {
    let (head, body) = request.into_parts();
    let head = Arc::new(head);
    let opened = tokio::select! {
        biased;
        opened = wire::open(sender.clone(), &head, body.is_end_stream()) => opened,
        given_up = poll_fn(|context| respond.poll_reset(context)) => {
            return given_up.map_or_else(|error| Err(error.into()), |_| Ok(Ended::Sent));
        }
    };
    // A target that takes no more calls has not seen this one, which is what this reason says.
    let refused = |broken| match broken {
        Broken::Gone => Broken::Reset(Reason::REFUSED_STREAM),
        reset @ Broken::Reset(_) => reset,
    };
    let (response, to) = opened.map_err(refused)?;
    let mut requests = Requests::new(Arc::clone(line), head, sender, body, to);
    let mut request = pin!(requests.pass_on());
    let mut reply = pin!(replies::pass_on(line, response, respond));
    let mut asking = true;
    loop {
        tokio::select! {
            biased;
            replied = &mut reply => return replied,
            asked = &mut request, if asking => match asked {
                Ok(Ended::Swallowed) => return Ok(Ended::Swallowed),
                Err(Broken::Gone) => return Err(Broken::Gone),
                // Whoever reset the request, the side of the answer hears of it or has the answer already.
                Ok(Ended::Sent) | Err(Broken::Reset(_)) => asking = false,
            },
        }
    }
}
