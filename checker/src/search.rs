//! The search: is there a legal order of a problem's calls that respects real time?
//!
//! Depth first with an explicit stack, after Wing and Gong, Lowe ("just in time") and Horn and
//! Kroening. A *configuration* is a moment of the history, the set of open calls already
//! linearized, and the state. The search goes through the moments; at the return of a call that is
//! not linearized yet (it is *blocked*) it must linearize open calls, the blocked one last, and
//! each way to do so is a branch. No order is lost by being this late: in any order, the calls that
//! come after the blocked one can be taken when a later return needs them.
//!
//! A legal order of what is left is called a *continuation*. Each rule below keeps this: if a
//! configuration has a continuation, then one of the branches that are kept has one, and a shorter
//! or an equally good one.
//!
//! - **Settle.** An open *pure* call (it leaves every state as it is) that is possible now is
//!   linearized now. It is somewhere in the continuation; moved to the front it is possible there,
//!   and no call notices that it left.
//! - **Unknown outcomes** are optional and come last. One that changes nothing here is left out
//!   (unless it hides a blind call, see *absorb*).
//! - **Dominance**, see `memo`.
//! - **Symmetry.** Of calls that are the same operation with the same answer, take the one that
//!   returns first: swap the two in the continuation. Unknown ones never return, so take the one
//!   invoked first.
//!
//! The rest needs shapes of all calls ([`Problem::shaped`]). A *blind* call sets the state whatever
//! it was.
//!
//! - **Absorb.** When a blind call is linearized, any other open blind call could have come right
//!   before it, unseen. Each gets a mark, and if it is still not linearized when it returns, it may
//!   be taken as having come there, which leaves the state alone. Linearizing it visibly at its
//!   return is tried besides only if somebody still to come needs its state, or needs the present
//!   one to be gone, or another open blind call has no mark yet.
//! - **Nobody looks.** An open blind or unknown call other than the blocked one is linearized early
//!   only if some open call needs the state it leaves, or needs the present one to be gone.
//!   Otherwise no call sees what it did before the next blind call, which can absorb it (if it is
//!   blind and answered) or do without it (if unknown).
//! - **No way back.** A state is not left while an answered call that needs it is to come and no
//!   call is left that could bring it back.
//!
//! The exceptions for calls of one process that touch (`previous`, `followed`) keep these rules
//! right when times tie.

mod frontier;
mod moves;
mod room;
mod steps;
mod tally;

use crate::Spec;
use crate::budget::{Budget, Halt};
use crate::memo::Memo;
use crate::partition::{Leave, Need, Partition, StateId};
use crate::problem::{Moment, NONE, Problem, Row};
use frontier::{Frontier, Origin};
pub(crate) use room::Room;
use room::{emptied, filled};
use steps::Steps;
use tally::Tally;

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A legal order, as places in the partition. Calls of unknown outcome are in it only if they
    /// had to happen.
    Legal(Vec<u32>),
    /// There is none.
    Illegal,
    /// It is not known.
    Halted(Halt),
}

/// What a search did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Configurations looked at.
    pub(crate) explored: u64,
    /// Answered calls of which the returns were passed, at the farthest.
    pub(crate) returns: usize,
    /// The call at whose return the search was stuck there, as a place in the partition.
    pub(crate) stuck: Option<u32>,
}

/// Which rules a search uses. All of them, except in tests, which compare with and without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) settle: bool,
    pub(crate) dominance: bool,
    pub(crate) symmetry: bool,
    /// *Absorb* and *nobody looks*, which rely on each other.
    pub(crate) absorb: bool,
    pub(crate) no_way_back: bool,
    /// Configurations opened without coming farther before depth first is left (`frontier`): no rule
    /// of what may be left out, but of what comes first.
    pub(crate) patience: usize,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        settle: true,
        dominance: true,
        symmetry: true,
        absorb: true,
        no_way_back: true,
        patience: 500,
    };
}

/// Searches a problem.
pub(crate) fn search<S: Spec>(
    partition: &Partition<S>,
    problem: &Problem,
    rules: Rules,
    budget: &mut Budget<'_>,
) -> (Found, Progress) {
    let mut search = Search::new(partition, problem, rules, partition.room.take());
    let found = match search.run(budget) {
        Ok(true) => Found::Legal(search.order()),
        Ok(false) => Found::Illegal,
        Err(halt) => Found::Halted(halt),
    };
    let returns = problem.moments[..search.farthest]
        .iter()
        .filter(|moment| matches!(moment, Moment::Return(_)))
        .count();
    let stuck = match problem.moments.get(search.farthest) {
        Some(Moment::Return(place)) => Some(problem.rows[*place as usize].call),
        Some(Moment::Invoke(_)) | None => None,
    };
    let progress = Progress { explored: search.memo.len() as u64, returns, stuck };
    partition.room.set(search.leave());
    (found, progress)
}

