//! Transactions on lists: of one thing each, or of up to three.

use super::super::super::draw::Draw;
use super::super::super::lists_replay::{Item, Source};
use super::super::Subject;
use super::list::spoiled;
use super::{fresh, other};
use crate::specs::list::{Micro, Transactions};
use std::collections::BTreeMap;
use std::sync::Arc;

type Whole = Transactions<u8>;

/// Draws transactions of so many things on so many keys.
pub(crate) struct Several {
    pub(crate) things: u64,
    pub(crate) keys: u64,
    pub(crate) filled: bool,
}

pub(crate) fn key(number: u64) -> Arc<str> {
    Arc::from(["x", "y"][number as usize])
}

impl Source<Whole> for Several {
    fn operation(&mut self, _: u64, _: u64, count: u64, draw: &mut Draw) -> Vec<Micro<u8>> {
        let things = 1 + draw.below(self.things);
        let micro = |thing| match (draw.percent(50), key(draw.below(self.keys))) {
            (true, key) => Micro::Append(key, fresh(self.things * count + thing)),
            (false, key) => Micro::Read(key),
        };
        (0..things).map(micro).collect()
    }

    fn wrong(
        &mut self,
        _: &Vec<Micro<u8>>,
        mut ret: Vec<Vec<u8>>,
        draw: &mut Draw,
    ) -> Vec<Vec<u8>> {
        if let Some(last) = ret.pop() {
            ret.push(spoiled(last, draw));
        }
        ret
    }
}

impl Subject<Whole> for Several {
    const NAME: &'static str = "transactions";
    const ALGORITHMS: &'static [&'static str] = &["list"];
    const DECLINED_PERCENT: u64 = 85;

    fn new(seed: u64) -> Self {
        Self { things: 1 + seed % 3, keys: 1 + seed / 3 % 2, filled: seed.is_multiple_of(5) }
    }

    fn initial(&self) -> Whole {
        Transactions(if self.filled { [(key(0), vec![200])].into() } else { BTreeMap::new() })
    }

    fn beginnings() -> Vec<Whole> {
        vec![Transactions(BTreeMap::new())]
    }

    fn menu() -> Vec<Item<Whole>> {
        let append = |element| Micro::Append(key(0), element);
        let read = |number| Micro::Read(key(number));
        let mut menu = vec![(vec![Micro::Append(key(1), 3)], Some(vec![]))];
        for element in [1, 2] {
            menu.push((vec![append(element)], None));
            menu.push((vec![append(element)], Some(vec![])));
            let whole = vec![append(element), read(0), read(1)];
            for (x, y) in [(vec![element], vec![]), (vec![other(element), element], vec![3])] {
                menu.push((whole.clone(), Some(vec![x, y])));
            }
            menu.push((whole, None));
        }
        for shown in [vec![], vec![1], vec![2], vec![1, 2], vec![2, 1]] {
            menu.push((vec![read(0)], Some(vec![shown])));
        }
        menu.push((vec![read(1), read(0)], Some(vec![vec![3], vec![]])));
        menu
    }

    fn exchanged((op, ret): &Item<Whole>) -> Item<Whole> {
        let micro = |micro: &Micro<u8>| match micro {
            Micro::Append(key, element) => Micro::Append(key.clone(), other(*element)),
            Micro::Read(key) => Micro::Read(key.clone()),
        };
        let list = |items: &Vec<u8>| items.iter().copied().map(other).collect();
        let ret = ret.as_ref().map(|ret| ret.iter().map(list).collect());
        (op.iter().map(micro).collect(), ret)
    }
}
