//! The one table that says what every word of etcd's, and every way of getting none, proves about an attempt.
//!
//! etcd says what went wrong in the message of a gRPC status, word for word the same in 3.4, 3.5 and 3.6; the code beside
//! it is no word of its own, because transports invent codes. A word is *definite* only where the server says it
//! before it proposes anything, wherever it says it: read in `v3rpc` (what is checked before a call is taken), in
//! `processInternalRaftRequestOnce` (what is checked before a proposal) and in the `Step` of its Raft. Whatever else it
//! says, in this version or another, and whatever a transport says, is indefinite. There is no session by which etcd would
//! tell a second attempt from the first, so an effect is never tried again after an indefinite one.
//!
//! The surprising row is `no-space`: the write that fills the quota is applied, and answered with this error.

use super::api::{DeleteRangeResponse, Header, PutResponse, RangeResponse, TxnResponse};
use workloads::ErrorClass::{self, Definite, Indefinite};
use workloads::KvAnswer;

/// What to do after an attempt that gave no answer and proved that nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again, at another member if there is a choice.
    Retry,
    /// No attempt can do better.
    Stop,
}

/// One way in which an attempt gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The code in the history.
    pub code: &'static str,
    /// etcd's own words; none for what it does not say itself.
    pub words: &'static [&'static str],
    /// What it proves about this attempt alone.
    pub class: ErrorClass,
    /// What to do then, if it is definite or the operation only reads.
    pub next: Next,
    /// Why, in one sentence.
    pub about: &'static str,
}

macro_rules! table {
    ($($name:ident = $code:literal, [$($word:literal),*], $class:ident, $next:ident, $about:literal;)*) => {
        $(#[doc = concat!("`", $code, "`: ", $about)]
        pub const $name: Row = Row {
            code: $code, words: &[$($word),*], class: $class, next: Next::$next, about: $about,
        };)*
        /// Every row.
        pub const TABLE: &[Row] = &[$($name),*];
    };
}

table! {
    NOT_CAPABLE = "not-capable", ["etcdserver: not capable"], Definite, Retry,
        "the member does not know yet which version the cluster speaks, and refused the call before it looked at it";
    LEARNER = "learner", ["etcdserver: rpc not supported for learner"], Definite, Retry,
        "the member has no vote, and refused the call before it looked at it";
    OVERLOADED = "overloaded", ["etcdserver: too many requests"], Definite, Retry,
        "the member is too far behind in applying its log, and refused the attempt before it proposed anything";
    DROPPED = "proposal-dropped", ["raft proposal dropped"], Definite, Retry,
        "the member's own Raft took no proposal, so nothing was appended or passed on: no leader, a transfer, or too much uncommitted";
    TOO_LARGE = "too-large", ["etcdserver: request is too large"], Definite, Stop,
        "the request is over the member's limit, which is looked at before anything is proposed";
    MALFORMED = "malformed", ["etcdserver: key is not provided",
        "etcdserver: too many operations in txn request", "etcdserver: duplicate key given in txn request"], Definite, Stop,
        "the member could not make sense of the call and never took it";
    NO_SPACE = "no-space", ["etcdserver: mvcc: database space exceeded"], Indefinite, Retry,
        "the store has its size; the write that brings it there is applied and answered so, those after it are not";
    NODE_TIMEOUT = "node-timeout", ["etcdserver: request timed out",
        "etcdserver: request timed out, possibly due to previous leader failure",
        "etcdserver: request timed out, possibly due to connection lost",
        "etcdserver: request timed out, waiting for the applied index took too long"], Indefinite, Retry,
        "the member gave up waiting for what it had proposed, which may still be committed";
    NODE_STOPPED = "node-stopped", ["etcdserver: server stopped", "raft: stopped"], Indefinite, Retry,
        "the member stops, perhaps with the attempt already proposed";
    LEADER_CHANGED = "leader-changed", ["etcdserver: leader changed"], Indefinite, Retry,
        "the leader changed under a call; said of reads, and a word about reads proves nothing about a write";
    NO_LEADER = "no-leader", ["etcdserver: no leader", "etcdserver: not leader"], Indefinite, Retry,
        "no call like ours is answered so in the versions read; what another version did before it says so is not known";
    UNHEALTHY = "unhealthy", ["etcdserver: unhealthy cluster"], Indefinite, Retry,
        "said of changes of members; what it would mean for a write is not known";
    CORRUPT = "corrupt", ["etcdserver: corrupt cluster"], Indefinite, Stop,
        "members found that they hold different data, so nothing that one says binds the others";
    OTHER_WORD = "other-error", [], Indefinite, Retry,
        "a word of etcd's that is not in this table";
    PROTOCOL = "protocol", [], Indefinite, Stop,
        "the answer is not one to this question, so it proves nothing, and the `power` check tells of it";
    TIMEOUT = "timeout", [], Indefinite, Retry,
        "no answer came in time; the attempt may be anywhere";
    STATUS = "connection", [], Indefinite, Retry,
        "a bare gRPC status: the transport's word, or one that it could have said";
}

