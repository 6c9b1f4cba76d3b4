//! What the healthy owe when nothing more goes wrong.
//!
//! Some nodes are broken for good, as many as the cluster can do without: in every configuration that is in force
//! anywhere the others are a majority, of the old voters and of the new. Then changes are acknowledged all the
//! time, one node leads, a change of members that was under way comes to its end, and who is a member ends up
//! with all that was committed. Removed nodes run on and must disturb nobody.
//!
//! What is slow is not stuck: while somebody still learns of entries that are committed, or is given those that the
//! leader had when it was first seen to lead (none may be committed before a majority has the first of its own term),
//! all that is asked for is that this goes on. Both come to an end, because what is appended later is no excuse. Once
//! nobody learns anything, nothing is one any more, and changes must be committed.

use super::agenda::Happening;
use super::quorums::quorum;
use super::random::{Purpose, Random};
use super::world::World;
use super::{Promise, SECOND, Time, Victim, Way, place};
use crate::raft::{Configuration, Index, NodeId, Raft, Term};

/// How long all may stand still while something is unfinished or clients look for the leader, and until when nothing
/// may be unfinished: where one entry goes at a time to a slow disk that takes long.
const STILL: Time = 10 * SECOND;
const DRAIN: Time = 600 * SECOND;
/// A change must be acknowledged every so often.
const PATIENCE: Time = 2 * SECOND;

/// The log of the newest leader as it was when that one was first seen to lead.
#[derive(Clone, Copy, Default)]
struct Inherited {
    term: Term,
    last: Index,
}

impl World {
    /// The end of the safety phase: everything heals, but for the nodes that stay broken.
    pub(super) fn calm_down(&mut self) {
        self.note(|| "everything heals".to_owned());
        self.disarm();
        self.network.heal();
        self.network.calm = true;
        let all = 1..=self.nodes.len() as NodeId;
        for id in all.clone() {
            let node = &mut self.nodes[place(id)];
            (node.stalled_until, node.slowed, node.failing) = (0, (0, 0), None);
            let pause = node.pause;
            self.resume(id, pause);
            self.agenda.add(self.now, Happening::Start(id));
        }
        self.until(self.now);
        let random = &mut Random::new(self.plan.seed, self.plan.episode, Purpose::Breakage);
        let (mut whole, mut broken): (Vec<NodeId>, _) = (all.collect(), Vec::new());
        for _ in 0..self.mix.broken {
            let id = whole.remove(random.below(whole.len() as u64) as usize);
            let how = random.below(5);
            broken.push(id);
            if self.can_do_without(&broken) {
                self.break_down(id, how);
            } else {
                broken.pop();
            }
        }
    }

    /// Whether the other nodes are a quorum of each configuration that is in force somewhere.
    fn can_do_without(&self, broken: &[NodeId]) -> bool {
        let cores = self.nodes.iter().filter_map(|node| node.raft.as_ref());
        let everywhere = cores.map(Raft::configuration).chain([&*self.oracle.configuration]);
        let works = |configuration: &Configuration| {
            configuration.voters.is_empty() || quorum(configuration, |id| !broken.contains(&id))
        };
        everywhere.into_iter().all(works)
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
        let (settled, members) = (self.oracle.facts.terms_led, self.in_force().cloned());
        let mut inherited = Inherited::default();
        while self.now < end && self.oracle.violation.is_none() {
            let before = self.learned_by_the_healthy(&mut inherited);
            self.until((self.now + SECOND).min(end));
            let (last, now) = (self.clients.last_change, self.now);
            // Where one entry goes at a time to a slow disk, a quorum may first have much to catch up with.
            let catches_up = self.learned_by_the_healthy(&mut inherited) > before;
            self.promise_progress(now.saturating_sub(last) <= PATIENCE || catches_up, || {
                format!("no change was acknowledged since {} s", last / SECOND)
            });
        }
        let changes = self.oracle.facts.terms_led - settled;
        // A change of members that is late may take its leader out.
        let stays = changes == 0 || self.in_force() != members.as_ref();
        self.promise_progress(stays, || format!("{changes} changes of leader in the calm"));
        self.come_to_rest(end);
        self.begin_again();
    }

    /// Without new operations all that was begun comes to its end, however slow it is, as long as it moves.
    fn come_to_rest(&mut self, end: Time) {
        self.clients.stopped = true;
        let mut inherited = Inherited::default();
        let (mut known, mut since) = (self.learned_by_the_healthy(&mut inherited), end);
        let going = |world: &World| world.oracle.violation.is_none();
        while self.unfinished().is_some()
            && going(self)
            && self.now < (since + STILL).min(end + DRAIN)
        {
            self.until(self.now + SECOND / 2);
            let knows = self.learned_by_the_healthy(&mut inherited);
            if knows > known {
                (known, since) = (knows, self.now);
            }
        }
        let unfinished = self.unfinished();
        self.promise_progress(unfinished.is_none(), || unfinished.unwrap_or_default());
    }

    /// Now that nobody has anything to catch up with, changes are committed as soon as their clients have found the
    /// leader. Where disks are slow these may be told too late: their retries alone can keep a log busy.
    fn begin_again(&mut self) {
        let (begun, known) = (self.now, self.committed_by_the_healthy());
        self.clients.begin_again(begun, &mut self.agenda);
        self.until(begun + STILL);
        let commits = self.committed_by_the_healthy() > known;
        self.promise_progress(commits, || "nobody lags, but nothing is committed".to_owned());
    }

    fn promise_progress(&mut self, holds: bool, text: impl FnOnce() -> String) {
        self.oracle.now = self.now;
        self.oracle.expect(holds, Promise::Progress, text);
    }

    /// The leader's configuration.
    fn in_force(&self) -> Option<&Configuration> {
        let leader = self.of(Victim::Leader)?;
        self.nodes[place(leader)].raft.as_ref().map(Raft::configuration)
    }

    /// The sum of what the healthy know to be committed.
    fn committed_by_the_healthy(&self) -> u64 {
        let healthy = self.nodes.iter().filter(|node| !node.broken);
        healthy.filter_map(|node| node.raft.as_ref()).map(Raft::commit).sum()
    }

    /// The same, and the sum of what the healthy hold of what the leader had when it was first seen to lead. A new
    /// leader may have less than the one before it, which is nothing that was learned.
    fn learned_by_the_healthy(&self, inherited: &mut Inherited) -> u64 {
        if let Some(raft) =
            self.of(Victim::Leader).and_then(|id| self.nodes[place(id)].raft.as_ref())
            && raft.term() > inherited.term
        {
            *inherited = Inherited { term: raft.term(), last: raft.last().index };
        }
        let healthy = self.nodes.iter().filter(|node| !node.broken);
        let logs = healthy.filter_map(|node| node.raft.as_ref()).map(|raft| raft.last().index);
        self.committed_by_the_healthy() + logs.map(|last| last.min(inherited.last)).sum::<u64>()
    }

    /// What has not come to its end: nobody leads, the members are between two sets of voters, or one of them that
    /// is healthy has not committed what others have.
    fn unfinished(&self) -> Option<String> {
        let Some(configuration) = self.in_force() else { return Some("nobody leads".to_owned()) };
        if configuration.is_joint() {
            return Some("a change of members has not come to its end".to_owned());
        }
        let committed = self.oracle.committed();
        configuration.members().into_iter().find_map(|id| {
            let node = &self.nodes[place(id)];
            let has = node.raft.as_ref().map_or(0, Raft::commit);
            (!node.broken && has != committed)
                .then(|| format!("n{id} has committed {has} of {committed} at the end"))
        })
    }
}
