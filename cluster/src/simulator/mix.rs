//! What kind of episode it is: drawn once, so that episodes differ in kind and not only in luck.
//!
//! A mixture of everything in everyone hides what needs one thing often and another never. So each kind of
//! trouble is there or is not, and the limits of the core are drawn from both ends.

use super::MS;
use super::random::{Purpose, Random};
use super::{Plan, Time};
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
    /// The usual time of a sync, at most.
    pub(super) sync: Time,
    /// Syncs that take much longer, in a thousand.
    pub(super) slow_syncs: u64,
    pub(super) crashes: bool,
    pub(super) power_cuts: bool,
    pub(super) pauses: bool,
    pub(super) cuts: bool,
    pub(super) stalls: bool,
    pub(super) hunted_leaders: bool,
    /// Mean time between two actions.
    pub(super) gap: Time,
    /// How many nodes stay broken in the liveness phase.
    pub(super) broken: u64,
    /// How fast each node's clock runs, in thousandths.
    pub(super) rates: [u64; super::NODES_MAX as usize],
    /// How far apart the election timeouts of nodes may be: close together, votes are split.
    pub(super) spread: Time,
    pub(super) limits: Limits,
}

impl Mix {
    /// How far the rate of a clock may be from the true one, in thousandths.
    pub(super) const DRIFT: u64 = 50;

    pub(super) fn draw(plan: &Plan) -> Mix {
        let random = &mut Random::new(plan.seed, plan.episode, Purpose::Mix);
        let mut rates = [1000; super::NODES_MAX as usize];
        if random.chance(500) {
            rates.fill_with(|| random.between(1000 - Mix::DRIFT, 1001 + Mix::DRIFT));
        }
        let needs = plan.bugs.needs();
        Mix {
            loss: random.one_of(&[0, 10, 50, 150]),
            repeat: random.one_of(&[0, 20, 100]),
            late: random.one_of(&[0, 10, 50, 150]),
            late_by: random.one_of(&[50, 300, 900, 3000]) * MS,
            sync: random.one_of(&[1, 4, 4, 20]) * MS,
            slow_syncs: random.one_of(&[0, 10, 30]),
            crashes: random.chance(750),
            power_cuts: random.chance(400),
            pauses: random.chance(500),
            cuts: random.chance(750),
            stalls: random.chance(400),
            hunted_leaders: random.chance(400),
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
                ..Limits::default()
            },
        }
    }
}
