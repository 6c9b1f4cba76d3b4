//! Who votes, and how many are enough.
//!
//! Everything that counts heads goes through [`Configuration`], so that a later kind of
//! configuration (joint, with learners) changes this file and not the algorithm.

use super::message::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// The voting nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Configuration {
    /// The nodes whose votes and acknowledgements count.
    pub voters: BTreeSet<NodeId>,
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
        Configuration { voters: voters.into_iter().collect() }
    }

    /// The size of the smallest majority. Any two majorities share a node: the one fact that all
    /// of Raft's safety rests on.
    pub fn quorum(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// Every voter but this one.
    pub fn peers(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        self.voters.iter().copied().filter(move |voter| *voter != id)
    }

    /// The highest value that `needed` voters have reached: with `needed` a quorum and each
    /// voter's matching index, the index that a quorum holds.
    pub(super) fn reached(&self, needed: usize, value: impl Fn(NodeId) -> u64) -> u64 {
        let mut values: Vec<u64> = self.voters.iter().map(|voter| value(*voter)).collect();
        values.sort_unstable_by(|left, right| right.cmp(left));
        needed.checked_sub(1).and_then(|place| values.get(place)).copied().unwrap_or(0)
    }

    /// Counts a ballot.
    pub(super) fn tally(&self, votes: &BTreeMap<NodeId, bool>) -> Tally {
        let count = |wanted| {
            self.voters.iter().filter(|voter| votes.get(voter).copied() == Some(wanted)).count()
        };
        if count(true) >= self.quorum() {
            Tally::Won
        } else if self.voters.len() - count(false) < self.quorum() {
            Tally::Lost
        } else {
            Tally::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_two_quorums_share_a_voter() {
        for voters in 1..=7_u64 {
            let quorum = Configuration::of(1..=voters).quorum();
            assert!(2 * quorum > voters as usize);
            assert!(2 * (quorum - 1) <= voters as usize, "and none is larger than needed");
        }
    }

    #[test]
    fn a_quorum_has_reached_the_middle_value() {
        let configuration = Configuration::of(1..=5);
        assert_eq!(configuration.reached(3, |voter| voter * 10), 30);
        assert_eq!(configuration.reached(2, |voter| voter * 10), 40);
        assert_eq!(configuration.reached(6, |voter| voter * 10), 0);
        assert_eq!(Configuration::of(1..=4).reached(3, |voter| voter), 2);
    }

    #[test]
    fn a_ballot_is_won_or_lost_as_soon_as_it_must_be() {
        let configuration = Configuration::of(1..=4);
        let tally =
            |votes: &[(NodeId, bool)]| configuration.tally(&votes.iter().copied().collect());
        assert_eq!(tally(&[(1, true), (2, true)]), Tally::Pending);
        assert_eq!(tally(&[(1, true), (2, true), (3, true)]), Tally::Won);
        assert_eq!(tally(&[(1, true), (2, false), (3, false)]), Tally::Lost);
        assert_eq!(
            tally(&[(1, true), (8, true), (9, true)]),
            Tally::Pending,
            "strangers do not count"
        );
    }
}
