//! Histories from a seed.

use super::Plain;
use crate::specs::register::{Op, Ret};
use crate::{Answer, Call, SequentialSpec};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What a history is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    pub(crate) clients: u64,
    pub(crate) operations: u64,
    /// 0: every write has a value of its own.
    pub(crate) values: u64,
    pub(crate) unknown_percent: u64,
    /// Answers that are changed at random.
    pub(crate) wrong_percent: u64,
    /// Times stand still between two events this often.
    pub(crate) tie_percent: u64,
}

/// A history of a register on which each call took effect somewhere between its start and its end,
/// with some answers changed afterwards.
pub(crate) fn history(family: Family, draw: &mut Draw) -> Vec<Call<Plain>> {
    let mut state = super::EMPTY;
    let mut calls: Vec<Call<Plain>> = Vec::new();
    // For each client its process, and its open call with the answer once it took effect.
    let mut clients: Vec<(u64, Option<usize>, Option<Ret<u8>>)> =
        (0..family.clients).map(|client| (client, None, None)).collect();
    let (mut time, mut index, mut fresh) = (0, 0, family.clients);
    loop {
        time += u64::from(!draw.percent(family.tie_percent));
        let client = draw.below(family.clients) as usize;
        let (process, open, answer) = clients[client].clone();
        let Some(open) = open else {
            if calls.len() as u64 == family.operations {
                if clients.iter().all(|(_, open, _)| open.is_none()) {
                    return calls;
                }
                continue;
            }
            let op = operation(family, calls.len() as u8, draw);
            clients[client].1 = Some(calls.len());
            calls.push(Call { index, process, start: time, op, answer: None });
            index += 1;
            continue;
        };
        let Some(ret) = answer else {
            clients[client].2 = Some(state.invoke(&calls[open].op));
            if draw.percent(family.unknown_percent) {
                // It took effect, or will not.
                clients[client] = (fresh, None, None);
                fresh += 1;
            }
            continue;
        };
        let ret = if draw.percent(family.wrong_percent) {
            wrong(&calls[open].op, family, draw)
        } else {
            ret
        };
        calls[open].answer = Some(Answer { end: time, ret });
        index += 1;
        clients[client] = (process, None, None);
    }
}

fn value(family: Family, next: u8, draw: &mut Draw) -> u8 {
    match family.values {
        0 => next + 1,
        values => draw.below(values) as u8 + 1,
    }
}

/// A value that some earlier call may have written, or none.
fn seen(family: Family, next: u8, draw: &mut Draw) -> Option<u8> {
    let recent = match family.values {
        0 => u64::from(next).min(6),
        values => values,
    };
    match draw.below(recent + 1) {
        0 => None,
        back if family.values == 0 => Some(next + 1 - back as u8),
        value => Some(value as u8),
    }
}

fn operation(family: Family, next: u8, draw: &mut Draw) -> Op<u8> {
    match draw.below(10) {
        0..=3 => Op::Read,
        4..=6 => Op::Write(value(family, next, draw)),
        7 | 8 => Op::Cas(seen(family, next, draw), value(family, next, draw)),
        _ => Op::Delete,
    }
}

fn wrong(op: &Op<u8>, family: Family, draw: &mut Draw) -> Ret<u8> {
    match op {
        Op::Read => Ret::Value(seen(family, 6, draw)),
        Op::Write(_) | Op::Delete => Ret::Done,
        Op::Cas(..) if draw.percent(50) => Ret::Swapped,
        Op::Cas(..) => Ret::Mismatch,
    }
}
