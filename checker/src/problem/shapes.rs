//! Numbers for the shapes that rows have.
//!
//! Most problems are small parts of others, with a few states: there every possible shape has a
//! place of its own, and nothing is hashed. Of many states only the shapes that are met are kept.

use super::NONE;
use crate::hash::Table;
use crate::partition::{Leave, Need};

/// Shapes of so few states have places.
const FEW_STATES: usize = 8;

/// What was numbered.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    states: usize,
    /// By place, if the states are few.
    few: Vec<u32>,
    many: Table<(Need, Leave), u32>,
}

impl Shapes {
    /// Forgets all, for shapes of so many states.
    pub(super) fn renew(&mut self, states: usize) {
        self.states = states;
        self.many.clear();
        self.few.clear();
        if states <= FEW_STATES {
            self.few.resize((2 * states + 1) * (states + 1), NONE);
        }
    }

    /// The number of a shape; `next` if it has none yet.
    pub(super) fn number(&mut self, need: Need, leave: Leave, next: u32) -> u32 {
        let place = self.place(need, leave);
        let number = match place.and_then(|place| self.few.get_mut(place)) {
            Some(number) => number,
            None => self.many.entry((need, leave)).or_insert(NONE),
        };
        if *number == NONE {
            *number = next;
        }
        *number
    }

    /// Where a shape is if the states are few; none if it is not clear.
    fn place(&self, need: Need, leave: Leave) -> Option<usize> {
        let need = match need {
            Need::Nothing => 0,
            Need::Exactly(state) => 1 + state as usize,
            Need::AnythingBut(state) => 1 + self.states + state as usize,
            Need::Unclear => return None,
        };
        let leave = match leave {
            Leave::Unchanged => 0,
            Leave::Always(state) => 1 + state as usize,
            Leave::Unclear => return None,
        };
        Some(need * (self.states + 1) + leave)
    }
}

#[cfg(test)]
mod tests {
    use super::{FEW_STATES, Shapes};
    use crate::partition::{Leave, Need};

    #[test]
    fn every_shape_has_a_number_of_its_own() {
        let mut shapes = Shapes::default();
        for states in [1, 2, FEW_STATES, FEW_STATES + 1, 1] {
            shapes.renew(states);
            let each = 0..states as u32;
            let needs =
                each.clone().flat_map(|state| [Need::Exactly(state), Need::AnythingBut(state)]);
            let needs: Vec<Need> = needs.chain([Need::Nothing]).collect();
            let leaves: Vec<Leave> = each.map(Leave::Always).chain([Leave::Unchanged]).collect();
            for again in [false, true] {
                let all =
                    needs.iter().flat_map(|need| leaves.iter().map(move |leave| (need, leave)));
                for (next, (need, leave)) in (0..).zip(all) {
                    let offered = if again { u32::MAX - 1 } else { next };
                    assert_eq!(shapes.number(*need, *leave, offered), next, "{need:?} {leave:?}");
                }
            }
        }
    }
}
