//! Going on elsewhere when depth first gets nowhere.
//!
//! Depth first is quick as long as a wrong turn shows soon. One that shows late, an effect of an
//! unknown outcome that is missed a hundred moments on, costs it all there is in between. So when
//! the search has opened so many configurations (`Rules::patience`) without coming farther, it sets
//! aside all that is still to be tried, and *sweeps*: from some moments back up to the farthest one
//! it takes, at each moment, the few best of what was set aside and tries all their moves. Those
//! that used the fewest unknown outcomes are the best, since what is left of these is what is hard
//! to come by; the earliest of them, since they have the fewest calls behind them that need not have
//! been yet; and each state has its own few, so that no state crowds out the others (where shapes do
//! not tell all, nearly every configuration may be a state of its own, and all have their few
//! together: else a sweep would be a search in breadth). If that comes farther, depth first goes on
//! from there; if not, the next sweep is longer and wider, until one was from the beginning. What is
//! left then is tried depth first: the farthest first, of those the ones that used the fewest, of
//! those the newest.
//!
//! What is set aside is kept in order, so that taking the best costs no more than the best does:
//! a sweep looks at one configuration of each state, and at those that it takes.
//!
//! No rule is needed for this to be right: whatever is not tried stays set aside, every
//! configuration is opened once (`memo`), and only when nothing is left is the answer no. Sweeps
//! change the order in which the same things are tried.

use super::{Frame, Move, Search};
use crate::Spec;
use crate::budget::{Budget, Halt, Limits};
use crate::hash::Table;
use crate::partition::StateId;
use crate::problem::{Moment, NONE};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// How many moments back the first sweep begins,
const FIRST_LENGTH: usize = 32;
/// and how many configurations of each group and moment it takes.
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

/// A configuration with moves that are still to be tried. Of one group at one moment, the best is
/// the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Aside {
    moment: u32,
    /// Those with which it shares what a sweep takes: its state, or one for all.
    group: StateId,
    /// How many calls of unknown outcome it used.
    used: u64,
    node: u32,
}

impl Aside {
    fn first_at(moment: usize, group: StateId) -> Self {
        Self { moment: moment as u32, group, used: 0, node: 0 }
    }
}

