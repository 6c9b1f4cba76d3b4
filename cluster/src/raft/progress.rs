//! What a leader knows of one follower, and how it paces what it sends.
//!
//! Where a follower's log ends is not known at first: the leader *probes*, one append at a time,
//! going back at each refusal. Once an append was accepted it *replicates*: it sends ahead without
//! waiting, up to a limit of unanswered appends, and returns to probing when one is refused or lost.
//! While a snapshot is on its way to the follower, no append is.

use super::config::Limits;
use super::lease::Tenure;
use super::message::{Index, NodeId};
use super::reads::Reads;
use super::transfer::Transfer;
use std::collections::{BTreeMap, VecDeque};

/// Heartbeat timeouts that an append may go unanswered, while the follower does answer heartbeats,
/// before it counts as lost. Two, because the first may fire right after the append was sent.
const PATIENCE: u8 = 2;

/// What only a leader has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Leadership {
    /// Every other member, and those who leave and may not know it yet.
    pub(super) followers: BTreeMap<NodeId, Progress>,
    /// The index of the no-op that opened this term.
    pub(super) first: Index,
    /// Bytes of commands appended and not yet committed.
    pub(super) uncommitted_bytes: usize,
    /// Reads that wait to be confirmed.
    pub(super) reads: Reads,
    /// Its lease, if it has one.
    pub(super) tenure: Tenure,
    /// The transfer of leadership that is under way.
    pub(super) transfer: Option<Transfer>,
    /// The tag of the change that this leader was asked for and that is not done, with the index of
    /// its first entry.
    pub(super) change: Option<(u64, Index)>,
}

/// One follower, seen from the leader.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Progress {
    /// The last index up to which the follower's durable log is known to agree.
    pub(super) matched: Index,
    /// The next index to send.
    pub(super) next: Index,
    /// Whether it has answered anything since the leader's last election timeout.
    pub(super) answered: bool,
    /// The newest read round it has answered.
    pub(super) round: u64,
    flow: Flow,
    /// Heartbeat timeouts since the last answer to an append, while one is outstanding.
    beats: u8,
    /// Heartbeat timeouts since the last answer to an append, however often one was sent again
    /// meanwhile.
    starved: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Flow {
    /// One append at a time; `waiting` while it is unanswered.
    Probe { waiting: bool },
    /// The last index of each unanswered append, oldest first.
    Replicate { in_flight: VecDeque<Index> },
    /// A snapshot up to `index` or later is on its way, or did not arrive.
    Snapshot { index: Index, failed: bool },
}

impl Progress {
    /// A follower of a new leader, whose log ends just before `next`: the best first guess.
    pub(super) fn new(next: Index) -> Progress {
        Progress {
            matched: 0,
            next,
            answered: false,
            round: 0,
            flow: Flow::Probe { waiting: false },
            beats: 0,
            starved: 0,
        }
    }

    /// Whether an append may be sent to it now, given that the log ends at `last`.
    pub(super) fn ready(&self, last: Index, limits: &Limits) -> bool {
        self.next <= last
            && match &self.flow {
                Flow::Probe { waiting } => !waiting,
                Flow::Replicate { in_flight } => in_flight.len() < limits.appends_in_flight.max(1),
                Flow::Snapshot { .. } => false,
            }
    }

    /// An append of the entries from `next` to `last` was sent.
    pub(super) fn sent(&mut self, last: Index) {
        if !self.outstanding() {
            self.beats = 0;
        }
        match &mut self.flow {
            Flow::Probe { waiting } => *waiting = true,
            Flow::Replicate { in_flight } => {
                in_flight.push_back(last);
                self.next = last + 1;
            }
            Flow::Snapshot { .. } => {}
        }
    }

    /// An append was accepted.
    pub(super) fn accepted(&mut self, matched: Index) {
        (self.beats, self.starved) = (0, 0);
        self.matched = self.matched.max(matched);
        self.next = self.next.max(self.matched + 1);
        match &mut self.flow {
            Flow::Probe { .. } => self.flow = Flow::Replicate { in_flight: VecDeque::new() },
            Flow::Replicate { in_flight } => in_flight.retain(|last| *last > matched),
            // An answer to an append from before the snapshot says nothing of the snapshot.
            Flow::Snapshot { index, .. } if *index > self.matched => {}
            Flow::Snapshot { .. } => self.flow = Flow::Replicate { in_flight: VecDeque::new() },
        }
    }

    /// A snapshot up to `index` is being sent: nothing else is until that has ended.
    pub(super) fn await_snapshot(&mut self, index: Index) {
        self.flow = Flow::Snapshot { index, failed: false };
    }

    /// Where the snapshot ends that is on its way, if one is.
    pub(super) fn awaits(&self) -> Option<Index> {
        match self.flow {
            Flow::Snapshot { index, failed: false } => Some(index),
            _ => None,
        }
    }

