//! Bugs put in on purpose.
//!
//! A harness that has never caught anything proves nothing. So this node can be started with one of
//! the mistakes below switched on, and the harness must find it from the outside, by what clients see.
//!
//! Each bug is one `if` at one place, named here. When that `if` is taken the code emits a *mark*:
//! [`Mark::Reached`] when the changed line ran, and [`Mark::Triggered`] when the correct code would
//! have acted differently. Detection is a third thing, and the harness's: the marks are counted in a
//! side file that no verdict reads. They tell a weak checker from a fault that never bit.
//!
//! A buggy node lies; it never panics. A violation has to show as a history that no correct system
//! could produce, not as a crash.

use std::fmt;
use std::str::FromStr;

/// One deliberate bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Bug {
    /// The leader answers reads at once (in `raft/reads.rs`).
    LocalRead,
    /// Every node answers reads at once (in `raft/reads.rs`).
    FollowerRead,
    /// The leader acknowledges a write when it appends it (in `raft/replication.rs`).
    AckOnAppend,
    /// The leader commits with one node too few (in `raft/replication.rs`).
    QuorumMinusOne,
    /// Votes are granted without comparing logs (in `raft/election.rs`).
    NoElectionRestriction,
    /// A retried command is applied a second time (in the state machine's sessions).
    RetryDoubleApply,
    /// A compare-and-set is decided when it is proposed (in the server).
    CasAtLeader,
    /// A snapshot has no session table (in `kv/export.rs`).
    SnapshotDropsSessions,
    /// A snapshot claims one entry more than it holds (in `raft/snapshot.rs`).
    SnapshotOffByOne,
    /// A snapshot is written under its final name (in `snapshot/writer.rs`).
    SnapshotInPlace,
    /// A node takes a snapshot that is older than its state (in `raft/snapshot.rs`).
    SnapshotRegress,
    /// A leader changes one voter at a time without a joint phase, before it has committed anything of its term (in `raft/membership.rs`).
    SingleChangeNoCommit,
    /// In a joint configuration only the new voters count (in `raft/quorum.rs`).
    JointNewOnly,
    /// Only the leader that proposed a joint configuration ends it (in `raft/membership.rs`).
    JointStuck,
    /// Learners count as voters (in `raft/quorum.rs`).
    LearnerCounts,
    /// Who is no voter campaigns all the same (in `raft/election.rs`).
    RemovedDisrupts,
}

impl Bug {
    /// Every bug, in the order in which they are listed to people.
    pub const ALL: [Bug; 16] = [
        Bug::LocalRead,
        Bug::FollowerRead,
        Bug::AckOnAppend,
        Bug::QuorumMinusOne,
        Bug::NoElectionRestriction,
        Bug::RetryDoubleApply,
        Bug::CasAtLeader,
        Bug::SnapshotDropsSessions,
        Bug::SnapshotOffByOne,
        Bug::SnapshotInPlace,
        Bug::SnapshotRegress,
        Bug::SingleChangeNoCommit,
        Bug::JointNewOnly,
        Bug::JointStuck,
        Bug::LearnerCounts,
        Bug::RemovedDisrupts,
    ];

    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Bug::LocalRead => "local-read",
            Bug::FollowerRead => "follower-read",
            Bug::AckOnAppend => "ack-on-append",
            Bug::QuorumMinusOne => "quorum-minus-one",
            Bug::NoElectionRestriction => "no-election-restriction",
            Bug::RetryDoubleApply => "retry-double-apply",
            Bug::CasAtLeader => "cas-at-leader",
            Bug::SnapshotDropsSessions => "snapshot-drops-sessions",
            Bug::SnapshotOffByOne => "snapshot-off-by-one",
            Bug::SnapshotInPlace => "snapshot-in-place",
            Bug::SnapshotRegress => "snapshot-regress",
            Bug::SingleChangeNoCommit => "single-change-no-commit",
            Bug::JointNewOnly => "joint-new-only",
            Bug::JointStuck => "joint-stuck",
            Bug::LearnerCounts => "learner-counts",
            Bug::RemovedDisrupts => "removed-disrupts",
        }
    }

    /// One sentence: what the node does wrong and what clients can see of it.
    pub fn about(self) -> &'static str {
        match self {
            Bug::LocalRead => {
                "the leader answers reads from its own state without asking a quorum whether it still \
                 leads: a deposed leader returns stale values"
            }
            Bug::FollowerRead => {
                "any node answers reads from what it has applied: a node that lags returns stale values"
            }
            Bug::AckOnAppend => {
                "the leader acknowledges a write as soon as it has appended it, before a quorum has it: \
                 an acknowledged write is lost when the leader is replaced"
            }
            Bug::QuorumMinusOne => {
                "an entry commits with one node fewer than a majority: two leaders can commit different \
                 entries at one index"
            }
            Bug::NoElectionRestriction => {
                "nodes vote without comparing logs: a node that lacks committed entries can lead, and \
                 erases them"
            }
            Bug::RetryDoubleApply => {
                "the state machine forgets which commands of a session it has applied: a retried command \
                 takes effect twice"
            }
            Bug::CasAtLeader => {
                "a compare-and-set is decided against the leader's state when it is proposed, not when it \
                 is applied: two of them can win from one value"
            }
            Bug::SnapshotDropsSessions => {
                "a snapshot holds the data and not the session table: a node that restores it does not \
                 apply what clients with a session write, and returns stale values when it leads"
            }
            Bug::SnapshotOffByOne => {
                "a snapshot claims one entry more than it holds: a node that restores it never applies \
                 that entry"
            }
            Bug::SnapshotInPlace => {
                "a snapshot is written under its final name: a crash leaves half of one in the place of \
                 the whole one"
            }
            Bug::SnapshotRegress => {
                "a node takes a snapshot that is older than what it has applied: it forgets entries that it \
                 had acknowledged"
            }
            Bug::SingleChangeNoCommit => {
                "voters are changed one at a time without a joint phase, by a leader that has \
                 committed nothing of its own term: an earlier leader's change comes back, and \
                 two majorities decide different things"
            }
            Bug::JointNewOnly => {
                "in a joint configuration a majority of the new voters is enough: two leaders of \
                 one term, or commits that the old voters never saw"
            }
            Bug::JointStuck => {
                "only the leader that began a change of voters ends it: after a change of leader \
                 the cluster stays joint and takes no other change"
            }
            Bug::LearnerCounts => {
                "learners count like voters: an entry commits that no majority of voters holds, \
                 and is lost"
            }
            Bug::RemovedDisrupts => {
                "a node that was removed campaigns without asking first and is heard: it deposes \
                 leader after leader"
            }
        }
    }

    fn bit(self) -> u64 {
        1 << (self as u8)
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A name that is no bug's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownBug {
    /// What was asked for.
    pub name: String,
}

