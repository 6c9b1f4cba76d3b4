//! The state machine: a map of keys to values, changed by committed entries and by nothing else.
//!
//! Every node applies the same entries in the same order, so everything here is a function of the entries:
//! no clock, no randomness, no order of a hash map. A compare-and-set is decided when it is applied, not when
//! it is proposed; whether a command is a copy of an earlier one is decided by the [`sessions`], which are
//! part of the state.
//!
//! The maps are persistent (`imbl`), so that a copy of the whole state costs nothing: a snapshot is written
//! from such a copy while the node goes on. A read is not a command; it is answered from the state
//! once Raft says that the state is recent enough.

mod command;
mod export;
pub mod sessions;

use bytes::Bytes;
use imbl::OrdMap;

use crate::bug::{Bug, Bugs, Mark};
use crate::raft::Index;
pub use command::{Action, Command};
pub use export::BLOCK_MAX;
use sessions::{Known, Sessions};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A write or delete took effect.
    Done,
    /// A compare-and-set took effect.
    Swapped,
    /// A compare-and-set found another value and changed nothing.
    Mismatch,
    /// A session was opened.
    Opened(u64),
    /// The session is not in the table; nothing was changed.
    SessionExpired,
    /// The answer of this sequence is no longer kept; nothing was changed.
    SessionStale,
    /// The entry holds no command that this version knows; nothing was changed.
    Malformed,
}

/// What applying one entry came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The answer for the client.
    pub answer: Answer,
    /// It is the answer that an earlier copy of the command got.
    pub replayed: bool,
}

/// The replicated state of one node.
#[derive(Clone, Debug, Default)]
pub struct Store {
    map: OrdMap<Bytes, Bytes>,
    sessions: Sessions,
    applied: Index,
    bugs: Bugs,
    marks: Vec<(Bug, Mark)>,
}

impl Store {
    /// An empty store.
    pub fn new(bugs: Bugs) -> Store {
        Store { bugs, ..Store::default() }
    }

    /// The index of the last entry that was applied.
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// The number of keys.
    pub fn key_count(&self) -> usize {
        self.map.len()
    }

    /// The session table.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The value of a key as of [`Store::applied`].
    pub fn read(&self, key: &[u8]) -> Option<Bytes> {
        self.map.get(key).cloned()
    }

    /// Whether a compare-and-set from `from` would take effect now.
    pub fn matches(&self, key: &[u8], from: Option<&Bytes>) -> bool {
        self.map.get(key) == from
    }

    /// Marks of deliberate bugs since the last call.
    pub fn take_marks(&mut self) -> Vec<(Bug, Mark)> {
        std::mem::take(&mut self.marks)
    }

    /// Applies an entry that asks for nothing.
    pub fn skip(&mut self, index: Index) {
        self.applied = index;
    }

    /// Applies a committed command.
    pub fn apply(&mut self, index: Index, command: &[u8]) -> Applied {
        self.applied = index;
        let fresh = |answer| Applied { answer, replayed: false };
        let Some(command) = Command::decode(command) else { return fresh(Answer::Malformed) };
        if command.action == Action::OpenSession {
            self.sessions.open(index);
            return fresh(Answer::Opened(index));
        }
        if command.session == 0 {
            return fresh(self.execute(command.action));
        }
        let known = self.sessions.touch(index, command.session, command.sequence);
        match known {
            Known::Expired => return fresh(Answer::SessionExpired),
            Known::New => {}
            // The bug: a copy is executed as if it were new.
            Known::Applied(_) | Known::Stale if self.bugs.has(Bug::RetryDoubleApply) => {
                self.marks.push((Bug::RetryDoubleApply, Mark::Reached));
                self.marks.push((Bug::RetryDoubleApply, Mark::Triggered));
            }
            Known::Applied(answer) => return Applied { answer, replayed: true },
            Known::Stale => return fresh(Answer::SessionStale),
        }
        let answer = self.execute(command.action);
        let Command { session, sequence, acknowledged, .. } = command;
        self.sessions.record(session, sequence, acknowledged, answer);
        fresh(answer)
    }

