//! What is asked of which object: the families of histories, and how each is typed.
//!
//! - `register`: half reads, half writes of a value of their own; over several keys if there are.
//! - `mix`: 40 % reads, 30 % writes, 22 % compare-and-sets from the value that the client saw last,
//!   on the key it saw it on, and 8 % deletes; every value new.
//! - `cas`: a third each of reads, writes and compare-and-sets, all of the values 0 to 4.
//! - `stale`: the same, with one read near the end answered otherwise.
//! - `queue`: half enqueues of an item of their own, half dequeues, some of an empty queue.
//! - `counter`: half adds of 1, half reads.
//!
//! A stale answer is illegal only if nothing explains it, so which seeds make an illegal history of
//! `stale` was found by checking; every violation is checked again by itself, see `sample`.

use crate::generate::{Crowd, Players, Random, history};
use checker::specs::counter::{self, Counter};
use checker::specs::keyed::Keyed;
use checker::specs::queue::{self, Queue};
use checker::specs::register::{Op, Register, Ret};
use checker::{Answer, Call, Ruling, Spec};
use std::collections::VecDeque;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Register,
    Mix,
    Cas,
    Stale,
    Queue,
    Counter,
}

/// A history, by what it is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) family: Family,
    pub(crate) clients: usize,
    pub(crate) operations: usize,
    /// More than one are checked by key.
    pub(crate) keys: usize,
    pub(crate) unknown_percent: u64,
    pub(crate) seed: u64,
}

impl Family {
    pub(crate) const ALL: [Self; 6] =
        [Self::Register, Self::Mix, Self::Cas, Self::Stale, Self::Queue, Self::Counter];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Mix => "mix",
            Self::Cas => "cas",
            Self::Stale => "stale",
            Self::Queue => "queue",
            Self::Counter => "counter",
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Register => "register, values unique",
            Self::Mix => "kv mix",
            Self::Cas => "cas, values 0-4",
            Self::Stale => "cas, values 0-4, stale read",
            Self::Queue => "queue",
            Self::Counter => "counter",
        }
    }

    /// What a check must say.
    pub(crate) fn expected(self) -> Ruling {
        match self {
            Self::Stale => Ruling::Invalid,
            _ => Ruling::Valid,
        }
    }
}

/// An object as it is before anything was asked of it.
pub(crate) trait Start: Spec {
    fn start() -> Self;
}

impl Start for Register<u64> {
    fn start() -> Self {
        Self(None)
    }
}

impl<S: Start> Start for Keyed<S> {
    fn start() -> Self {
        Self(S::start())
    }
}

impl Start for Queue<u64> {
    fn start() -> Self {
        Self(VecDeque::new())
    }
}

impl Start for Counter {
    fn start() -> Self {
        Self(0)
    }
}

impl Recipe {
    fn crowd(&self) -> Crowd {
        let Self { clients, operations, unknown_percent, seed, .. } = *self;
        Crowd { clients, operations, unknown_percent, seed }
    }

    /// A register, of the families about one.
    pub(crate) fn register(&self) -> Vec<Call<Register<u64>>> {
        let mut store = Store::new(self);
        let mut calls = history(self.crowd(), vec![Start::start()], &mut store);
        if self.family == Family::Stale {
            answer_staly(&mut calls, &mut Random::new(self.seed ^ u64::MAX));
        }
        calls
    }

    /// The same on each of many keys.
    pub(crate) fn store(&self) -> Vec<Call<Keyed<Register<u64>>>> {
        history(self.crowd(), vec![Start::start(); self.keys], &mut Store::new(self))
    }

    pub(crate) fn queue(&self) -> Vec<Call<Queue<u64>>> {
        history(self.crowd(), vec![Start::start()], &mut Numbered(0))
    }

    pub(crate) fn counter(&self) -> Vec<Call<Counter>> {
        history(self.crowd(), vec![Start::start()], &mut Numbered(0))
    }
}

