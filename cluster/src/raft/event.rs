//! What goes into the core and what comes out.
//!
//! The driver feeds one [`Event`] at a time into [`Raft::step`](super::Raft::step) and carries out
//! the [`Effect`]s in the order given. That order matters in one way only: an [`Effect::Apply`]
//! comes before the [`Effect::ReadReady`] that relies on it.

use super::message::{Entry, Index, Message, NodeId, Position, Term};
use super::quorum::{Change, Configuration};
use crate::bug::{Bug, Mark};
use std::sync::Arc;

/// The three clocks a node needs. The driver owns them; a timer that was set again before it fired
/// fires once, at the later time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// A follower's patience with a silent leader, and a leader's with a silent quorum. The driver
    /// draws its length afresh, between one and two election timeouts, each time it is set.
    Election,
    /// The leader's beat. Runs only on a leader.
    Heartbeat,
    /// One minimum election timeout since the leader was last heard. While it runs, this node
    /// votes for nobody else.
    Contact,
}

/// A node's two clocks, in microseconds since whenever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now {
    /// Never goes back, and goes on while the machine sleeps. What leases are timed with.
    pub steady: u64,
    /// What people call the time; it may be set. Only the bug `lease-wall-clock` looks at it.
    pub wall: u64,
}

/// One command to be replicated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proposal {
    /// The driver's name for it; comes back in the effects.
    pub tag: u64,
    /// The bytes for the state machine.
    pub command: Arc<[u8]>,
}

/// What a snapshot stands for (§7). The bytes are the driver's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snapshot {
    /// The last entry whose effect it holds; with it everything before.
    pub last: Position,
    /// Who voted as of that entry.
    pub configuration: Arc<Configuration>,
}

/// Something that happened to a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A timer fired.
    Timeout(Timer),
    /// A message arrived.
    Receive(Message),
    /// Clients want these commands replicated.
    Propose(Vec<Proposal>),
    /// Clients want to read; one tag each.
    Read(Vec<u64>),
    /// Clients want to read and are content with a lease; one tag each. Without a lease these are
    /// reads like any other.
    ReadByLease(Vec<u64>),
    /// An operator wants another configuration.
    Change {
        /// The driver's name for the request; comes back in [`Effect::ChangeDone`] or
        /// [`Effect::Rejected`].
        tag: u64,
        /// What is to change.
        change: Change,
    },
    /// An operator wants another node to lead.
    Transfer {
        /// The driver's name for the request; comes back in [`Effect::TransferEnded`], or in
        /// [`Effect::Rejected`] if nothing was tried.
        tag: u64,
        /// Who is to lead; none for whichever follower is furthest.
        to: Option<NodeId>,
    },
    /// The batch with this ticket, and every earlier one, will survive a crash.
    Durable {
        /// The ticket of an [`Effect::Persist`].
        ticket: u64,
    },
    /// The driver has applied what it was given, and [`Raft::more_to_apply`](super::Raft::more_to_apply)
    /// says that there is more.
    ApplyMore,
    /// The state as of `Snapshot::last` is durable in this node's snapshot file.
    SnapshotTaken(Snapshot),
    /// A snapshot sent by `from` in `term` is here: whole, verified, durable and decoded. Only the
    /// state machine has not been replaced.
    SnapshotArrived {
        /// Who sent it.
        from: NodeId,
        /// The sender's term.
        term: Term,
        /// What it stands for.
        snapshot: Snapshot,
    },
    /// What [`Effect::SendSnapshot`] asked for has ended.
    SnapshotSent {
        /// To whom it was sent.
        to: NodeId,
        /// The last index of what was sent.
        index: Index,
        /// The receiver has it, and its core knows. It answers by an `AppendAccepted` besides.
        arrived: bool,
    },
}

/// What a node must not forget across a crash, apart from its log (§5, Figure 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HardState {
    /// The latest term this node has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
}

/// One addition to the write-ahead log. Batches become durable in the order of their tickets; within a batch: hard
/// state, then reset, then truncation, then entries, then compaction. A crash leaves a prefix of this order, which may
/// end within a batch that was not reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Batch {
    /// 1, 2, 3 … since this node started. Come back as [`Event::Durable`]; one for the newest of
    /// several is enough.
    pub ticket: u64,
    /// The new hard state, if it changed.
    pub hard_state: Option<HardState>,
    /// The log is replaced by this snapshot: forget every entry; the next one follows `last`.
    pub reset: Option<Snapshot>,
    /// Forget every entry with this index or a later one.
    pub truncate_from: Option<Index>,
    /// Entries that follow what is then the end of the log.
    pub entries: Vec<Entry>,
    /// Entries up to here may be forgotten: a durable snapshot covers them.
    pub compact: Option<Position>,
}

