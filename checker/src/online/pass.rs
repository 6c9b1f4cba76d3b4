//! Moves a frontier past the return of a call.
//!
//! Where the call is not done yet, open calls must be linearized, this one last; each way to do so
//! leads to a configuration. `online` argues that none is lost.

use super::board::{Board, Role};
use super::frontier::Frontier;
use super::masks::{clear, has, set};
use super::purse::Purse;
use crate::{Halt, Spec};

/// Room to work in, for one key after another.
pub(super) struct Scratch<S> {
    /// Configurations in which the call is not done, and those in which it is.
    work: Frontier<S>,
    passed: Frontier<S>,
    successors: Vec<S>,
    masks: Vec<u64>,
    before: Vec<u64>,
}

/// Bytes that scratch keeps.
const ROOM: u64 = 64 << 10;

impl<S: Spec> Scratch<S> {
    pub(super) fn new() -> Self {
        Self {
            work: Frontier::new(),
            passed: Frontier::new(),
            successors: Vec::new(),
            masks: Vec::new(),
            before: Vec::new(),
        }
    }

    /// Gives back what an unusual key needed.
    pub(super) fn tidy(&mut self) {
        if self.work.bytes() + self.passed.bytes() > ROOM {
            *self = Self::new();
        }
    }
}

/// Leaves those configurations in which the call of this bit is done. False: there are none.
pub(super) fn pass<S: Spec>(
    board: &Board<S>,
    frontier: &mut Frontier<S>,
    scratch: &mut Scratch<S>,
    bit: u32,
    purse: &mut Purse,
) -> Result<bool, Halt> {
    if frontier.all_done(bit) {
        frontier.forget(bit);
        return Ok(true);
    }
    scratch.work.restart(frontier);
    scratch.passed.restart(frontier);
    let mut passing = Passing { board, scratch, bit, words: frontier.words(), purse, place: 0 };
    for place in 0..frontier.len() {
        passing.scratch.masks.clear();
        passing.scratch.masks.extend_from_slice(frontier.masks(place));
        passing.sort(frontier.state(place).clone())?;
    }
    while passing.place < passing.scratch.work.len() {
        passing.expand()?;
        passing.place += 1;
    }
    frontier.replace(&mut scratch.passed);
    frontier.forget(bit);
    scratch.tidy();
    Ok(frontier.len() > 0)
}

/// A frontier on its way.
struct Passing<'a, S: Spec> {
    board: &'a Board<S>,
    scratch: &'a mut Scratch<S>,
    bit: u32,
    words: usize,
    purse: &'a mut Purse,
    /// Which configuration of `work` is being expanded.
    place: usize,
}

