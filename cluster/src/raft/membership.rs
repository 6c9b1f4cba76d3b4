//! Changing who is in the cluster (§6).
//!
//! A configuration is an entry of the log, and a node uses the newest one in its log from the moment it
//! is *appended*, committed or not; if that entry is truncated, the one before is in force again. Two
//! things keep two majorities from deciding different things meanwhile:
//!
//! * A change of voters goes through a *joint* configuration, in which the old and the new voters must
//!   both agree (see `quorum`). When it is committed, whoever leads then, be it the leader that
//!   proposed it or a later one, appends the final configuration. Nobody has to ask.
//! * One change at a time, and none before the leader has committed an entry of its own term. Without
//!   the second rule an earlier leader's change, which this leader has never seen, may come back (the
//!   bug that Ongaro reported on raft-dev in 2015; there it was found in changes without a joint
//!   phase, and the rule is as cheap here as there).
//!
//! A new node starts as a *learner*: it receives the log and counts for nothing, so that a cluster never
//! waits for a node that has nothing yet. It is promoted only when it has nearly caught up.
//!
//! A leader that removes itself leads until the final configuration is committed, without counting
//! itself; then it names a successor and follows. A removed node hears of its removal if it lives: the
//! leader keeps sending to it until the final configuration is committed. One that did not hear goes on
//! asking for pre-votes, which nodes that hear a leader refuse, so it disturbs nobody. It must go on
//! asking: until the final configuration is committed its log may be the one that is needed.

use super::config::Config;
use super::event::{Effect, Rejection, Snapshot};
use super::message::{Body, Entry, Index, NodeId, Payload};
use super::node::{Raft, Standing};
use super::progress::Progress;
use super::quorum::{Change, Configuration, Quorum};
use crate::bug::{Bug, Bugs, Mark};
use std::sync::Arc;

/// The configurations of the log, and what the one in force means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Membership {
    /// With the index of its entry, ascending. The first is what was in force before the log began, or
    /// one that is committed; the last is in force.
    stack: Vec<(Index, Arc<Configuration>)>,
    pub(super) quorum: Quorum,
    bugs: Bugs,
}

impl Membership {
    /// The configuration before the log has said anything.
    pub(super) fn new(first: Configuration, bugs: Bugs) -> Membership {
        let quorum = Quorum::of(&first, bugs);
        Membership { stack: vec![(0, Arc::new(first))], quorum, bugs }
    }

    /// The configuration that a snapshot holds.
    pub(super) fn as_of(snapshot: &Snapshot, bugs: Bugs) -> Membership {
        let configuration = Arc::clone(&snapshot.configuration);
        let quorum = Quorum::of(&configuration, bugs);
        Membership { stack: vec![(snapshot.last.index, configuration)], quorum, bugs }
    }

    /// What a node finds on its disk: the snapshot's, and those in the log after it.
    pub(super) fn recovered(
        config: &Config,
        snapshot: Option<&Snapshot>,
        log: &[Entry],
    ) -> Membership {
        let mut membership = match snapshot {
            Some(snapshot) => Membership::as_of(snapshot, config.bugs),
            None => Membership::new(config.configuration.clone(), config.bugs),
        };
        let (known, _) = membership.newest();
        for entry in log.iter().filter(|entry| entry.index > known) {
            if let Payload::Configuration(configuration) = &entry.payload {
                membership.appended(entry.index, configuration);
            }
        }
        membership
    }

    /// The configuration of the log up to `index`, which is applied here or was committed since.
    pub(super) fn at(&self, index: Index) -> &Arc<Configuration> {
        let after = self.stack.partition_point(|(at, _)| *at <= index);
        &self.stack[after.saturating_sub(1)].1
    }

    /// The configuration in force, and the index of its entry.
    pub(super) fn newest(&self) -> (Index, &Arc<Configuration>) {
        let (index, configuration) = self.stack.last().expect("the first one is never taken away");
        (*index, configuration)
    }

    /// Whether this node may ask for votes: it is a voter in the configuration in force, or in an earlier
    /// one as long as that in force is not known to be committed. A leader that has removed itself may
    /// have the only log with that entry, and then the others cannot do without it (thesis §4.2.2). Its
    /// own vote does not count all the same.
    pub(super) fn may_campaign(&self, id: NodeId) -> bool {
        self.stack.iter().any(|(_, configuration)| configuration.is_voter(id))
    }

    /// An entry was appended.
    pub(super) fn appended(&mut self, index: Index, configuration: &Arc<Configuration>) {
        self.stack.push((index, Arc::clone(configuration)));
        self.quorum = Quorum::of(configuration, self.bugs);
    }

    /// Entries from `from` on are gone. Returns whether another configuration is in force now.
    pub(super) fn truncated(&mut self, from: Index) -> bool {
        let before = self.stack.len();
        let kept = self.stack.partition_point(|(index, _)| *index < from).max(1);
        self.stack.truncate(kept);
        self.quorum = Quorum::of(&Arc::clone(self.newest().1), self.bugs);
        kept < before
    }

    /// What is applied cannot be truncated, and no snapshot will hold less: older configurations are forgotten.
    pub(super) fn applied(&mut self, applied: Index) {
        let older = self.stack.partition_point(|(index, _)| *index <= applied).saturating_sub(1);
        self.stack.drain(..older);
    }
}

