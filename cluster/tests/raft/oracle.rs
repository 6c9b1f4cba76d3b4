//! Watches a whole cluster from outside and knows what Raft promises (Figure 3, §8).
//!
//! The oracle keeps what no node can know: who led which term, what was committed and in which term,
//! what was acknowledged to whom. It looks at every effect, and at the disks behind it.

use crate::machine::Machine;
use cluster::raft::{Body, Effect, Entry, Index, Message, NodeId, Position, Role, Term};
use std::collections::BTreeMap;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Which promise.
    pub(crate) promise: Promise,
    /// Who broke it, and how.
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    /// At most one leader a term.
    ElectionSafety,
    /// A leader never takes back an entry.
    LeaderAppendOnly,
    /// Logs that share a position share what is before it.
    LogMatching,
    /// Later leaders have what was committed.
    LeaderCompleteness,
    /// Nobody applies another entry at one index.
    StateMachineSafety,
    /// What is committed is on the disks of a majority.
    DurableQuorum,
    /// Votes and acknowledgements tell what the disk holds.
    PersistedBeforePromised,
    /// One vote a term, across crashes.
    OneVote,
    /// What was acknowledged to a client is what commits at its index.
    AcknowledgedWriteKept,
    /// A read sees what was acknowledged before it began.
    LinearizableRead,
}

/// An entry that is known to be committed.
#[derive(Clone, Debug)]
struct Committed {
    entry: Entry,
    /// The term in which it was first seen committed: leaders of later terms must have it.
    term: Term,
}

/// The outside view.
#[derive(Default)]
pub(crate) struct Oracle {
    leaders: BTreeMap<Term, NodeId>,
    committed: Vec<Committed>,
    /// Appended and not yet known to be committed: tag → position, per node that appended it.
    appended: BTreeMap<u64, Position>,
    acknowledged: BTreeMap<Index, Term>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// For each open read: the node that was asked, and the index its answer must not miss.
    reads: BTreeMap<u64, (NodeId, Index)>,
    /// The first broken promise.
    pub(crate) violation: Option<Violation>,
    pub(crate) facts: Facts,
}

/// What a run has been through: without these, "no violation" would mean little.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) terms_led: u64,
    pub(crate) committed: u64,
    pub(crate) reads_answered: u64,
    pub(crate) reads_failed: u64,
    pub(crate) truncations: u64,
    pub(crate) appends_rejected: u64,
    pub(crate) rejected: u64,
    pub(crate) crashes: u64,
    pub(crate) batches_lost: u64,
    pub(crate) committed_after_crash: u64,
}

impl Oracle {
    /// A node starts to read.
    pub(crate) fn read_begins(&mut self, id: NodeId, tag: u64) {
        let acknowledged = self.acknowledged.last_key_value().map_or(0, |(index, _)| *index);
        self.reads.insert(tag, (id, acknowledged.max(self.committed.len() as Index)));
    }

    /// A node crashed: nobody waits for its answers.
    pub(crate) fn crashed(&mut self, id: NodeId) {
        self.facts.crashes += 1;
        self.reads.retain(|_, (node, _)| *node != id);
    }

    /// How many reads have neither been answered nor refused.
    pub(crate) fn open_reads(&self) -> usize {
        self.reads.len()
    }

    /// What has been committed, by anyone.
    pub(crate) fn committed(&self) -> Index {
        self.committed.len() as Index
    }

    /// A node took a step.
    pub(crate) fn watch(
        &mut self,
        id: NodeId,
        machines: &BTreeMap<NodeId, Machine>,
        effects: &[Effect],
    ) {
        for effect in effects {
            match effect {
                Effect::Send(message) => self.sent(&machines[&id], message),
                Effect::Persist(batch) => {
                    let Some(from) = batch.truncate_from else { continue };
                    self.facts.truncations += 1;
                    let leads = machines[&id].core().role() == Role::Leader;
                    let text = || format!("n{id} leads and truncates from {from}");
                    self.expect(!leads, Promise::LeaderAppendOnly, text);
                }
                Effect::Role { role: Role::Leader, term, .. } => self.leads(id, *term, machines),
                Effect::Apply(entries) => self.applied(id, machines, entries),
                Effect::Appended { tag, term, index } => {
                    self.appended.insert(*tag, Position { term: *term, index: *index });
                }
                Effect::AckEarly { tag } => {
                    if let Some(position) = self.appended.get(tag) {
                        self.acknowledged.insert(position.index, position.term);
                    }
                }
                Effect::Rejected { .. } => self.facts.rejected += 1,
                Effect::ReadReady { tag, index } => self.read_answered(id, machines, *tag, *index),
                Effect::ReadFailed { tag, .. } => {
                    self.facts.reads_failed += 1;
                    self.reads.remove(tag);
                }
                _ => {}
            }
        }
    }

