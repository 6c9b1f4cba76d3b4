//! The operator: asks the leader for other members, or to hand its leadership over.
//!
//! What is asked for is decided when it is asked, from the configuration that the leader has then, so that it
//! usually makes sense. It is asked once. The leader may refuse: a change is under way, a learner is far behind.

use super::actions::{Victim, Want};
use super::place;
use super::world::World;
use crate::raft::{Change, Configuration, Event, NodeId};
use std::collections::BTreeSet;

/// With fewer voters than this nobody is expelled.
const FEWEST: usize = 3;

impl World {
    /// Asks for a change of the members.
    pub(super) fn ask_for(&mut self, want: Want) {
        let Some(leader) = self.of(Victim::Leader).filter(|id| self.nodes[place(*id)].awake())
        else {
            return;
        };
        let core = self.nodes[place(leader)].raft.as_ref();
        let Some(change) = core.and_then(|core| self.change(core.configuration(), want)) else {
            return;
        };
        self.note(|| format!("n{leader} is asked for {change:?}"));
        let tag = self.tag();
        self.event(leader, Event::Change { tag, change });
    }

    fn change(&self, now: &Configuration, want: Want) -> Option<Change> {
        let add = |id: NodeId| Change::AddLearner { id, address: format!("n{id}").into() };
        match want {
            Want::Enroll => {
                let outside = || (1..=self.nodes.len() as NodeId).find(|id| !now.contains(*id));
                let promote = now.learners.first().map(|id| Change::Promote { id: *id });
                promote.or_else(|| outside().map(add))
            }
            Want::Expel(victim) => {
                let id = self.of(victim).filter(|id| now.contains(*id))?;
                let stays = now.learners.contains(&id) || now.voters.len() >= FEWEST;
                stays.then_some(Change::Remove { id })
            }
            Want::Voters(bits) => {
                let chosen = |id: &NodeId| bits >> (id - 1) & 1 == 1;
                let voters: BTreeSet<NodeId> = now.members().into_iter().filter(chosen).collect();
                (!voters.is_empty()).then_some(Change::Voters(voters))
            }
            Want::Replace(victim) => {
                let gone = self.of(victim).filter(|id| now.voters.contains(id))?;
                if let Some(learner) = now.learners.first() {
                    let mut voters = now.voters.clone();
                    voters.remove(&gone);
                    voters.insert(*learner);
                    return Some(Change::Voters(voters));
                }
                let all = 1..=self.nodes.len() as NodeId;
                all.into_iter().find(|id| !now.contains(*id)).map(add)
            }
        }
    }

    /// Asks the leader to let another lead.
    pub(super) fn ask_to_lead(&mut self, to: Option<Victim>) {
        let to = match to {
            Some(victim) => match self.of(victim) {
                Some(id) => Some(id),
                None => return,
            },
            None => None,
        };
        let Some(leader) = self.of(Victim::Leader).filter(|id| self.nodes[place(*id)].awake())
        else {
            return;
        };
        let tag = self.tag();
        self.event(leader, Event::Transfer { tag, to });
    }
}
