//! The one table that says what every answer, and every way of getting none, proves about an attempt.
//!
//! Only the node's own typed word is definite. A bare gRPC status never is, whatever its code:
//! transports invent those (a connection that breaks becomes UNAVAILABLE or UNKNOWN, a reset stream
//! RESOURCE_EXHAUSTED), and tonic cannot tell a request that never left from one whose answer was
//! lost. What an *operation* of several attempts may claim is [`super::ledger`]'s business.

use cluster::proto::{self, ErrorCode, Reason};
use workloads::ErrorClass::{self, Definite, Indefinite};
use workloads::{KvAnswer, KvOperation};

/// What to do after an attempt that gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again: at the hinted node at once, otherwise after a pause.
    Retry,
    /// No attempt under this session and sequence can do better.
    Stop,
}

/// One way in which an attempt gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The code in the history.
    pub code: &'static str,
    /// What it proves about this attempt alone.
    pub class: ErrorClass,
    /// What to do then.
    pub next: Next,
    /// Why, in one sentence.
    pub about: &'static str,
}

macro_rules! table {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $class:ident, $next:ident, $about:literal;)*) => {
        $($(#[$doc])* pub const $name: Row =
            Row { code: $code, class: $class, next: Next::$next, about: $about };)*
        /// Every row.
        pub const TABLE: &[Row] = &[$($name),*];
    };
}

table! {
    /// NOT_LEADER.
    NOT_LEADER = "not-leader", Definite, Retry,
        "the node does not lead and has not passed the attempt on";
    /// DEFINITELY_NOT_APPLIED, overloaded.
    OVERLOADED = "overloaded", Definite, Retry,
        "the node's queue is full and it refused the attempt before it entered";
    /// DEFINITELY_NOT_APPLIED, too large.
    TOO_LARGE = "too-large", Definite, Stop,
        "the key or value is over the node's limit, which no retry changes";
    /// DEFINITELY_NOT_APPLIED, malformed.
    MALFORMED = "malformed", Definite, Stop,
        "the node could not make sense of the attempt, which no retry changes";
    /// DEFINITELY_NOT_APPLIED, superseded.
    SUPERSEDED = "superseded", Definite, Retry,
        "another leader's entry was committed in its place, so it never will be";
    /// DEFINITELY_NOT_APPLIED, stopping.
    STOPPING = "stopping", Definite, Retry,
        "the node is shutting down and refused the attempt before it entered";
    /// DEFINITELY_NOT_APPLIED, no leader.
    NO_LEADER = "no-leader", Definite, Retry,
        "the node knew no leader to pass the attempt on to, and kept nothing of it";
    /// DEFINITELY_NOT_APPLIED, forward refused.
    FORWARD_REFUSED = "forward-refused", Definite, Retry,
        "the node could not connect to the leader, so nothing of the attempt left it";
    /// DEFINITELY_NOT_APPLIED for any other reason.
    NOT_APPLIED = "not-applied", Definite, Retry,
        "the node says that the attempt did nothing and never will";
    /// UNKNOWN_OUTCOME at the deadline.
    NODE_DEADLINE = "node-deadline", Indefinite, Retry,
        "the node gave up waiting for the outcome, which may still come";
    /// UNKNOWN_OUTCOME, leadership lost.
    LEADERSHIP_LOST = "leadership-lost", Indefinite, Retry,
        "the node lost its leadership with the entry in its log, where the next leader may find it";
    /// UNKNOWN_OUTCOME, storage failed.
    STORAGE_FAILED = "storage-failed", Indefinite, Retry,
        "the node could not write its log, but may have sent the entry to others";
    /// UNKNOWN_OUTCOME, forward broken.
    FORWARD_BROKEN = "forward-broken", Indefinite, Retry,
        "the attempt was passed on to the leader and its answer did not come back";
    /// UNKNOWN_OUTCOME for any other reason.
    UNKNOWN_OUTCOME = "unknown-outcome", Indefinite, Retry,
        "the node itself does not know whether the attempt happens";
    /// SESSION_EXPIRED.
    SESSION_EXPIRED = "session-expired", Definite, Stop,
        "the session is gone, so this attempt did nothing and no later one can";
    /// SESSION_STALE.
    SESSION_STALE = "session-stale", Indefinite, Stop,
        "an earlier attempt happened, but its answer is no longer kept";
    /// An answer of the wrong kind, or none of the known ones.
    PROTOCOL = "protocol", Indefinite, Stop,
        "the answer is not one to this question, so it proves nothing, and the `power` check tells of it";
    /// No answer in time.
    TIMEOUT = "timeout", Indefinite, Retry,
        "no answer came in time; the attempt may be anywhere";
    /// A bare gRPC status.
    STATUS = "connection", Indefinite, Retry,
        "a bare gRPC status: the transport's word, not the node's";
}

/// An attempt that gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What it proves.
    pub row: Row,
    /// The leader the node believes in, 0 for none.
    pub leader: u64,
    /// For people.
    pub message: String,
}

impl Trouble {
    /// Trouble that comes without a hint.
    #[must_use]
    pub fn new(row: Row, message: impl Into<String>) -> Self {
        Self { row, leader: 0, message: message.into() }
    }
}