    /// A vote has reached the disk.
    pub(crate) fn synced(&mut self, id: NodeId, machine: &Machine) {
        let hard_state = machine.disk.hard_state;
        let Some(vote) = hard_state.vote else { return };
        let earlier = *self.votes.entry((id, hard_state.term)).or_insert(vote);
        let text = || format!("n{id} voted for n{earlier} and n{vote} in term {}", hard_state.term);
        self.expect(earlier == vote, Promise::OneVote, text);
    }

    /// Compares all logs, in memory and on disk.
    pub(crate) fn compare_logs(&mut self, machines: &BTreeMap<NodeId, Machine>) {
        let terms = |id: &NodeId| -> Vec<Term> {
            machines[id].disk.log.iter().map(|entry| entry.term).collect()
        };
        let logs: Vec<(NodeId, Vec<Term>)> = machines.keys().map(|id| (*id, terms(id))).collect();
        for (place, (left_id, left)) in logs.iter().enumerate() {
            for (right_id, right) in &logs[place + 1..] {
                let pairs = || left.iter().zip(right);
                let agreed =
                    pairs().rposition(|(left, right)| left == right).map_or(0, |at| at + 1);
                let parted = pairs().position(|(left, right)| left != right);
                let holds = parted.is_none_or(|parted| parted >= agreed);
                let text =
                    || format!("n{left_id} and n{right_id} part at {parted:?}, meet at {agreed}");
                self.expect(holds, Promise::LogMatching, text);
            }
        }
    }

    fn expect(&mut self, holds: bool, promise: Promise, text: impl FnOnce() -> String) {
        if !holds && self.violation.is_none() {
            self.violation = Some(Violation { promise, text: text() });
        }
    }

    fn sent(&mut self, machine: &Machine, message: &Message) {
        let (disk, from) = (&machine.disk, message.from);
        let voted = |whom| {
            disk.hard_state.term == message.term && disk.hard_state.vote == Some(whom)
                || disk.hard_state.term > message.term
        };
        let disk_term = |index: Index| match index {
            0 => Some(0),
            index => disk.log.get(index as usize - 1).map(|entry| entry.term),
        };
        let kept = match &message.body {
            Body::Vote { last, .. } => voted(from) && disk_term(last.index) == Some(last.term),
            Body::VoteAnswer { granted: true } => voted(message.to),
            Body::AppendAccepted { matched } => {
                let core = machine.raft.as_ref();
                core.is_some_and(|core| core.term_at(*matched) == disk_term(*matched))
            }
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

    fn leads(&mut self, id: NodeId, term: Term, machines: &BTreeMap<NodeId, Machine>) {
        let other = *self.leaders.entry(term).or_insert_with(|| {
            self.facts.terms_led += 1;
            id
        });
        let text = || format!("n{other} and n{id} both lead term {term}");
        self.expect(other == id, Promise::ElectionSafety, text);
        let core = machines[&id].core();
        let missing = self.committed.iter().find(|committed| {
            committed.term < term
                && core.term_at(committed.entry.index) != Some(committed.entry.term)
        });
        let missing = missing.map(|committed| committed.entry.position());
        self.expect(missing.is_none(), Promise::LeaderCompleteness, || {
            format!("n{id} leads term {term} without {}", missing.unwrap_or_default())
        });
    }

    fn applied(&mut self, id: NodeId, machines: &BTreeMap<NodeId, Machine>, entries: &[Entry]) {
        let term = machines[&id].core().term();
        for entry in entries {
            let place = entry.index as usize - 1;
            if let Some(known) = self.committed.get(place).map(|committed| committed.entry.clone())
            {
                let text = || format!("n{id} applies {entry}, others applied {known}");
                self.expect(known == *entry, Promise::StateMachineSafety, text);
                continue;
            }
            self.facts.committed += 1;
            self.facts.committed_after_crash += u64::from(self.facts.crashes > 0);
            self.committed.push(Committed { entry: entry.clone(), term });
            let holders = machines.values().filter(|machine| {
                machine.disk.log.get(place).is_some_and(|held| held.term == entry.term)
            });
            let held = holders.count() > machines.len() / 2;
            self.expect(held, Promise::DurableQuorum, || {
                format!("n{id} applies {entry}, which no majority of disks holds")
            });
            let acknowledged = self.acknowledged.insert(entry.index, entry.term);
            let text = || format!("{} was acknowledged, but {entry} is committed", entry.index);
            let kept = acknowledged.is_none_or(|acknowledged| acknowledged == entry.term);
            self.expect(kept, Promise::AcknowledgedWriteKept, text);
        }
    }

    fn read_answered(
        &mut self,
        id: NodeId,
        machines: &BTreeMap<NodeId, Machine>,
        tag: u64,
        index: Index,
    ) {
        self.facts.reads_answered += 1;
        let Some((_, floor)) = self.reads.remove(&tag) else { return };
        let applied = machines[&id].applied.last().map_or(0, |entry| entry.index);
        self.expect(index >= floor && applied >= index, Promise::LinearizableRead, || {
            format!("n{id} answers read {tag} at {index} with {applied} applied; {floor} was due")
        });
    }
}
