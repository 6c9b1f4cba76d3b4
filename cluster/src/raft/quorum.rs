//! Who is in the cluster, and how many are enough.
//!
//! A [`Configuration`] says who votes, who is being replaced, and who only listens. Everything that
//! counts heads goes through [`Quorum`], which is made from a configuration once, when it comes into
//! force. While a change of voters is under way (§6, *joint consensus*) there are two halves, the old
//! voters and the new, and nothing is decided without a majority of each: so no majority of the old
//! alone and none of the new alone can ever decide different things. Learners are in no half: they
//! receive the log, and nobody waits for them.

use super::message::NodeId;
use crate::bug::{Bug, Bugs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The members of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Configuration {
    /// The nodes whose votes and acknowledgements count.
    pub voters: BTreeSet<NodeId>,
    /// The voters that are being replaced, all of them; empty unless the configuration is joint (§6).
    pub outgoing: BTreeSet<NodeId>,
    /// The nodes that receive the log and do not count.
    pub learners: BTreeSet<NodeId>,
    /// Where members can be reached, as far as it was said; opaque here.
    pub addresses: BTreeMap<NodeId, Arc<str>>,
}

/// One step from one configuration to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// A new node receives the log.
    AddLearner {
        /// Who.
        id: NodeId,
        /// Where it can be reached; opaque here.
        address: Arc<str>,
    },
    /// A learner that has caught up becomes a voter.
    Promote {
        /// Who.
        id: NodeId,
    },
    /// A voter or learner leaves.
    Remove {
        /// Who.
        id: NodeId,
    },
    /// These members vote from now on; voters that are not among them leave.
    Voters(BTreeSet<NodeId>),
}

/// The state of a ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    /// A quorum said yes.
    Won,
    /// A quorum can no longer say yes.
    Lost,
    /// Open.
    Pending,
}

impl Configuration {
    /// A configuration of these voters.
    pub fn of(voters: impl IntoIterator<Item = NodeId>) -> Configuration {
        Configuration { voters: voters.into_iter().collect(), ..Configuration::default() }
    }

    /// Whether a change of voters is under way.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether this node votes, in either half.
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// Whether this node is a member.
    pub fn contains(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.learners.contains(&id)
    }

    /// Every member: voters, those on their way out, and learners.
    pub fn members(&self) -> BTreeSet<NodeId> {
        [&self.voters, &self.outgoing, &self.learners].into_iter().flatten().copied().collect()
    }

    /// What follows a joint configuration: only the new voters are left.
    pub(super) fn left(&self) -> Configuration {
        let mut left = Configuration { outgoing: BTreeSet::new(), ..self.clone() };
        let members = left.members();
        left.addresses.retain(|id, _| members.contains(id));
        left
    }

    /// The configuration that a change leads to, joint if voters change; or why it makes no sense.
    pub(super) fn after(&self, change: &Change) -> Result<Configuration, &'static str> {
        let mut next = self.clone();
        match change {
            Change::AddLearner { id: 0, .. } => return Err("a node's number must not be 0"),
            Change::AddLearner { id, .. } if self.contains(*id) => {
                return Err("the node is a member already");
            }
            Change::AddLearner { id, address } => {
                next.learners.insert(*id);
                next.addresses.insert(*id, Arc::clone(address));
                return Ok(next);
            }
            Change::Promote { id } if !self.learners.contains(id) => {
                return Err("only a learner can be promoted");
            }
            Change::Promote { id } => {
                next.voters.insert(*id);
            }
            Change::Remove { id } if self.learners.contains(id) => {
                next.learners.remove(id);
                next.addresses.remove(id);
                return Ok(next);
            }
            Change::Remove { id } if !self.voters.contains(id) => {
                return Err("the node is no member");
            }
            Change::Remove { id } => {
                next.voters.remove(id);
            }
            Change::Voters(voters) if voters.iter().any(|id| !self.contains(*id)) => {
                return Err("a new voter must be a learner first");
            }
            Change::Voters(voters) if *voters == self.voters => {
                return Err("these nodes are the voters already");
            }
            Change::Voters(voters) => next.voters.clone_from(voters),
        }
        if next.voters.is_empty() {
            return Err("the last voter cannot leave");
        }
        next.learners.retain(|id| !next.voters.contains(id));
        next.outgoing.clone_from(&self.voters);
        Ok(next)
    }
}