    fn execute(&mut self, action: Action) -> Answer {
        match action {
            Action::Write { key, value } => {
                self.map.insert(key, value);
                Answer::Done
            }
            Action::Delete { key } => {
                self.map.remove(&key);
                Answer::Done
            }
            Action::Cas { key, from, to, decided } => {
                let matches = self.matches(&key, from.as_ref());
                let decided = decided && self.bugs.has(Bug::CasAtLeader);
                if decided && !matches {
                    self.marks.push((Bug::CasAtLeader, Mark::Triggered));
                }
                if !decided && !matches {
                    return Answer::Mismatch;
                }
                self.map.insert(key, to);
                Answer::Swapped
            }
            // Answered by `apply`, which knows the index.
            Action::OpenSession => Answer::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Bytes {
        Bytes::from_static(b"k")
    }

    fn value(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn write(text: &'static str) -> Action {
        Action::Write { key: key(), value: value(text) }
    }

    fn cas(from: Option<&'static str>, to: &'static str) -> Action {
        Action::Cas { key: key(), from: from.map(value), to: value(to), decided: false }
    }

    /// Applies one command at the next index.
    fn apply(store: &mut Store, session: u64, sequence: u64, action: Action) -> Applied {
        let command = Command { session, sequence, acknowledged: 0, action };
        store.apply(store.applied() + 1, &command.encode())
    }

    #[test]
    fn writes_deletes_and_compare_and_sets_do_as_they_say() {
        let mut store = Store::new(Bugs::NONE);
        let mut plain = |action| apply(&mut store, 0, 0, action).answer;
        assert_eq!(plain(cas(Some("1"), "2")), Answer::Mismatch);
        assert_eq!(plain(cas(None, "1")), Answer::Swapped);
        assert_eq!(plain(cas(None, "2")), Answer::Mismatch);
        assert_eq!(plain(cas(Some("1"), "2")), Answer::Swapped);
        assert_eq!(store.read(b"k"), Some(value("2")));
        assert_eq!(apply(&mut store, 0, 0, Action::Delete { key: key() }).answer, Answer::Done);
        assert_eq!(store.read(b"k"), None);
    }

    /// A write, another client's write, and a late copy of the first.
    fn late_copy(bugs: Bugs) -> (Store, Applied) {
        let mut store = Store::new(bugs);
        assert_eq!(apply(&mut store, 0, 0, Action::OpenSession).answer, Answer::Opened(1));
        apply(&mut store, 1, 1, write("first"));
        apply(&mut store, 0, 0, write("second"));
        let copy = apply(&mut store, 1, 1, write("first"));
        (store, copy)
    }

    #[test]
    fn a_copy_of_a_command_is_answered_and_not_executed() {
        let (mut store, copy) = late_copy(Bugs::NONE);
        assert_eq!(copy, Applied { answer: Answer::Done, replayed: true });
        assert_eq!(store.read(b"k"), Some(value("second")));
        assert_eq!(store.take_marks(), []);
    }

    #[test]
    fn with_the_bug_retry_double_apply_a_copy_is_executed_and_marked() {
        let (mut store, _) = late_copy(Bug::RetryDoubleApply.into());
        assert_eq!(store.read(b"k"), Some(value("first")));
        let marks = [Mark::Reached, Mark::Triggered].map(|mark| (Bug::RetryDoubleApply, mark));
        assert_eq!(store.take_marks(), marks);
    }

    #[test]
    fn a_command_of_an_unknown_session_is_never_executed() {
        let mut store = Store::new(Bugs::NONE);
        let answer = apply(&mut store, 77, 1, write("x")).answer;
        assert_eq!(answer, Answer::SessionExpired);
        assert_eq!(store.key_count(), 0);
    }

    #[test]
    fn a_decided_compare_and_set_overwrites_and_is_marked_when_that_was_wrong() {
        let mut store = Store::new(Bug::CasAtLeader.into());
        apply(&mut store, 0, 0, write("1"));
        let decided = |from, to| Action::Cas {
            key: key(),
            from: Some(value(from)),
            to: value(to),
            decided: true,
        };
        assert_eq!(apply(&mut store, 0, 0, decided("1", "2")).answer, Answer::Swapped);
        assert_eq!(store.take_marks(), []);
        assert_eq!(apply(&mut store, 0, 0, decided("1", "3")).answer, Answer::Swapped);
        assert_eq!(store.take_marks(), [(Bug::CasAtLeader, Mark::Triggered)]);
    }

    #[test]
    fn bytes_that_are_no_command_change_nothing() {
        let mut store = Store::new(Bugs::NONE);
        assert_eq!(store.apply(1, b"").answer, Answer::Malformed);
        assert_eq!(store.apply(2, &[1; 40]).answer, Answer::Malformed);
        assert_eq!((store.applied(), store.key_count()), (2, 0));
    }
}
