//! Work for the driver, and the typed answers that come back.
//!
//! This file is the one place where a fact inside the node becomes a promise to a client. Whether a promise
//! is definite is decided by its [`ErrorCode`]; each constructor says why it may be.

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::server::session::Ticket;
use crate::kv::{Action, Answer, Command};
use crate::proto::{
    self, CasResult, Done, Error, ErrorCode, ReadKind, ReadResult, Reason, open_session_response,
    response,
};
use crate::raft::{Change, NodeId, Rejection};

/// One thing that a client wants.
#[derive(Debug)]
pub(super) enum Task {
    /// The value of a key.
    Read(Bytes),
    /// The value of a key; a lease will do.
    LeaseRead(Bytes),
    /// The value of a key in whatever this node has applied.
    StaleRead(Bytes),
    /// A command for the log.
    Command(Command),
    /// Another leader: this one, or whoever is furthest.
    Transfer(Option<NodeId>),
    /// Another configuration.
    Change(Change),
}

impl Task {
    /// A new session of a client.
    pub(super) fn open_session() -> Task {
        let action = Action::OpenSession;
        Task::Command(Command { session: 0, sequence: 0, acknowledged: 0, action })
    }
}

/// A task on its way to the driver.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) task: Task,
    /// The driver answers by then, whatever it knows.
    pub(super) deadline: Instant,
    pub(super) reply: ReplyTo,
}

/// Who waits for a reply.
#[derive(Debug)]
pub(super) enum ReplyTo {
    /// A unary call.
    Call(oneshot::Sender<Reply>),
    /// A call on a stream.
    Stream(Ticket),
}

impl ReplyTo {
    /// Gives the reply; back it comes from a call that nobody waits for any more.
    pub(super) fn send(self, reply: Reply) -> Result<(), Reply> {
        match self {
            ReplyTo::Call(sender) => sender.send(reply),
            ReplyTo::Stream(ticket) => {
                ticket.answer(reply);
                Ok(())
            }
        }
    }
}

impl From<oneshot::Sender<Reply>> for ReplyTo {
    fn from(sender: oneshot::Sender<Reply>) -> ReplyTo {
        ReplyTo::Call(sender)
    }
}

impl From<Ticket> for ReplyTo {
    fn from(ticket: Ticket) -> ReplyTo {
        ReplyTo::Stream(ticket)
    }
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) term: u64,
    pub(super) replayed: bool,
    pub(super) outcome: Outcome,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Value(Option<Bytes>),
    /// A value that rests on a lease.
    Leased(Option<Bytes>),
    /// A value, with the index of the last entry applied before it was read.
    Stale(Option<Bytes>, u64),
    Answer(Answer),
    /// This node leads now.
    Moved(Option<NodeId>),
    /// The configuration that was wanted is committed.
    Changed,
    Error(Error),
}

/// The node does not lead; nothing was done.
pub(super) fn not_leader(leader: Option<NodeId>) -> Error {
    let message = match leader {
        Some(leader) => format!("this node does not lead; it follows node {leader}"),
        None => "this node does not lead and knows no leader".to_owned(),
    };
    error(ErrorCode::NotLeader, Reason::Unspecified, message, leader)
}

/// What a refusal by Raft is to whoever asked.
pub(super) fn rejected(reason: Rejection) -> Error {
    match reason {
        Rejection::NotLeader { leader } => not_leader(leader),
        Rejection::Overloaded => definitely_not(Reason::Overloaded, "too much is waiting already"),
        Rejection::Transferring => {
            definitely_not(Reason::Transferring, "this leader is handing its leadership over")
        }
        Rejection::ChangePending => {
            let message = "an earlier change is not done, or nothing of this term is committed yet";
            definitely_not(Reason::ChangePending, message)
        }
        Rejection::NotCaughtUp => definitely_not(
            Reason::NotCaughtUp,
            "the log of a node that is to vote is too far behind",
        ),
        Rejection::Invalid(message) => definitely_not(Reason::InvalidChange, message),
    }
}

/// Nothing was done and nothing of this attempt is left anywhere.
pub(super) fn definitely_not(reason: Reason, message: impl Into<String>) -> Error {
    error(ErrorCode::DefinitelyNotApplied, reason, message.into(), None)
}

/// Something of this attempt is left in a log or on a wire.
pub(super) fn unknown(reason: Reason, message: impl Into<String>) -> Error {
    error(ErrorCode::UnknownOutcome, reason, message.into(), None)
}

