//! What kind of episode it is: drawn once, so that episodes differ in kind and not only in luck.
//!
//! A mixture of everything in everyone hides what needs one thing often and another never. So each kind of
//! trouble is there or is not, and the limits of the core are drawn from both ends.

use super::MS;
use super::random::{Purpose, Random};
use super::{PLACES, Plan, SPARES, Time};
use crate::raft::Limits;

/// The kind of an episode.
#[derive(Clone, Debug)]
pub(super) struct Mix {
    /// Messages lost, repeated and late, in a thousand.
    pub(super) loss: u64,
    pub(super) repeat: u64,
    pub(super) late: u64,
    /// How late a late message may be.
    pub(super) late_by: Time,
    /// The usual time of a sync on each disk, at most.
    pub(super) sync: [Time; PLACES],
    /// Syncs that take much longer, in a thousand.
    pub(super) slow_syncs: u64,
    pub(super) crashes: bool,
    pub(super) power_cuts: bool,
    pub(super) pauses: bool,
    pub(super) cuts: bool,
    pub(super) stalls: bool,
    pub(super) hunted_leaders: bool,
    pub(super) failing_syncs: bool,
    /// Forks: a leader and one follower go on alone for a while; duels: several nodes campaign at once.
    pub(super) forks: bool,
    pub(super) duels: bool,
    /// The members change, and leadership is handed over.
    pub(super) changes: bool,
    pub(super) transfers: bool,
    /// Nodes that wait for a place in the cluster.
    pub(super) spares: u64,
    /// Entries after which a snapshot is taken; none if 0. How long writing one takes, and sending one, at most.
    pub(super) snapshot_every: u64,
    pub(super) snapshot_time: Time,
    pub(super) transfer_time: Time,
    /// Transfers of snapshots that break, and those given up by the sender that arrive later, in a thousand.
    pub(super) broken_transfers: u64,
    pub(super) late_transfers: u64,
    /// How late those are, at most.
    pub(super) transfers_late_by: Time,
    /// Mean time between two actions.
    pub(super) gap: Time,
    /// How many nodes stay broken in the liveness phase.
    pub(super) broken: u64,
    /// How fast each node's clock runs, in thousandths.
    pub(super) rates: [u64; PLACES],
    /// How far apart the election timeouts of nodes may be: close together, votes are split.
    pub(super) spread: Time,
    pub(super) limits: Limits,
}

impl Mix {
    /// How far the rate of a clock may be from the true one, in thousandths.
    pub(super) const DRIFT: u64 = 50;

    pub(super) fn draw(plan: &Plan) -> Mix {
        let random = &mut Random::new(plan.seed, plan.episode, Purpose::Mix);
        let mut rates = [1000; PLACES];
        if random.chance(500) {
            rates.fill_with(|| random.between(1000 - Mix::DRIFT, 1001 + Mix::DRIFT));
        }
        let usual_sync = random.one_of(&[1, 4, 4, 20]) * MS;
        let mut sync = [usual_sync; PLACES];
        if random.chance(300) {
            sync.fill_with(|| random.one_of(&[1, 4, 20, 60]) * MS);
        }
        let needs = plan.bugs.needs();
        // What is late must be through before the cluster is expected to be calm.
        let longest = plan.length / 20;
        let changes = random.chance(500);
        let snapshots = random.chance(600);
        Mix {
            loss: random.one_of(&[0, 10, 50, 150]),
            repeat: random.one_of(&[0, 20, 100]),
            late: random.one_of(&[0, 10, 50, 150]),
            late_by: (random.one_of(&[50, 300, 900, 3000]) * MS).min(longest),
            sync,
            slow_syncs: random.one_of(&[0, 10, 30]),
            crashes: random.chance(750),
            power_cuts: random.chance(400),
            pauses: random.chance(500),
            cuts: random.chance(750),
            stalls: random.chance(400),
            hunted_leaders: random.chance(400),
            failing_syncs: random.chance(300),
            forks: random.chance(400),
            duels: random.chance(400),
            changes,
            transfers: random.chance(400),
            spares: if changes { random.below(SPARES + 1) } else { 0 },
            snapshot_every: if snapshots { random.one_of(&[5, 30, 200, 1000]) } else { 0 },
            snapshot_time: random.one_of(&[1, 20, 300]) * MS,
            transfer_time: random.one_of(&[5, 100, 1500]) * MS,
            broken_transfers: random.one_of(&[0, 100, 400]),
            late_transfers: random.one_of(&[0, 100, 300]),
            transfers_late_by: longest.min(2000 * MS),
            gap: random.one_of(&[150, 400, 1000]) * MS,
            broken: random.below(plan.nodes.div_ceil(2)),
            rates,
            spread: random.one_of(&[300, 300, 40]) * MS,
            limits: Limits {
                append_entries: {
                    let drawn = random.one_of(&[1, 2, 8, 1024]) as usize;
                    needs.append_entries.map_or(drawn, |most| drawn.min(most))
                },
                append_bytes: random.one_of(&[100, 1 << 20, 1 << 20]) as usize,
                appends_in_flight: random.one_of(&[1, 2, 4, 16]) as usize,
                uncommitted_bytes: random.one_of(&[500, 1 << 20, 1 << 20]) as usize,
                // All at once: to apply takes no time here.
                apply_entries: usize::MAX,
                tail_entries: random.one_of(&[0, 1, 20, 4096]),
                catch_up_entries: random.one_of(&[0, 20, 256]),
                ..Limits::default()
            },
        }
    }
}
