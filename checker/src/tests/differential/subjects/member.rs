//! Whether one element is in a set.

use super::super::super::draw::Draw;
use super::super::super::lists_replay::{Item, Source};
use super::super::Subject;
use crate::specs::member::{Member, Op, Ret};

/// Draws operations on one element.
pub(crate) struct Members {
    there: bool,
}

impl Source<Member> for Members {
    fn operation(&mut self, _: u64, _: u64, _: u64, draw: &mut Draw) -> Op {
        match draw.below(5) {
            0 | 1 => Op::Add,
            2 => Op::Remove,
            _ => Op::Contains,
        }
    }

    fn wrong(&mut self, _: &Op, ret: Ret, _: &mut Draw) -> Ret {
        if let Ret::Bool(found) = ret { Ret::Bool(!found) } else { ret }
    }
}

impl Subject<Member> for Members {
    const NAME: &'static str = "an element of a set";
    const ALGORITHMS: &'static [&'static str] = &["zones"];
    const DECLINED_PERCENT: u64 = 65;

    fn new(seed: u64) -> Self {
        Self { there: seed % 2 == 1 }
    }

    fn initial(&self) -> Member {
        Member(self.there)
    }

    fn beginnings() -> Vec<Member> {
        vec![Member(false), Member(true)]
    }

    fn menu() -> Vec<Item<Member>> {
        let mut menu = vec![(Op::Contains, None)];
        for op in [Op::Add, Op::Remove] {
            menu.extend([None, Some(Ret::Done)].map(|ret| (op, ret)));
        }
        menu.extend([true, false].map(|is| (Op::Contains, Some(Ret::Bool(is)))));
        menu
    }

    /// There and not there would be exchanged with where it begins; both are asked about instead.
    fn exchanged(item: &Item<Member>) -> Item<Member> {
        *item
    }
}