fn error(code: ErrorCode, reason: Reason, message: String, leader: Option<NodeId>) -> Error {
    let (code, reason) = (code.into(), reason.into());
    Error { code, reason, leader: leader.unwrap_or(0), message }
}

/// The error that an answer of the state machine is to a client, if it is one.
fn refusal(answer: Answer) -> Option<Error> {
    let (code, reason, message) = match answer {
        Answer::Done | Answer::Swapped | Answer::Mismatch | Answer::Opened(_) => return None,
        Answer::SessionExpired => {
            (ErrorCode::SessionExpired, Reason::Unspecified, "the session is not known: open one")
        }
        Answer::SessionStale => {
            (ErrorCode::SessionStale, Reason::Unspecified, "the answer is no longer kept")
        }
        Answer::Malformed => (
            ErrorCode::DefinitelyNotApplied,
            Reason::Malformed,
            "the entry holds no command that this version knows",
        ),
    };
    Some(error(code, reason, message.to_owned(), None))
}

impl Reply {
    /// The message for the answer to `Execute`.
    pub(super) fn into_response(self, node: NodeId) -> proto::Response {
        let outcome = match self.outcome {
            Outcome::Value(value) => {
                let kind = ReadKind::Index.into();
                response::Outcome::Read(ReadResult { value, kind, applied: 0 })
            }
            Outcome::Leased(value) => {
                let kind = ReadKind::Lease.into();
                response::Outcome::Read(ReadResult { value, kind, applied: 0 })
            }
            Outcome::Stale(value, applied) => {
                let kind = ReadKind::Stale.into();
                response::Outcome::Read(ReadResult { value, kind, applied })
            }
            Outcome::Answer(Answer::Done) => response::Outcome::Done(Done {}),
            Outcome::Answer(Answer::Swapped) => response::Outcome::Cas(CasResult { swapped: true }),
            Outcome::Answer(Answer::Mismatch) => {
                response::Outcome::Cas(CasResult { swapped: false })
            }
            Outcome::Answer(other) => {
                response::Outcome::Error(refusal(other).unwrap_or_else(misplaced))
            }
            Outcome::Moved(_) | Outcome::Changed => response::Outcome::Error(misplaced()),
            Outcome::Error(error) => response::Outcome::Error(error),
        };
        let Reply { term, replayed, .. } = self;
        proto::Response { node, term, outcome: Some(outcome), replayed }
    }

    /// The message for the answer to `OpenSession`.
    pub(super) fn into_session(self, node: NodeId) -> proto::OpenSessionResponse {
        let outcome = match self.outcome {
            Outcome::Answer(Answer::Opened(session)) => {
                open_session_response::Outcome::Session(session)
            }
            Outcome::Answer(other) => {
                open_session_response::Outcome::Error(refusal(other).unwrap_or_else(misplaced))
            }
            Outcome::Error(error) => open_session_response::Outcome::Error(error),
            Outcome::Value(_)
            | Outcome::Leased(_)
            | Outcome::Stale(..)
            | Outcome::Moved(_)
            | Outcome::Changed => open_session_response::Outcome::Error(misplaced()),
        };
        proto::OpenSessionResponse { node, term: self.term, outcome: Some(outcome) }
    }

    /// The message for the answer to `Change`.
    pub(super) fn into_change(self, node: NodeId) -> proto::ChangeResponse {
        let error = match self.outcome {
            Outcome::Changed => None,
            Outcome::Error(error) => Some(error),
            Outcome::Value(_)
            | Outcome::Leased(_)
            | Outcome::Stale(..)
            | Outcome::Answer(_)
            | Outcome::Moved(_) => Some(misplaced()),
        };
        proto::ChangeResponse { node, term: self.term, error }
    }

    /// The message for the answer to `Transfer`.
    pub(super) fn into_transfer(self, node: NodeId) -> proto::TransferResponse {
        let (leader, error) = match self.outcome {
            Outcome::Moved(leader) => (leader.unwrap_or(0), None),
            Outcome::Error(error) => (0, Some(error)),
            Outcome::Value(_)
            | Outcome::Leased(_)
            | Outcome::Stale(..)
            | Outcome::Answer(_)
            | Outcome::Changed => (0, Some(misplaced())),
        };
        proto::TransferResponse { node, term: self.term, leader, error }
    }
}

/// An answer to another question than the one asked: a mistake in this program, about which only "unknown"
/// can be said.
fn misplaced() -> Error {
    unknown(Reason::Unspecified, "the answer does not fit the question")
}
