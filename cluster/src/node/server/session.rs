//! Many calls of one client under way at once on one stream.
//!
//! A unary call costs more than what it asks for: headers, a stream of its own, a task. Here calls are messages
//! of one stream, each with an id that comes back with its answer, and answers leave as they are ready, in
//! any order. A task reads; the driver's answers go into an [`Outbox`], which is what the transport takes from.
//!
//! Invariants:
//! - every call that was read is answered once, unless the stream breaks: then its client must take all that is
//!   outstanding for unknown, as with a unary call;
//! - at most [`OUTSTANDING`] calls are read and their answers not yet taken by the transport. Then reading
//!   stops, and HTTP/2 slows the client down: neither side is asked to keep more than that;
//! - at most [`STREAMS`] streams are open; one more is refused before anything is read from it;
//! - a full queue of the driver is waited for, too: it is the client's own calls that fill it.
//!
//! There is no order among the calls of a stream: two writes of one key may be applied in either order
//! while both are outstanding, as two unary calls would.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::Front;
use super::client::elsewhere;
use crate::node::forward::Forwarder;
use crate::node::reply::{Reply, Task, Work, definitely_not, unknown};
use crate::proto::{
    OpenSessionRequest, OpenSessionResponse, Reason, Request, Response, SessionRequest,
    SessionResponse, open_session_response, response, session_request, session_response,
};

/// Calls that may be under way on one stream.
const OUTSTANDING: usize = 1024;
/// Streams that may be open at one node.
pub(super) const STREAMS: usize = 256;

/// Answers on their way out, and how many calls are still to be answered.
struct Outbox {
    front: Front,
    forwarder: Forwarder,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answers: VecDeque<SessionResponse>,
    /// Calls that were read and whose answers the transport has not taken yet.
    outstanding: usize,
    /// The client has said all it wants.
    finished: bool,
    /// The transport, which waits for an answer.
    taker: Option<Waker>,
    /// The task that reads, which waits for room.
    reader: Option<Waker>,
}

impl State {
    /// Wakes the transport.
    fn changed(&mut self) {
        if let Some(taker) = self.taker.take() {
            taker.wake();
        }
    }

    /// Whether one more call may be read; if not, `context` is woken when that changes.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.outstanding < OUTSTANDING {
            return Poll::Ready(());
        }
        self.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// The next answer; none once all calls are answered and no more will come.
    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Option<SessionResponse>> {
        if let Some(answer) = self.answers.pop_front() {
            self.outstanding -= 1;
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
            return Poll::Ready(Some(answer));
        }
        if self.finished && self.outstanding == 0 {
            return Poll::Ready(None);
        }
        self.taker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, id: u64, answer: session_response::Answer) {
        let mut state = self.state();
        state.answers.push_back(SessionResponse { id, answer: Some(answer) });
        state.changed();
    }
}

/// The answers of one stream. Dropping it, which the transport does when the client is gone, ends the reading.
pub(crate) struct SessionStream {
    outbox: Arc<Outbox>,
    reader: AbortHandle,
    _place: OwnedSemaphorePermit,
}

impl Drop for SessionStream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Stream for SessionStream {
    type Item = Result<SessionResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.outbox.state().poll_answer(context).map(|answer| answer.map(Ok))
    }
}

/// Starts to answer the calls of a stream, if there is room for one more.
pub(super) fn serve(
    front: Front,
    forwarder: Forwarder,
    calls: Streaming<SessionRequest>,
) -> Result<SessionStream, Status> {
    let full = |_| Status::resource_exhausted("too many session streams are open");
    let place = Arc::clone(&front.streams).try_acquire_owned().map_err(full)?;
    let outbox = Arc::new(Outbox { front, forwarder, state: Mutex::default() });
    let reader = tokio::spawn(read(Arc::clone(&outbox), calls)).abort_handle();
    Ok(SessionStream { outbox, reader, _place: place })
}

/// Reads calls until the client ends the stream or breaks it.
async fn read(outbox: Arc<Outbox>, mut calls: Streaming<SessionRequest>) {
    loop {
        poll_fn(|context| outbox.state().poll_room(context)).await;
        let Ok(Some(call)) = calls.message().await else { break };
        outbox.state().outstanding += 1;
        take_in(&outbox, call).await;
    }
    let mut state = outbox.state();
    state.finished = true;
    state.changed();
}