impl Raft {
    /// An operator wants another configuration.
    pub(super) fn change(&mut self, tag: u64, change: &Change, effects: &mut Vec<Effect>) {
        match self.next_configuration(change, effects) {
            Ok(next) => {
                let index = self.append_configuration(next, effects);
                let Standing::Leader(leadership) = &mut self.standing else { return };
                leadership.change = Some((tag, index));
                self.replicate_to_all(effects);
            }
            Err(reason) => effects.push(Effect::Rejected { tag, reason }),
        }
    }

    fn next_configuration(
        &self,
        change: &Change,
        effects: &mut Vec<Effect>,
    ) -> Result<Configuration, Rejection> {
        let Standing::Leader(leadership) = &self.standing else {
            return Err(Rejection::NotLeader { leader: self.leader });
        };
        if leadership.transfer.is_some() {
            return Err(Rejection::Transferring);
        }
        let (index, current) = self.membership.newest();
        let hasty = self.config.bugs.has(Bug::SingleChangeNoCommit);
        if hasty {
            effects.push(Effect::Mark(Bug::SingleChangeNoCommit, Mark::Reached));
            if self.commit < leadership.first {
                effects.push(Effect::Mark(Bug::SingleChangeNoCommit, Mark::Triggered));
            }
        }
        let own_term = self.commit >= leadership.first || hasty;
        if index > self.commit || current.is_joint() || !own_term {
            return Err(Rejection::ChangePending);
        }
        let next = current.after(change).map_err(Rejection::Invalid)?;
        let near = self.log.last().index.saturating_sub(self.config.limits.catch_up_entries);
        let behind = |id: &NodeId| {
            let follower = leadership.followers.get(id);
            follower.is_none_or(|follower| follower.matched < near || follower.matched == 0)
        };
        if next.voters.difference(&current.voters).any(behind) {
            return Err(Rejection::NotCaughtUp);
        }
        if hasty && next.is_joint() {
            effects.push(Effect::Mark(Bug::SingleChangeNoCommit, Mark::Triggered));
        }
        Ok(if hasty { next.left() } else { next })
    }

    /// Appends a configuration of this leader; it is in force at once.
    fn append_configuration(&mut self, next: Configuration, effects: &mut Vec<Effect>) -> Index {
        let next = Arc::new(next);
        let position = self.append_own(Payload::Configuration(Arc::clone(&next)));
        self.configuration_appended(position.index, &next, effects);
        position.index
    }

    /// A configuration was appended to the log, by this leader or from another.
    pub(super) fn configuration_appended(
        &mut self,
        index: Index,
        configuration: &Arc<Configuration>,
        effects: &mut Vec<Effect>,
    ) {
        self.membership.appended(index, configuration);
        self.configuration_in_force(effects);
    }

    /// Another configuration is in force: by an append, or by a truncation.
    pub(super) fn configuration_in_force(&mut self, effects: &mut Vec<Effect>) {
        let current = Arc::clone(self.membership.newest().1);
        let last = self.log.last().index;
        if let Standing::Leader(leadership) = &mut self.standing {
            // Who leaves is still sent to, until the final configuration is committed.
            for peer in current.members().into_iter().filter(|peer| *peer != self.config.id) {
                leadership.followers.entry(peer).or_insert_with(|| Progress::new(last));
            }
        }
        for bug in [Bug::JointNewOnly, Bug::LearnerCounts] {
            if self.config.bugs.has(bug) {
                effects.push(Effect::Mark(bug, Mark::Reached));
                if self.membership.quorum != Quorum::of(&current, Bugs::NONE) {
                    effects.push(Effect::Mark(bug, Mark::Triggered));
                }
            }
        }
        effects.push(Effect::Membership(current));
    }

    /// The commit index of this leader has grown: perhaps beyond the configuration in force.
    pub(super) fn configuration_committed(&mut self, effects: &mut Vec<Effect>) {
        let (index, current) = self.membership.newest();
        let (current, id, commit) = (Arc::clone(current), self.config.id, self.commit);
        let Standing::Leader(leadership) = &mut self.standing else { return };
        if index > commit {
            return;
        }
        if current.is_joint() {
            if self.config.bugs.has(Bug::JointStuck) {
                effects.push(Effect::Mark(Bug::JointStuck, Mark::Reached));
                if leadership.change.is_none() {
                    effects.push(Effect::Mark(Bug::JointStuck, Mark::Triggered));
                    return;
                }
            }
            self.append_configuration(current.left(), effects);
            self.replicate_to_all(effects);
            return;
        }
        if let Some((tag, _)) = leadership.change.take() {
            effects.push(Effect::ChangeDone { tag });
        }
        if leadership.followers.keys().any(|peer| !current.contains(*peer)) {
            self.send_heartbeats(effects);
        }
        let Standing::Leader(leadership) = &mut self.standing else { return };
        leadership.followers.retain(|peer, _| current.contains(*peer));
        if !current.voters.contains(&id) {
            self.step_aside(&current, effects);
        }
    }

    /// A leader that is no voter any more has nothing left to do but to name who might go on.
    fn step_aside(&mut self, current: &Configuration, effects: &mut Vec<Effect>) {
        self.send_heartbeats(effects);
        let Standing::Leader(leadership) = &self.standing else { return };
        let voters = leadership.followers.iter().filter(|(peer, _)| current.voters.contains(peer));
        if let Some((successor, _)) = voters.max_by_key(|(_, f)| (f.matched, f.answered)) {
            effects.push(self.send(*successor, Body::TimeoutNow));
        }
        self.follow(self.hard_state.term, None, effects);
    }

    fn replicate_to_all(&mut self, effects: &mut Vec<Effect>) {
        for peer in self.peers() {
            self.replicate(peer, effects);
        }
    }
}
