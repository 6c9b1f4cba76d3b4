//! Handing leadership over (thesis §3.10): for maintenance, or before a leader is shut down.
//!
//! Without it a leader that stops costs its cluster an election timeout. With it the leader takes no
//! more proposals, brings the chosen follower's log up to its own, and tells it to campaign at once
//! ([`Body::TimeoutNow`]). That follower asks for no pre-votes, and its requests for votes are *forced*:
//! who is content with the present leader votes all the same, because the leader itself asked for it.
//! The election is otherwise like any other, so nothing about safety changes; a target that had not
//! caught up would only lose it.
//!
//! The target may be dead, or the message lost. A leader that still leads when its election timer fires
//! next gives the transfer up and takes proposals again. The target may campaign even later than that:
//! then this leader is deposed by an ordinary higher term.
//!
//! A transfer has *moved* leadership once this node hears another leader. Between the higher term that
//! ends its own leadership and that moment it waits in `handed_over`.

use super::event::{Effect, Rejection, Timer};
use super::message::{Body, NodeId};
use super::node::{Raft, Standing};

/// A transfer that is under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Transfer {
    tag: u64,
    to: NodeId,
    /// Whether the target was told to campaign.
    told: bool,
}

/// The leader's side.
impl Raft {
    /// An operator wants `to`, or whoever is furthest, to lead.
    pub(super) fn transfer(&mut self, tag: u64, to: Option<NodeId>, effects: &mut Vec<Effect>) {
        match self.transfer_target(to) {
            Ok(to) => {
                let Standing::Leader(leadership) = &mut self.standing else { return };
                leadership.transfer = Some(Transfer { tag, to, told: false });
                // A whole election timeout from here; check-quorum waits with it, once.
                effects.push(Effect::SetTimer(Timer::Election));
                self.advance_transfer(effects);
            }
            Err(reason) => effects.push(Effect::Rejected { tag, reason }),
        }
    }

    fn transfer_target(&self, to: Option<NodeId>) -> Result<NodeId, Rejection> {
        let Standing::Leader(leadership) = &self.standing else {
            return Err(Rejection::NotLeader { leader: self.leader });
        };
        if leadership.transfer.is_some() {
            return Err(Rejection::Transferring);
        }
        let voters = &self.configuration().voters;
        match to {
            Some(to) if to == self.config.id => Err(Rejection::Invalid("this node leads already")),
            Some(to) if voters.contains(&to) => Ok(to),
            Some(_) => Err(Rejection::Invalid("the target is no voter")),
            None => {
                let candidates =
                    leadership.followers.iter().filter(|(peer, _)| voters.contains(peer));
                let furthest = candidates.max_by_key(|(_, f)| (f.answered, f.matched));
                let furthest = furthest.map(|(peer, _)| *peer);
                furthest.ok_or(Rejection::Invalid("there is no other voter"))
            }
        }
    }

    /// Tells the target to campaign, once its log is as long as this leader's.
    pub(super) fn advance_transfer(&mut self, effects: &mut Vec<Effect>) {
        let (id, term, last) = (self.config.id, self.hard_state.term, self.log.last().index);
        let Standing::Leader(leadership) = &mut self.standing else { return };
        let Some(transfer) = &mut leadership.transfer else { return };
        let matched = leadership.followers.get(&transfer.to).map(|follower| follower.matched);
        if !transfer.told && matched == Some(last) {
            transfer.told = true;
            let (to, body) = (transfer.to, Body::TimeoutNow);
            effects.push(Effect::Send(super::Message { from: id, to, term, body }));
            self.end_lease();
        }
    }

    /// The election timer fired and this node still leads: takes proposals again.
    pub(super) fn give_up_transfer(&mut self, effects: &mut Vec<Effect>) {
        let Standing::Leader(leadership) = &mut self.standing else { return };
        if let Some(Transfer { tag, .. }) = leadership.transfer.take() {
            effects.push(Effect::TransferEnded { tag, moved: false });
        }
    }

    /// This node stops leading; `rises` if a higher term is the reason.
    pub(super) fn leave_transfer(
        &mut self,
        transfer: Option<Transfer>,
        rises: bool,
        effects: &mut Vec<Effect>,
    ) {
        match transfer {
            Some(Transfer { tag, told: true, .. }) if rises => self.handed_over = Some(tag),
            Some(Transfer { tag, .. }) => {
                effects.push(Effect::TransferEnded { tag, moved: false });
            }
            None => {}
        }
    }

    /// A leader is known again: another node, if `moved`.
    pub(super) fn end_transfer(&mut self, moved: bool, effects: &mut Vec<Effect>) {
        if let Some(tag) = self.handed_over.take() {
            effects.push(Effect::TransferEnded { tag, moved });
        }
    }
}

/// The target's side.
impl Raft {
    /// The leader of this term wants this node to lead. Who is no voter must not, and a candidate
    /// already does what it can.
    pub(super) fn timeout_now(&mut self, effects: &mut Vec<Effect>) {
        let waits = matches!(self.standing, Standing::Follower | Standing::PreCandidate(_));
        if waits && self.membership.may_campaign(self.config.id) {
            self.leader = None;
            self.contact = false;
            self.campaign(true, effects);
        }
    }
}