impl<S: Spec> Passing<'_, S> {
    /// Puts a state with `scratch.masks` where it belongs.
    fn sort(&mut self, state: S) -> Result<(), Halt> {
        let Scratch { work, passed, masks, .. } = &mut *self.scratch;
        let (done, hidden) = masks.split_at_mut(self.words);
        self.board.settle(&state, done);
        let pure = &self.board.pure;
        let mut compared = 0;
        if !has(done, self.bit) {
            let was_hidden = has(hidden, self.bit);
            clear(hidden, self.bit);
            if !was_hidden {
                compared = work.add(state, masks, pure, self.place + 1);
                return self.pay(compared);
            }
            // It may have come unseen, or is still to come.
            compared += work.add(state.clone(), masks, pure, self.place + 1);
            set(masks, self.bit);
            self.board.settle(&state, &mut masks[..self.words]);
        }
        compared += passed.add(state, masks, pure, 0);
        self.pay(compared)
    }

    fn pay(&mut self, steps: u64) -> Result<(), Halt> {
        self.purse.spend(steps)?;
        self.purse.hold(self.scratch.work.bytes() + self.scratch.passed.bytes())
    }

    /// Linearizes one call more, each that is possible.
    fn expand(&mut self) -> Result<(), Halt> {
        let state = self.scratch.work.state(self.place).clone();
        let mut before = std::mem::take(&mut self.scratch.before);
        before.clear();
        before.extend_from_slice(self.scratch.work.masks(self.place));
        let board = self.board;
        for (bit, _) in board.seats() {
            self.linearize(&state, &before, bit)?;
        }
        for unknown in 0..board.unknown.len() as u32 {
            self.use_unknown(&state, &before, unknown)?;
        }
        self.scratch.before = before;
        Ok(())
    }

    /// Linearizes an answered call.
    fn linearize(&mut self, state: &S, before: &[u64], bit: u32) -> Result<(), Halt> {
        let (done, hidden, used) = self.split(before);
        let Some(seat) = self.board.seat_at(bit).filter(|_| !has(done, bit)) else {
            return Ok(());
        };
        let Some(revealed) = reveal(seat.previous, done, hidden) else { return Ok(()) };
        if seat.role == Role::Pure && revealed.is_none() {
            return Ok(()); // it was settled if it is possible
        }
        self.purse.spend(1)?;
        let mut successors = std::mem::take(&mut self.scratch.successors);
        seat.successors(state, &mut successors);
        let touches = seat.followed || revealed.is_some();
        for after in successors.drain(..) {
            if bit != self.bit
                && seat.role == Role::Blind
                && !touches
                && !self.board.is_seen(state, &after, done, used)
            {
                continue;
            }
            self.load(before, revealed);
            let (done, rest) = self.scratch.masks.split_at_mut(self.words);
            if seat.role == Role::Blind {
                set(done, bit);
                self.board.hide(Some(bit), done, &mut rest[..self.words]);
            }
            set(done, bit);
            clear(rest, bit);
            self.sort(after)?;
        }
        self.scratch.successors = successors;
        Ok(())
    }

    /// Lets an unknown call happen.
    fn use_unknown(&mut self, state: &S, before: &[u64], unknown: u32) -> Result<(), Halt> {
        let (done, hidden, used) = self.split(before);
        if has(used, unknown) || self.board.stands_back(unknown, done, used) {
            return Ok(());
        }
        let seat = &self.board.unknown[unknown as usize];
        let Some(revealed) = reveal(seat.previous, done, hidden) else { return Ok(()) };
        self.purse.spend(1)?;
        let mut successors = std::mem::take(&mut self.scratch.successors);
        seat.successors(state, &mut successors);
        for after in successors.drain(..) {
            if seat.role != Role::Other
                && revealed.is_none()
                && !self.board.is_seen(state, &after, done, used)
            {
                continue;
            }
            self.load(before, revealed);
            let (answered, used) = self.scratch.masks.split_at_mut(2 * self.words);
            if seat.role == Role::Blind {
                let (done, hidden) = answered.split_at_mut(self.words);
                self.board.hide(None, done, hidden);
            }
            set(used, unknown);
            self.sort(after)?;
        }
        self.scratch.successors = successors;
        Ok(())
    }

    fn split<'m>(&self, masks: &'m [u64]) -> (&'m [u64], &'m [u64], &'m [u64]) {
        let (answered, used) = masks.split_at(2 * self.words);
        let (done, hidden) = answered.split_at(self.words);
        (done, hidden, used)
    }

    /// Copies masks to change them. A call that is `revealed` came unseen, and that is settled now.
    fn load(&mut self, before: &[u64], revealed: Option<u32>) {
        let masks = &mut self.scratch.masks;
        masks.clear();
        masks.extend_from_slice(before);
        if let Some(bit) = revealed {
            set(masks, bit);
            clear(&mut masks[self.words..], bit);
        }
    }
}

/// Whether a call whose times touch those of the call before it may come now, and whether that one
/// must have come unseen for it.
fn reveal(previous: Option<u32>, done: &[u64], hidden: &[u64]) -> Option<Option<u32>> {
    match previous {
        None => Some(None),
        Some(bit) if has(done, bit) => Some(None),
        Some(bit) if has(hidden, bit) => Some(Some(bit)),
        Some(_) => None,
    }
}
