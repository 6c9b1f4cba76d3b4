//! Raft, as a pure function of what happens to it.
//!
//! Several nodes keep copies of one log and must never disagree about what is in it, although
//! messages get lost, nodes crash and come back, and nobody can tell a dead node from a slow one.
//! Raft (Ongaro and Ousterhout, 2014; section numbers here are that paper's, "thesis" is Ongaro's)
//! does it with a leader: time is cut into *terms*, each term has at most one leader, and only the
//! leader adds to the log. This module is the whole algorithm. It does no I/O and has no clock, no
//! randomness and no threads: an [`Event`] goes in, [`Effect`]s come out.
//!
//! ```
//! use cluster::raft::{Config, Configuration, Effect, Event, Raft, Recovered, Role, Timer};
//!
//! let mut node = Raft::new(Config::new(1, Configuration::of([1])), Recovered::default());
//! let mut effects = Vec::new();
//! node.start(&mut effects);
//! node.step(Event::Timeout(Timer::Election), &mut effects);
//! // It votes for itself; the vote counts once it cannot be forgotten.
//! let Some(Effect::Persist(batch)) = effects.iter().find(|e| matches!(e, Effect::Persist(_)))
//! else { panic!("a vote is written down") };
//! let ticket = batch.ticket;
//! node.step(Event::Durable { ticket }, &mut effects);
//! assert_eq!(node.role(), Role::Leader);
//! ```
//!
//! Because a node is a value (`Clone`, `Eq`, `Hash`), the same code runs in a real process, where a
//! driver owns the sockets, the disk and the timers; in golden scripts, which fix its behaviour
//! message by message; and in a seeded simulator, which tries to make it break its promises.
//!
//! # The algorithm in one page
//!
//! *Elections.* A follower that hears no leader for a random while asks the others for their votes,
//! in a new term. Each node votes once a term, on disk, and only for a candidate whose log is at least
//! as up to date as its own. A majority makes a leader; two majorities share a node, so there is one
//! leader a term.
//!
//! *Replication.* The leader appends commands to its log and sends them on. Every append names the
//! position before it; a follower without that position refuses, and the leader goes back until the
//! logs meet. What then conflicts with the leader's log is erased from the follower's.
//!
//! *Commitment.* An entry of the leader's own term that a majority holds on disk is committed, with
//! all before it. Whoever leads later got a vote from that majority, so it has the entry: what is
//! committed stays, and is applied by every node in the same order.
//!
//! *Compaction.* A node writes its applied state to a file, a *snapshot*, and forgets the entries that led
//! there. A follower that needs entries which its leader has forgotten gets the snapshot instead (§7).
//!
//! *Reads* do not need the log, but they need a leader that still is one: it asks a majority after
//! the read came in, and answers from a state that contains all that was committed by then. If the clocks of
//! all nodes are known to run at nearly one rate, it may instead rely on the answers to its last heartbeat for
//! a while: a *lease*.
//!
//! *Membership.* Who votes is itself an entry of the log. While voters change, a majority of the old
//! and one of the new must both agree.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | term | a reign, numbered; at most one leader in each |
//! | entry, index, position | a command in the log; its place; place and term together, written `3@1` |
//! | durable | will be found on this node's disk after a crash |
//! | matched | the prefix of a follower's durable log that the leader knows to equal its own |
//! | committed | will be in the log of every later leader, for ever |
//! | applied | handed to the state machine |
//! | promise | a message that says something its sender must not forget: a vote, an acknowledgement |
//! | base | the position before the first entry of a log whose beginning a snapshot replaced |
//! | round | a numbered question of the leader to all: do I still lead? |
//!
//! # Invariants
//!
//! * At most one leader a term (election safety).
//! * A leader never changes or removes an entry of its own log (leader append-only).
//! * Two logs that share a position share everything before it (log matching).
//! * What is committed in a term is in the log of every leader of a later term (leader completeness).
//! * No two nodes apply different entries at one index (state machine safety).
//! * What a log has forgotten, a durable snapshot of the same node holds.
//! * No promise leaves a node before its disk holds what was promised.
//! * A read sees everything that was acknowledged before it began.
//!
//! [`Raft::check`] tests what one node can know of these; [`simulator`](crate::simulator) and `cluster/tests/model` test the rest.
//!
//! # Reading order
//!
//! `message`, what nodes say to each other; `event`, the seam to the driver; `node`, the state, the
//! dispatch and terms; `election`; `replication`, with `progress` for its pace; `gate`, what must wait
//! for the disk; `snapshot`; `reads`; `lease`; `transfer`; `membership`, with `quorum`. The rest is small: `log`, `config`, `status`, `invariants`, `trace`.
//!
//! # What the driver owes
//!
//! * After [`Raft::start`], one [`Raft::step`] at a time, its effects carried out in order.
//! * [`Effect::Persist`] batches written in order, and [`Event::Durable`] only after an fsync.
//! * Election timeouts drawn at random, afresh each time; [`Timer::Contact`] no longer than the
//!   shortest of them; a heartbeat several times shorter than that.
//! * With leases, [`Raft::set_clock`] before each step, by a clock that never goes back nor stands still.
//! * At a failed write: stop. A node that cannot write must not go on.
//! * After a restart the state machine starts from the snapshot in [`Recovered`], or empty, and commands
//!   after it are applied again. [`Event::ApplyMore`] as long as [`Raft::more_to_apply`] says so.
//! * [`Event::SnapshotTaken`] and [`Event::SnapshotArrived`] only for a file that a crash leaves whole; the
//!   newest such file is what [`Recovered`] names.
//!
//! # Not here
//!
//! Commands are opaque bytes; sessions that make retries harmless belong to the state machine,
//! and with it into the snapshot.
#![forbid(unsafe_code)]

mod config;
mod election;
mod event;
mod gate;
mod invariants;
mod lease;
mod log;
mod membership;
mod message;
mod node;
mod normal;
mod progress;
mod quorum;
mod reads;
mod replication;
mod snapshot;
mod status;
mod trace;
mod transfer;

pub use config::{Config, Lease, Limits};
pub use event::{
    Batch, Effect, Event, HardState, Now, Proposal, Recovered, Rejection, Role, Snapshot, Timer,
};
pub use message::{Body, Entry, Hint, Index, Message, NodeId, Payload, Position, Term};
pub use node::Raft;
pub use quorum::{Change, Configuration};