/// Clients of registers.
struct Store {
    family: Family,
    keys: Vec<Arc<str>>,
    /// The next value of its own.
    fresh: u64,
    /// For each client the key and the value it saw last.
    seen: Vec<Option<(usize, u64)>>,
}

const SMALL_VALUES: u64 = 5;

impl Store {
    fn new(recipe: &Recipe) -> Self {
        let keys = (0..recipe.keys).map(|key| Arc::from(format!("k{key}"))).collect();
        Self { family: recipe.family, keys, fresh: 0, seen: vec![None; recipe.clients] }
    }

    fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }

    fn draw(&mut self, client: usize, random: &mut Random) -> (usize, Op<u64>) {
        let key = random.below(self.keys.len() as u64) as usize;
        let mut small = || random.below(SMALL_VALUES);
        match self.family {
            Family::Cas | Family::Stale => {
                let (one, other) = (small(), small());
                let ops = [Op::Read, Op::Write(one), Op::Cas(Some(one), other)];
                (key, ops[random.below(3) as usize].clone())
            }
            Family::Mix => match (random.below(100), self.seen[client]) {
                (40..70, _) => (key, Op::Write(self.fresh())),
                (70..92, Some((key, from))) => (key, Op::Cas(Some(from), self.fresh())),
                (92.., _) => (key, Op::Delete),
                _ => (key, Op::Read),
            },
            _ if random.below(2) == 0 => (key, Op::Read),
            _ => (key, Op::Write(self.fresh())),
        }
    }

    fn note(&mut self, client: usize, key: usize, op: &Op<u64>, ret: &Ret<u64>) {
        let now = match (op, ret) {
            (Op::Read, Ret::Value(value)) => *value,
            (Op::Write(value) | Op::Cas(_, value), Ret::Done | Ret::Swapped) => Some(*value),
            _ => None,
        };
        match now {
            Some(value) => self.seen[client] = Some((key, value)),
            None => self.seen[client] = self.seen[client].filter(|(seen, _)| *seen != key),
        }
    }
}

impl Players<Register<u64>> for Store {
    fn choose(&mut self, client: usize, random: &mut Random) -> (usize, Op<u64>) {
        self.draw(client, random)
    }

    fn learn(&mut self, client: usize, object: usize, op: &Op<u64>, ret: &Ret<u64>) {
        self.note(client, object, op, ret);
    }
}

impl Players<Keyed<Register<u64>>> for Store {
    fn choose(&mut self, client: usize, random: &mut Random) -> (usize, (Arc<str>, Op<u64>)) {
        let (key, op) = self.draw(client, random);
        (key, (self.keys[key].clone(), op))
    }

    fn learn(&mut self, client: usize, key: usize, (_, op): &(Arc<str>, Op<u64>), ret: &Ret<u64>) {
        self.note(client, key, op, ret);
    }
}

/// Clients that number what they put in, with the last number.
struct Numbered(u64);

impl Players<Queue<u64>> for Numbered {
    fn choose(&mut self, _: usize, random: &mut Random) -> (usize, queue::Op<u64>) {
        if random.below(2) == 0 {
            return (0, queue::Op::Dequeue);
        }
        self.0 += 1;
        (0, queue::Op::Enqueue(self.0))
    }
}

impl Players<Counter> for Numbered {
    fn choose(&mut self, _: usize, random: &mut Random) -> (usize, counter::Op) {
        match random.below(2) {
            0 => (0, counter::Op::Read),
            _ => (0, counter::Op::Add(1)),
        }
    }
}

/// Changes the answer of one read among the last tenth of the calls to another small value.
fn answer_staly(calls: &mut [Call<Register<u64>>], random: &mut Random) {
    let from = calls.len() - calls.len() / 10;
    let shift = 1 + random.below(SMALL_VALUES - 1);
    for call in &mut calls[from..] {
        if let Some(Answer { ret: Ret::Value(Some(value)), .. }) = &mut call.answer {
            *value = (*value + shift) % SMALL_VALUES;
            return;
        }
    }
}
