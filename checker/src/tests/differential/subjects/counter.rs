//! Counters of one amount, and now and then of several.

use super::super::super::draw::Draw;
use super::super::super::lists_replay::{Item, Source};
use super::super::Subject;
use crate::specs::counter::{Counter, Op, Ret};

/// Draws operations on a counter.
pub(crate) struct Counters {
    initial: i64,
    amount: i64,
    /// Another amount is added as well.
    mixed: bool,
}

impl Source<Counter> for Counters {
    fn operation(&mut self, _: u64, _: u64, _: u64, draw: &mut Draw) -> Op {
        match draw.below(10) {
            0 if self.mixed => Op::Add(2 * self.amount),
            0..=4 => Op::Add(self.amount),
            _ => Op::Read,
        }
    }

    fn wrong(&mut self, op: &Op, ret: Ret, draw: &mut Draw) -> Ret {
        match op {
            Op::Add(_) => ret,
            Op::Read => Ret::Value(self.initial + self.amount * (draw.below(6) as i64 - 1)),
        }
    }
}

impl Subject<Counter> for Counters {
    const NAME: &'static str = "a counter";
    const ALGORITHMS: &'static [&'static str] = &["counter"];
    const DECLINED_PERCENT: u64 = 15;

    fn new(seed: u64) -> Self {
        let amount = [1, 1, -1, 3][(seed / 3 % 4) as usize];
        Self { initial: (seed % 3) as i64, amount, mixed: seed % 10 == 1 }
    }

    fn initial(&self) -> Counter {
        Counter(self.initial)
    }

    fn beginnings() -> Vec<Counter> {
        vec![Counter(0)]
    }

    fn menu() -> Vec<Item<Counter>> {
        let mut menu = vec![(Op::Read, None)];
        for amount in [1, 2] {
            menu.push((Op::Add(amount), None));
            menu.push((Op::Add(amount), Some(Ret::Done)));
        }
        menu.extend((-1..=4).map(|value| (Op::Read, Some(Ret::Value(value)))));
        menu
    }

    /// Amounts have no names.
    fn exchanged(item: &Item<Counter>) -> Item<Counter> {
        *item
    }
}