/// The majorities that decide under a configuration: of the voters, and while it is joint also of
/// the voters that are being replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Quorum {
    halves: Vec<Vec<NodeId>>,
}

impl Quorum {
    /// The majorities of a configuration. The bugs `joint-new-only` and `learner-counts` are here.
    pub(super) fn of(configuration: &Configuration, bugs: Bugs) -> Quorum {
        let mut voters = configuration.voters.clone();
        if bugs.has(Bug::LearnerCounts) {
            voters.extend(&configuration.learners);
        }
        let mut halves = vec![voters.into_iter().collect()];
        if configuration.is_joint() && !bugs.has(Bug::JointNewOnly) {
            halves.push(configuration.outgoing.iter().copied().collect());
        }
        Quorum { halves }
    }

    /// The size of the smallest majority of `half`. Any two majorities of one set share a node: the
    /// one fact that all of Raft's safety rests on.
    fn majority(half: &[NodeId]) -> usize {
        half.len() / 2 + 1
    }

    /// The highest value that a majority of each half has reached: with each voter's matching index,
    /// the index that a quorum holds. `spare` voters of each majority are done without, which is
    /// wrong unless it is 0.
    pub(super) fn reached(&self, spare: usize, value: impl Fn(NodeId) -> u64) -> u64 {
        let reached = self.halves.iter().map(|half| {
            let mut values: Vec<u64> = half.iter().map(|voter| value(*voter)).collect();
            values.sort_unstable_by(|left, right| right.cmp(left));
            let needed = Quorum::majority(half).saturating_sub(spare).max(1);
            values.get(needed - 1).copied().unwrap_or(0)
        });
        reached.min().unwrap_or(0)
    }

    /// Whether `yes` holds of a majority of each half.
    pub(super) fn holds(&self, yes: impl Fn(NodeId) -> bool) -> bool {
        self.halves
            .iter()
            .all(|half| half.iter().filter(|voter| yes(**voter)).count() >= Quorum::majority(half))
    }

