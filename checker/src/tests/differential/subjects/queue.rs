//! Queues of unique items, and now and then of repeated ones.

use super::super::super::draw::Draw;
use super::super::super::lists_replay::{Item, Source};
use super::super::Subject;
use super::{fresh, other};
use crate::specs::queue::{Op, Queue, Ret};
use std::collections::VecDeque;

/// Draws operations on a queue.
pub(crate) struct Queues {
    repeats: bool,
    /// Something is in it at first.
    filled: bool,
}

impl Source<Queue<u8>> for Queues {
    fn operation(&mut self, _: u64, _: u64, count: u64, draw: &mut Draw) -> Op<u8> {
        match draw.percent(45) {
            true if self.repeats => Op::Enqueue(fresh(draw.below(1 + count))),
            true => Op::Enqueue(fresh(count)),
            false => Op::Dequeue,
        }
    }

    fn wrong(&mut self, op: &Op<u8>, ret: Ret<u8>, draw: &mut Draw) -> Ret<u8> {
        match op {
            Op::Enqueue(_) => ret,
            Op::Dequeue if draw.percent(30) => Ret::Item(None),
            Op::Dequeue => Ret::Item(Some(fresh(draw.below(7)))),
        }
    }
}

impl Subject<Queue<u8>> for Queues {
    const NAME: &'static str = "a queue";
    const ALGORITHMS: &'static [&'static str] = &["queue"];
    const DECLINED_PERCENT: u64 = 25;

    fn new(seed: u64) -> Self {
        Self { repeats: seed % 10 == 1, filled: seed % 10 == 2 }
    }

    fn initial(&self) -> Queue<u8> {
        Queue(if self.filled { VecDeque::from([200]) } else { VecDeque::new() })
    }

    fn beginnings() -> Vec<Queue<u8>> {
        vec![Queue(VecDeque::new())]
    }

    fn menu() -> Vec<Item<Queue<u8>>> {
        let mut menu = vec![(Op::Dequeue, None), (Op::Dequeue, Some(Ret::Item(None)))];
        for item in [1, 2] {
            menu.push((Op::Enqueue(item), None));
            menu.push((Op::Enqueue(item), Some(Ret::Done)));
            menu.push((Op::Dequeue, Some(Ret::Item(Some(item)))));
        }
        menu
    }

    fn exchanged((op, ret): &Item<Queue<u8>>) -> Item<Queue<u8>> {
        let op = match op {
            Op::Enqueue(item) => Op::Enqueue(other(*item)),
            Op::Dequeue => Op::Dequeue,
        };
        let ret = match ret {
            Some(Ret::Item(item)) => Some(Ret::Item(item.map(other))),
            ret => ret.clone(),
        };
        (op, ret)
    }
}
