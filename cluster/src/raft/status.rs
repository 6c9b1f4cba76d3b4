//! What a node tells of itself: for its driver's answers, for status requests, for tests.

use super::event::{HardState, Role};
use super::message::{Index, NodeId, Position, Term};
use super::node::{Raft, Standing};
use super::quorum::Configuration;
use std::collections::BTreeMap;

impl Raft {
    /// Who this node is.
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// What it does now.
    pub fn role(&self) -> Role {
        match self.standing {
            Standing::Follower => Role::Follower,
            Standing::PreCandidate(_) => Role::PreCandidate,
            Standing::Candidate(_) => Role::Candidate,
            Standing::Leader(_) => Role::Leader,
        }
    }

    /// Its term.
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// Its term and vote, whether or not they are durable yet.
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Whom it takes for the leader of its term.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// The highest index it knows to be committed.
    pub fn commit(&self) -> Index {
        self.commit
    }

    /// The highest index it has handed out to be applied.
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// The entry that its configuration is of: 0 for the one it was started with.
    pub fn configured_at(&self) -> Index {
        self.membership.newest().0
    }

    /// The index of the first entry that its log still holds, or would hold.
    pub fn first(&self) -> Index {
        self.log.base().index + 1
    }

    /// The end of its log, durable or not.
    pub fn last(&self) -> Position {
        self.log.last()
    }

    /// The last index of its log that would survive a crash.
    pub fn durable(&self) -> Index {
        self.gate.durable()
    }

    /// The term of its entry at `index`, if its log reaches there.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.log.term_at(index)
    }

    /// The configuration in force: the newest in its log, committed or not.
    pub fn configuration(&self) -> &Configuration {
        self.membership.newest().1
    }

    /// For a leader: each follower with the last index it is known to match. Empty otherwise.
    pub fn matched(&self) -> BTreeMap<NodeId, Index> {
        match &self.standing {
            Standing::Leader(leadership) => {
                leadership.followers.iter().map(|(id, follower)| (*id, follower.matched)).collect()
            }
            _ => BTreeMap::new(),
        }
    }
}