/// What was set aside, and how the sweeps went.
pub(super) struct Frontier {
    /// With how many of its moves were tried.
    aside: BTreeMap<Aside, u32>,
    /// The same; the last is the one with which depth first goes on.
    deepest: BTreeSet<(u32, Reverse<u64>, u32, StateId)>,
    /// The moment at which a sweep is, [`NONE`] outside of one; of what is set aside there, at least
    /// the best of each group that has some left to take; and how many each group took.
    at: u32,
    heads: BTreeSet<(u64, u32, StateId)>,
    taken: Table<StateId, u32>,
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
            deepest: BTreeSet::new(),
            at: NONE,
            heads: BTreeSet::new(),
            taken: Table::default(),
            length: FIRST_LENGTH,
            width: FIRST_WIDTH,
            spent: false,
            farthest: 0,
            since: 0,
            left: false,
        }
    }

    /// How many bytes it takes, about: the nodes of the trees are at least half full.
    pub(super) fn bytes(&self) -> u64 {
        (4 * self.aside.len() * size_of::<(Aside, u32)>()) as u64
    }

    fn begin_small(&mut self) {
        (self.length, self.width, self.spent) = (FIRST_LENGTH, FIRST_WIDTH, false);
    }

    fn add(&mut self, aside: Aside, tried: u32) {
        let Aside { moment, group, used, node } = aside;
        self.aside.insert(aside, tried);
        self.deepest.insert((moment, Reverse(used), node, group));
        if moment == self.at {
            self.heads.insert((used, node, group));
        }
    }

    fn remove(&mut self, aside: Aside) -> Option<(Aside, u32)> {
        let Aside { moment, group, used, node } = aside;
        self.deepest.remove(&(moment, Reverse(used), node, group));
        self.aside.remove(&aside).map(|tried| (aside, tried))
    }

    /// The first moment from `from` to `to` at which something is set aside.
    fn next_moment(&self, from: usize, to: usize) -> Option<usize> {
        let (aside, _) = self.aside.range(Aside::first_at(from, 0)..).next()?;
        Some(aside.moment as usize).filter(|moment| *moment <= to)
    }

    /// Lets a sweep begin with a moment. Says how many groups there are.
    fn begin_moment(&mut self, moment: usize) -> u64 {
        self.at = moment as u32;
        self.heads.clear();
        self.taken.clear();
        let mut from = Aside::first_at(moment, 0);
        while let Some((&head, _)) = self.aside.range(from..).next()
            && head.moment == self.at
        {
            self.heads.insert((head.used, head.node, head.group));
            from = Aside::first_at(moment, head.group + 1);
        }
        self.heads.len() as u64
    }

    /// Takes the best at the moment of the sweep of which the group has some left to take.
    fn take_best(&mut self) -> Option<(Aside, u32)> {
        while let Some((used, node, group)) = self.heads.pop_first() {
            let taken = self.taken.entry(group).or_default();
            if *taken == self.width {
                continue;
            }
            *taken += 1;
            let more = *taken < self.width;
            let best = self.remove(Aside { moment: self.at, group, used, node });
            if let Some((best, _)) = best
                && let Some((next, _)) = self.aside.range(best..).next()
                && more
                && (next.moment, next.group) == (self.at, group)
            {
                self.heads.insert((next.used, next.node, group));
            }
            return best;
        }
        None
    }

    /// Takes the one with which depth first goes on.
    fn take_deepest(&mut self) -> Option<(Aside, u32)> {
        let &(moment, Reverse(used), node, group) = self.deepest.last()?;
        self.remove(Aside { moment, group, used, node })
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
    pub(super) fn set_aside(&mut self, budget: &mut Budget<'_>) -> Result<(), Halt> {
        let mut start = 0;
        for place in 0..self.frames.len() {
            let Frame { node, next, end, .. } = self.frames[place];
            if next < end {
                budget.spend(self.breadth())?;
                self.frontier.add(self.aside(node), (next - start) as u32);
            }
            start = end;
        }
        self.frames.clear();
        self.saved.clear();
        self.moves.clear();
        Ok(())
    }

    fn aside(&self, node: u32) -> Aside {
        let words = &self.memo.row(node)[2 * self.words..];
        let used = self.problem.fields.iter().map(|field| field.get(words)).sum();
        let group = if self.problem.shaped { self.memo.state(node) } else { 0 };
        Aside { moment: self.memo.moment(node), group, used, node }
    }

    /// Steps for going through what a configuration is made of: one for some words of it.
    fn breadth(&self) -> u64 {
        1 + (self.occupant.len() + self.problem.fields.len()) as u64 / 8
    }

    /// Sweeps until one comes farther, or is the last; then makes the best of what is farthest the
    /// only frame. True: a legal order was found. Nothing set aside and no frame: there is none.
    pub(super) fn sweep(&mut self, budget: &mut Budget<'_>) -> Result<bool, Halt> {
        self.frontier.left = true;
        while !self.frontier.spent && !self.frontier.aside.is_empty() {
            let before = self.farthest;
            let found = self.sweep_once(budget)?;
            self.frontier.at = NONE;
            if found {
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
        if let Some((aside, tried)) = self.frontier.take_deepest() {
            self.visit(aside, tried, budget)?;
        }
        self.frontier.since = self.memo.len();
        Ok(false)
    }

    fn sweep_once(&mut self, budget: &mut Budget<'_>) -> Result<bool, Halt> {
        let mut from = self.farthest.saturating_sub(self.frontier.length);
        let end = self.farthest + BEYOND;
        while let Some(moment) = self.frontier.next_moment(from, end) {
            budget.spend(self.frontier.begin_moment(moment))?;
            while let Some((aside, tried)) = self.frontier.take_best() {
                self.visit(aside, tried, budget)?;
                if self.try_moves(budget)? {
                    return Ok(true);
                }
            }
            from = moment + 1;
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
                budget.spend(self.breadth())?;
                self.frontier.add(self.aside(self.frames[frames].node), 0);
                self.close();
            }
        }
        self.close();
        Ok(false)
    }

    /// Goes to a configuration that was set aside, of which so many moves were tried, and makes it
    /// the only frame.
    fn visit(&mut self, aside: Aside, tried: u32, budget: &mut Budget<'_>) -> Result<(), Halt> {
        let (node, moment) = (aside.node, aside.moment as usize);
        budget.spend(self.moment.abs_diff(moment) as u64 + self.breadth())?;
        self.count_done(u32::wrapping_add);
        self.go_to(moment);
        self.state = self.memo.state(node);
        self.masks.copy_from_slice(self.memo.row(node));
        self.count_done(u32::wrapping_sub);
        self.path.clear();
        self.frames.clear();
        self.saved.clear();
        self.moves.clear();
        self.list_moves();
        budget.spend(self.moves.len() as u64 + self.steps.take_unpaid())?;
        self.push_frame(node, 0);
        if let Some(frame) = self.frames.last_mut() {
            frame.next = tried as usize;
        }
        Ok(())
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

    /// Goes the way to the end once more, from the beginning, so that the path is whole. What is
    /// found must not be lost to a limit, and this is bounded by the moments, so it is not counted.
    pub(super) fn retrace(&mut self) -> Result<(), Halt> {
        let limits = Limits { steps: u64::MAX, bytes: u64::MAX };
        let budget = &mut Budget::new(limits, &|| false);
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
