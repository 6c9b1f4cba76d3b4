//! Locks, with fencing tokens and without, whose owners acquire and release in turn and sometimes
//! forget to.

use super::super::super::draw::Draw;
use super::super::super::lists_replay::{Item, Source};
use super::super::Subject;
use crate::Call;
use crate::specs::lock::{Lock, Op, Ret};

/// Draws operations on a lock.
pub(crate) struct Locks {
    initial: Lock,
    forgetful_percent: u64,
    /// Refusals stay what they are; else they are taken for answers, as by the clients of a lock
    /// that is wrong.
    refuses: bool,
}

impl Source<Lock> for Locks {
    fn operation(&mut self, process: u64, nth: u64, _: u64, draw: &mut Draw) -> Op {
        match nth.is_multiple_of(2) != draw.percent(self.forgetful_percent) {
            true => Op::Acquire(process),
            false => Op::Release(process),
        }
    }

    fn wrong(&mut self, _: &Op, ret: Ret, draw: &mut Draw) -> Ret {
        match ret {
            Ret::Token(Some(token)) => Ret::Token(Some(token + draw.below(7) as i64 - 3)),
            other => other,
        }
    }

    /// Nobody is refused who can wait; what is not held is released all the same, and that is wrong.
    fn waits(&self, state: &Lock, op: &Op) -> bool {
        !self.refuses && matches!(op, Op::Acquire(_)) && state.holder.is_some()
    }
}

impl Subject<Lock> for Locks {
    const NAME: &'static str = "a lock";
    const ALGORITHMS: &'static [&'static str] = &["lock by tokens", "lock by holds"];
    const DECLINED_PERCENT: u64 = 20;

    fn new(seed: u64) -> Self {
        let token = [None, Some(30)][(seed % 2) as usize];
        let forgetful_percent = [0, 0, 8][(seed / 36 % 3) as usize];
        Self { initial: Lock { holder: None, token }, forgetful_percent, refuses: seed % 10 == 1 }
    }

    fn initial(&self) -> Lock {
        self.initial
    }

    fn beginnings() -> Vec<Lock> {
        vec![Lock { holder: None, token: None }, Lock { holder: None, token: Some(1) }]
    }

    fn menu() -> Vec<Item<Lock>> {
        let mut menu: Vec<Item<Lock>> = Vec::new();
        for owner in [1, 2] {
            menu.extend(
                [None, Some(1), Some(2)].map(|token| (Op::Acquire(owner), Some(Ret::Token(token)))),
            );
            for op in [Op::Acquire(owner), Op::Release(owner)] {
                menu.extend([(op, None), (op, Some(Ret::Refused))]);
            }
            menu.push((Op::Release(owner), Some(Ret::Done)));
        }
        menu
    }

    /// Owners are exchanged; tokens are numbers.
    fn exchanged((op, ret): &Item<Lock>) -> Item<Lock> {
        let op = match op {
            Op::Acquire(owner) => Op::Acquire(3 - owner),
            Op::Release(owner) => Op::Release(3 - owner),
        };
        (op, *ret)
    }

    fn finish(&self, mut calls: Vec<Call<Lock>>) -> Vec<Call<Lock>> {
        for answer in calls.iter_mut().filter_map(|call| call.answer.as_mut()) {
            if answer.ret == Ret::Refused && !self.refuses {
                answer.ret = Ret::Done;
            }
        }
        calls
    }
}
