//! Which states are still needed, and how often they can still come about.

use super::room::filled;
use crate::partition::{Leave, Need, StateId};
use crate::problem::{Problem, Row};

/// For each state, the calls not linearized yet that have to do with it.
#[derive(Default)]
pub(super) struct Tally(Vec<Calls>);

/// How many calls not linearized yet have to do with a state.
#[derive(Clone, Copy, Default)]
pub(super) struct Calls {
    /// Answered, need exactly it.
    pub(super) need: u32,
    /// Of unknown outcome, would need exactly it.
    pub(super) want: u32,
    /// Answered, need it to be gone.
    pub(super) avoid: u32,
    /// Leave it.
    pub(super) supply: u32,
}

impl Tally {
    pub(super) fn renew(self, problem: &Problem) -> Self {
        let states = if problem.shaped { problem.states } else { 0 };
        let mut tally = Self(filled(self.0, states, Calls::default()));
        if problem.shaped {
            for row in &problem.rows {
                tally.count(row, u32::wrapping_add, 1);
            }
        }
        tally
    }

    pub(super) fn count(&mut self, row: &Row, change: fn(u32, u32) -> u32, by: u32) {
        let apply = |count: &mut u32| *count = change(*count, by);
        match row.need {
            Need::Exactly(state) if row.answered => apply(&mut self.0[state as usize].need),
            Need::Exactly(state) => apply(&mut self.0[state as usize].want),
            Need::AnythingBut(state) => apply(&mut self.0[state as usize].avoid),
            Need::Nothing | Need::Unclear => {}
        }
        if let Leave::Always(state) = row.leave {
            apply(&mut self.0[state as usize].supply);
        }
    }

    /// What has to do with this state.
    pub(super) fn of(&self, state: StateId) -> Calls {
        self.0[state as usize]
    }

    /// Whether some answered call needs this state and nothing is left to bring it about.
    pub(super) fn is_lost(&self, state: StateId) -> bool {
        let calls = self.of(state);
        calls.need > 0 && calls.supply == 0
    }
}
