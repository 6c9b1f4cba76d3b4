//! Equal behaviour, equal value: for whoever compares nodes, as a model checker does.
//!
//! Two nodes may differ in what no event can ever tell: the numbers of their tickets, which are names; and in
//! what only decides *when* something is tried: for how many beats a follower has said nothing, whether the leader
//! was heard lately. A checker that lets every timer fire at any moment has all orders of events anyway, so it
//! may take the second kind as if nothing had been counted yet: some timing of a real run leads there. With the
//! first kind nothing is lost at all.

use super::node::{Raft, Standing};
use super::progress::Progress;

impl Raft {
    /// Makes this node the one that stands for all that may do the same, if any timer may fire at any time.
    /// Returns how much smaller its tickets are now: those of batches under way are to be made so too.
    pub fn normal_form(&mut self) -> u64 {
        self.contact = false;
        self.owed_at_last_timeout = None;
        self.owed_at_last_beat = (None, 0);
        match &mut self.standing {
            // It will know its leader when it hears from it; without contact it waits for nobody.
            Standing::Follower => self.leader = None,
            Standing::Leader(leadership) => {
                leadership.followers.values_mut().for_each(Progress::forget_time);
            }
            Standing::PreCandidate(_) | Standing::Candidate(_) => {}
        }
        self.gate.rebase()
    }
}