/// What the driver reads back from the disk at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recovered {
    /// The last durable hard state; the default for a node that never ran.
    pub hard_state: HardState,
    /// The newest whole snapshot; the state machine starts from it.
    pub snapshot: Option<Snapshot>,
    /// What stands before the first entry of `log`: 0@0, or a position that the snapshot covers.
    pub base: Position,
    /// Every durable entry after `base`, without a gap.
    pub log: Vec<Entry>,
}

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether an election could succeed, without starting one.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads its term.
    Leader,
}

/// Why something was refused. In every case nothing was appended and nothing was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// This node does not lead.
    NotLeader {
        /// Who does, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// Too much is waiting already: bytes to be committed, or reads to be confirmed.
    Overloaded,
    /// This leader is handing its leadership over.
    Transferring,
    /// An earlier change is not done, or this leader has not committed anything of its term yet.
    ChangePending,
    /// A new voter's log is too far behind.
    NotCaughtUp,
    /// The request makes no sense here, in words.
    Invalid(&'static str),
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Start a timer, afresh if it runs.
    SetTimer(Timer),
    /// Stop a timer.
    StopTimer(Timer),
    /// Write to the write-ahead log and report [`Event::Durable`].
    Persist(Batch),
    /// Send now. What had to be durable first is durable: no need to wait for anything.
    Send(Message),
    /// The proposal is in this leader's log. It is committed if and when the entry applied at
    /// `index` has `term`; an entry of another term applied there means it never will be.
    Appended {
        /// The proposal's tag.
        tag: u64,
        /// The term of its entry.
        term: Term,
        /// The index of its entry.
        index: Index,
    },
    /// Acknowledge the proposal although nothing is sure yet. Only with [`Bug::AckOnAppend`].
    AckEarly {
        /// The proposal's tag.
        tag: u64,
    },
    /// The proposal, or the operator's request, was refused; nothing of it is in the log.
    Rejected {
        /// Its tag.
        tag: u64,
        /// Why.
        reason: Rejection,
    },
    /// These entries are committed: apply them, in this order. Each index comes at most once per start
    /// of the node, and at most [`Limits::apply_entries`](super::Limits::apply_entries) come at once.
    Apply(Vec<Entry>),
    /// Send this follower the newest snapshot file, which covers at least this, and report
    /// [`Event::SnapshotSent`] however that ends.
    SendSnapshot {
        /// To whom.
        to: NodeId,
        /// The least that the file must cover.
        snapshot: Snapshot,
    },
    /// Nobody will ask for these entries again: a snapshot covers them. They are handed out because to free many takes
    /// long, and the driver knows where that keeps nobody waiting.
    Forgotten(Vec<Entry>),
    /// Replace the state machine by the snapshot that arrived, before any later [`Effect::Apply`].
    Restore(Snapshot),
    /// The read may be answered from the state as of `index` or later. All entries up to `index`
    /// have been handed out by [`Effect::Apply`] before.
    ReadReady {
        /// The read's tag.
        tag: u64,
        /// The index that had to be applied first.
        index: Index,
    },
    /// The read may be answered now, from what is applied: this leader holds a lease.
    LeaseReady {
        /// The read's tag.
        tag: u64,
        /// The commit index.
        index: Index,
    },
    /// The read cannot be answered here; asking elsewhere is safe.
    ReadFailed {
        /// The read's tag.
        tag: u64,
        /// Why.
        reason: Rejection,
    },
    /// This configuration is in force from now on: it was appended, or what came after it was
    /// truncated. Also told at the start.
    Membership(Arc<Configuration>),
    /// The configuration that the change leads to, not a joint one, is committed.
    ChangeDone {
        /// The tag of the request.
        tag: u64,
    },
    /// A transfer of leadership that was under way has ended.
    TransferEnded {
        /// The tag of the request.
        tag: u64,
        /// Another node leads now; otherwise it was given up.
        moved: bool,
    },
    /// Role, term or known leader changed.
    Role {
        /// What this node does now.
        role: Role,
        /// Its term.
        term: Term,
        /// Whom it takes for the leader of that term.
        leader: Option<NodeId>,
    },
    /// A deliberate bug got this far.
    Mark(Bug, Mark),
}