/// Classes a node's typed error.
#[must_use]
pub fn of_error(error: proto::Error) -> Trouble {
    let reason = error.reason();
    let row = match error.code() {
        ErrorCode::NotLeader => NOT_LEADER,
        ErrorCode::DefinitelyNotApplied => match reason {
            Reason::Overloaded => OVERLOADED,
            Reason::TooLarge => TOO_LARGE,
            Reason::Malformed => MALFORMED,
            Reason::Superseded => SUPERSEDED,
            Reason::Stopping => STOPPING,
            Reason::NoLeader => NO_LEADER,
            Reason::ForwardRefused => FORWARD_REFUSED,
            _ => NOT_APPLIED,
        },
        ErrorCode::UnknownOutcome => match reason {
            Reason::Deadline => NODE_DEADLINE,
            Reason::LeadershipLost => LEADERSHIP_LOST,
            Reason::StorageFailed => STORAGE_FAILED,
            Reason::ForwardBroken => FORWARD_BROKEN,
            _ => UNKNOWN_OUTCOME,
        },
        ErrorCode::SessionExpired => SESSION_EXPIRED,
        ErrorCode::SessionStale => SESSION_STALE,
        ErrorCode::Unspecified => PROTOCOL,
    };
    Trouble { row, leader: error.leader, message: error.message }
}

/// Classes a bare gRPC status.
#[must_use]
pub fn of_status(status: &tonic::Status) -> Trouble {
    Trouble::new(STATUS, format!("{:?}: {}", status.code(), status.message()))
}

/// The answer in a response, if it is one to `operation`.
///
/// # Errors
/// The trouble that the response names, or is.
pub fn of_response(
    operation: &KvOperation,
    response: proto::Response,
) -> Result<KvAnswer, Trouble> {
    use proto::response::Outcome;
    match (operation, response.outcome) {
        (_, Some(Outcome::Error(error))) => Err(of_error(error)),
        (KvOperation::Read { .. }, Some(Outcome::Read(read))) => match read.value {
            None => Ok(KvAnswer::Value(None)),
            Some(bytes) => match number(&bytes) {
                Some(value) => Ok(KvAnswer::Value(Some(value))),
                None => Err(Trouble::new(PROTOCOL, "the value is not a number")),
            },
        },
        (KvOperation::Write { .. } | KvOperation::Delete { .. }, Some(Outcome::Done(_))) => {
            Ok(KvAnswer::Done)
        }
        (KvOperation::Cas { .. }, Some(Outcome::Cas(cas))) if cas.swapped => Ok(KvAnswer::Swapped),
        (KvOperation::Cas { .. }, Some(Outcome::Cas(_))) => Ok(KvAnswer::Mismatch),
        _ => Err(Trouble::new(PROTOCOL, "the answer is of another kind than the question")),
    }
}

/// Values travel as decimal text, so that a dump of a node's log can be read.
fn number(bytes: &[u8]) -> Option<i64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::response::Outcome;
    use std::collections::BTreeSet;

    fn reasons() -> impl Iterator<Item = Reason> {
        (0..64).filter_map(|number| Reason::try_from(number).ok())
    }

    fn error(code: ErrorCode, reason: Reason) -> proto::Error {
        proto::Error { code: code.into(), reason: reason.into(), leader: 3, ..Default::default() }
    }

    #[test]
    fn codes_are_distinct_and_explained() {
        let codes: BTreeSet<_> = TABLE.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), TABLE.len());
        assert!(TABLE.iter().all(|row| row.about.len() > 20));
    }

    /// Whatever reason comes with it, now or in a later version: the code alone decides the class.
    #[test]
    fn the_class_is_the_node_s_own_code() {
        assert!(reasons().count() > 10);
        for reason in reasons() {
            for (code, class) in [
                (ErrorCode::NotLeader, Definite),
                (ErrorCode::DefinitelyNotApplied, Definite),
                (ErrorCode::UnknownOutcome, Indefinite),
                (ErrorCode::SessionExpired, Definite),
                (ErrorCode::SessionStale, Indefinite),
                (ErrorCode::Unspecified, Indefinite),
            ] {
                let trouble = of_error(error(code, reason));
                assert_eq!(trouble.row.class, class, "{code:?} {reason:?}");
                assert_eq!(trouble.leader, 3);
            }
        }
        let unheard_of = proto::Error { code: 99, reason: 99, ..Default::default() };
        assert_eq!(of_error(unheard_of).row, PROTOCOL);
    }

    #[test]
    fn a_bare_status_is_never_definite() {
        for code in 0..=16 {
            let status = tonic::Status::new(tonic::Code::from_i32(code), "x");
            assert_eq!(of_status(&status).row.class, Indefinite, "{code}");
        }
    }

    #[test]
    fn only_an_answer_to_the_question_is_one() {
        let key = || "k".to_owned();
        let read = KvOperation::Read { key: key() };
        let write = KvOperation::Write { key: key(), value: 1 };
        let cas = KvOperation::Cas { key: key(), from: 1, to: 2 };
        let value = |bytes: &'static [u8]| {
            Outcome::Read(proto::ReadResult { value: Some(bytes.into()), ..Default::default() })
        };
        let swapped = |swapped| Outcome::Cas(proto::CasResult { swapped });
        let done = || Outcome::Done(proto::Done {});
        for (operation, outcome, wanted) in [
            (&read, Some(value(b"-7")), Some(KvAnswer::Value(Some(-7)))),
            (&read, Some(value(b"seven")), None),
            (&read, Some(done()), None),
            (&read, None, None),
            (&write, Some(done()), Some(KvAnswer::Done)),
            (&write, Some(swapped(true)), None),
            (&cas, Some(swapped(true)), Some(KvAnswer::Swapped)),
            (&cas, Some(swapped(false)), Some(KvAnswer::Mismatch)),
            (&cas, Some(done()), None),
        ] {
            let response = proto::Response { outcome, ..Default::default() };
            match (of_response(operation, response), wanted) {
                (Ok(answer), Some(wanted)) => assert_eq!(answer, wanted),
                (Err(trouble), None) => assert_eq!(trouble.row, PROTOCOL),
                (got, wanted) => panic!("{operation:?}: {got:?} instead of {wanted:?}"),
            }
        }
    }
}
