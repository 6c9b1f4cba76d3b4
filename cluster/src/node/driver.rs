//! The loop around the core: events in, effects out.
//!
//! One task owns Raft, the state machine, the timers and the table of waiting tasks, so nothing is locked.
//! It waits for whatever comes first, hands all that has gathered to the core in as few steps as possible (that
//! is where batches come from), and carries out the effects in their order. Between taking an event and
//! carrying out its effects it never waits: an effect that waited could be overtaken by a later one.
//!
//! What cannot be carried out at once is bounded elsewhere: messages by the queues of `transport`, records
//! by the queue of the log. When the log falls behind, this loop stops taking new work (clients are told)
//! and new entries (Raft sends them again) but goes on with elections and heartbeats. A full disk stops only
//! what a leader would have to write.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::NodeError;
use super::answer::Answers;
use super::clock;
use super::identity::Identities;
use super::notices::Notice;
use super::reply::{Reply, Task, Work, definitely_not};
use super::snapshots::{News, Snapshots, Wanted};
use super::timers::Timers;
use super::transport::Transport;
use crate::bug::{Bug, Mark};
use crate::bug_marks::Marks;
use crate::kv::Action;
use crate::log::{info, warning};
use crate::proto::{Reason, StatusResponse};
use crate::raft::{Body, Effect, Event, Message, Proposal, Raft, Role};
use crate::wal::{Progress, Wal};

/// Messages or tasks taken in one go.
const GATHER: usize = 1024;
/// With this many batches waiting for the disk, nothing new is taken in.
const WAL_BEHIND: usize = 256;
/// Wakes at least this often; nothing depends on it.
const IDLE: Duration = Duration::from_secs(60);
/// The tag of the transfer by which a leader takes its leave; those of tasks start at 1.
const FAREWELL: u64 = 0;

/// Where the driver's events come from.
pub(super) struct Inputs {
    pub(super) messages: mpsc::Receiver<Message>,
    pub(super) work: mpsc::Receiver<Work>,
    pub(super) status: mpsc::Receiver<oneshot::Sender<StatusResponse>>,
    pub(super) snapshots: mpsc::Receiver<News>,
    pub(super) notices: mpsc::Receiver<Notice>,
    pub(super) wanted: mpsc::Receiver<Wanted>,
}

/// What this node went through since it started, for `Status`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) truncations: u64,
    pub(super) leaderless_elections: u64,
}

/// How far a node that is to stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Nobody said that it should.
    No,
    /// Hands its leadership over, until then at the latest.
    Until(Instant),
    /// Leads no more, or nobody can take over.
    Done,
}

/// One running node.
pub(super) struct Driver {
    pub(super) raft: Raft,
    pub(super) answers: Answers,
    pub(super) wal: Wal,
    pub(super) timers: Timers,
    pub(super) transport: Transport,
    pub(super) identities: Identities,
    pub(super) snapshots: Snapshots,
    pub(super) marks: Option<Marks>,
    /// The term, for answers that are given without asking the driver.
    pub(super) term: Arc<AtomicU64>,
    pub(super) role: Role,
    /// The newest ticket that the core was told to be durable.
    pub(super) durable: u64,
    /// The log finds no space to go on.
    pub(super) disk_full: bool,
    pub(super) effects: Vec<Effect>,
    /// The shortest election timeout: as long as a leader that stops waits for its successor.
    pub(super) patience: Duration,
    pub(super) leaving: Leaving,
    pub(super) seen: Seen,
}

impl Driver {
    /// Runs until `stop` is ready or the log fails; a leader hands its leadership over first. Every task
    /// that was taken in is answered.
    pub(super) async fn run(
        mut self,
        mut inputs: Inputs,
        stop: impl Future<Output = ()>,
    ) -> Result<(), NodeError> {
        let mut stop = pin!(stop);
        let mut progress = self.wal.progress();
        let (mut messages, mut work) = (Vec::new(), Vec::new());
        self.raft.start(&mut self.effects);
        let mut result = self.carry_out();
        while result.is_ok() && !self.has_left() {
            tokio::select! {
                () = &mut stop, if self.leaving == Leaving::No => result = self.leave(),
                () = sleep_until(self.next_wake()) => {}
                changed = progress.changed() => result = changed.map_err(|_| thread_gone()),
                _ = inputs.messages.recv_many(&mut messages, GATHER) => {}
                _ = inputs.work.recv_many(&mut work, GATHER) => {}
                Some(reply) = inputs.status.recv() => drop(reply.send(self.status())),
                Some(news) = inputs.snapshots.recv() => result = self.take_news(news),
                Some(wanted) = inputs.wanted.recv() => self.want_snapshot(wanted),
                Some(notice) = inputs.notices.recv() => result = self.take_notice(notice),
                // One slice of a long log, and then whatever else has come.
                () = std::future::ready(()), if self.raft.more_to_apply() => {
                    result = self.step(Event::ApplyMore);
                }
            }
            gather(&mut inputs.messages, &mut messages);
            gather(&mut inputs.work, &mut work);
            result = result.and_then(|()| self.turn(&mut progress, &mut messages, &mut work));
        }
        let storage_failed = matches!(result, Err(NodeError::Storage(_)));
        self.answers.stop(self.raft.term(), storage_failed);
        result
    }

