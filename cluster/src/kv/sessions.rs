//! The session table: which commands were applied already, and what they were answered.
//!
//! A client that hears nothing sends its command again, and both copies may end up in the log. The table
//! makes the second one harmless: it is part of the replicated state, changed only by applying entries, so
//! all nodes agree on it, and a new leader knows what the old one answered.
//!
//! The table is bounded in both directions, and each bound has an answer of its own: beyond [`SESSIONS`]
//! the session that was used longest ago is evicted (measured in log indexes, not in time, so that all nodes
//! evict the same one) and its commands are answered "expired"; beyond [`WINDOW`] answers the lowest is
//! dropped and its sequence is answered "stale". In neither case is a command executed without a record.

use std::collections::BTreeMap;

use imbl::OrdMap;

use super::Answer;
use crate::raft::Index;

/// Sessions that may be open at once.
pub const SESSIONS: usize = 4096;
/// Answers that are kept for one session.
pub const WINDOW: usize = 1024;

/// The sessions of all clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    pub(super) table: OrdMap<u64, Session>,
    /// Session by the index of its last use: the first is the next to be evicted.
    pub(super) by_use: OrdMap<Index, u64>,
    pub(super) evicted: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Session {
    /// Index of the last use.
    pub(super) used: Index,
    /// Every sequence up to this one is over.
    pub(super) floor: u64,
    pub(super) answers: BTreeMap<u64, Answer>,
}

/// What the table knows of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It was not applied yet.
    New,
    /// It was applied and answered so.
    Applied(Answer),
    /// Its answer is no longer kept.
    Stale,
    /// There is no such session.
    Expired,
}

impl Sessions {
    /// Opens a session named after the index of its entry.
    pub(super) fn open(&mut self, index: Index) {
        if self.table.len() >= SESSIONS
            && let Some((used, id)) = self.by_use.get_min().copied()
        {
            self.by_use.remove(&used);
            self.table.remove(&id);
            self.evicted += 1;
        }
        self.table.insert(index, Session { used: index, ..Session::default() });
        self.by_use.insert(index, index);
    }

    /// Looks a command up and notes that its session was used at `index`.
    pub(super) fn touch(&mut self, index: Index, id: u64, sequence: u64) -> Known {
        let Some(session) = self.table.get_mut(&id) else { return Known::Expired };
        self.by_use.remove(&session.used);
        session.used = index;
        self.by_use.insert(index, id);
        match session.answers.get(&sequence) {
            Some(answer) => Known::Applied(*answer),
            None if sequence <= session.floor => Known::Stale,
            None => Known::New,
        }
    }

    /// Keeps an answer, and forgets those that the client acknowledged.
    pub(super) fn record(&mut self, id: u64, sequence: u64, acknowledged: u64, answer: Answer) {
        let Some(session) = self.table.get_mut(&id) else { return };
        session.answers.insert(sequence, answer);
        // A client cannot have the answer of the command that says so.
        let acknowledged = acknowledged.min(sequence.saturating_sub(1));
        if acknowledged > session.floor {
            session.answers = session.answers.split_off(&(acknowledged + 1));
            session.floor = acknowledged;
        }
        while session.answers.len() > WINDOW
            && let Some((lowest, _)) = session.answers.pop_first()
        {
            session.floor = session.floor.max(lowest);
        }
    }

    /// Sessions that are open.
    pub fn open_count(&self) -> usize {
        self.table.len()
    }

    /// Sessions that were ever evicted.
    pub fn evicted_count(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_until_it_is_acknowledged() {
        let mut sessions = Sessions::default();
        sessions.open(1);
        assert_eq!(sessions.touch(2, 1, 1), Known::New);
        sessions.record(1, 1, 0, Answer::Swapped);
        assert_eq!(sessions.touch(3, 1, 1), Known::Applied(Answer::Swapped));
        sessions.record(1, 2, 1, Answer::Done);
        assert_eq!(sessions.touch(4, 1, 1), Known::Stale);
        assert_eq!(sessions.touch(5, 1, 2), Known::Applied(Answer::Done));
        assert_eq!(sessions.touch(6, 9, 1), Known::Expired);
    }

    #[test]
    fn a_client_that_acknowledges_too_much_still_gets_its_answer_again() {
        let mut sessions = Sessions::default();
        sessions.open(1);
        sessions.record(1, 5, u64::MAX, Answer::Done);
        assert_eq!(sessions.touch(2, 1, 5), Known::Applied(Answer::Done));
        assert_eq!(sessions.touch(3, 1, 4), Known::Stale);
    }

    #[test]
    fn the_session_used_longest_ago_is_evicted_first() {
        let mut sessions = Sessions::default();
        for index in 1..=SESSIONS as u64 {
            sessions.open(index);
        }
        let next = SESSIONS as u64 + 1;
        assert_eq!(sessions.touch(next, 1, 1), Known::New);
        sessions.open(next + 1);
        assert_eq!(sessions.open_count(), SESSIONS);
        assert_eq!(sessions.evicted_count(), 1);
        assert_eq!(sessions.touch(next + 2, 1, 1), Known::New);
        assert_eq!(sessions.touch(next + 3, 2, 1), Known::Expired);
    }

    #[test]
    fn the_window_of_a_session_is_bounded() {
        let mut sessions = Sessions::default();
        sessions.open(1);
        for sequence in 1..=WINDOW as u64 + 10 {
            sessions.record(1, sequence, 0, Answer::Done);
        }
        assert_eq!(sessions.touch(2, 1, 10), Known::Stale);
        assert_eq!(sessions.touch(3, 1, 11), Known::Applied(Answer::Done));
    }
}
