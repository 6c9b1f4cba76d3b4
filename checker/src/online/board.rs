//! The calls of one key that are open where its frontier stands.
//!
//! A call with an answer has a *bit* from its invocation to its return; then the bit is free for
//! another. Calls of unknown outcome never return; each has a bit of a set of its own, in the order
//! of their invocations, until every configuration has used it.
//!
//! What a call needs and leaves is asked of the spec once, when it is seated.

use super::masks::{has, set, words};
use crate::{Leaves, Needs, Shape, Spec};

/// What a call may do to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It leaves every state as it is, and what it needs is known.
    Pure,
    /// It sets the state whatever it was.
    Blind,
    /// It needs one state and leaves another.
    Swap,
    /// It must be tried, or its shape is one that no rule knows.
    Other,
}

/// One call.
pub(super) struct Seat<S: Spec> {
    pub(super) index: u64,
    op: S::Op,
    /// None: its outcome is unknown.
    ret: Option<S::Ret>,
    shape: Shape<S>,
    pub(super) role: Role,
    /// The bit of the call of the same process that must come first although their times touch.
    pub(super) previous: Option<u32>,
    /// Whether it is the `previous` of another.
    pub(super) followed: bool,
    /// Unknown calls with equal numbers are the same operation.
    class: u64,
}

impl<S: Spec> Seat<S> {
    pub(super) fn new(index: u64, op: S::Op, ret: Option<S::Ret>, previous: Option<u32>) -> Self {
        let shape = S::shape(&op, ret.as_ref());
        let role = match (&shape.needs, &shape.leaves) {
            (Needs::Unclear, _) => Role::Other,
            (_, Leaves::Unchanged) => Role::Pure,
            (Needs::Nothing, Leaves::Always(_)) => Role::Blind,
            (Needs::Exactly(_), Leaves::Always(_)) => Role::Swap,
            _ => Role::Other,
        };
        Self { index, op, ret, shape, role, previous, followed: false, class: 0 }
    }

    /// Whether it leaves every state as it is.
    pub(super) fn is_pure(&self) -> bool {
        self.role == Role::Pure
    }

    /// Whether it can be left out whatever happens.
    pub(super) fn is_idle(&self) -> bool {
        self.ret.is_none() && self.shape.leaves == Leaves::Unchanged
    }

    /// Whether it is possible in a state, if its shape says so.
    fn admits(&self, state: &S) -> Option<bool> {
        match &self.shape.needs {
            Needs::Nothing => Some(true),
            Needs::Exactly(needed) => Some(needed == state),
            Needs::AnythingBut(avoided) => Some(avoided != state),
            Needs::Unclear => None,
        }
    }

    /// Every state it may lead to from this one; none if it is not possible.
    pub(super) fn successors(&self, state: &S, into: &mut Vec<S>) {
        match (self.admits(state), &self.shape.leaves, &self.ret) {
            (Some(false), ..) => {}
            (Some(true), Leaves::Unchanged, _) => into.push(state.clone()),
            (Some(true), Leaves::Always(after), _) => into.push(after.clone()),
            (_, _, None) => into.extend(state.successors(&self.op)),
            (_, _, Some(ret)) => {
                let mut tried = state.clone();
                if tried.is_valid_step(&self.op, ret) {
                    into.push(tried);
                }
            }
        }
    }

    /// Whether it could tell that the state is `after` and no longer `before`.
    fn looks_at(&self, before: &S, after: &S) -> bool {
        match &self.shape.needs {
            _ if self.role == Role::Other => true,
            Needs::Nothing => false,
            Needs::Exactly(state) => state == after,
            Needs::AnythingBut(state) => state == before,
            Needs::Unclear => true,
        }
    }
}

/// The open calls.
pub(super) struct Board<S: Spec> {
    seats: Vec<Option<Seat<S>>>,
    pub(super) unknown: Vec<Seat<S>>,
    /// The bits of pure calls, and of blind ones.
    pub(super) pure: Vec<u64>,
    blind: Vec<u64>,
    classes: u64,
}

impl<S: Spec> Board<S> {
    pub(super) fn new() -> Self {
        let (pure, blind) = (Vec::new(), Vec::new());
        Self { seats: Vec::new(), unknown: Vec::new(), pure, blind, classes: 0 }
    }

    /// How many words hold a set of answered calls, and of unknown ones.
    pub(super) fn words(&self) -> (usize, usize) {
        (words(self.seats.len()), words(self.unknown.len()))
    }

    /// The answered calls and their bits.
    pub(super) fn seats(&self) -> impl Iterator<Item = (u32, &Seat<S>)> {
        (0..).zip(&self.seats).filter_map(|(bit, seat)| Some((bit, seat.as_ref()?)))
    }

