//! What goes wrong, and what the healthy owe when no more does.

use super::agenda::Happening;
use super::random::{Purpose, Random};
use super::world::World;
use super::{Action, MS, Promise, SECOND, Time, Victim, Way, place};
use crate::raft::{Event, NodeId, Timer};

/// How long it may take until those that lag have caught up, at the pace that the limits of the episode allow.
const DRAIN: Time = 60 * SECOND;
/// A change must be acknowledged every so often.
const PATIENCE: Time = 2 * SECOND;

impl World {
    pub(super) fn act(&mut self, action: Action) {
        self.note(|| format!("{action}"));
        match action {
            Action::Crash { victim, down } => {
                self.of(victim).into_iter().for_each(|id| self.crash(id, down));
            }
            Action::PowerCut { down } => {
                for id in 1..=self.plan.nodes {
                    let later = self.disks.below(100 * MS);
                    self.crash(id, down + later);
                }
            }
            Action::CrashWinner { down } => self.hunted = Some(down),
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

    fn of(&self, victim: Victim) -> Option<NodeId> {
        match victim {
            Victim::Node(id) => Some(id),
            Victim::Leader => {
                let leads = |id: &NodeId| self.nodes[place(*id)].leads();
                (1..=self.plan.nodes).filter(|id| leads(id).is_some()).max_by_key(leads)
            }
        }
    }

    fn cut(&mut self, way: Way, time: Time, inside: impl Fn(NodeId) -> bool) {
        self.oracle.facts.cuts += 1;
        self.network.cut(self.plan.nodes, inside, way, self.now.saturating_add(time));
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

    /// The end of the safety phase: everything heals, but for a minority that stays broken.
    pub(super) fn calm_down(&mut self) {
        self.note(|| "everything heals".to_owned());
        self.hunted = None;
        self.network.heal();
        self.network.calm = true;
        for id in 1..=self.plan.nodes {
            let node = &mut self.nodes[place(id)];
            node.stalled_until = 0;
            let pause = node.pause;
            self.resume(id, pause);
            self.agenda.add(self.now, Happening::Start(id));
        }
        let random = &mut Random::new(self.plan.seed, self.plan.episode, Purpose::Breakage);
        let mut whole: Vec<NodeId> = (1..=self.plan.nodes).collect();
        for _ in 0..self.mix.broken {
            let id = whole.remove(random.below(whole.len() as u64) as usize);
            self.break_down(id, random.below(5));
        }
    }

    fn break_down(&mut self, id: NodeId, how: u64) {
        let cut = |way| (way, format!("n{id} is cut off {way}"));
        let (way, text) = match how {
            0 => {
                self.crash(id, 0);
                self.nodes[place(id)].broken = true;
                self.broken.push(format!("n{id} is dead"));
                return;
            }
            1 => {
                self.nodes[place(id)].broken = true;
                self.nodes[place(id)].stalled_until = Time::MAX;
                self.broken.push(format!("the disk of n{id} has stopped"));
                return;
            }
            2 => cut(Way::Both),
            3 => cut(Way::Out),
            _ => cut(Way::In),
        };
        self.cut(way, Time::MAX, |node| node == id);
        self.nodes[place(id)].broken = true;
        self.broken.push(text);
    }

    /// What the healthy must get done now: changes all the time, one leader, and equal logs in the end.
    pub(super) fn liveness_phase(&mut self) {
        let (calm, end) = (self.now, self.plan.length);
        let phase = end.saturating_sub(calm);
        self.until(calm + phase / 2);
        let settled = self.oracle.facts.terms_led;
        while self.now < end && self.oracle.violation.is_none() {
            self.until((self.now + SECOND).min(end));
            let (last, now) = (self.clients.last_change, self.now);
            self.promise_progress(now.saturating_sub(last) <= PATIENCE, || {
                format!("no change was acknowledged since {} s", last / SECOND)
            });
        }
        let changes = self.oracle.facts.terms_led - settled;
        self.promise_progress(changes == 0, || format!("{changes} changes of leader in the calm"));
        self.clients.stopped = true;
        while self.lagging().is_some() && self.now < end + DRAIN && self.oracle.violation.is_none()
        {
            self.until(self.now + SECOND / 2);
        }
        let lagging = self.lagging();
        self.promise_progress(lagging.is_none(), || lagging.unwrap_or_default());
    }

    fn promise_progress(&mut self, holds: bool, text: impl FnOnce() -> String) {
        self.oracle.now = self.now;
        self.oracle.expect(holds, Promise::Progress, text);
    }

    /// Who of the healthy has not committed what others have.
    fn lagging(&self) -> Option<String> {
        let committed = self.oracle.committed();
        (1..=self.plan.nodes).find_map(|id| {
            let node = &self.nodes[place(id)];
            let has = node.raft.as_ref().map_or(0, crate::raft::Raft::commit);
            (!node.broken && has != committed)
                .then(|| format!("n{id} has committed {has} of {committed} at the end"))
        })
    }
}
