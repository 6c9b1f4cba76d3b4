//! Watches a whole cluster from outside and knows what Raft promises (Figure 3, §8).
//!
//! The oracle keeps what no node can know: who led which term, what was committed and in which term, who voted
//! for whom, what was acknowledged to whom. Each effect is checked when it happens. Log matching is checked when
//! an entry is written: that a position always has the same entry and the same position before it is, by
//! induction, that logs which share a position share what is before it.
//!
//! Leader completeness is asked of leaders of *later* terms only: a leader of an earlier term that was elected
//! late is legal, and need not have what was committed meanwhile.

use super::node::Node;
use super::quorums::link;
use super::{PLACES, Time, place};
use crate::kv::Applied;
use crate::raft::{
    Batch, Body, Configuration, Entry, Index, Message, NodeId, Payload, Position, Term,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub promise: Promise,
    /// When.
    pub time: Time,
    /// Who broke it, and how.
    pub text: String,
}

/// What a cluster promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// At most one leader a term, elected by a quorum of its configuration.
    ElectionSafety,
    /// A leader never takes back an entry.
    LeaderAppendOnly,
    /// Logs that share a position share what is before it.
    LogMatching,
    /// Later leaders have what was committed.
    LeaderCompleteness,
    /// Nobody applies another entry at one index, answers it otherwise, goes back, or goes on from another state.
    StateMachineSafety,
    /// What is committed is on the disks of a quorum of the configuration in force, and stays there.
    DurableQuorum,
    /// Votes and acknowledgements tell what the disk holds.
    PersistedBeforePromised,
    /// One vote a term, across crashes.
    OneVote,
    /// What was acknowledged to a client is what commits at its index.
    AcknowledgedWriteKept,
    /// A read sees what was acknowledged before it began.
    LinearizableRead,
    /// A healthy majority gets work done under one leader, ends a change of members, and ends up equal.
    Progress,
}

impl fmt::Display for Promise {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Promise::ElectionSafety => "election safety",
            Promise::LeaderAppendOnly => "leader append-only",
            Promise::LogMatching => "log matching",
            Promise::LeaderCompleteness => "leader completeness",
            Promise::StateMachineSafety => "state machine safety",
            Promise::DurableQuorum => "a durable quorum",
            Promise::PersistedBeforePromised => "persisted before promised",
            Promise::OneVote => "one vote a term",
            Promise::AcknowledgedWriteKept => "acknowledged writes are kept",
            Promise::LinearizableRead => "linearizable reads",
            Promise::Progress => "progress",
        })
    }
}

/// What was gone through: without these, "no violation" would mean little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Terms that had a leader.
    pub terms_led: u64,
    /// Entries committed.
    pub committed: u64,
    /// Entries committed after the first crash.
    pub committed_after_crash: u64,
    /// Reads that nodes answered.
    pub reads_answered: u64,
    /// Those of them that rested on a lease.
    pub lease_reads: u64,
    /// Reads that nodes refused.
    pub reads_failed: u64,
    /// Proposals that nodes refused.
    pub rejected: u64,
    /// Logs that lost a tail.
    pub truncations: u64,
    /// Appends refused.
    pub appends_rejected: u64,
    /// Nodes that crashed.
    pub crashes: u64,
    /// Batches that a crash lost.
    pub batches_lost: u64,
    /// Nodes that paused.
    pub pauses: u64,
    /// Cuts of links that took effect.
    pub cuts: u64,
    /// Messages lost, by luck or by a cut.
    pub messages_lost: u64,
    /// Syncs that failed and stopped their node.
    pub failed_syncs: u64,
    /// Snapshots that nodes took of their own state.
    pub snapshots_taken: u64,
    /// Nodes that went on from a snapshot of another.
    pub snapshots_installed: u64,
    /// Changes of members that were brought to their end.
    pub changes: u64,
    /// Joint configurations committed.
    pub joint: u64,
    /// Transfers of leadership that moved it.
    pub transfers: u64,
}

impl Facts {
    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Facts) -> Facts {
        Facts {
            terms_led: self.terms_led + other.terms_led,
            committed: self.committed + other.committed,
            committed_after_crash: self.committed_after_crash + other.committed_after_crash,
            reads_answered: self.reads_answered + other.reads_answered,
            lease_reads: self.lease_reads + other.lease_reads,
            reads_failed: self.reads_failed + other.reads_failed,
            rejected: self.rejected + other.rejected,
            truncations: self.truncations + other.truncations,
            appends_rejected: self.appends_rejected + other.appends_rejected,
            crashes: self.crashes + other.crashes,
            batches_lost: self.batches_lost + other.batches_lost,
            pauses: self.pauses + other.pauses,
            cuts: self.cuts + other.cuts,
            messages_lost: self.messages_lost + other.messages_lost,
            failed_syncs: self.failed_syncs + other.failed_syncs,
            snapshots_taken: self.snapshots_taken + other.snapshots_taken,
            snapshots_installed: self.snapshots_installed + other.snapshots_installed,
            changes: self.changes + other.changes,
            joint: self.joint + other.joint,
            transfers: self.transfers + other.transfers,
        }
    }
}