    /// The answered call with this bit.
    pub(super) fn seat_at(&self, bit: u32) -> Option<&Seat<S>> {
        self.seats[bit as usize].as_ref()
    }

    /// Seats an answered call.
    pub(super) fn seat(&mut self, seat: Seat<S>) -> u32 {
        let free = self.seats.iter().position(Option::is_none).unwrap_or_else(|| {
            self.seats.push(None);
            self.pure.resize(words(self.seats.len()), 0);
            self.blind.resize(words(self.seats.len()), 0);
            self.seats.len() - 1
        });
        let bit = free as u32;
        self.follow(seat.previous);
        match seat.role {
            Role::Pure => set(&mut self.pure, bit),
            Role::Blind => set(&mut self.blind, bit),
            Role::Swap | Role::Other => {}
        }
        self.seats[free] = Some(seat);
        bit
    }

    /// Adds a call of unknown outcome.
    pub(super) fn add_unknown(&mut self, mut seat: Seat<S>) {
        self.follow(seat.previous);
        let same = self.unknown.iter().find(|known| known.op == seat.op);
        seat.class = same.map_or(self.classes, |same| same.class);
        self.classes += 1;
        self.unknown.push(seat);
    }

    fn follow(&mut self, previous: Option<u32>) {
        if let Some(seat) = previous.and_then(|bit| self.seats[bit as usize].as_mut()) {
            seat.followed = true;
        }
    }

    /// A call has returned: its bit is free, and nobody waits for it any more. Says which it was.
    pub(super) fn vacate(&mut self, bit: u32) -> Option<u64> {
        let seat = self.seats[bit as usize].take()?;
        super::masks::clear(&mut self.pure, bit);
        super::masks::clear(&mut self.blind, bit);
        if seat.followed {
            let others = self.seats.iter_mut().flatten().chain(&mut self.unknown);
            for other in others.filter(|other| other.previous == Some(bit)) {
                other.previous = None;
            }
        }
        Some(seat.index)
    }

    /// Linearizes every pure call that is possible in this state, unless the call before it is not
    /// linearized.
    pub(super) fn settle(&self, state: &S, done: &mut [u64]) {
        let mut again = true;
        while again {
            again = false;
            for word in 0..self.pure.len() {
                let mut left = self.pure[word] & !done[word];
                while left != 0 {
                    let bit = 64 * word as u32 + left.trailing_zeros();
                    left &= left - 1;
                    let Some(seat) = &self.seats[bit as usize] else { continue };
                    if seat.previous.is_none_or(|previous| has(done, previous))
                        && seat.admits(state) == Some(true)
                    {
                        set(done, bit);
                        again |= seat.followed;
                    }
                }
            }
        }
    }

    /// A blind call other than `taken` was linearized just now: every open blind call may have come
    /// right before it, if the call before that was linearized already.
    pub(super) fn hide(&self, taken: Option<u32>, done: &[u64], hidden: &mut [u64]) {
        for word in 0..self.blind.len() {
            let mut left = self.blind[word] & !done[word] & !hidden[word];
            while left != 0 {
                let bit = 64 * word as u32 + left.trailing_zeros();
                left &= left - 1;
                let before = self.seats[bit as usize].as_ref().and_then(|seat| seat.previous);
                if before.is_none_or(|before| Some(before) != taken && has(done, before)) {
                    set(hidden, bit);
                }
            }
        }
    }

    /// Whether some call that is not linearized could tell `before` from `after`.
    pub(super) fn is_seen(&self, before: &S, after: &S, done: &[u64], used: &[u64]) -> bool {
        self.seats().any(|(bit, seat)| !has(done, bit) && seat.looks_at(before, after))
            || (0..)
                .zip(&self.unknown)
                .any(|(bit, seat)| !has(used, bit) && seat.looks_at(before, after))
    }

    /// Whether an unknown call stands back for an earlier one of the same operation.
    pub(super) fn stands_back(&self, unknown: u32, done: &[u64], used: &[u64]) -> bool {
        let class = self.unknown[unknown as usize].class;
        (0..unknown).zip(&self.unknown).any(|(bit, seat)| {
            seat.class == class
                && !has(used, bit)
                && seat.previous.is_none_or(|previous| has(done, previous))
        })
    }

    /// Drops the unknown calls of which the bits are in the set.
    pub(super) fn forget_unknown(&mut self, bits: &[u64]) {
        let mut bit = 0..;
        self.unknown.retain(|_| bit.next().is_none_or(|bit| !has(bits, bit)));
    }

    /// Bytes it takes, but for what operations and states hold elsewhere.
    pub(super) fn bytes(&self) -> u64 {
        let seats = self.seats.capacity() + self.unknown.capacity();
        (seats * size_of::<Option<Seat<S>>>() + 16 * self.pure.capacity()) as u64
    }
}