    /// The snapshot did not arrive: it is tried again when the follower is heard of.
    pub(super) fn snapshot_failed(&mut self) {
        if let Flow::Snapshot { failed, .. } = &mut self.flow {
            *failed = true;
        }
    }

    /// Whether a refusal of `base` answers what was last sent, and is not an old one. Nor is it news from a
    /// follower that has lost what it acknowledged: to ask again at once would go on for ever.
    pub(super) fn is_news(&self, base: Index) -> bool {
        match self.flow {
            Flow::Probe { .. } => base > self.matched && base + 1 == self.next,
            Flow::Replicate { .. } => base > self.matched && base < self.next,
            Flow::Snapshot { .. } => false,
        }
    }

    /// Starts again from just after `base`, or from what is known to match if that is later.
    pub(super) fn probe_after(&mut self, base: Index) {
        self.beats = 0;
        self.next = base.max(self.matched) + 1;
        self.flow = Flow::Probe { waiting: false };
    }

    /// A heartbeat timeout passed.
    pub(super) fn beat(&mut self) {
        if self.outstanding() {
            self.beats = (self.beats + 1).min(PATIENCE);
            self.starved = self.starved.saturating_add(1);
        } else {
            self.starved = 0;
        }
    }

    /// An append was refused: the follower works, even if its log does not fit yet.
    pub(super) fn refused(&mut self) {
        self.starved = 0;
    }

    /// Whether appends to it went unanswered for more than `beats` heartbeat timeouts.
    pub(super) fn stores_nothing(&self, beats: u8) -> bool {
        self.starved > beats
    }

    /// The follower answered a heartbeat, so it lives: an append that it has owed an answer for so
    /// long was lost, and is sent again.
    pub(super) fn alive(&mut self) {
        if let Flow::Snapshot { failed: true, .. } = self.flow {
            self.flow = Flow::Probe { waiting: false };
        }
        if self.beats >= PATIENCE {
            let base = match self.flow {
                Flow::Probe { .. } => self.next.saturating_sub(1),
                Flow::Replicate { .. } | Flow::Snapshot { .. } => self.matched,
            };
            self.probe_after(base);
        }
    }

    /// As if nothing had been answered lately, and nothing been late.
    pub(super) fn forget_time(&mut self) {
        self.answered = false;
        (self.beats, self.starved) = (0, 0);
    }

    fn outstanding(&self) -> bool {
        match &self.flow {
            Flow::Probe { waiting } => *waiting,
            Flow::Replicate { in_flight } => !in_flight.is_empty(),
            Flow::Snapshot { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_goes_one_at_a_time_and_replication_runs_ahead() {
        let limits = Limits { appends_in_flight: 2, ..Limits::default() };
        let mut progress = Progress::new(5);
        assert!(progress.ready(9, &limits) && !progress.ready(4, &limits));
        progress.sent(6);
        assert!(!progress.ready(9, &limits), "one probe at a time");
        progress.accepted(6);
        progress.sent(7);
        progress.sent(8);
        assert_eq!((progress.matched, progress.next), (6, 9));
        assert!(!progress.ready(9, &limits), "two in flight");
        progress.accepted(8);
        assert!(progress.ready(9, &limits), "one answer covers both");
    }

    #[test]
    fn an_old_refusal_changes_nothing() {
        let mut progress = Progress::new(5);
        assert!(progress.is_news(4) && !progress.is_news(3));
        progress.accepted(6);
        progress.sent(9);
        assert!(!progress.is_news(6) && progress.is_news(8) && !progress.is_news(12));
        progress.probe_after(2);
        assert_eq!(progress.next, 7, "never before what is known to match");
        assert!(!progress.is_news(6), "a follower that has lost it is not asked again at once");
    }

    #[test]
    fn while_a_snapshot_is_under_way_nothing_else_is_sent() {
        let limits = Limits::default();
        let mut progress = Progress::new(5);
        progress.await_snapshot(30);
        progress.accepted(6);
        progress.alive();
        assert!(!progress.ready(40, &limits) && progress.awaits() == Some(30));
        progress.snapshot_failed();
        assert!(!progress.ready(40, &limits) && progress.awaits().is_none(), "not at once");
        progress.alive();
        assert!(progress.ready(40, &limits), "once it was heard of");
        progress.await_snapshot(30);
        progress.accepted(33);
        assert!(progress.ready(40, &limits));
        assert_eq!(progress.next, 34);
    }

    #[test]
    fn a_lost_append_is_sent_again_only_to_a_follower_that_lives() {
        let mut progress = Progress::new(1);
        progress.accepted(0);
        progress.sent(3);
        progress.beat();
        progress.alive();
        assert_eq!(progress.next, 4, "one beat proves nothing");
        progress.beat();
        assert_eq!(progress.next, 4);
        progress.alive();
        assert_eq!(progress.next, 1);
    }
}