/// An entry that is known to be committed.
#[derive(Clone, Debug)]
pub(super) struct Committed {
    pub(super) term: Term,
    payload: Payload,
    /// The term in which it was first seen committed: leaders of later terms must have it.
    seen: Term,
    answer: Option<Applied>,
    /// What the state is known by once it is applied.
    pub(super) chain: u64,
}

/// An entry that somebody wrote at an index.
#[derive(Clone, Debug)]
struct Written {
    term: Term,
    before: Term,
    payload: Payload,
}

/// The outside view.
#[derive(Default)]
pub(super) struct Oracle {
    pub(super) now: Time,
    leaders: BTreeMap<Term, NodeId>,
    pub(super) committed: Vec<Committed>,
    /// The newest committed configuration.
    pub(super) configuration: Arc<Configuration>,
    /// By index, from 1.
    written: Vec<Vec<Written>>,
    pub(super) applied: [Index; PLACES],
    /// Acknowledged before they were committed.
    early: BTreeMap<Index, Term>,
    acknowledged: Index,
    pub(super) votes: BTreeMap<(NodeId, Term), NodeId>,
    /// For each open read: the node that was asked, and the index its answer must not miss.
    reads: BTreeMap<u64, (NodeId, Index)>,
    pub(super) violation: Option<Violation>,
    pub(super) facts: Facts,
}

impl Oracle {
    /// Watches a cluster that begins with these voters.
    pub(super) fn new(voters: impl IntoIterator<Item = NodeId>) -> Oracle {
        Oracle { configuration: Arc::new(Configuration::of(voters)), ..Oracle::default() }
    }

    /// Notes a broken promise, if it is the first.
    pub(super) fn expect(&mut self, holds: bool, promise: Promise, text: impl FnOnce() -> String) {
        if !holds && self.violation.is_none() {
            self.violation = Some(Violation { promise, time: self.now, text: text() });
        }
    }

    /// A node starts to read.
    pub(super) fn read_begins(&mut self, id: NodeId, tag: u64) {
        self.reads.insert(tag, (id, self.acknowledged.max(self.committed())));
    }

    /// A node crashed: nobody waits for its answers, and it starts from its snapshot.
    pub(super) fn crashed(&mut self, id: NodeId) {
        self.facts.crashes += 1;
        self.applied[place(id)] = 0;
        self.reads.retain(|_, (node, _)| *node != id);
    }

    /// What has been committed, by anyone.
    pub(super) fn committed(&self) -> Index {
        self.committed.len() as Index
    }

    /// A proposal was acknowledged before it was committed.
    pub(super) fn acknowledged_early(&mut self, position: Position) {
        self.acknowledged = self.acknowledged.max(position.index);
        let known = self.committed.get(position.index as usize - 1).map(|known| known.term);
        let text = || format!("{position} was acknowledged, but another entry is committed there");
        let kept = known.is_none_or(|term| term == position.term);
        self.expect(kept, Promise::AcknowledgedWriteKept, text);
        if known.is_none() {
            self.early.insert(position.index, position.term);
        }
    }

    /// A node is about to write a batch.
    pub(super) fn writes(&mut self, id: NodeId, node: &Node, batch: &Batch) {
        if let Some(from) = batch.truncate_from {
            self.facts.truncations += 1;
            let text = || format!("n{id} leads and truncates from {from}");
            self.expect(node.leads().is_none(), Promise::LeaderAppendOnly, text);
        }
        let Some(first) = batch.entries.first() else { return };
        let core = node.raft.as_ref();
        let mut before = core.and_then(|core| core.term_at(first.index - 1)).unwrap_or(0);
        for entry in &batch.entries {
            self.written(id, entry, before);
            before = entry.term;
        }
    }

    fn written(&mut self, id: NodeId, entry: &Entry, before: Term) {
        let place = entry.index as usize - 1;
        if self.written.len() <= place {
            self.written.resize(place + 1, Vec::new());
        }
        match self.written[place].iter().find(|known| known.term == entry.term) {
            None => self.written[place].push(Written {
                term: entry.term,
                before,
                payload: entry.payload.clone(),
            }),
            Some(known) => {
                let same = known.before == before && known.payload == entry.payload;
                let (index, other) = (entry.index.saturating_sub(1), known.before);
                self.expect(same, Promise::LogMatching, || {
                    format!(
                        "n{id} has {} after {index}@{before}, others after {index}@{other}",
                        entry.position()
                    )
                });
            }
        }
    }

    /// A batch has reached the disk; if it truncated the log, from `truncated`.
    pub(super) fn synced(&mut self, id: NodeId, nodes: &[Node], truncated: Option<Index>) {
        let hard_state = nodes[place(id)].disk.hard_state;
        if let Some(vote) = hard_state.vote {
            let earlier = *self.votes.entry((id, hard_state.term)).or_insert(vote);
            let term = hard_state.term;
            let text = || format!("n{id} voted for n{earlier} and n{vote} in term {term}");
            self.expect(earlier == vote, Promise::OneVote, text);
        }
        if let Some(index) = truncated
            && let Some(known) = self.committed.get(index as usize - 1)
        {
            let position = Position { term: known.term, index };
            self.stays_durable(id, nodes, position);
        }
    }

