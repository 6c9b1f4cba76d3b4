//! From effects to answers: the state machine and the tasks that wait for it.
//!
//! The rules of what may be said when:
//! - a proposal is ok once its own entry (same index, same term) was applied;
//! - it is definitely not applied if it never got into the log, or another term's entry was applied in its
//!   place;
//! - in every other case it is unknown: at its deadline, when leadership is lost, when the node stops;
//! - a read has no effect, so one that is not answered with a value is definite, whatever the reason.

use bytes::Bytes;
use tokio::time::Instant;

use super::pending::{PENDING_MAX, Pending};
use super::reply::{Outcome, Reply, Task, Work, definitely_not, rejected, unknown};
use crate::bug::Bugs;
use crate::kv::{Action, Answer, Applied, Store};
use crate::proto::{Error, Reason};
use crate::raft::{Effect, Entry, NodeId, Payload, Position, Term};

/// The state machine with the tasks that wait for it.
pub(super) struct Answers {
    pub(super) store: Store,
    pub(super) bugs: Bugs,
    pending: Pending,
}

impl Reply {
    /// An answer that is an error.
    pub(super) fn error(term: Term, error: Error) -> Reply {
        Reply { term, replayed: false, outcome: Outcome::Error(error) }
    }
}

impl Answers {
    /// Nobody waiting.
    pub(super) fn new(store: Store, bugs: Bugs) -> Answers {
        Answers { store, bugs, pending: Pending::default() }
    }

    /// Takes a task in; the tag is for Raft.
    pub(super) fn add(&mut self, work: Work) -> u64 {
        self.pending.add(work)
    }

    /// Whether no more tasks may be taken in.
    pub(super) fn is_full(&self) -> bool {
        self.pending.count() >= PENDING_MAX
    }

    /// How many tasks wait.
    pub(super) fn count(&self) -> usize {
        self.pending.count()
    }

    /// When a task must be answered next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.pending.next_deadline()
    }

    /// Carries out an effect that concerns tasks or the state machine.
    pub(super) fn carry_out(&mut self, effect: Effect, term: Term) {
        match effect {
            Effect::Appended { tag, term, index } => {
                self.pending.appended(tag, Position { term, index });
            }
            Effect::AckEarly { tag } => self.answer_early(tag, term),
            Effect::Rejected { tag, reason } | Effect::ReadFailed { tag, reason } => {
                self.answer_tag(tag, Reply::error(term, rejected(reason)));
            }
            Effect::Apply(entries) => entries.into_iter().for_each(|entry| self.apply(entry, term)),
            Effect::ReadReady { tag, .. } => {
                if let Some(Task::Read(key) | Task::LeaseRead(key)) = self.pending.get(tag) {
                    let outcome = Outcome::Value(self.store.read(key));
                    self.answer_tag(tag, Reply { term, replayed: false, outcome });
                }
            }
            Effect::LeaseReady { tag, .. } => {
                if let Some(Task::LeaseRead(key)) = self.pending.get(tag) {
                    let outcome = Outcome::Leased(self.store.read(key));
                    self.answer_tag(tag, Reply { term, replayed: false, outcome });
                }
            }
            Effect::ChangeDone { tag } => {
                let reply = Reply { term, replayed: false, outcome: Outcome::Changed };
                self.answer_tag(tag, reply);
            }
            Effect::TransferEnded { tag, moved: false } => {
                let message = "the target did not take over within an election timeout";
                self.answer_tag(tag, Reply::error(term, unknown(Reason::Deadline, message)));
            }
            // The driver's own.
            Effect::SetTimer(_)
            | Effect::StopTimer(_)
            | Effect::Persist(_)
            | Effect::Send(_)
            | Effect::Role { .. }
            | Effect::SendSnapshot { .. }
            | Effect::Forgotten(_)
            | Effect::Restore(_)
            | Effect::Membership(_)
            | Effect::TransferEnded { moved: true, .. }
            | Effect::Mark(..) => {}
        }
    }

    /// Replaces the state machine and returns the old one. What was proposed here may be in the new state or
    /// not; nothing here can tell.
    pub(super) fn restore(&mut self, store: Store, term: Term) -> Store {
        self.lose_leadership(term);
        std::mem::replace(&mut self.store, store)
    }

    /// Answers a read from the state as it is.
    pub(super) fn read_stale(&self, key: &Bytes, term: Term) -> Reply {
        let outcome = Outcome::Stale(self.store.read(key), self.store.applied());
        Reply { term, replayed: false, outcome }
    }

    /// Leadership was handed over, to `leader`.
    pub(super) fn moved(&mut self, tag: u64, leader: Option<NodeId>, term: Term) {
        let outcome = Outcome::Moved(leader);
        self.answer_tag(tag, Reply { term, replayed: false, outcome });
    }

    fn apply(&mut self, entry: Entry, term: Term) {
        let applied = match &entry.payload {
            Payload::Noop | Payload::Configuration(_) => {
                self.store.skip(entry.index);
                None
            }
            Payload::Command(command) => Some(self.store.apply(entry.index, command)),
        };
        while let Some((proposed, work)) = self.pending.take_applied(entry.index) {
            let reply = match applied {
                Some(Applied { answer, replayed }) if proposed == entry.term => {
                    Reply { term, replayed, outcome: Outcome::Answer(answer) }
                }
                _ => {
                    let message = format!("an entry of term {} took its place", entry.term);
                    Reply::error(term, definitely_not(Reason::Superseded, message))
                }
            };
            answer(work, reply);
        }
    }

    /// The bug `ack-on-append`: ok although nothing is sure. Only for what needs no look at the state: what a
    /// compare-and-set or a new session comes to is not known before its entry is applied.
    fn answer_early(&mut self, tag: u64, term: Term) {
        let Some(Task::Command(command)) = self.pending.get(tag) else { return };
        if matches!(command.action, Action::Write { .. } | Action::Delete { .. }) {
            let outcome = Outcome::Answer(Answer::Done);
            self.answer_tag(tag, Reply { term, replayed: false, outcome });
        }
    }

    fn answer_tag(&mut self, tag: u64, reply: Reply) {
        if let Some(work) = self.pending.take(tag) {
            answer(work, reply);
        }
    }

    /// Answers what has waited too long.
    pub(super) fn expire(&mut self, now: Instant, term: Term) {
        for work in self.pending.take_expired(now) {
            give_up(work, term, Reason::Deadline, "the deadline passed");
        }
    }

    /// Answers all proposals: their entries may yet be committed by another leader.
    pub(super) fn lose_leadership(&mut self, term: Term) {
        for work in self.pending.take_proposals() {
            give_up(work, term, Reason::LeadershipLost, "this node no longer leads");
        }
    }

    /// Answers everything.
    pub(super) fn stop(&mut self, term: Term, storage_failed: bool) {
        let (reason, message) = if storage_failed {
            (Reason::StorageFailed, "writing to the log failed")
        } else {
            (Reason::Stopping, "the node is shutting down")
        };
        for work in self.pending.take_all() {
            give_up(work, term, reason, message);
        }
    }
}

