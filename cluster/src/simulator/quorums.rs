//! What the oracle knows of quorums, of snapshots and of states: by the configuration that is true, counted by
//! code of its own, and by disks.
//!
//! The true configuration of a leader is the newest in its log (§6), with all of the old voters and all of the
//! new while it is joint. It may be that of a node, which the core reports; what it means for a quorum is
//! counted here, not by the core.

use super::node::Node;
use super::oracle::{Oracle, Promise};
use super::place;
use crate::kv::Applied;
use crate::raft::{Configuration, Entry, NodeId, Position, Term};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whether `yes` holds of a majority of these nodes.
fn majority(half: &BTreeSet<NodeId>, yes: impl Fn(NodeId) -> bool) -> bool {
    2 * half.iter().filter(|id| yes(**id)).count() > half.len()
}

/// Whether `yes` holds of a majority of the voters, and of those that are being replaced if there are any.
pub(super) fn quorum(configuration: &Configuration, yes: impl Fn(NodeId) -> bool) -> bool {
    let Configuration { voters, outgoing, .. } = configuration;
    majority(voters, &yes) && (outgoing.is_empty() || majority(outgoing, &yes))
}

/// What a node that has applied `entry`, with this outcome, after what `chain` stands for has applied.
pub(super) fn link(chain: u64, entry: &Entry, outcome: Option<Applied>) -> u64 {
    let outcome = outcome.map_or(0, |outcome| 1 + u64::from(outcome.replayed));
    [entry.term, entry.index, outcome].into_iter().fold(chain, |chain, number| {
        (chain ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    })
}

impl Oracle {
    /// A node leads a term: a quorum of its configuration has voted for it, durably.
    pub(super) fn elected(&mut self, id: NodeId, term: Term, configuration: &Configuration) {
        let voted = |voter: NodeId| self.votes.get(&(voter, term)) == Some(&id);
        let elected = quorum(configuration, voted);
        let voters: Vec<NodeId> =
            configuration.members().into_iter().filter(|voter| voted(*voter)).collect();
        self.expect(elected, Promise::ElectionSafety, || {
            format!("n{id} leads term {term} of {configuration} with the votes of {voters:?}")
        });
    }

    /// An entry is committed for the first time, by a node with this configuration.
    pub(super) fn is_durable(&mut self, id: NodeId, nodes: &[Node], entry: &Entry) {
        let Some(core) = &nodes[place(id)].raft else { return };
        let holds = |voter: NodeId| nodes[place(voter)].disk.holds(entry.position());
        let held = quorum(core.configuration(), holds);
        self.expect(held, Promise::DurableQuorum, || {
            format!("n{id} applies {entry}, which no majority of disks holds")
        });
        if let crate::raft::Payload::Configuration(configuration) = &entry.payload {
            self.facts.joint += u64::from(configuration.is_joint());
            self.configuration = Arc::clone(configuration);
        }
    }

    /// A node erases what was committed at `position`, or another entry there: the voters still have it. While a
    /// change is under way the new voters may already be enough.
    pub(super) fn stays_durable(&mut self, id: NodeId, nodes: &[Node], position: Position) {
        let holds = |voter: NodeId| nodes[place(voter)].disk.holds(position);
        let held = majority(&self.configuration.voters, holds);
        self.expect(held, Promise::DurableQuorum, || {
            format!(
                "n{id} erases {position}, which was committed and is now on no majority of disks"
            )
        });
    }

    /// A node goes on from a snapshot that claims to end at `last`.
    pub(super) fn restores(&mut self, id: NodeId, last: Position, chain: u64) {
        let before = std::mem::replace(&mut self.applied[place(id)], last.index);
        self.expect(last.index >= before, Promise::StateMachineSafety, || {
            format!("n{id} goes back from {before} to a snapshot up to {last}")
        });
        let known = (last.index as usize).checked_sub(1).and_then(|at| self.committed.get(at));
        let same = known.is_some_and(|known| known.term == last.term && known.chain == chain);
        self.expect(same, Promise::StateMachineSafety, || {
            format!("n{id} restores a snapshot up to {last} that does not hold the state there")
        });
    }
}
