//! Going on elsewhere when depth first gets nowhere.
//!
//! Depth first is quick as long as a wrong turn shows soon. One that shows late, an effect of an
//! unknown outcome that is missed a hundred moments on, costs it all there is in between. So when
//! the search has opened so many configurations (`Rules::patience`) without coming farther, it sets aside all that
//! is still to be tried, and *sweeps*: from some moments back up to the farthest one it takes, at
//! each moment, the few best of what was set aside and tries all their moves. Those that used the
//! fewest unknown outcomes are the best, since what is left of these is what is hard to come by;
//! the earliest of them, since they have the fewest calls behind them that need not have been yet;
//! and each state has its own few, so that no state crowds out the others. If that comes
//! farther, depth first goes on from there; if not, the next sweep is longer and wider, until one was
//! from the beginning. What is left then is tried depth first, the farthest first.
//!
//! No rule is needed for this to be right: whatever is not tried stays set aside, every
//! configuration is opened once (`memo`), and only when nothing is left is the answer no. Sweeps
//! change the order in which the same things are tried.

use super::{Frame, Move, Search};
use crate::Spec;
use crate::budget::{Budget, Halt};
use crate::hash::Table;
use crate::partition::StateId;
use crate::problem::{Moment, NONE};
use std::collections::BTreeMap;

/// How many moments back the first sweep begins,
const FIRST_LENGTH: usize = 32;
/// and how many configurations of each state and moment it takes.
const FIRST_WIDTH: u32 = 2;
/// How many moments beyond the farthest one a sweep goes on.
const BEYOND: usize = 8;

/// How a configuration came about.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    /// The configuration before, [`NONE`] if it is the first.
    pub(super) parent: u32,
    pub(super) chosen: Move,
}

/// A configuration with moves that are still to be tried.
#[derive(Clone, Copy, Debug)]
struct Aside {
    node: u32,
    /// How many of its moves were tried.
    tried: u32,
    /// How many calls of unknown outcome it used.
    used: u64,
}

/// What was set aside, and how the sweeps went.
pub(super) struct Frontier {
    aside: BTreeMap<usize, Vec<Aside>>,
    count: usize,
    length: usize,
    width: u32,
    /// Whether a sweep from the beginning did not help: what is left is tried depth first.
    spent: bool,
    /// The farthest moment and the number of configurations when it was last come farther.
    farthest: usize,
    since: usize,
    /// Whether depth first was ever left, so that the path is not all there.
    pub(super) left: bool,
}

impl Frontier {
    pub(super) fn new() -> Self {
        Self {
            aside: BTreeMap::new(),
            count: 0,
            length: FIRST_LENGTH,
            width: FIRST_WIDTH,
            spent: false,
            farthest: 0,
            since: 0,
            left: false,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        (2 * self.count * size_of::<Aside>()) as u64
    }

    fn begin_small(&mut self) {
        (self.length, self.width, self.spent) = (FIRST_LENGTH, FIRST_WIDTH, false);
    }

    fn add(&mut self, moment: usize, aside: Aside) {
        self.aside.entry(moment).or_default().push(aside);
        self.count += 1;
    }

    /// Takes the best at a moment of which the state has some left to take.
    fn take(
        &mut self,
        moment: usize,
        quota: &mut Table<StateId, u32>,
        width: u32,
        state: impl Fn(u32) -> StateId,
    ) -> Option<Aside> {
        let there = self.aside.get_mut(&moment)?;
        let open =
            |aside: &&Aside| quota.get(&state(aside.node)).is_none_or(|taken| *taken < width);
        let best =
            there.iter().filter(open).min_by_key(|aside| (aside.used, aside.node)).copied()?;
        *quota.entry(state(best.node)).or_default() += 1;
        there.retain(|aside| aside.node != best.node);
        self.count -= 1;
        if there.is_empty() {
            self.aside.remove(&moment);
        }
        Some(best)
    }
}

impl<S: Spec> Search<'_, S> {
    /// Whether depth first opened too many configurations without coming farther.
    pub(super) fn is_impatient(&mut self) -> bool {
        let frontier = &mut self.frontier;
        if self.farthest > frontier.farthest {
            frontier.farthest = self.farthest;
            frontier.since = self.memo.len();
            frontier.begin_small();
            return false;
        }
        !frontier.spent && self.memo.len() - frontier.since > self.rules.patience
    }

    /// Sets aside all that is still to be tried.
    pub(super) fn set_aside(&mut self) {
        let mut start = 0;
        for place in 0..self.frames.len() {
            let Frame { node, moment, next, end, .. } = self.frames[place];
            if next < end {
                let used = self.count_used(node);
                let aside = Aside { node, tried: (next - start) as u32, used };
                self.frontier.add(moment, aside);
            }
            start = end;
        }
        self.frames.clear();
        self.saved.clear();
        self.moves.clear();
    }

