//! What waits in a node for its outcome: the rules of the real server, without its tasks and channels.
//!
//! A proposal is ok once its own entry was applied, definitely not executed if it never got into the log or
//! another entry took its place, and unknown when leadership is lost. A read has no effect.

use super::clients::{Call, Reply, Request, Task};
use crate::kv::{Action, Answer, Applied, Command, Store};
use crate::raft::{Index, Position, Term};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The requests that one node has not answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    waiting: BTreeMap<u64, Waiting>,
    by_index: BTreeMap<Index, Vec<(Term, u64)>>,
}

/// One request, and where its entry is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) request: Request,
    position: Option<Position>,
}

impl Server {
    pub(super) fn add(&mut self, tag: u64, request: Request) {
        self.waiting.insert(tag, Waiting { request, position: None });
    }

    pub(super) fn appended(&mut self, tag: u64, position: Position) {
        if let Some(waiting) = self.waiting.get_mut(&tag) {
            waiting.position = Some(position);
            self.by_index.entry(position.index).or_default().push((position.term, tag));
        }
    }

    pub(super) fn take(&mut self, tag: u64) -> Option<Request> {
        Some(self.waiting.remove(&tag)?.request)
    }

    pub(super) fn get(&self, tag: u64) -> Option<(Request, Option<Position>)> {
        self.waiting.get(&tag).map(|waiting| (waiting.request, waiting.position))
    }

    /// The answers that an entry decides.
    pub(super) fn applied(
        &mut self,
        index: Index,
        term: Term,
        applied: Option<Applied>,
    ) -> Vec<(Request, Reply)> {
        let decided = self.by_index.remove(&index).unwrap_or_default();
        let reply = |(proposed, tag)| {
            let request = self.take(tag)?;
            let own = applied.filter(|_| proposed == term);
            Some((request, own.map_or(Reply::Refused("superseded"), |it| said(it.answer))))
        };
        decided.into_iter().filter_map(reply).collect()
    }

    /// All proposals: others decide about them now.
    pub(super) fn lose_leadership(&mut self) -> Vec<Request> {
        self.by_index.clear();
        let (lost, kept) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, waiting)| !is_read(waiting.request.task));
        self.waiting = kept;
        let lost: BTreeMap<u64, Waiting> = lost;
        lost.into_values().map(|waiting| waiting.request).collect()
    }

    /// Nobody waits any more: the node is gone.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.by_index.clear();
    }
}

pub(super) fn is_read(task: Task) -> bool {
    matches!(task, Task::Call(Call::Read { .. }))
}

/// Whether the answer of a task is known without a look at the state.
pub(super) fn is_blind(task: Task) -> bool {
    matches!(task, Task::Call(Call::Write { .. } | Call::Delete { .. }))
}

fn said(answer: Answer) -> Reply {
    match answer {
        Answer::Done | Answer::Swapped => Reply::Done,
        Answer::Mismatch => Reply::Mismatch,
        Answer::Opened(session) => Reply::Opened(session),
        Answer::SessionExpired => Reply::Refused("session-expired"),
        Answer::SessionStale => Reply::Unknown,
        Answer::Malformed => Reply::Refused("malformed"),
    }
}

/// The bytes of a request that changes something. `decided`: a compare-and-set was decided beforehand, by a bug.
pub(super) fn command(request: &Request, decided: bool) -> Arc<[u8]> {
    let value = |value: i64| Bytes::copy_from_slice(&value.to_le_bytes());
    let action = match request.task {
        Task::Open | Task::Call(Call::Read { .. }) => Action::OpenSession,
        Task::Call(Call::Write { key, value: to }) => {
            Action::Write { key: name(key), value: value(to) }
        }
        Task::Call(Call::Delete { key }) => Action::Delete { key: name(key) },
        Task::Call(Call::Cas { key, from, to }) => {
            Action::Cas { key: name(key), from: from.map(value), to: value(to), decided }
        }
    };
    let (session, sequence) = match request.task {
        Task::Open => (0, 0),
        Task::Call(_) => (request.session, request.sequence),
    };
    Command { session, sequence, acknowledged: sequence.saturating_sub(1), action }.encode()
}

/// What a key holds.
pub(super) fn read(store: &Store, key: u64) -> Option<i64> {
    let value = store.read(&name(key))?;
    value.as_ref().try_into().ok().map(i64::from_le_bytes)
}

/// Whether a compare-and-set would take effect now.
pub(super) fn matches(store: &Store, key: u64, from: Option<i64>) -> bool {
    read(store, key) == from
}

fn name(key: u64) -> Bytes {
    Bytes::copy_from_slice(&key.to_le_bytes())
}