/// How etcd begins a word of its own.
const OWN: &str = "etcdserver: ";

/// An attempt that gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What it proves.
    pub row: Row,
    /// For people.
    pub message: String,
}

impl Trouble {
    /// Trouble of this row.
    #[must_use]
    pub fn new(row: Row, message: impl Into<String>) -> Self {
        Self { row, message: message.into() }
    }
}

/// What an attempt was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// To the question.
    pub answer: KvAnswer,
    /// The revision of the whole store, as the member says; none if it says none.
    pub revision: Option<u64>,
    /// Whether this attempt made that revision.
    pub wrote: bool,
}

/// Classes a status by the message in it, and by nothing else.
#[must_use]
pub fn of_status(status: &tonic::Status) -> Trouble {
    let word = status.message();
    let known = TABLE.iter().find(|row| row.words.contains(&word)).copied();
    let row = known.unwrap_or(if word.starts_with(OWN) { OTHER_WORD } else { STATUS });
    Trouble::new(row, format!("{:?}: {word}", status.code()))
}

/// The answer to a read of `key`.
///
/// # Errors
/// It is none: another key, several, or a value that nobody here wrote.
pub fn of_range(key: &str, response: &RangeResponse) -> Result<Answer, Trouble> {
    let value = match response.pairs.as_slice() {
        [] => None,
        [pair] if pair.key == key.as_bytes() => Some(
            number(&pair.value)
                .ok_or_else(|| Trouble::new(PROTOCOL, "the value is not a number"))?,
        ),
        _ => return Err(Trouble::new(PROTOCOL, "not the key that was asked for")),
    };
    Ok(answered(KvAnswer::Value(value), response.header.as_ref(), false))
}

/// The answer to a write.
#[must_use]
pub fn of_put(response: &PutResponse) -> Answer {
    answered(KvAnswer::Done, response.header.as_ref(), true)
}

/// The answer to a delete: one of a key that was not there makes no revision.
#[must_use]
pub fn of_delete(response: &DeleteRangeResponse) -> Answer {
    answered(KvAnswer::Done, response.header.as_ref(), response.deleted > 0)
}

/// The answer to a compare-and-set: one that compared unequal makes no revision.
#[must_use]
pub fn of_txn(response: &TxnResponse) -> Answer {
    let answer = if response.succeeded { KvAnswer::Swapped } else { KvAnswer::Mismatch };
    answered(answer, response.header.as_ref(), response.succeeded)
}

fn answered(answer: KvAnswer, header: Option<&Header>, wrote: bool) -> Answer {
    let revision = header.and_then(|header| u64::try_from(header.revision).ok());
    // A store begins with revision 1: none is said by 0.
    Answer { answer, revision: revision.filter(|revision| *revision > 0), wrote }
}