    /// A node sends a message.
    pub(super) fn sends(&mut self, node: &Node, message: &Message) {
        let disk = &node.disk;
        let voted = |whom| {
            disk.hard_state.term == message.term && disk.hard_state.vote == Some(whom)
                || disk.hard_state.term > message.term
        };
        let kept = match &message.body {
            Body::Vote { last, .. } => {
                voted(message.from) && disk.term_at(last.index) == Some(last.term)
            }
            Body::VoteAnswer { granted: true } => voted(message.to),
            // What it has forgotten since was applied, and is in its snapshot.
            Body::AppendAccepted { matched } => node.raft.as_ref().is_some_and(|core| {
                let term = core.term_at(*matched);
                term.map_or(*matched < core.first(), |term| {
                    disk.holds(Position { term, index: *matched })
                })
            }),
            Body::AppendRejected { .. } => {
                self.facts.appends_rejected += 1;
                true
            }
            _ => true,
        };
        self.expect(kept, Promise::PersistedBeforePromised, || {
            format!("{message}, but its disk holds {:?}", disk.hard_state)
        });
    }

    /// A node becomes a leader.
    pub(super) fn leads(&mut self, id: NodeId, term: Term, node: &Node) {
        let other = *self.leaders.entry(term).or_insert_with(|| {
            self.facts.terms_led += 1;
            id
        });
        let text = || format!("n{other} and n{id} both lead term {term}");
        self.expect(other == id, Promise::ElectionSafety, text);
        let Some(core) = &node.raft else { return };
        self.elected(id, term, core.configuration());
        // What it has forgotten is in its snapshot.
        let kept = (1..).zip(&self.committed).skip(core.first().saturating_sub(2) as usize);
        let mut lacks = kept
            .filter(|(index, known)| known.seen < term && core.term_at(*index) != Some(known.term));
        let missing = lacks.next();
        let missing = missing.map(|(index, known)| Position { term: known.term, index });
        self.expect(missing.is_none(), Promise::LeaderCompleteness, || {
            format!("n{id} leads term {term} without {}", missing.unwrap_or_default())
        });
    }

    /// A node applies an entry, with this outcome; returns what its state is known by then.
    pub(super) fn applies(
        &mut self,
        id: NodeId,
        nodes: &[Node],
        entry: &Entry,
        answer: Option<Applied>,
    ) -> u64 {
        let last = std::mem::replace(&mut self.applied[place(id)], entry.index);
        let text = || format!("n{id} applies {entry} after {last}");
        self.expect(entry.index == last + 1, Promise::StateMachineSafety, text);
        let chain = link(nodes[place(id)].chain, entry, answer);
        let place_of_entry = entry.index as usize - 1;
        if let Some(known) = self.committed.get(place_of_entry) {
            let same = known.term == entry.term && known.payload == entry.payload;
            let (term, alike) = (known.term, known.answer == answer);
            let equal = known.chain == chain;
            self.expect(same, Promise::StateMachineSafety, || {
                format!("n{id} applies {}, others applied {}@{term}", entry.position(), entry.index)
            });
            let text = || format!("n{id} answers {entry} otherwise than others: {answer:?}");
            self.expect(alike, Promise::StateMachineSafety, text);
            let text = || format!("n{id} applies {entry} to another state than others");
            self.expect(equal, Promise::StateMachineSafety, text);
            return chain;
        }
        let seen = nodes[place(id)].raft.as_ref().map_or(0, crate::raft::Raft::term);
        self.facts.committed += 1;
        self.facts.committed_after_crash += u64::from(self.facts.crashes > 0);
        let (term, payload) = (entry.term, entry.payload.clone());
        self.committed.push(Committed { term, payload, seen, answer, chain });
        self.is_durable(id, nodes, entry);
        self.acknowledged = self.acknowledged.max(entry.index);
        let early = self.early.remove(&entry.index);
        let text = || format!("{} was acknowledged, but {entry} is committed", entry.index);
        let kept = early.is_none_or(|early| early == entry.term);
        self.expect(kept, Promise::AcknowledgedWriteKept, text);
        chain
    }

    /// A read may be answered as of `index`; `applied` is how far the state machine is.
    pub(super) fn reads(&mut self, id: NodeId, tag: u64, index: Index, applied: Index) {
        self.facts.reads_answered += 1;
        let Some((_, floor)) = self.reads.remove(&tag) else { return };
        self.expect(index >= floor && applied >= index, Promise::LinearizableRead, || {
            format!("n{id} answers a read at {index} with {applied} applied; {floor} was due")
        });
    }

    /// A read is refused.
    pub(super) fn refuses(&mut self, tag: u64) {
        self.facts.reads_failed += 1;
        self.reads.remove(&tag);
    }
}
