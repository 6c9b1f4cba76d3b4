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

/// Makes [`Bug`] and what is known of each from one table: name, sentence, and the doc comment that says where it is.
macro_rules! bugs {
    ($($(#[$place:meta])* $bug:ident = $name:literal, $about:literal;)+) => {
        /// One deliberate bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Bug {
            $($(#[$place])* $bug,)+
        }

        impl Bug {
            /// Every bug, in the order in which they are listed to people. New ones come last: the page of
            /// marks counts by place.
            pub const ALL: [Bug; [$(Bug::$bug),+].len()] = [$(Bug::$bug),+];

            /// The name used on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Bug::$bug => $name,)+ }
            }

            /// One sentence: what the node does wrong and what comes of it.
            pub fn about(self) -> &'static str {
                match self { $(Bug::$bug => $about,)+ }
            }
        }
    };
}

bugs! {
    /// The leader answers reads at once (in `raft/reads.rs`).
    LocalRead = "local-read",
        "the leader answers reads from its own state without asking a quorum whether it still leads: a deposed \
         leader returns stale values";
    /// Every node answers reads at once (in `raft/reads.rs`).
    FollowerRead = "follower-read",
        "any node answers reads from what it has applied: a node that lags returns stale values";
    /// The leader acknowledges a write when it appends it (in `raft/replication.rs`).
    AckOnAppend = "ack-on-append",
        "the leader acknowledges a write as soon as it has appended it, before a quorum has it: an acknowledged \
         write is lost when the leader is replaced";
    /// The leader commits with one node too few (in `raft/replication.rs`).
    QuorumMinusOne = "quorum-minus-one",
        "an entry commits with one node fewer than a majority: two leaders can commit different entries at one \
         index";
    /// Votes are granted without comparing logs (in `raft/election.rs`).
    NoElectionRestriction = "no-election-restriction",
        "nodes vote without comparing logs: a node that lacks committed entries can lead, and erases them";
    /// A retried command is applied a second time (in the state machine's sessions).
    RetryDoubleApply = "retry-double-apply",
        "the state machine forgets which commands of a session it has applied: a retried command takes effect \
         twice";
    /// A compare-and-set is decided when it is proposed (in the server).
    CasAtLeader = "cas-at-leader",
        "a compare-and-set is decided against the leader's state when it is proposed, not when it is applied: two \
         of them can win from one value";
    /// A node votes again in a term in which it has voted (in `raft/election.rs`).
    DoubleVote = "double-vote",
        "a node gives its vote to every candidate of a term that asks for it: one term gets two leaders";
    /// The vote is forgotten at a restart (in `raft/node.rs`).
    VoteLostOnRestart = "vote-lost-on-restart",
        "a node that restarts remembers the term but not its vote in it: it votes again, and one term gets two \
         leaders";
    /// Votes leave before they are on the disk (in `raft/node.rs`).
    VoteBeforeFsync = "vote-before-fsync",
        "a vote is sent, and a candidate's own counted, before it is durable: a node that crashes then votes twice \
         in one term";
    /// Acknowledgements leave before the entries are on the disk (in `raft/node.rs`).
    AckBeforeFsync = "ack-before-fsync",
        "a follower acknowledges entries before they are durable: what was committed is lost when a majority \
         crashes";
    /// Logs are compared by their length alone (in `raft/election.rs`).
    ElectByIndex = "elect-by-index",
        "a voter compares only how long the logs are, not their last terms: a longer log that lacks committed \
         entries can lead";
    /// Entries of earlier terms are committed by counting (in `raft/replication.rs`).
    Fig8 = "fig8",
        "a leader commits an entry of an earlier term because a majority holds it: a later leader may still \
         overwrite it (Figure 8)";
    /// An append cuts off everything after its entries (in `raft/replication.rs`).
    AeTruncatesTail = "ae-truncates-tail",
        "a follower makes its log end where an append ends: a late append erases entries that were acknowledged";
    /// A conflicting tail is kept (in `raft/replication.rs`).
    NoTruncateOnConflict = "no-truncate-on-conflict",
        "a follower replaces the entries that conflict and keeps those after them: its log goes on with a tail \
         that no leader has";
    /// The term of the entry before an append is not compared (in `raft/replication.rs`).
    NoPrevTermCheck = "no-prev-term-check",
        "a follower takes an append if its log is long enough, whatever the term of the entry before: logs differ \
         below an entry they share";
    /// A heartbeat carries the whole commit index (in `raft/replication.rs`).
    FollowerCommitMax = "follower-commit-max",
        "heartbeats carry the leader's commit index also where the follower's log may differ: it applies entries \
         that nobody agreed on";
    /// Acknowledgements of an earlier term are counted (in `raft/node.rs`).
    StaleAeReply = "stale-ae-reply",
        "a leader counts acknowledgements of an earlier term, for entries that may have been overwritten since: it \
         commits what no majority has";
    /// Votes of an earlier term are counted (in `raft/node.rs`).
    StaleVote = "stale-vote",
        "a candidate counts votes of an earlier term: one term gets two leaders";
    /// A leader never goes back after a refusal (in `raft/replication.rs`).
    BacktrackStuck = "backtrack-stuck",
        "after a refusal the leader tries the same place again: a follower whose log differs never catches up";
    /// A new leader reads at its commit index (in `raft/reads.rs`).
    ReadIndexNoTerm = "readindex-no-term",
        "a new leader answers reads as of the commit index it knows, before an entry of its own term is committed: \
         it misses what its predecessor acknowledged";
    /// A read is confirmed by a round that began before it (in `raft/reads.rs`).
    ReadIndexEarlyAck = "readindex-early-ack",
        "a read is confirmed by answers that were given before it came: a leader deposed meanwhile returns stale \
         values";
    /// A snapshot has no session table (in `kv/export.rs`).
    SnapshotDropsSessions = "snapshot-drops-sessions",
        "a snapshot holds the data and not the session table: a node that restores it does not apply what clients \
         with a session write, and returns stale values when it leads";
    /// A snapshot claims one entry more than it holds (in `raft/snapshot.rs`).
    SnapshotOffByOne = "snapshot-off-by-one",
        "a snapshot claims one entry more than it holds: a node that restores it never applies that entry";
    /// A snapshot is written under its final name (in `snapshot/writer.rs`).
    SnapshotInPlace = "snapshot-in-place",
        "a snapshot is written under its final name: a crash leaves half of one in the place of the whole one";
    /// A node takes a snapshot that is older than its state (in `raft/snapshot.rs`).
    SnapshotRegress = "snapshot-regress",
        "a node takes a snapshot that is older than what it has applied: it forgets entries that it had acknowledged";
    /// A leader changes one voter at a time without a joint phase, before it has committed anything of its term
    /// (in `raft/membership.rs`).
    SingleChangeNoCommit = "single-change-no-commit",
        "voters are changed one at a time without a joint phase, by a leader that has committed nothing of its own \
         term: an earlier leader's change comes back, and two majorities decide different things";
    /// In a joint configuration only the new voters count (in `raft/quorum.rs`).
    JointNewOnly = "joint-new-only",
        "in a joint configuration a majority of the new voters is enough: two leaders of one term, or commits that \
         the old voters never saw";
    /// Only the leader that proposed a joint configuration ends it (in `raft/membership.rs`).
    JointStuck = "joint-stuck",
        "only the leader that began a change of voters ends it: after a change of leader the cluster stays joint and \
         takes no other change";
    /// Learners count as voters (in `raft/quorum.rs`).
    LearnerCounts = "learner-counts",
        "learners count like voters: an entry commits that no majority of voters holds, and is lost";
    /// Who is no voter campaigns all the same (in `raft/election.rs`).
    RemovedDisrupts = "removed-disrupts",
        "a node that was removed campaigns without asking first and is heard: it deposes leader after leader";
    /// A lease is as long as an election timeout and runs from the answer (in `raft/lease.rs`).
    LeaseNoMargin = "lease-no-margin",
        "a lease runs for a whole election timeout from the moment its answers came, with nothing off for clocks \
         that differ: a leader that was replaced meanwhile returns stale values";
    /// A lease is timed by the wall clock (in `raft/lease.rs`).
    LeaseWallClock = "lease-wall-clock",
        "a lease is timed by the clock that people set: once that is set back, a leader that was replaced goes on \
         returning stale values";
    /// A failed sync is done again (in `wal/policy.rs`).
    FsyncRetry = "fsync-retry",
        "after a sync that failed the log syncs again and believes it: what the first one lost counts as durable";
    /// What finds no space counts as written (in `wal/policy.rs`).
    EnospcAck = "enospc-ack",
        "on a full disk the log says that it has written what found no space: acknowledged writes are lost at a \
         restart";
}

/// What a bug needs to show; everything else is as for a correct node. Whoever switches a bug on sets these too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The most entries that one append may carry.
    pub append_entries: Option<usize>,
    /// Leases, and clients that read by them.
    pub lease: bool,
}

impl Bug {
    /// What it needs.
    pub fn needs(self) -> Needs {
        match self {
            // Old entries must get to a majority before the entry of the new term that follows them does.
            Bug::Fig8 => Needs { append_entries: Some(1), ..Needs::default() },
            Bug::LeaseNoMargin | Bug::LeaseWallClock => Needs { lease: true, ..Needs::default() },
            _ => Needs::default(),
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

    /// What these bugs need together.
    pub fn needs(self) -> Needs {
        let needs = || self.iter().map(Bug::needs);
        Needs {
            append_entries: needs().filter_map(|needs| needs.append_entries).min(),
            lease: needs().any(|needs| needs.lease),
        }
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