    /// Sweeps until one comes farther, or is the last; then makes the best of what is farthest the
    /// only frame. True: a legal order was found. Nothing set aside and no frame: there is none.
    pub(super) fn sweep(&mut self, budget: &mut Budget<'_>) -> Result<bool, Halt> {
        self.frontier.left = true;
        while !self.frontier.spent && self.frontier.count > 0 {
            let before = self.farthest;
            if self.sweep_once(budget)? {
                return Ok(true);
            }
            if self.farthest > before {
                self.frontier.begin_small();
                break;
            }
            self.frontier.spent = self.frontier.length > self.farthest;
            self.frontier.length *= 2;
            self.frontier.width += self.frontier.width / 2;
        }
        let last = self.frontier.aside.last_key_value().map(|(moment, _)| *moment);
        if let Some(moment) = last {
            let state = |node| self.memo.state(node);
            if let Some(best) = self.frontier.take(moment, &mut Table::default(), u32::MAX, state) {
                self.visit(best);
            }
        }
        self.frontier.since = self.memo.len();
        Ok(false)
    }

    fn sweep_once(&mut self, budget: &mut Budget<'_>) -> Result<bool, Halt> {
        let mut at = self.farthest.saturating_sub(self.frontier.length);
        let end = self.farthest + BEYOND;
        while let Some((&moment, _)) = self.frontier.aside.range(at..).next()
            && moment <= end
        {
            let mut quota = Table::default();
            loop {
                let state = |node| self.memo.state(node);
                let width = self.frontier.width;
                let Some(best) = self.frontier.take(moment, &mut quota, width, state) else {
                    break;
                };
                self.visit(best);
                if self.try_moves(budget)? {
                    return Ok(true);
                }
            }
            at = moment + 1;
        }
        Ok(false)
    }

    /// Tries all moves of the only frame, and sets aside what comes of them.
    fn try_moves(&mut self, budget: &mut Budget<'_>) -> Result<bool, Halt> {
        while let Some(frame) = self.frames.first_mut()
            && frame.next < frame.end
        {
            let next = self.moves[frame.next];
            frame.next += 1;
            let frames = self.frames.len();
            if self.follow(next, budget)? {
                return Ok(true);
            }
            if self.frames.len() > frames {
                let Frame { node, moment, .. } = self.frames[frames];
                let aside = Aside { node, tried: 0, used: self.count_used(node) };
                self.frontier.add(moment, aside);
                self.close();
            }
        }
        self.close();
        Ok(false)
    }

    fn count_used(&self, node: u32) -> u64 {
        let words = &self.memo.row(node)[2 * self.words..];
        self.problem.fields.iter().map(|field| field.get(words)).sum()
    }

    /// Goes to a configuration that was set aside, and makes it the only frame.
    fn visit(&mut self, aside: Aside) {
        self.count_done(u32::wrapping_add);
        self.go_to(self.memo.moment(aside.node) as usize);
        self.state = self.memo.state(aside.node);
        self.masks.copy_from_slice(self.memo.row(aside.node));
        self.count_done(u32::wrapping_sub);
        self.path.clear();
        self.frames.clear();
        self.saved.clear();
        self.moves.clear();
        self.list_moves();
        self.push_frame(aside.node, 0);
        if let Some(frame) = self.frames.last_mut() {
            frame.next = aside.tried as usize;
        }
    }

    /// Counts the open calls that are linearized, and the unknown ones that are used, in the tally.
    fn count_done(&mut self, change: fn(u32, u32) -> u32) {
        if !self.problem.shaped {
            return;
        }
        for slot in 0..self.occupant.len() {
            let place = self.occupant[slot];
            if place != NONE && self.is_done(place) {
                self.tally.count(self.row(place), change, 1);
            }
        }
        for (class, places) in self.problem.unknown.iter().enumerate() {
            let used = self.problem.fields[class].get(&self.masks[2 * self.words..]);
            if used > 0 {
                self.tally.count(self.row(places[0]), change, used as u32);
            }
        }
    }

    /// Goes through the moments up to this one, which all that was linearized of those left
    /// behind is counted for already.
    fn go_to(&mut self, moment: usize) {
        while self.moment > moment {
            self.moment -= 1;
            self.undo_moment();
            if let Moment::Return(place) = self.problem.moments[self.moment]
                && self.problem.shaped
            {
                self.tally.count(self.row(place), u32::wrapping_add, 1);
            }
        }
        while self.moment < moment {
            match self.problem.moments[self.moment] {
                Moment::Invoke(place) => {
                    let row = self.row(place);
                    if row.answered {
                        self.occupant[row.bit as usize] = place;
                    }
                }
                Moment::Return(place) => {
                    let row = self.row(place);
                    self.occupant[row.bit as usize] = NONE;
                    if self.problem.shaped {
                        self.tally.count(row, u32::wrapping_sub, 1);
                    }
                }
            }
            self.moment += 1;
        }
    }

    /// Goes the way to the end once more, from the beginning, so that the path is whole.
    pub(super) fn retrace(&mut self, budget: &mut Budget<'_>) -> Result<(), Halt> {
        let mut chosen = vec![self.last.chosen];
        let mut node = self.last.parent;
        while node != NONE {
            let origin = self.origins[node as usize];
            if origin.parent != NONE {
                chosen.push(origin.chosen);
            }
            node = origin.parent;
        }
        self.count_done(u32::wrapping_add);
        self.masks.fill(0);
        self.go_to(0);
        self.state = self.problem.initial;
        self.path.clear();
        self.advance(budget)?;
        for next in chosen.into_iter().rev() {
            self.apply(next);
            self.advance(budget)?;
        }
        Ok(())
    }
}
