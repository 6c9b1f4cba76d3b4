//! Which moves there are from a blocked configuration, the likeliest first.
//!
//! The blocked call itself; then open calls that leave the state it needs; then the other open
//! calls; then, only if all of those fail, calls of unknown outcome.

use super::{Move, Search};
use crate::Spec;
use crate::partition::{Leave, Need, StateId};
use crate::problem::{Moment, Row};

/// What the open calls look for at one node.
#[derive(Clone, Copy)]
struct Looks {
    /// Some open call needs the present state to be gone.
    away: bool,
    node: u64,
}

impl<S: Spec> Search<'_, S> {
    /// Appends the moves from this configuration to `moves`.
    pub(super) fn list_moves(&mut self) {
        let Some(Moment::Return(blocked)) = self.problem.moments.get(self.moment).copied() else {
            return;
        };
        let start = self.moves.len();
        if !self.problem.shaped {
            return self.list_unshaped(blocked);
        }
        let looks = self.look_around();
        self.list_blocked(blocked);
        let others = self.moves.len();
        for slot in 0..self.occupant.len() {
            if let Some(place) = self.waiting(slot)
                && place != blocked
                && self.may_follow(place)
            {
                self.list_answered(place, looks);
                self.list_unsettled(place);
            }
        }
        // A call that leaves what the blocked one needs goes first.
        if let Need::Exactly(needed) = self.row(blocked).need {
            self.moves[others..].sort_by_key(|chosen| chosen.state != needed);
        }
        debug_assert!(start <= others);
        for place in 0..self.unused.len() {
            self.list_unknown(self.unused[place], looks);
        }
    }

    /// Notes which states the open calls need, the first to return of each class, and the next of
    /// each class of unknown outcome.
    fn look_around(&mut self) -> Looks {
        self.node += 1;
        let node = self.node;
        let mut away = false;
        for slot in 0..self.occupant.len() {
            let Some(place) = self.waiting(slot) else { continue };
            let row = self.row(place);
            match row.need {
                Need::Exactly(state) => self.wanted[state as usize] = node,
                Need::AnythingBut(state) => away |= state == self.state,
                Need::Nothing | Need::Unclear => {}
            }
            if !row.followed && self.may_follow(place) {
                let first = &mut self.first[row.class as usize];
                let returned = |place: u32| self.problem.rows[place as usize].returned;
                if first.0 != node || returned(first.1) > row.returned {
                    *first = (node, place);
                }
            }
        }
        self.unused.clear();
        for class in 0..self.problem.unknown.len() {
            if let Some(place) = self.first_unused(class) {
                self.unused.push(place);
                if let Need::Exactly(state) = self.row(place).need {
                    self.wanted[state as usize] = node;
                }
            }
        }
        Looks { away, node }
    }

    /// The first member of a class of unknown calls that is invoked and not used.
    fn first_unused(&self, class: usize) -> Option<u32> {
        let used = self.problem.fields[class].get(&self.masks[2 * self.words..]);
        let place = *self.problem.unknown[class].get(used as usize)?;
        let invoked = (self.row(place).invoked as usize) < self.moment;
        (invoked && self.may_follow(place)).then_some(place)
    }

    fn list_blocked(&mut self, blocked: u32) {
        let row = self.row(blocked);
        let absorbable = self.is_absorbable(row);
        if absorbable {
            self.moves.push(Move { row: blocked, state: self.state, absorbed: true });
        }
        self.list_unsettled(blocked);
        let Leave::Always(after) = row.leave else { return };
        // Visibly besides being absorbed: only if that can make a difference to a call still to
        // come, or lets another open blind call be absorbed.
        let led_to = self.tally.of(after);
        let matters = led_to.need > 0
            || led_to.want > 0
            || self.tally.of(self.state).avoid > 0
            || row.followed
            || !self.rules.absorb
            || self.hides_another(blocked);
        if self.is_possible(blocked) && (!absorbable || matters) {
            self.moves.push(Move { row: blocked, state: after, absorbed: false });
        }
    }

    /// Whether an open blind call other than this one may not be absorbed yet.
    fn hides_another(&self, hider: u32) -> bool {
        (0..self.occupant.len()).filter_map(|slot| self.waiting(slot)).any(|place| {
            let row = self.row(place);
            place != hider && self.may_follow(place) && row.is_blind() && !self.is_absorbable(row)
        })
    }

    /// A pure call that is possible is a move of its own only where it was not settled.
    fn list_unsettled(&mut self, place: u32) {
        if !self.rules.settle && self.row(place).is_pure() && self.is_possible(place) {
            self.moves.push(Move { row: place, state: self.state, absorbed: false });
        }
    }

    fn list_answered(&mut self, place: u32, looks: Looks) {
        let row = self.row(place);
        let Leave::Always(after) = row.leave else { return };
        if row.followed && self.is_absorbable(row) {
            self.moves.push(Move { row: place, state: self.state, absorbed: true });
        }
        let first = self.first[row.class as usize] == (looks.node, place);
        if !row.followed && !first && self.rules.symmetry {
            return;
        }
        let seen = !row.is_blind() || row.followed || self.is_seen(after, looks);
        if seen && self.is_possible(place) {
            self.moves.push(Move { row: place, state: after, absorbed: false });
        }
    }

    fn list_unknown(&mut self, place: u32, looks: Looks) {
        let row = self.row(place);
        let Leave::Always(after) = row.leave else { return };
        // Even one that changes nothing can hide an open blind call.
        let changes = after != self.state || row.is_blind() && self.hides_another(place);
        if changes && self.is_seen(after, looks) && self.is_possible(place) {
            self.moves.push(Move { row: place, state: after, absorbed: false });
        }
    }

    fn is_seen(&self, after: StateId, looks: Looks) -> bool {
        looks.away || !self.rules.absorb || self.wanted[after as usize] == looks.node
    }

    fn is_absorbable(&self, row: &Row) -> bool {
        self.masks[self.words + row.bit as usize / 64] >> (row.bit % 64) & 1 == 1
    }

    fn list_unshaped(&mut self, blocked: u32) {
        match self.row(blocked).is_pure() {
            true => self.list_unsettled(blocked),
            false => self.list_steps(blocked),
        }
        for slot in 0..self.occupant.len() {
            // An open pure call that is not settled is not possible.
            if let Some(place) = self.waiting(slot)
                && place != blocked
                && self.may_follow(place)
            {
                if self.row(place).is_pure() {
                    self.list_unsettled(place);
                } else {
                    self.list_steps(place);
                }
            }
        }
        for class in 0..self.problem.unknown.len() {
            if let Some(place) = self.first_unused(class) {
                self.list_steps(place);
            }
        }
    }

    fn list_steps(&mut self, place: u32) {
        let row = self.row(place);
        for state in self.steps.after(place, row, self.state) {
            if row.answered || state != self.state {
                self.moves.push(Move { row: place, state, absorbed: false });
            }
        }
    }
}
