//! Sets that only grow, and some from which elements are removed.

use super::super::super::draw::Draw;
use super::super::super::lists_replay::{Item, Source};
use super::super::Subject;
use super::{fresh, other};
use crate::specs::set::{Op, Ret, Set};
use std::collections::BTreeSet;

/// Draws operations on a set.
pub(crate) struct Sets {
    /// With removes, questions, and elements that are there already.
    mixed: bool,
    filled: bool,
}

impl Source<Set<u8>> for Sets {
    fn operation(&mut self, _: u64, _: u64, count: u64, draw: &mut Draw) -> Op<u8> {
        let known = |draw: &mut Draw| fresh(draw.below(1 + count));
        match draw.below(10) {
            0..=4 => Op::Add(fresh(count)),
            5 if self.mixed => Op::Add(known(draw)),
            6 if self.mixed => Op::Remove(known(draw)),
            7 if self.mixed => Op::Contains(known(draw)),
            _ => Op::Read,
        }
    }

    fn wrong(&mut self, _: &Op<u8>, ret: Ret<u8>, draw: &mut Draw) -> Ret<u8> {
        match ret {
            Ret::Items(mut items) => {
                let element = fresh(draw.below(8));
                if !items.remove(&element) {
                    items.insert(element);
                }
                Ret::Items(items)
            }
            Ret::Bool(found) => Ret::Bool(!found),
            Ret::Done => ret,
        }
    }
}

impl Subject<Set<u8>> for Sets {
    const NAME: &'static str = "a set";
    const ALGORITHMS: &'static [&'static str] = &["set"];
    const DECLINED_PERCENT: u64 = 20;

    fn new(seed: u64) -> Self {
        Self { mixed: seed % 8 == 1, filled: seed.is_multiple_of(5) }
    }

    fn initial(&self) -> Set<u8> {
        Set(if self.filled { [200, 201].into() } else { BTreeSet::new() })
    }

    fn beginnings() -> Vec<Set<u8>> {
        vec![Set(BTreeSet::new()), Set([1, 2].into())]
    }

    fn menu() -> Vec<Item<Set<u8>>> {
        let mut menu = vec![(Op::Read, None)];
        for shown in [&[] as &[u8], &[1], &[2], &[1, 2]] {
            menu.push((Op::Read, Some(Ret::Items(shown.iter().copied().collect()))));
        }
        for element in [1, 2] {
            menu.extend([None, Some(Ret::Done)].map(|ret| (Op::Add(element), ret)));
            menu.extend([None, Some(Ret::Done)].map(|ret| (Op::Remove(element), ret)));
            menu.extend([true, false].map(|is| (Op::Contains(element), Some(Ret::Bool(is)))));
        }
        menu
    }

    fn exchanged((op, ret): &Item<Set<u8>>) -> Item<Set<u8>> {
        let op = match op {
            Op::Add(element) => Op::Add(other(*element)),
            Op::Remove(element) => Op::Remove(other(*element)),
            Op::Contains(element) => Op::Contains(other(*element)),
            Op::Read => Op::Read,
        };
        let ret = match ret {
            Some(Ret::Items(items)) => Some(Ret::Items(items.iter().copied().map(other).collect())),
            ret => ret.clone(),
        };
        (op, ret)
    }
}
