//! What is written in the log and what nodes say to each other.
//!
//! A message always carries its sender's term. Messages may be lost, repeated and reordered: nothing
//! here relies on a connection. Answers name what they answer (a position, a round), so that an old
//! one cannot be taken for a new one.

use super::quorum::Configuration;
use std::fmt;
use std::sync::Arc;

/// A node's number; 0 is never used.
pub type NodeId = u64;
/// A reign: at most one leader per term. Terms start at 1; a fresh node is in term 0.
pub type Term = u64;
/// A place in the log. The first entry has index 1; 0 stands before the log.
pub type Index = u64;

/// An index together with the term of the entry there: by the log matching property (§5.3) this
/// names a whole prefix of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The term of the entry at `index`. First, so that positions order as §5.4.1 compares logs.
    pub term: Term,
    /// The index.
    pub index: Index,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.index, self.term)
    }
}

/// What an entry asks of the state machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Payload {
    /// Nothing. A leader appends one when it is elected, because only an entry of its own term lets
    /// it commit what earlier leaders left (§5.4.2, §8).
    Noop,
    /// A command for the state machine; opaque here.
    Command(Arc<[u8]>),
    /// Who is in the cluster from here on (§6). In force when appended, not when committed.
    Configuration(Arc<Configuration>),
}

impl Payload {
    /// The number of bytes of the command, roughly those of a configuration; 0 for a no-op.
    pub fn size(&self) -> usize {
        match self {
            Payload::Noop => 0,
            Payload::Command(command) => command.len(),
            Payload::Configuration(configuration) => 64 + 32 * configuration.members().len(),
        }
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The term of the leader that appended it.
    pub term: Term,
    /// Its place in the log.
    pub index: Index,
    /// What it asks for.
    pub payload: Payload,
}

impl Entry {
    /// Index and term of this entry.
    pub fn position(&self) -> Position {
        Position { term: self.term, index: self.index }
    }
}

/// What one node says to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// Who says it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// The sender's term.
    pub term: Term,
    /// What is said.
    pub body: Body,
}

/// The kinds of message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Body {
    /// "Would you vote for me in `term`?" Changes nothing at the receiver (thesis §9.6).
    PreVote {
        /// The term the sender would campaign in: its own plus one.
        term: Term,
        /// The end of the sender's log.
        last: Position,
    },
    /// The answer to [`Body::PreVote`].
    PreVoteAnswer {
        /// The term that was asked about.
        term: Term,
        /// Whether the vote would be granted.
        granted: bool,
    },
    /// "Vote for me in my term." RequestVote of §5.2.
    Vote {
        /// The end of the candidate's log.
        last: Position,
        /// The leader asked for this election, so contact with it is no reason to refuse.
        forced: bool,
    },
    /// The answer to [`Body::Vote`]; a granted one leaves only when the vote is durable.
    VoteAnswer {
        /// Whether the vote was granted.
        granted: bool,
    },
    /// "After `base`, my log has these." AppendEntries of §5.3.
    Append {
        /// The position just before the first of `entries`.
        base: Position,
        /// Consecutive entries; may be none.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit: Index,
    },
    /// "My durable log agrees with yours up to `matched`."
    AppendAccepted {
        /// The last index of the append that is answered.
        matched: Index,
    },
    /// "I do not have `base`."
    AppendRejected {
        /// The index of the base that was refused.
        base: Index,
        /// Where to try next.
        hint: Hint,
    },
    /// "I still lead." Empty, and separate from appends, so that it costs the same under any load.
    Heartbeat {
        /// The leader's commit index, but never more than it knows the receiver's log to match.
        commit: Index,
        /// The newest read round that has been started (see `reads`).
        round: u64,
    },
    /// The answer to [`Body::Heartbeat`].
    HeartbeatAnswer {
        /// The round of the heartbeat that is answered.
        round: u64,
    },
    /// "Campaign now": the leader hands its leadership over (thesis §3.10).
    TimeoutNow,
}

/// Why an append was refused, so that the leader can skip a whole term at once instead of an
/// index at a time (§5.3, last paragraphs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hint {
    /// The term of the follower's entry at the refused index; none if its log is too short.
    pub term: Option<Term>,
    /// The first index of that term in the follower's log; with no term, the index after its last.
    pub first: Index,
}
