//! What goes wrong.

use super::agenda::Happening;
use super::world::World;
use super::{Action, MS, Time, Victim, Way, place};
use crate::raft::{Event, NodeId, Timer};

impl World {
    pub(super) fn act(&mut self, action: Action) {
        self.note(|| format!("{action}"));
        match action {
            Action::Crash { victim, down } => {
                self.of(victim).into_iter().for_each(|id| self.crash(id, down));
            }
            Action::PowerCut { down } => {
                for id in 1..=self.nodes.len() as NodeId {
                    let later = self.disks.below(100 * MS);
                    self.crash(id, down + later);
                }
            }
            Action::CrashWinner { down } => self.traps.winner = Some(down),
            Action::CrashElectors { down } => self.traps.electors = Some(down),
            Action::CrashCommitter { down } => self.traps.committer = Some(down),
            Action::CrashVoter { down, candidates } => self.traps.voter = Some((down, candidates)),
            Action::Duel { down, waits } => {
                if let Some(leader) = self.of(Victim::Leader) {
                    self.duel(leader, down, waits);
                }
            }
            Action::Fork { follower, time, hold } => {
                if let Some(leader) = self.of(Victim::Leader) {
                    self.fork(leader, follower, time, hold);
                }
            }
            Action::Change(want) => self.ask_for(want),
            Action::Transfer { to } => self.ask_to_lead(to),
            Action::TakeSnapshot { victim } => {
                let awake = |id: &NodeId| self.nodes[place(*id)].awake();
                self.of(victim).filter(awake).into_iter().for_each(|id| self.take_snapshot(id));
            }
            Action::FailSync { victim, down } => {
                if let Some(id) = self.of(victim) {
                    self.nodes[place(id)].failing = Some(down);
                }
            }
            Action::Slow { victim, by, time } => {
                if let Some(id) = self.of(victim) {
                    self.nodes[place(id)].slowed = (by, self.now + time);
                }
            }
            Action::Pause { victim, time } => {
                self.of(victim).into_iter().for_each(|id| self.pause(id, time));
            }
            Action::Isolate { victim, way, time } => {
                if let Some(id) = self.of(victim) {
                    self.cut(way, time, |node| node == id);
                }
            }
            Action::Split { side, way, time } => {
                self.cut(way, time, |node| side >> (node - 1) & 1 == 1);
            }
            Action::Heal => self.network.heal(),
            Action::SetWall { victim, by } => {
                if let Some(id) = self.of(victim) {
                    self.nodes[place(id)].wall_off += by;
                }
            }
            Action::Stall { victim, time } => {
                if let Some(id) = self.of(victim) {
                    self.nodes[place(id)].stalled_until = self.now + time;
                }
            }
        }
    }

    /// Whom somebody means, if there is such a node.
    pub(super) fn of(&self, victim: Victim) -> Option<NodeId> {
        match victim {
            Victim::Node(id) => Some(id),
            Victim::Leader => {
                let leads = |id: &NodeId| self.nodes[place(*id)].leads();
                let all = 1..=self.nodes.len() as NodeId;
                all.filter(|id| leads(id).is_some()).max_by_key(leads)
            }
            Victim::Former => self.traps.fork.map(|(leader, _)| leader),
        }
    }

    pub(super) fn cut(&mut self, way: Way, time: Time, inside: impl Fn(NodeId) -> bool) {
        self.oracle.facts.cuts += 1;
        self.network.cut(self.nodes.len() as u64, inside, way, self.now.saturating_add(time));
    }

    /// A node stops at once. Some of what it had not synced happens to have reached the disk.
    pub(super) fn crash(&mut self, id: NodeId, down: Time) {
        let node = &self.nodes[place(id)];
        if node.raft.is_none() {
            return;
        }
        let (at_risk, newest) = (node.disk.at_risk() as u64, node.disk.newest().unwrap_or(0));
        let kept = self.disks.below(at_risk + 1);
        // Tickets are consecutive, so the newest says which the last kept one is.
        self.sync_up_to(id, (newest + kept).saturating_sub(at_risk));
        self.nodes[place(id)].stop();
        self.oracle.crashed(id);
        self.oracle.facts.batches_lost += at_risk - kept;
        self.note(|| format!("n{id} crashes, {} batches are lost", at_risk - kept));
        self.agenda.add(self.now.saturating_add(down), Happening::Start(id));
    }

    fn pause(&mut self, id: NodeId, time: Time) {
        let until = self.now + time;
        let node = &mut self.nodes[place(id)];
        if node.raft.is_none() || node.held.is_some() {
            return;
        }
        node.held = Some(Vec::new());
        node.pause += 1;
        self.oracle.facts.pauses += 1;
        self.agenda.add(until, Happening::Resume { node: id, pause: node.pause });
    }

    /// A paused node goes on: as a real one it looks at its timers first and then at what has arrived.
    pub(super) fn resume(&mut self, id: NodeId, pause: u64) {
        let node = &mut self.nodes[place(id)];
        let Some(held) = node.held.take_if(|_| node.pause == pause) else { return };
        self.note(|| format!("n{id} goes on"));
        for timer in [Timer::Contact, Timer::Election, Timer::Heartbeat] {
            let now = self.now;
            let ticking = self.nodes[place(id)].timer(timer);
            if ticking.deadline.is_some_and(|deadline| deadline <= now) {
                ticking.deadline = None;
                self.event(id, Event::Timeout(timer));
            }
        }
        held.into_iter().for_each(|happening| self.happen(happening));
    }
}