/// Most searches come no deeper, and have all the room they need from the start.
const DEPTH: usize = 16;

/// One way to go on from a blocked configuration.
#[derive(Clone, Copy)]
struct Move {
    row: u32,
    /// The state afterwards; for an absorbed call the state is what it is.
    state: StateId,
    absorbed: bool,
}

/// A blocked configuration and the moves from it that are still to be tried. Its masks are in
/// `Search::saved`.
struct Frame {
    /// Its number in the memo.
    node: u32,
    moment: usize,
    state: StateId,
    path: usize,
    next: usize,
    end: usize,
}

pub(crate) struct Search<'a, S: Spec> {
    problem: &'a Problem,
    rules: Rules,
    memo: Memo<'a>,
    /// Words of slots, and of a whole configuration: linearized slots, absorbable slots, unknown
    /// calls used.
    words: usize,
    width: usize,
    moment: usize,
    state: StateId,
    masks: Vec<u64>,
    /// Which row holds each slot at this moment.
    occupant: Vec<u32>,
    path: Vec<(u32, bool)>,
    frames: Vec<Frame>,
    /// Of each configuration in the memo, and of the one that the search came to last.
    origins: Vec<Origin>,
    last: Origin,
    frontier: Frontier,
    saved: Vec<u64>,
    moves: Vec<Move>,
    tally: Tally,
    /// Scratch: for each state and class, the last node at which it was marked.
    wanted: Vec<u64>,
    first: Vec<(u64, u32)>,
    /// Scratch: the calls of unknown outcome that come next of their classes.
    unused: Vec<u32>,
    node: u64,
    farthest: usize,
    steps: Steps<'a, S>,
}

impl<'a, S: Spec> Search<'a, S> {
    fn new(partition: &'a Partition<S>, problem: &'a Problem, rules: Rules, room: Room) -> Self {
        let words = problem.slots.div_ceil(64);
        let width = 2 * words + problem.unknown_words;
        let states = if problem.shaped { problem.states } else { 0 };
        let fields = rules.dominance.then_some(&problem.fields[..]);
        Self {
            problem,
            rules,
            memo: room.memo.renew(words, width, fields),
            words,
            width,
            moment: 0,
            state: problem.initial,
            masks: filled(room.masks, width, 0),
            occupant: filled(room.occupant, problem.slots, NONE),
            path: emptied(room.path, problem.rows.len()),
            frames: emptied(room.frames, DEPTH),
            origins: emptied(room.origins, DEPTH),
            last: Origin { parent: NONE, chosen: Move { row: NONE, state: 0, absorbed: false } },
            frontier: Frontier::new(),
            saved: emptied(room.saved, DEPTH),
            moves: emptied(room.moves, DEPTH),
            tally: room.tally.renew(problem),
            wanted: filled(room.wanted, states, 0),
            first: filled(room.first, problem.classes, (0, NONE)),
            unused: room.unused,
            node: 0,
            farthest: 0,
            steps: Steps::new(partition, problem),
        }
    }