    /// Starts to stop: a leader goes on until another node leads, but not for long.
    fn leave(&mut self) -> Result<(), NodeError> {
        self.leaving = Leaving::Until(Instant::now() + self.patience);
        self.step(Event::Transfer { tag: FAREWELL, to: None })
    }

    fn has_left(&self) -> bool {
        match self.leaving {
            Leaving::No => false,
            Leaving::Until(end) => Instant::now() >= end,
            Leaving::Done => true,
        }
    }

    fn next_wake(&self) -> Instant {
        let leaving = match self.leaving {
            Leaving::Until(end) => Some(end),
            Leaving::No | Leaving::Done => None,
        };
        let due = self.timers.next().into_iter().chain(self.answers.next_deadline());
        let next = due.chain(leaving).chain(self.snapshots.next_try()).min();
        next.unwrap_or_else(|| Instant::now() + IDLE)
    }

    /// One turn of the loop: all that has happened, in one go.
    fn turn(
        &mut self,
        progress: &mut watch::Receiver<Progress>,
        messages: &mut Vec<Message>,
        work: &mut Vec<Work>,
    ) -> Result<(), NodeError> {
        let Progress { durable, failed, full } = progress.borrow_and_update().clone();
        if !self.answers.bugs.is_empty() {
            self.wal.take_marks().into_iter().for_each(|(bug, mark)| self.mark(bug, mark));
        }
        if let Some(message) = failed {
            return Err(NodeError::Storage(message));
        }
        self.notice_space(full);
        if durable > self.durable {
            self.durable = durable;
            self.step(Event::Durable { ticket: durable })?;
        }
        let now = Instant::now();
        self.transport.hang_up(now);
        while let Some(timer) = self.timers.take_due(now) {
            self.step(Event::Timeout(timer))?;
        }
        for message in messages.drain(..) {
            let is_append = matches!(message.body, Body::Append { .. });
            let asks = matches!(message.body, Body::PreVote { .. } | Body::Vote { .. });
            let from = message.from;
            if !(is_append && self.wal.waiting() > WAL_BEHIND) {
                self.step(Event::Receive(message))?;
            }
            if asks {
                self.tell_if_removed(from);
            }
        }
        self.take_in(work)?;
        self.answers.expire(Instant::now(), self.raft.term());
        self.take_snapshot_if_due();
        Ok(())
    }

    /// Tells people that the disk has become full, or is so no more.
    fn notice_space(&mut self, full: bool) {
        if full && !self.disk_full {
            warning!("the disk is full: no new writes are taken until there is space");
        } else if self.disk_full && !full {
            info!("there is space on the disk again: writes are taken");
        }
        self.disk_full = full;
    }

    /// A leader with a full disk takes nothing that has to be written: it might never get its place.
    fn has_no_space_for(&self, task: &Task) -> bool {
        let is_written = matches!(task, Task::Command(_) | Task::Change(_));
        self.disk_full && is_written && self.role == Role::Leader
    }

    /// Hands tasks to the core: one step for all reads, one for all proposals.
    fn take_in(&mut self, work: &mut Vec<Work>) -> Result<(), NodeError> {
        let (mut reads, mut by_lease, mut proposals) = (Vec::new(), Vec::new(), Vec::new());
        for mut work in work.drain(..) {
            let term = self.raft.term();
            if self.answers.is_full() || self.wal.waiting() > WAL_BEHIND {
                let error = definitely_not(Reason::Overloaded, "too many requests are waiting");
                drop(work.reply.send(Reply::error(term, error)));
                continue;
            }
            if self.leaving != Leaving::No {
                let error = definitely_not(Reason::Stopping, "the node is shutting down");
                drop(work.reply.send(Reply::error(term, error)));
                continue;
            }
            if self.has_no_space_for(&work.task) {
                let error = definitely_not(Reason::DiskFull, "the disk of this node is full");
                drop(work.reply.send(Reply::error(term, error)));
                continue;
            }
            self.decide_early(&mut work.task);
            match &work.task {
                Task::StaleRead(key) => {
                    let reply = self.answers.read_stale(key, term);
                    drop(work.reply.send(reply));
                }
                Task::Change(change) => {
                    let change = change.clone();
                    let tag = self.answers.add(work);
                    self.step(Event::Change { tag, change })?;
                }
                Task::Transfer(to) => {
                    let to = *to;
                    let tag = self.answers.add(work);
                    self.step(Event::Transfer { tag, to })?;
                }
                Task::Read(_) => reads.push(self.answers.add(work)),
                Task::LeaseRead(_) => by_lease.push(self.answers.add(work)),
                Task::Command(command) => {
                    let command = command.encode();
                    proposals.push(Proposal { tag: self.answers.add(work), command });
                }
            }
        }
        if !proposals.is_empty() {
            self.step(Event::Propose(proposals))?;
        }
        if !reads.is_empty() {
            self.step(Event::Read(reads))?;
        }
        if !by_lease.is_empty() {
            self.step(Event::ReadByLease(by_lease))?;
        }
        Ok(())
    }