    /// Counts a ballot.
    pub(super) fn tally(&self, votes: &BTreeMap<NodeId, bool>) -> Tally {
        let said = |voter: NodeId, wanted| votes.get(&voter).copied() == Some(wanted);
        if self.holds(|voter| said(voter, true)) {
            Tally::Won
        } else if self.holds(|voter| !said(voter, false)) {
            Tally::Pending
        } else {
            Tally::Lost
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quorum(configuration: &Configuration) -> Quorum {
        Quorum::of(configuration, Bugs::NONE)
    }

    #[test]
    fn a_quorum_has_reached_the_middle_value() {
        let five = quorum(&Configuration::of(1..=5));
        assert_eq!(five.reached(0, |voter| voter * 10), 30);
        assert_eq!(five.reached(1, |voter| voter * 10), 40);
        assert_eq!(quorum(&Configuration::of(1..=4)).reached(0, |voter| voter), 2);
        assert_eq!(quorum(&Configuration::of([])).reached(0, |voter| voter), 0);
    }

    #[test]
    fn a_ballot_is_won_or_lost_as_soon_as_it_must_be() {
        let four = quorum(&Configuration::of(1..=4));
        let tally = |votes: &[(NodeId, bool)]| four.tally(&votes.iter().copied().collect());
        assert_eq!(tally(&[(1, true), (2, true)]), Tally::Pending);
        assert_eq!(tally(&[(1, true), (2, true), (3, true)]), Tally::Won);
        assert_eq!(tally(&[(1, true), (2, false), (3, false)]), Tally::Lost);
        assert_eq!(
            tally(&[(1, true), (8, true), (9, true)]),
            Tally::Pending,
            "strangers do not count"
        );
    }

    /// The set of nodes 1 to 5 whose bits are set.
    fn set(bits: u64) -> BTreeSet<NodeId> {
        (1..=5).filter(|id| bits >> (id - 1) & 1 == 1).collect()
    }

    /// All sets of nodes 1 to 5 that are a quorum.
    fn quorums(quorum: &Quorum) -> Vec<u64> {
        (0..32).filter(|bits| quorum.holds(|id| set(*bits).contains(&id))).collect()
    }

    fn intersect(left: &Quorum, right: &Quorum) -> bool {
        let (left, right) = (quorums(left), quorums(right));
        left.iter().all(|left| right.iter().all(|right| left & right != 0))
    }

    /// Every pair of voter sets of up to five nodes: two quorums that can be in force at one time,
    /// or one after the other, share a node. A joint configuration without one half does not pass.
    #[test]
    fn quorums_before_during_and_after_any_change_share_a_node() {
        let mut apart = 0;
        for (old, new) in (1..32).flat_map(|old| (1..32).map(move |new| (old, new))) {
            let (old, new) = (set(old), set(new));
            let before = quorum(&Configuration::of(old.iter().copied()));
            let after = quorum(&Configuration::of(new.iter().copied()));
            let joint = Configuration {
                voters: new,
                outgoing: old,
                learners: set(0b10101),
                ..Configuration::default()
            };
            let during = quorum(&joint);
            assert!(intersect(&before, &before) && intersect(&during, &during), "{joint:?}");
            assert!(intersect(&before, &during) && intersect(&during, &after), "{joint:?}");
            assert_eq!(joint.left(), Configuration { outgoing: set(0), ..joint.clone() });
            apart +=
                usize::from(!intersect(&before, &Quorum::of(&joint, Bug::JointNewOnly.into())));
        }
        assert!(apart > 100, "without the old half {apart} changes could part the cluster");
    }

    /// What `reached`, `holds` and `tally` call a quorum is one thing.
    #[test]
    fn the_three_ways_to_count_agree() {
        for (old, new) in (0..32).flat_map(|old| (1..32).map(move |new| (old, new))) {
            let (voters, outgoing) = (set(new), set(old));
            let quorum = quorum(&Configuration { voters, outgoing, ..Configuration::default() });
            for bits in 0..32 {
                let yes = |id: NodeId| set(bits).contains(&id);
                let holds = quorum.holds(yes);
                assert_eq!(quorum.reached(0, |id| u64::from(yes(id))) == 1, holds);
                let votes = (1..=5).map(|id| (id, yes(id))).collect();
                assert_eq!(quorum.tally(&votes) == Tally::Won, holds);
                assert_eq!(quorum.tally(&votes) == Tally::Lost, !holds, "all have voted");
            }
        }
    }

    #[test]
    fn a_change_of_voters_is_joint_and_nonsense_is_refused() {
        let three = Configuration::of(1..=3);
        let with = three.after(&Change::AddLearner { id: 4, address: "a:4".into() }).unwrap();
        assert!(!with.is_joint() && with.contains(4) && !with.is_voter(4));
        let joint = with.after(&Change::Promote { id: 4 }).unwrap();
        assert!(joint.is_joint() && joint.outgoing == three.voters && joint.learners.is_empty());
        assert_eq!(joint.left().voters, (1..=4).collect());
        let swapped = with.after(&Change::Voters([1, 2, 4].into())).unwrap();
        assert_eq!((swapped.members().len(), swapped.left().members().len()), (4, 3));
        assert_eq!(with.after(&Change::Remove { id: 4 }).unwrap(), three);
        for nonsense in [
            Change::AddLearner { id: 0, address: "".into() },
            Change::AddLearner { id: 3, address: "".into() },
            Change::Promote { id: 3 },
            Change::Remove { id: 9 },
            Change::Voters((1..=3).collect()),
            Change::Voters([1, 9].into()),
            Change::Voters([].into()),
        ] {
            assert!(three.after(&nonsense).is_err(), "{nonsense:?}");
        }
        assert!(Configuration::of([1]).after(&Change::Remove { id: 1 }).is_err());
    }
}