    fn run(&mut self, budget: &mut Budget<'_>) -> Result<bool, Halt> {
        budget.spend(self.problem.rows.len() as u64 + 1)?;
        let lost = |state: &StateId| *state != self.state && self.is_lost(*state);
        if self.problem.shaped && (0..self.problem.states as StateId).any(|state| lost(&state)) {
            return Ok(false);
        }
        if self.advance(budget)? {
            return Ok(true);
        }
        self.open(budget)?;
        while !self.frames.is_empty() {
            let found = self.go_deep(budget)? || self.sweep(budget)?;
            if found {
                if self.frontier.left {
                    self.retrace()?;
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Depth first, until a legal order is found (true), nothing is left, or it gets nowhere.
    fn go_deep(&mut self, budget: &mut Budget<'_>) -> Result<bool, Halt> {
        while let Some(frame) = self.frames.last_mut() {
            if frame.next == frame.end {
                self.close();
                continue;
            }
            let next = self.moves[frame.next];
            frame.next += 1;
            if self.follow(next, budget)? {
                return Ok(true);
            }
            if self.is_impatient() {
                self.set_aside(budget)?;
            }
        }
        Ok(false)
    }

    /// Makes a move from the last frame. True: it leads to the end.
    fn follow(&mut self, next: Move, budget: &mut Budget<'_>) -> Result<bool, Halt> {
        budget.spend(1)?;
        self.rewind();
        self.last.chosen = next;
        if self.apply(next) {
            if self.advance(budget)? {
                return Ok(true);
            }
            self.open(budget)?;
        }
        Ok(false)
    }

    /// Goes through the moments up to one that is blocked. True: there are no more.
    fn advance(&mut self, budget: &mut Budget<'_>) -> Result<bool, Halt> {
        self.settle();
        while let Some(moment) = self.problem.moments.get(self.moment) {
            match *moment {
                Moment::Invoke(place) => {
                    let row = self.row(place);
                    if row.answered {
                        let (bit, pure) = (row.bit, row.is_pure());
                        self.occupant[bit as usize] = place;
                        let settle = pure && self.rules.settle;
                        if settle && self.may_follow(place) && self.is_possible(place) {
                            self.take(place);
                        }
                    }
                }
                Moment::Return(place) => {
                    if !self.is_done(place) {
                        break;
                    }
                    let bit = self.row(place).bit;
                    self.clear(bit);
                    self.occupant[bit as usize] = NONE;
                }
            }
            self.moment += 1;
            budget.spend(1)?;
        }
        self.farthest = self.farthest.max(self.moment);
        Ok(self.moment == self.problem.moments.len())
    }

    /// Linearizes every open pure call that is possible, and those that touched it and now are.
    fn settle(&mut self) {
        let mut again = self.rules.settle;
        while again {
            again = false;
            for slot in 0..self.occupant.len() {
                let Some(place) = self.waiting(slot) else { continue };
                let row = self.row(place);
                if row.is_pure() && self.may_follow(place) && self.is_possible(place) {
                    again |= row.followed;
                    self.take(place);
                }
            }
        }
    }

    /// Makes a move. False: it lost a state that an answered call needs.
    fn apply(&mut self, chosen: Move) -> bool {
        self.path.push((chosen.row, chosen.absorbed));
        self.mark_done(chosen.row);
        if !self.problem.shaped {
            self.state = chosen.state;
            return true;
        }
        let row = self.row(chosen.row);
        self.tally.count(row, u32::wrapping_sub, 1);
        if chosen.absorbed {
            return match row.leave {
                Leave::Always(unseen) => unseen == self.state || !self.is_lost(unseen),
                Leave::Unchanged | Leave::Unclear => true,
            };
        }
        if row.is_blind() && self.rules.absorb {
            self.let_absorb();
        }
        let left = std::mem::replace(&mut self.state, chosen.state);
        left == chosen.state || !self.is_lost(left)
    }

    /// Marks every open blind call as one that may have come right before the blind call taken just
    /// now.
    fn let_absorb(&mut self) {
        for slot in 0..self.occupant.len() {
            if let Some(place) = self.waiting(slot)
                && self.row(place).is_blind()
                // Its own predecessor must have been there before that blind call, not be that
                // call.
                && self.may_follow(place)
                && self.path.last().is_none_or(|(last, _)| self.row(place).previous != *last)
            {
                self.masks[self.words + slot / 64] |= 1 << (slot % 64);
            }
        }
    }

    /// Remembers a blocked configuration and lists the moves from it, unless a better one is known.
    fn open(&mut self, budget: &mut Budget<'_>) -> Result<(), Halt> {
        let (fresh, compared) = self.memo.add(self.moment as u32, self.state, &self.masks);
        budget.spend(compared)?;
        if !fresh {
            return Ok(());
        }
        let tables = self.memo.bytes() + self.steps.bytes() + self.frontier.bytes();
        budget.hold(tables + self.bytes())?;
        let node = self.origins.len() as u32;
        self.origins.push(self.last);
        let next = self.moves.len();
        self.list_moves();
        budget.spend((self.moves.len() - next) as u64 + self.steps.take_unpaid())?;
        self.push_frame(node, next);
        Ok(())
    }

    /// How many bytes its stacks take, about.
    fn bytes(&self) -> u64 {
        let saved = 8 * (self.saved.capacity() + 3 * self.moves.capacity() + self.path.capacity());
        let frames = self.frames.capacity() * size_of::<Frame>();
        let origins = self.origins.capacity() * size_of::<Origin>();
        (saved + frames + origins) as u64
    }

    /// Makes a frame of this configuration, whose moves are listed from `next` on.
    fn push_frame(&mut self, node: u32, next: usize) {
        self.frames.push(Frame {
            node,
            moment: self.moment,
            state: self.state,
            path: self.path.len(),
            next,
            end: self.moves.len(),
        });
        self.saved.extend_from_slice(&self.masks);
    }

    fn close(&mut self) {
        self.frames.pop();
        self.saved.truncate(self.frames.len() * self.width);
        let end = self.frames.last().map_or(0, |frame| frame.end);
        self.moves.truncate(end);
    }

    /// Goes back to the configuration of the last frame.
    fn rewind(&mut self) {
        let Some(frame) = self.frames.last() else { return };
        self.last.parent = frame.node;
        let (moment, path) = (frame.moment, frame.path);
        let saved = (self.frames.len() - 1) * self.width;
        self.masks.copy_from_slice(&self.saved[saved..saved + self.width]);
        self.state = frame.state;
        while self.moment > moment {
            self.moment -= 1;
            self.undo_moment();
        }
        for (place, _) in self.path.drain(path..) {
            if self.problem.shaped {
                self.tally.count(&self.problem.rows[place as usize], u32::wrapping_add, 1);
            }
        }
    }

    /// Who held the slots before this moment.
    fn undo_moment(&mut self) {
        match self.problem.moments[self.moment] {
            Moment::Invoke(place) => {
                let row = self.row(place);
                if row.answered {
                    self.occupant[row.bit as usize] = NONE;
                }
            }
            Moment::Return(place) => {
                let bit = self.row(place).bit;
                self.occupant[bit as usize] = place;
            }
        }
    }

    /// Whether some answered call needs this state and nothing is left to bring it about.
    fn is_lost(&self, state: StateId) -> bool {
        self.rules.no_way_back && self.tally.is_lost(state)
    }

    fn row(&self, place: u32) -> &'a Row {
        &self.problem.rows[place as usize]
    }

    /// Whether an answered row is linearized.
    fn is_done(&self, place: u32) -> bool {
        let row = self.row(place);
        (row.returned as usize) < self.moment
            || self.masks[row.bit as usize / 64] >> (row.bit % 64) & 1 == 1
    }

    /// The open call in a slot, if it is not linearized.
    fn waiting(&self, slot: usize) -> Option<u32> {
        let done = self.masks[slot / 64] >> (slot % 64) & 1 == 1;
        (!done).then_some(self.occupant[slot]).filter(|place| *place != NONE)
    }

    /// Whether the call of the same process that touches this one is linearized.
    fn may_follow(&self, place: u32) -> bool {
        let previous = self.row(place).previous;
        previous == NONE || self.is_done(previous)
    }

    fn mark_done(&mut self, place: u32) {
        let row = self.row(place);
        if row.answered {
            let (word, mask) = (row.bit as usize / 64, 1 << (row.bit % 64));
            self.masks[word] |= mask;
            self.masks[self.words + word] &= !mask;
        } else {
            let field = self.problem.fields[row.class as usize];
            field.increment(&mut self.masks[2 * self.words..]);
        }
    }

    fn clear(&mut self, bit: u32) {
        let (word, mask) = (bit as usize / 64, !(1_u64 << (bit % 64)));
        self.masks[word] &= mask;
        self.masks[self.words + word] &= mask;
    }

    /// Linearizes a pure call.
    fn take(&mut self, place: u32) {
        self.path.push((place, false));
        self.mark_done(place);
        if self.problem.shaped {
            self.tally.count(self.row(place), u32::wrapping_sub, 1);
        }
    }

    /// Whether a row of clear needs is possible in the present state.
    fn is_possible(&self, place: u32) -> bool {
        match self.row(place).need {
            Need::Nothing => true,
            Need::Exactly(state) => state == self.state,
            Need::AnythingBut(state) => state != self.state,
            Need::Unclear => false,
        }
    }

    /// The order found, absorbed calls right before the blind call that hid them.
    fn order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = Vec::with_capacity(self.path.len());
        let mut last_blind = 0;
        for &(place, absorbed) in &self.path {
            let row = self.row(place);
            if absorbed {
                order.insert(last_blind, row.call);
                last_blind += 1;
            } else {
                if row.is_blind() {
                    last_blind = order.len();
                }
                order.push(row.call);
            }
        }
        order
    }
}