impl fmt::Display for UnknownBug {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "unknown bug `{}`", self.name)
    }
}

impl std::error::Error for UnknownBug {}

impl FromStr for Bug {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Bug, UnknownBug> {
        Bug::ALL
            .into_iter()
            .find(|bug| bug.name() == name)
            .ok_or_else(|| UnknownBug { name: name.to_owned() })
    }
}

/// How far a bug got, told by the buggy code itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// The changed line ran.
    Reached,
    /// The changed line ran and the correct code would have acted differently.
    Triggered,
}

/// The bugs that are switched on: usually none, in tests one.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bugs(u64);

impl Bugs {
    /// A correct node.
    pub const NONE: Bugs = Bugs(0);

    /// These bugs and one more.
    #[must_use]
    pub fn with(self, bug: Bug) -> Bugs {
        Bugs(self.0 | bug.bit())
    }

    /// Whether this bug is switched on.
    pub fn has(self, bug: Bug) -> bool {
        self.0 & bug.bit() != 0
    }

    /// Whether this is a correct node.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The bugs that are switched on, in the order of [`Bug::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Bug> {
        Bug::ALL.into_iter().filter(move |bug| self.has(*bug))
    }
}

impl From<Bug> for Bugs {
    fn from(bug: Bug) -> Bugs {
        Bugs::NONE.with(bug)
    }
}

impl FromIterator<Bug> for Bugs {
    fn from_iter<I: IntoIterator<Item = Bug>>(bugs: I) -> Bugs {
        bugs.into_iter().fold(Bugs::NONE, Bugs::with)
    }
}

impl fmt::Debug for Bugs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter().map(Bug::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_are_distinct() {
        for (position, bug) in Bug::ALL.into_iter().enumerate() {
            assert_eq!(bug.name().parse(), Ok(bug));
            assert!(Bug::ALL[position + 1..].iter().all(|other| other.name() != bug.name()));
            assert_eq!(Bugs::from(bug).iter().collect::<Vec<_>>(), [bug]);
        }
        assert_eq!(
            "stale-read".parse::<Bug>().unwrap_err().to_string(),
            "unknown bug `stale-read`"
        );
    }

    #[test]
    fn a_set_of_bugs_holds_what_was_put_in() {
        let bugs: Bugs = [Bug::CasAtLeader, Bug::LocalRead].into_iter().collect();
        assert!(bugs.has(Bug::LocalRead) && bugs.has(Bug::CasAtLeader));
        assert!(!bugs.has(Bug::AckOnAppend) && !bugs.is_empty() && Bugs::NONE.is_empty());
        assert_eq!(format!("{bugs:?}"), r#"["local-read", "cas-at-leader"]"#);
    }
}