/// Values travel as decimal text, so that a dump of a member's store can be read.
fn number(bytes: &[u8]) -> Option<i64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::api::Pair;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_and_words_are_distinct_and_explained() {
        let codes: BTreeSet<_> = TABLE.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), TABLE.len());
        let words: Vec<_> = TABLE.iter().flat_map(|row| row.words).collect();
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
        assert!(TABLE.iter().all(|row| row.about.len() > 20));
    }

    /// Listed here a second time on purpose: nothing becomes definite by the way.
    #[test]
    fn only_what_is_said_before_a_proposal_is_definite() {
        let definite: Vec<_> =
            TABLE.iter().filter(|row| row.class == Definite).flat_map(|row| row.words).collect();
        assert_eq!(
            definite,
            [
                &"etcdserver: not capable",
                &"etcdserver: rpc not supported for learner",
                &"etcdserver: too many requests",
                &"raft proposal dropped",
                &"etcdserver: request is too large",
                &"etcdserver: key is not provided",
                &"etcdserver: too many operations in txn request",
                &"etcdserver: duplicate key given in txn request",
            ]
        );
    }

    /// Versions differ in the code that goes with a word, and transports know all codes.
    #[test]
    fn the_word_counts_and_not_the_code() {
        for code in (0..=16).map(tonic::Code::from_i32) {
            let row = |word: &str| of_status(&tonic::Status::new(code, word)).row;
            assert_eq!(row("etcdserver: too many requests"), OVERLOADED, "{code:?}");
            assert_eq!(row("etcdserver: request timed out"), NODE_TIMEOUT);
            assert_eq!(row("etcdserver: mvcc: database space exceeded"), NO_SPACE);
            assert_eq!(row("etcdserver: something new"), OTHER_WORD);
            assert_eq!(
                row("rpc error: etcdserver: too many requests"),
                STATUS,
                "not word for word"
            );
            for word in ["", "transport error", "context deadline exceeded"] {
                assert_eq!(row(word), STATUS, "{word}");
            }
        }
        let row_of_every_word = |row: &Row| {
            let of = |word: &&str| of_status(&tonic::Status::unknown(*word)).row == *row;
            row.words.iter().all(of)
        };
        assert!(TABLE.iter().all(row_of_every_word));
        assert!([OTHER_WORD, STATUS, TIMEOUT, PROTOCOL].iter().all(|row| row.class == Indefinite));
    }

    fn head(revision: i64) -> Option<Header> {
        Some(Header { member_id: 7, revision })
    }

    #[test]
    fn only_an_answer_to_the_question_is_one() {
        let pair = |key: &str, value: &str| Pair { key: key.into(), value: value.into() };
        let read = |pairs: Vec<Pair>| of_range("k", &RangeResponse { header: head(9), pairs });
        let value =
            |value| Answer { answer: KvAnswer::Value(value), revision: Some(9), wrote: false };
        assert_eq!(read(vec![]), Ok(value(None)));
        assert_eq!(read(vec![pair("k", "-7")]), Ok(value(Some(-7))));
        for pairs in
            [vec![pair("k", "seven")], vec![pair("j", "7")], vec![pair("k", "7"), pair("l", "7")]]
        {
            assert_eq!(read(pairs).unwrap_err().row, PROTOCOL);
        }
    }

    #[test]
    fn what_makes_no_revision_says_so() {
        let deleted = |deleted| of_delete(&DeleteRangeResponse { header: head(3), deleted }).wrote;
        assert!(deleted(1) && !deleted(0));
        let txn = |succeeded| of_txn(&TxnResponse { header: head(3), succeeded });
        assert_eq!((txn(true).answer, txn(true).wrote), (KvAnswer::Swapped, true));
        assert_eq!((txn(false).answer, txn(false).wrote), (KvAnswer::Mismatch, false));
        assert!(of_put(&PutResponse { header: head(3) }).wrote);
        for header in [None, head(0), head(-1)] {
            assert_eq!(of_put(&PutResponse { header }).revision, None);
        }
    }
}
