//! One key: what has happened on it, and everything that may have become of it.

use super::board::{Board, Seat};
use super::frontier::Frontier;
use super::pass::{Scratch, pass};
use super::purse::Purse;
use super::timeline::{CallId, Moment, Outcome, Timeline, Waiting};
use crate::{Halt, Spec};

/// One key.
pub(super) struct Key<S: Spec> {
    pub(super) timeline: Timeline<S>,
    board: Board<S>,
    frontier: Frontier<S>,
    spent: u64,
}

impl<S: Spec> Key<S> {
    pub(super) fn new(initial: S) -> Self {
        let mut frontier = Frontier::new();
        frontier.begin(initial);
        Self { timeline: Timeline::new(), board: Board::new(), frontier, spent: 0 }
    }

    /// Goes through the moments before the watermark. The call that cannot have returned, if there
    /// is one, by its index; the key is of no use then, nor after an error.
    ///
    /// `steps` is what the key may take in its life, `bytes` what it may hold more than now.
    pub(super) fn advance(
        &mut self,
        scratch: &mut Scratch<S>,
        steps: u64,
        bytes: u64,
    ) -> Result<Option<u64>, Halt> {
        let mut purse = Purse { steps: steps.saturating_sub(self.spent), bytes };
        let mut impossible = None;
        while let Some(moment) = self.timeline.pop() {
            purse.spend(1)?;
            match moment {
                Moment::Invoke(id, call) => self.seat(id, call),
                Moment::Return(bit) => {
                    let possible = pass(&self.board, &mut self.frontier, scratch, bit, &mut purse)?;
                    let index = self.board.vacate(bit);
                    if !possible {
                        impossible = index;
                        break;
                    }
                    self.forget_used();
                }
            }
        }
        self.spent = steps - purse.steps;
        Ok(impossible)
    }

    fn seat(&mut self, id: CallId, call: Waiting<S>) {
        let previous = call.previous.and_then(|previous| self.timeline.bit(previous));
        let ret = match call.outcome {
            Outcome::Answered(ret) => Some(ret),
            Outcome::Open | Outcome::Unknown | Outcome::Failed => None,
        };
        let answered = ret.is_some();
        let seat = Seat::new(call.index, call.op, ret, previous);
        if answered {
            let pure = seat.is_pure();
            let bit = self.board.seat(seat);
            self.timeline.seat(id, bit);
            self.frontier.widen(self.board.words());
            if pure {
                let board = &self.board;
                self.frontier.settle(|state, done| board.settle(state, done));
            }
        } else if !seat.is_idle() {
            self.board.add_unknown(seat);
            self.frontier.widen(self.board.words());
        }
    }

    /// An unknown call that happened in every configuration is no choice any more.
    fn forget_used(&mut self) {
        let unknown = self.board.unknown.len();
        if unknown > 0 {
            let used = self.frontier.forget_used(unknown);
            if !used.is_empty() {
                self.board.forget_unknown(&used);
            }
        }
    }

    /// How many configurations it has.
    pub(super) fn configurations(&self) -> usize {
        self.frontier.len()
    }

    /// Bytes it takes, but for what operations and states hold elsewhere.
    pub(super) fn bytes(&self) -> u64 {
        size_of::<Self>() as u64
            + self.timeline.bytes()
            + self.board.bytes()
            + self.frontier.bytes()
    }
}
