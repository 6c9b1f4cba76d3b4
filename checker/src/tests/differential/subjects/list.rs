//! Lists of unique elements, and now and then of repeated ones.

use super::super::super::draw::Draw;
use super::super::super::lists_replay::{Item, Source};
use super::super::Subject;
use super::{fresh, other};
use crate::specs::list::{List, Op, Ret};

/// Draws operations on a list.
pub(crate) struct Lists {
    repeats: bool,
    filled: bool,
}

/// One element less, one more, or two in another order.
pub(super) fn spoiled(mut items: Vec<u8>, draw: &mut Draw) -> Vec<u8> {
    let place = draw.below(1 + items.len() as u64) as usize;
    match draw.below(4) {
        0 => drop(items.pop()),
        1 if place < items.len() => drop(items.remove(place)),
        2 if place + 1 < items.len() => items.swap(place, place + 1),
        _ => items.insert(place, fresh(draw.below(8))),
    }
    items
}

impl Source<List<u8>> for Lists {
    fn operation(&mut self, _: u64, _: u64, count: u64, draw: &mut Draw) -> Op<u8> {
        match draw.below(10) {
            0..=4 => Op::Append(fresh(count)),
            5 if self.repeats => Op::Append(fresh(draw.below(1 + count))),
            _ => Op::Read,
        }
    }

    fn wrong(&mut self, _: &Op<u8>, ret: Ret<u8>, draw: &mut Draw) -> Ret<u8> {
        match ret {
            Ret::Items(items) => Ret::Items(spoiled(items, draw)),
            Ret::Done => ret,
        }
    }
}

impl Subject<List<u8>> for Lists {
    const NAME: &'static str = "a list";
    const ALGORITHMS: &'static [&'static str] = &["list"];
    const DECLINED_PERCENT: u64 = 13;

    fn new(seed: u64) -> Self {
        Self { repeats: seed % 8 == 1, filled: seed.is_multiple_of(5) }
    }

    fn initial(&self) -> List<u8> {
        List(if self.filled { vec![201, 200] } else { Vec::new() })
    }

    fn beginnings() -> Vec<List<u8>> {
        vec![List(Vec::new()), List(vec![3])]
    }

    fn menu() -> Vec<Item<List<u8>>> {
        let mut menu = vec![(Op::Read, None)];
        for element in [1, 2] {
            menu.extend([None, Some(Ret::Done)].map(|ret| (Op::Append(element), ret)));
        }
        let shown: [&[u8]; 10] =
            [&[], &[1], &[2], &[1, 2], &[2, 1], &[1, 1], &[2, 2], &[3], &[3, 1], &[3, 2]];
        menu.extend(shown.map(|items| (Op::Read, Some(Ret::Items(items.to_vec())))));
        menu
    }

    fn exchanged((op, ret): &Item<List<u8>>) -> Item<List<u8>> {
        let op = match op {
            Op::Append(element) => Op::Append(other(*element)),
            Op::Read => Op::Read,
        };
        let ret = match ret {
            Some(Ret::Items(items)) => Some(Ret::Items(items.iter().copied().map(other).collect())),
            ret => ret.clone(),
        };
        (op, ret)
    }
}