    /// The bug `cas-at-leader`: the leader checks the guard now, and if it holds, the entry is applied
    /// without a check.
    fn decide_early(&mut self, task: &mut Task) {
        let leads = self.role == Role::Leader;
        if let Task::Command(command) = task
            && let Action::Cas { key, from, decided, .. } = &mut command.action
            && leads
            && self.answers.bugs.has(Bug::CasAtLeader)
        {
            *decided = self.answers.store.matches(key, from.as_ref());
            self.mark(Bug::CasAtLeader, Mark::Reached);
        }
    }

    pub(super) fn step(&mut self, event: Event) -> Result<(), NodeError> {
        if self.raft.keeps_leases() {
            // Read after the event came in: a lease must be valid then, not before.
            self.raft.set_clock(clock::now());
        }
        self.raft.step(event, &mut self.effects);
        self.carry_out()
    }

    /// Carries out the effects that have gathered.
    fn carry_out(&mut self) -> Result<(), NodeError> {
        let mut effects = std::mem::take(&mut self.effects);
        let term = self.raft.term();
        for effect in effects.drain(..) {
            match effect {
                Effect::SetTimer(timer) => self.timers.set(timer, Instant::now()),
                Effect::StopTimer(timer) => self.timers.stop(timer),
                Effect::Persist(batch) => {
                    self.seen.truncations += u64::from(batch.truncate_from.is_some());
                    self.wal.append(batch).map_err(|e| NodeError::Storage(e.to_string()))?;
                }
                Effect::Send(message) => self.transport.send(message),
                Effect::Membership(configuration) => {
                    self.identities.follow(&configuration);
                    self.transport.follow(&configuration);
                }
                Effect::Role { role, term, leader } => self.take_role(role, term, leader),
                Effect::Mark(bug, mark) => self.mark(bug, mark),
                Effect::SendSnapshot { to, snapshot } => self.snapshots.send(to, term, &snapshot),
                Effect::Forgotten(entries) => self.snapshots.free(entries),
                Effect::Restore(snapshot) => self.restore(&snapshot),
                Effect::TransferEnded { tag: FAREWELL, .. }
                | Effect::Rejected { tag: FAREWELL, .. } => self.leaving = Leaving::Done,
                Effect::TransferEnded { tag, moved: true } => {
                    self.answers.moved(tag, self.raft.leader(), term);
                }
                other => {
                    if let Effect::Apply(entries) = &other {
                        self.snapshots.count(entries);
                    }
                    self.answers.carry_out(other, term);
                }
            }
        }
        self.effects = effects;
        for (bug, mark) in self.answers.store.take_marks() {
            self.mark(bug, mark);
        }
        Ok(())
    }

    fn take_role(&mut self, role: Role, term: u64, leader: Option<u64>) {
        self.term.store(term, Ordering::Relaxed);
        match (role, leader) {
            (Role::Leader, _) => info!("leads term {term}"),
            (Role::Follower, Some(leader)) => info!("follows node {leader} in term {term}"),
            (Role::Follower, None) => info!("follows nobody in term {term}"),
            (Role::PreCandidate, _) => info!("asks whether it could win an election after {term}"),
            (Role::Candidate, _) => info!("asks for votes in term {term}"),
        }
        let gave_up = matches!(role, Role::PreCandidate | Role::Candidate);
        self.seen.leaderless_elections += u64::from(self.role == Role::Candidate && gave_up);
        if self.role == Role::Leader && role != Role::Leader {
            self.answers.lose_leadership(term);
        }
        self.role = role;
    }

    pub(super) fn mark(&mut self, bug: Bug, mark: Mark) {
        if let Some(marks) = &mut self.marks {
            marks.count(bug, mark);
        }
    }
}

/// Takes what has come meanwhile, so that one turn serves all of it.
fn gather<T>(from: &mut mpsc::Receiver<T>, into: &mut Vec<T>) {
    while into.len() < GATHER
        && let Ok(next) = from.try_recv()
    {
        into.push(next);
    }
}

fn thread_gone() -> NodeError {
    NodeError::Storage("the thread of the log ended".to_owned())
}