/// Hands a call to the driver, or answers it.
async fn take_in(outbox: &Arc<Outbox>, SessionRequest { id, call }: SessionRequest) {
    let ticket =
        |deadline, kind| Ticket { outbox: Arc::clone(outbox), id, deadline, kind: Some(kind) };
    let (task, deadline, ticket) = match call {
        Some(session_request::Call::Execute(request)) => {
            let deadline = super::deadline(request.deadline_ms);
            let copy = request.forward.then(|| Box::new(request.clone()));
            (super::task(request), deadline, ticket(deadline, Kind::Execute(copy)))
        }
        Some(session_request::Call::OpenSession(request)) => {
            let deadline = super::deadline(request.deadline_ms);
            let copy = request.forward.then_some(request);
            (Ok(Task::open_session()), deadline, ticket(deadline, Kind::OpenSession(copy)))
        }
        None => {
            let error =
                definitely_not(Reason::Malformed, "the call is empty or of a kind unknown here");
            (Err(error), Instant::now(), ticket(Instant::now(), Kind::Execute(None)))
        }
    };
    match task {
        Ok(task) => {
            let work = Work { task, deadline, reply: ticket.into() };
            if let Err(refused) = outbox.front.work.send(work).await {
                let stopping = definitely_not(Reason::Stopping, "the node is shutting down");
                drop(refused.0.reply.send(outbox.front.refuse(stopping)));
            }
        }
        Err(error) => ticket.answer(outbox.front.refuse(error)),
    }
}

/// The right and duty to answer one call.
pub(in crate::node) struct Ticket {
    outbox: Arc<Outbox>,
    id: u64,
    deadline: Instant,
    /// None once it is answered.
    kind: Option<Kind>,
}

/// What was called; with a copy if it is to be passed on to the leader.
enum Kind {
    Execute(Option<Box<Request>>),
    OpenSession(Option<OpenSessionRequest>),
}

impl fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Ticket({})", self.id)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // The driver is gone. It may have proposed the call before it went.
        let gone =
            || self.outbox.front.refuse(unknown(Reason::Stopping, "the node is shutting down"));
        if self.kind.is_some() {
            let reply = gone();
            self.give(reply);
        }
    }
}

impl Ticket {
    /// Answers the call; if this node does not lead and it may be passed on, with what the leader says.
    pub(in crate::node) fn answer(mut self, reply: Reply) {
        self.give(reply);
    }

    fn give(&mut self, reply: Reply) {
        let (id, node, outbox) = (self.id, self.outbox.front.id, &self.outbox);
        match self.kind.take() {
            None => {}
            Some(Kind::Execute(copy)) => {
                let here = reply.into_response(node);
                let leader = match &here.outcome {
                    Some(response::Outcome::Error(error)) => elsewhere(error),
                    _ => None,
                };
                match (leader, copy) {
                    (Some(leader), Some(request)) => self.pass_on(leader, *request, here),
                    _ => outbox.push(id, session_response::Answer::Execute(here)),
                }
            }
            Some(Kind::OpenSession(copy)) => {
                let here = reply.into_session(node);
                let leader = match &here.outcome {
                    Some(open_session_response::Outcome::Error(error)) => elsewhere(error),
                    _ => None,
                };
                match (leader, copy) {
                    (Some(leader), Some(request)) => self.pass_on_session(leader, request, here),
                    _ => outbox.push(id, session_response::Answer::OpenSession(here)),
                }
            }
        }
    }

    // A task for each, because the driver, which answers, never waits. There are as many as calls outstanding.
    fn pass_on(&self, leader: u64, request: Request, here: Response) {
        let (id, deadline, outbox) = (self.id, self.deadline, Arc::clone(&self.outbox));
        tokio::spawn(async move {
            let there = outbox.forwarder.execute(leader, request, deadline, here).await;
            outbox.push(id, session_response::Answer::Execute(there));
        });
    }

    fn pass_on_session(&self, leader: u64, request: OpenSessionRequest, here: OpenSessionResponse) {
        let (id, deadline, outbox) = (self.id, self.deadline, Arc::clone(&self.outbox));
        tokio::spawn(async move {
            let there = outbox.forwarder.open_session(leader, request, deadline, here).await;
            outbox.push(id, session_response::Answer::OpenSession(there));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_the_other_side_takes() {
        let mut state = State::default();
        let mut context = Context::from_waker(Waker::noop());
        for id in 0..OUTSTANDING as u64 {
            assert!(state.poll_room(&mut context).is_ready());
            state.outstanding += 1;
            state.answers.push_back(SessionResponse { id, answer: None });
        }
        assert!(
            state.poll_room(&mut context).is_pending(),
            "answered, but nobody took the answers"
        );
        assert!(state.poll_answer(&mut context).is_ready());
        assert!(state.poll_room(&mut context).is_ready());
    }

    #[test]
    fn a_stream_ends_when_the_last_call_was_answered() {
        let mut state = State { finished: true, outstanding: 1, ..State::default() };
        let mut context = Context::from_waker(Waker::noop());
        assert!(state.poll_answer(&mut context).is_pending());
        state.answers.push_back(SessionResponse::default());
        assert!(matches!(state.poll_answer(&mut context), Poll::Ready(Some(_))));
        assert!(matches!(state.poll_answer(&mut context), Poll::Ready(None)));
    }
}
