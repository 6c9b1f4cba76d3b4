//! Traps: what befalls a node not at a time but when the cluster does something.
//!
//! Some mistakes show only when rare things come in a row: a voter that crashes between two candidates of its
//! term, a leader that is elected again while an answer from its first term is still on its way. Luck alone does
//! not find those. A trap makes the rare thing happen whenever its occasion comes, and every part of it is
//! something that real networks and machines do: crash, lose, delay.

use super::agenda::Happening;
use super::world::World;
use super::{MS, SECOND, Time, Way, place};
use crate::raft::{Body, Message, NodeId, Timer};

/// How long answers are held back at most.
const HELD: Time = 5 * SECOND;
/// A leader's shortest silence after which others ask for votes, by the slowest clock.
const SILENCE: Time = 330 * MS;

/// The traps that are set.
#[derive(Clone, Debug, Default)]
pub(super) struct Traps {
    /// The next leader crashes for so long; or at its first commit; or those who voted for it do.
    pub(super) winner: Option<Time>,
    pub(super) committer: Option<Time>,
    pub(super) electors: Option<Time>,
    /// The next voter crashes for so long; also a candidate, if the second says so.
    pub(super) voter: Option<(Time, bool)>,
    /// Who led, and who followed, when a leader was last cut off with one follower.
    pub(super) fork: Option<(NodeId, NodeId)>,
    held: Option<Held>,
}

/// Answers that are held back.
#[derive(Clone, Debug)]
struct Held {
    to: NodeId,
    /// Acknowledgements of this follower; votes of all if there is none.
    from: Option<NodeId>,
    until: Time,
    messages: Vec<Message>,
}

impl World {
    /// The leader crashes, and all others lose patience at once.
    pub(super) fn duel(&mut self, leader: NodeId, down: Time, waits: Option<NodeId>) {
        self.crash(leader, down);
        if let Some(to) = waits {
            self.hold_back(to, None);
        }
        for id in 1..=self.nodes.len() as NodeId {
            let soon = self.now + SILENCE + self.recipes.below(4 * MS);
            let node = &mut self.nodes[place(id)];
            if node.awake() && node.leads().is_none() {
                self.set_deadline(id, Timer::Election, soon);
            }
        }
    }

    /// A leader and one follower are cut off from the others.
    pub(super) fn fork(&mut self, leader: NodeId, after: u64, time: Time, hold: bool) {
        let count = self.nodes.len() as u64;
        let follower = 1 + (leader - 1 + 1 + after % (count - 1).max(1)) % count;
        self.traps.fork = Some((leader, follower));
        if hold {
            self.hold_back(leader, Some(follower));
        }
        self.cut(Way::Both, time, |id| id == leader || id == follower);
    }

    fn hold_back(&mut self, to: NodeId, from: Option<NodeId>) {
        self.release();
        let until = self.now + HELD;
        self.traps.held = Some(Held { to, from, until, messages: Vec::new() });
    }

    /// Keeps an answer that is to come late; returns any other message.
    pub(super) fn keep_back(&mut self, message: Message) -> Option<Message> {
        let Some(held) = &mut self.traps.held else { return Some(message) };
        let kind = match (&message.body, held.from) {
            (Body::AppendAccepted { .. }, Some(from)) => message.from == from,
            (Body::VoteAnswer { granted: true }, None) => true,
            _ => false,
        };
        if held.until > self.now && kind && message.to == held.to {
            held.messages.push(message);
            return None;
        }
        Some(message)
    }

    /// What was held back arrives: at a node that campaigns or leads again, or because time is over.
    fn release(&mut self) {
        let Some(held) = self.traps.held.take() else { return };
        for message in held.messages {
            let delay = self.recipes.between(MS / 10, MS);
            self.agenda.add(self.now + delay, Happening::Deliver(message));
        }
    }

    /// A node begins to campaign or to lead in `term`: the occasion for what it was not to hear before.
    pub(super) fn stands(&mut self, id: NodeId, term: u64, leads: bool) {
        let Some(held) = &self.traps.held else { return };
        let again = held.messages.iter().any(|message| message.term < term);
        if held.to != id || leads != held.from.is_some() || !again {
            return;
        }
        if let Some(follower) = held.from {
            self.cut(Way::Both, 200 * MS, |node| node == follower);
        }
        self.release();
    }

    /// A node has become leader. Returns for how long it goes down, if it crashes.
    pub(super) fn wins(&mut self, id: NodeId, term: u64) -> Option<Time> {
        if let Some(down) = self.traps.electors.take() {
            for voter in 1..=self.nodes.len() as NodeId {
                let voted = self.nodes[place(voter)].disk.hard_state;
                if voter != id && voted.term == term && voted.vote == Some(id) {
                    let later = self.recipes.below(20 * MS);
                    self.crash(voter, down + later);
                }
            }
        }
        self.traps.winner.take()
    }

    /// A leader commits for the first time in its term. Returns for how long it goes down, if it crashes.
    pub(super) fn commits_first(&mut self, id: NodeId) -> Option<Time> {
        let node = &mut self.nodes[place(id)];
        let first = std::mem::take(&mut node.fresh);
        if first { self.traps.committer.take() } else { None }
    }

    /// A message leaves. Returns for how long its sender goes down, if it crashes.
    pub(super) fn votes(&mut self, body: &Body) -> Option<Time> {
        let (_, candidates) = self.traps.voter?;
        let votes = match body {
            Body::VoteAnswer { granted } => *granted,
            Body::Vote { .. } => candidates,
            _ => false,
        };
        if votes { self.traps.voter.take().map(|(down, _)| down) } else { None }
    }

    /// No trap is set any more.
    pub(super) fn disarm(&mut self) {
        self.release();
        self.traps = Traps::default();
    }
}
