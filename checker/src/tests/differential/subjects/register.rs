//! Registers: unique values, and one to three that are written again and again.

use super::super::super::draw::Draw;
use super::super::super::lists_replay::{Item, Source};
use super::super::Subject;
use super::{fresh, other};
use crate::specs::register::{Op, Register, Ret};

/// Draws operations on a register; 0 values: every write has one of its own.
pub(crate) struct Registers {
    values: u64,
}

impl Registers {
    fn value(&self, count: u64, draw: &mut Draw) -> u8 {
        match self.values {
            0 => fresh(count),
            values => 1 + draw.below(values) as u8,
        }
    }

    /// A value that a recent call may have written, or none.
    fn seen(&self, count: u64, draw: &mut Draw) -> Option<u8> {
        match self.values {
            0 => draw.below(count.min(6) + 1).checked_sub(1).map(|back| fresh(count - 1 - back)),
            values => draw.below(values + 1).checked_sub(1).map(|value| 1 + value as u8),
        }
    }
}

impl Source<Register<u8>> for Registers {
    fn operation(&mut self, _: u64, _: u64, count: u64, draw: &mut Draw) -> Op<u8> {
        match draw.below(10) {
            0..=3 => Op::Read,
            4..=6 => Op::Write(self.value(count, draw)),
            7 | 8 => Op::Cas(self.seen(count, draw), self.value(count, draw)),
            _ => Op::Delete,
        }
    }

    fn wrong(&mut self, op: &Op<u8>, ret: Ret<u8>, draw: &mut Draw) -> Ret<u8> {
        match op {
            Op::Read => Ret::Value(self.seen(6, draw)),
            Op::Write(_) | Op::Delete => ret,
            Op::Cas(..) if draw.percent(50) => Ret::Swapped,
            Op::Cas(..) => Ret::Mismatch,
        }
    }
}

impl Subject<Register<u8>> for Registers {
    const NAME: &'static str = "a register";
    const ALGORITHMS: &'static [&'static str] = &["zones", "blocks"];
    const DECLINED_PERCENT: u64 = 48;

    fn new(seed: u64) -> Self {
        Self { values: seed / 5 % 4 }
    }

    fn initial(&self) -> Register<u8> {
        Register(None)
    }

    fn beginnings() -> Vec<Register<u8>> {
        vec![Register(None)]
    }

    fn menu() -> Vec<Item<Register<u8>>> {
        let values = [None, Some(1), Some(2)];
        let mut menu = vec![(Op::Read, None), (Op::Delete, None), (Op::Delete, Some(Ret::Done))];
        menu.extend(values.map(|value| (Op::Read, Some(Ret::Value(value)))));
        for to in [1, 2] {
            menu.push((Op::Write(to), None));
            menu.push((Op::Write(to), Some(Ret::Done)));
            for from in values {
                let rets = [None, Some(Ret::Swapped), Some(Ret::Mismatch)];
                menu.extend(rets.map(|ret| (Op::Cas(from, to), ret)));
            }
        }
        menu
    }

    fn exchanged((op, ret): &Item<Register<u8>>) -> Item<Register<u8>> {
        let op = match op {
            Op::Write(value) => Op::Write(other(*value)),
            Op::Cas(from, to) => Op::Cas(from.map(other), other(*to)),
            Op::Read | Op::Delete => op.clone(),
        };
        let ret = match ret {
            Some(Ret::Value(value)) => Some(Ret::Value(value.map(other))),
            ret => ret.clone(),
        };
        (op, ret)
    }
}