/// Answers without an outcome.
fn give_up(work: Work, term: Term, reason: Reason, message: &str) {
    let error = match work.task {
        Task::Read(_) | Task::LeaseRead(_) | Task::StaleRead(_) => definitely_not(reason, message),
        Task::Command(_) | Task::Transfer(_) | Task::Change(_) => unknown(reason, message),
    };
    answer(work, Reply::error(term, error));
}

/// Sends an answer; a client that is gone needs none.
fn answer(work: Work, reply: Reply) {
    drop(work.reply.send(reply));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot::{self, Receiver};

    use super::*;
    use crate::kv::Command;
    use crate::proto::ErrorCode;

    /// A write that was appended at index 5 in term 1.
    fn appended() -> (Answers, Receiver<Reply>) {
        let mut answers = Answers::new(Store::new(Bugs::NONE), Bugs::NONE);
        let (reply, received) = oneshot::channel();
        let task = Task::Command(write());
        let deadline = Instant::now() + Duration::from_secs(1);
        let tag = answers.add(Work { task, deadline, reply: reply.into() });
        answers.carry_out(Effect::Appended { tag, term: 1, index: 5 }, 1);
        (answers, received)
    }

    fn write() -> Command {
        let action = Action::Write { key: Bytes::new(), value: Bytes::new() };
        Command { session: 0, sequence: 0, acknowledged: 0, action }
    }

    fn apply(answers: &mut Answers, term: Term) {
        let payload = Payload::Command(write().encode());
        answers.carry_out(Effect::Apply(vec![Entry { term, index: 5, payload }]), term);
    }

    fn error(mut received: Receiver<Reply>) -> (ErrorCode, Reason) {
        match received.try_recv().unwrap().outcome {
            Outcome::Error(error) => (error.code(), error.reason()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_write_is_ok_when_its_own_entry_is_applied() {
        let (mut answers, mut received) = appended();
        apply(&mut answers, 1);
        assert_eq!(received.try_recv().unwrap().outcome, Outcome::Answer(Answer::Done));
    }

    #[test]
    fn a_write_is_definitely_not_applied_when_another_entry_took_its_place() {
        let (mut answers, received) = appended();
        apply(&mut answers, 2);
        assert_eq!(error(received), (ErrorCode::DefinitelyNotApplied, Reason::Superseded));
    }

    #[test]
    fn a_write_is_unknown_at_its_deadline_without_leadership_and_at_the_end() {
        let (mut answers, received) = appended();
        answers.expire(Instant::now() + Duration::from_secs(2), 1);
        assert_eq!(error(received), (ErrorCode::UnknownOutcome, Reason::Deadline));
        let (mut answers, received) = appended();
        answers.lose_leadership(2);
        assert_eq!(error(received), (ErrorCode::UnknownOutcome, Reason::LeadershipLost));
        let (mut answers, received) = appended();
        answers.stop(1, true);
        assert_eq!(error(received), (ErrorCode::UnknownOutcome, Reason::StorageFailed));
    }

    #[test]
    fn a_write_is_unknown_once_the_state_was_replaced() {
        let (mut answers, received) = appended();
        let mut store = Store::new(Bugs::NONE);
        store.skip(9);
        answers.restore(store, 2);
        assert_eq!(error(received), (ErrorCode::UnknownOutcome, Reason::LeadershipLost));
        assert_eq!(answers.store.applied(), 9);
    }

    #[test]
    fn a_read_that_waits_too_long_is_definite_and_survives_a_lost_leadership() {
        let mut answers = Answers::new(Store::new(Bugs::NONE), Bugs::NONE);
        let (reply, mut received) = oneshot::channel();
        let deadline = Instant::now() + Duration::from_secs(1);
        answers.add(Work { task: Task::Read(Bytes::new()), deadline, reply: reply.into() });
        answers.lose_leadership(2);
        assert!(received.try_recv().is_err(), "Raft itself says when a read has failed");
        answers.expire(deadline, 2);
        assert_eq!(error(received), (ErrorCode::DefinitelyNotApplied, Reason::Deadline));
    }
}
