//! From the target back to the caller: where answers are lost. Those that are not are passed on at once, for
//! what waits here is past every held link.

use super::frame::{Framer, Piece};
use super::line::Line;
use super::requests::Ended;
use super::wire::{self, Broken};
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::Response;
use std::future::{Future, poll_fn};
use std::time::Duration;
use tokio::time::timeout;

/// How long a caller may wait for an answer that was lost, if it has no limit of its own.
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// Passes the answer on until it has ended. One that was lost ends when the caller gives up.
pub(super) async fn pass_on(
    line: &Line,
    response: ResponseFuture,
    respond: &mut SendResponse<Bytes>,
) -> Result<Ended, Broken> {
    let response = tokio::select! {
        biased;
        response = response => response?,
        reason = poll_fn(|context| respond.poll_reset(context)) => return Err(given_up(reason)),
    };
    let (head, body) = response.into_parts();
    let (framer, ended) = (Framer::of(&head.headers), body.is_end_stream());
    let mut to = respond.send_response(Response::from_parts(head, ()), ended)?;
    if ended {
        return Ok(Ended::Sent);
    }
    let mut answer = Answer { framer, arrived: 0, lost: 0 };
    let passed = answer.pump(line, body, &mut to).await;
    if let Err(Broken::Reset(reason)) = &passed {
        to.send_reset(*reason);
    }
    if matches!(passed, Ok(Ended::Swallowed)) {
        let silence = timeout(SILENCE, poll_fn(|context| to.poll_reset(context)));
        if silence.await.is_err() {
            to.send_reset(Reason::CANCEL);
        }
        return Ok(Ended::Sent);
    }
    passed
}

fn given_up(reason: Result<Reason, h2::Error>) -> Broken {
    reason.map_or_else(Broken::from, Broken::Reset)
}

struct Answer {
    framer: Framer,
    arrived: u64,
    lost: u64,
}

impl Answer {
    async fn pump(
        &mut self,
        line: &Line,
        mut body: RecvStream,
        to: &mut SendStream<Bytes>,
    ) -> Result<Ended, Broken> {
        while let Some(data) = or_reset(to, wire::next(&mut body)).await? {
            self.framer.push(&data);
            while let Some(piece) = self.framer.next() {
                match piece {
                    Piece::Message(_) if self.loses(line) => {}
                    Piece::Message(bytes) | Piece::Part(bytes) => wire::send(to, bytes).await?,
                }
            }
        }
        if self.lost > 0 && self.lost == self.arrived {
            // Trailers without a message would be an answer.
            return Ok(Ended::Swallowed);
        }
        wire::send(to, self.framer.rest()).await?;
        match body.trailers().await? {
            Some(trailers) => to.send_trailers(trailers)?,
            None => to.send_data(Bytes::new(), true)?,
        }
        Ok(Ended::Sent)
    }

    fn loses(&mut self, line: &Line) -> bool {
        self.arrived += 1;
        let number = line.answered();
        let loses = line.rules.of(line.link).is_some_and(|a| a.loses_reply(line.link, number));
        self.lost += u64::from(loses);
        loses
    }
}

/// The next data, unless the caller gives up before.
async fn or_reset<T>(
    to: &mut SendStream<Bytes>,
    next: impl Future<Output = Result<T, Broken>>,
) -> Result<T, Broken> {
    tokio::select! {
        biased;
        next = next => next,
        reason = poll_fn(|context| to.poll_reset(context)) => Err(given_up(reason)),
    }
}
