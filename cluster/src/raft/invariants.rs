//! What must hold of one node after every step.
//!
//! Checked in debug builds and tests. What relates several nodes to each other (election safety, log
//! matching, leader completeness, state machine safety) is checked by [`simulator`](crate::simulator)
//! and by the model in `cluster/tests/model`, which see them all.

use super::event::HardState;
use super::node::{Raft, Standing};

impl Raft {
    /// Checks this node's invariants, given the hard state it had before the step.
    ///
    /// # Errors
    /// The first invariant that does not hold, in words.
    pub fn check(&self, before: HardState) -> Result<(), String> {
        let (now, last) = (self.hard_state, self.log.last());
        let held = |holds: bool, invariant: &str| {
            if holds { Ok(()) } else { Err(format!("n{}: {invariant}", self.config.id)) }
        };
        held(now.term >= before.term, "terms only grow")?;
        held(
            now.term > before.term || before.vote.is_none() || now.vote == before.vote,
            "a vote is for a whole term",
        )?;
        held(last.term <= now.term, "no entry is of a later term than the node")?;
        held(self.gate.durable() <= last.index, "what is durable is part of the log")?;
        held(self.commit <= last.index, "what is committed is part of the log")?;
        held(
            self.applied <= self.commit || !self.config.bugs.is_empty(),
            "only what is committed was handed out",
        )?;
        let base = self.log.base().index;
        held(
            base <= self.applied || !self.config.bugs.is_empty(),
            "what is forgotten was applied",
        )?;
        held(
            self.snapshot.as_ref().map_or(0, |snapshot| snapshot.last.index) >= base,
            "a snapshot covers what is forgotten",
        )?;
        match &self.standing {
            Standing::Follower => {
                held(self.leader != Some(self.config.id), "no one follows itself")
            }
            Standing::PreCandidate(_) => {
                held(self.leader.is_none(), "pre-candidates have no leader")
            }
            Standing::Candidate(_) => {
                held(self.leader.is_none(), "candidates have no leader")?;
                held(now.vote == Some(self.config.id), "a candidate voted for itself")
            }
            Standing::Leader(leadership) => {
                held(self.leader == Some(self.config.id), "a leader knows it")?;
                held(now.vote == Some(self.config.id), "a leader voted for itself")?;
                held(last.term == now.term, "a leader's log ends in its own term")?;
                held(
                    leadership.followers.values().all(|follower| {
                        follower.matched < follower.next && follower.next <= last.index + 1
                    }),
                    "what a follower matches comes before what it gets next",
                )?;
                let reads = &leadership.reads;
                held(reads.confirmed <= reads.started, "only rounds that started are confirmed")
            }
        }
    }
}
