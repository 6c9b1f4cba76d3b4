//! Lease reads: a leader that a quorum has just confirmed need not ask it again (thesis §6.4.1).
//!
//! A node that hears its leader votes for nobody else for one election timeout. So once a quorum has answered a
//! round of heartbeats, no other node can lead until an election timeout after that round was *sent*: until
//! then what this leader has committed is all there is, and a read may be answered at once. That is cheaper
//! than a round by a whole exchange of messages, and rests on something that nothing else here rests on: on
//! clocks. They need not agree on the time, only on how long a second is, to within a *drift* that whoever
//! starts the nodes declares. If a clock is worse than that, lease reads may be stale; all else stays safe.
//! So leases are off unless asked for ([`Config::lease`](super::Config::lease)), and each read asks for one.
//!
//! # What makes it true
//!
//! * A lease runs from the moment its round was sent, never from an answer: the answer may have waited in a
//!   queue while its sender's patience ran out.
//! * It is shorter than the election timeout by the drift of both ends: a leader's slow clock, a follower's
//!   fast one.
//! * A node that restarts has forgotten whom it heard. It votes for nobody for an election timeout ([`Raft::start`]).
//! * So does a node whose term rises meanwhile, through some answer of a former candidate, and also in the
//!   new term: what it promised was time, not a term.
//! * To hand leadership over is to ask others not to keep that promise. The message may arrive at any time, so
//!   once it has left there is no lease for the rest of the term, even if the transfer is given up.
//! * A change of voters does not end a lease. A round is counted by the majorities in force when it is confirmed,
//!   and whoever can win while those are in force needs one of them. Who can win with voters that this leader
//!   appends later has them from it, sent after the round, and so keeps still for an election timeout itself.
//!
//! All nodes must be told alike, and have one election timeout: a node without leases promises nothing.
//!
//! # How it is timed
//!
//! With leases on each heartbeat starts a round (see `reads`), so an idle leader keeps its lease. One round at
//! a time is timed: when it or a later one is confirmed, the lease runs from its sending, and the next round to
//! be sent is timed. That is one time to remember, however many rounds are lost.
//!
//! The clock is the driver's ([`Raft::set_clock`]), which must not go back nor stand still while the machine
//! sleeps. Wall clocks do both; only the bug `lease-wall-clock` looks at one.

use super::config::Lease;
use super::event::{Effect, Now};
use super::node::{Raft, Standing};
use crate::bug::Bug;

/// What a leader knows of its lease in this term.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Tenure {
    /// The round that is timed, and when it was sent.
    timed: Option<(u64, Now)>,
    /// The last such round that was confirmed: when it was sent, and when that was known.
    confirmed: Option<(Now, Now)>,
    /// A successor was told to campaign: no lease in this term any more.
    ended: bool,
}

impl Lease {
    /// How long a lease runs, in microseconds of the leader's clock, from the sending of its round. If every
    /// clock runs at 1 ± drift of the true rate, this is over before a follower's election timeout is.
    pub fn length(self) -> u64 {
        let million = 1_000_000;
        let drift = self.drift_ppm.min(million);
        let length = u128::from(self.election_us) * u128::from(million - drift);
        u64::try_from(length / u128::from(million + drift)).unwrap_or(u64::MAX)
    }
}

impl Raft {
    /// From here on it is `now`. To be called before [`Raft::step`], with a time read after the event came in;
    /// without leases nothing looks at it, and nothing keeps it.
    pub fn set_clock(&mut self, now: Now) {
        if self.keeps_leases() {
            self.now = now;
        }
    }

    /// Whether lease reads are on: whoever confirms this node's rounds, or has its rounds confirmed, relies
    /// on the time.
    pub fn keeps_leases(&self) -> bool {
        self.config.lease.is_some()
    }

    /// A round is about to be sent.
    pub(super) fn start_round(&mut self) {
        let now = self.config.lease.map(|_| self.now);
        let Standing::Leader(leadership) = &mut self.standing else { return };
        leadership.reads.started += 1;
        let tenure = &mut leadership.tenure;
        if tenure.timed.is_none() {
            tenure.timed = now.map(|now| (leadership.reads.started, now));
        }
    }

    /// A quorum may have answered the round that is timed.
    pub(super) fn round_confirmed(&mut self) {
        let now = self.now;
        let Standing::Leader(leadership) = &mut self.standing else { return };
        let confirmed = leadership.reads.confirmed;
        let tenure = &mut leadership.tenure;
        if let Some((_, sent)) = tenure.timed.take_if(|(round, _)| *round <= confirmed) {
            tenure.confirmed = Some((sent, now));
        }
    }

    /// A successor is told to campaign.
    pub(super) fn end_lease(&mut self) {
        if let Standing::Leader(leadership) = &mut self.standing {
            leadership.tenure.ended = true;
        }
    }

    /// Clients want to read, by lease if there is one.
    pub(super) fn read_by_lease(&mut self, tags: &[u64], effects: &mut Vec<Effect>) {
        let first = match &self.standing {
            Standing::Leader(leadership) => leadership.first,
            _ => return self.read(tags, effects),
        };
        // Before its own no-op is committed a leader does not know all that is (see `reads`).
        let sees_all = self.commit >= first && self.applied >= self.commit;
        if !sees_all || !self.holds_lease(effects) {
            return self.read(tags, effects);
        }
        let index = self.commit;
        effects.extend(tags.iter().map(|tag| Effect::LeaseReady { tag: *tag, index }));
    }

    fn holds_lease(&self, effects: &mut Vec<Effect>) -> bool {
        let (Standing::Leader(leadership), Some(lease)) = (&self.standing, self.config.lease)
        else {
            return false;
        };
        let (Some((sent, heard)), false) = (leadership.tenure.confirmed, leadership.tenure.ended)
        else {
            return false;
        };
        let runs = |from: u64, to: u64, length: u64| to.saturating_sub(from) < length;
        let (now, length) = (self.now, lease.length());
        let holds = runs(sent.steady, now.steady, length);
        let longer = |_: &bool| runs(heard.steady, now.steady, lease.election_us);
        let holds = self.with_bug(Bug::LeaseNoMargin, holds, longer, effects);
        let by_wall = |_: &bool| runs(sent.wall, now.wall, length);
        self.with_bug(Bug::LeaseWallClock, holds, by_wall, effects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_over_before_any_clock_within_the_drift_has_run_an_election_timeout() {
        for drift_ppm in [0, 200, 50_000, 300_000] {
            for election_us in [1, 999, 150_000, 1_000_000, 60_000_000] {
                let length = Lease { election_us, drift_ppm }.length();
                // The leader's clock as slow as it may be, the follower's as fast: true time, times 10^6.
                let (slow, fast) = (1_000_000 - drift_ppm, 1_000_000 + drift_ppm);
                assert!(length * fast <= election_us * slow, "{election_us} {drift_ppm}");
                assert!(
                    (length + 1) * fast > election_us * slow,
                    "and not shorter than it must be"
                );
            }
        }
        assert_eq!(Lease { election_us: 300_000, drift_ppm: 50_000 }.length(), 271_428);
        assert_eq!(Lease { election_us: u64::MAX, drift_ppm: u64::MAX }.length(), 0);
    }
}
