//! Clients: what they ask next.
//!
//! All they know is what they were answered. Which mix of operations is which family's is told in
//! `families`.

use crate::families::{Family, Recipe};
use crate::generate::{Players, Random};
use checker::specs::counter::{self, Counter};
use checker::specs::keyed::Keyed;
use checker::specs::list::{self, List};
use checker::specs::member::{self, Member};
use checker::specs::queue::{self, Queue};
use checker::specs::register::{Op, Register, Ret};
use checker::specs::set::{self, Set};
use checker::specs::string::{self, Text};
use checker::{Answer, Call};
use std::sync::Arc;

/// Names of so many keys.
pub(crate) fn names(number: usize) -> Vec<Arc<str>> {
    (0..number).map(|key| Arc::from(format!("k{key}"))).collect()
}

/// Clients of registers.
pub(crate) struct Store {
    family: Family,
    keys: Vec<Arc<str>>,
    /// The next value of its own.
    fresh: u64,
    /// For each client the key and the value it saw last.
    seen: Vec<Option<(usize, u64)>>,
}

const SMALL_VALUES: u64 = 5;

impl Store {
    pub(crate) fn new(recipe: &Recipe) -> Self {
        Self {
            family: recipe.family,
            keys: names(recipe.keys),
            fresh: 0,
            seen: vec![None; recipe.clients],
        }
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
pub(crate) struct Numbered(pub(crate) u64);

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

/// Clients that ask about one of many elements, by their names.
pub(crate) struct Elements(pub(crate) Vec<Arc<str>>);

impl Players<Keyed<Member>> for Elements {
    fn choose(&mut self, _: usize, random: &mut Random) -> (usize, (Arc<str>, member::Op)) {
        let element = random.below(self.0.len() as u64) as usize;
        let op = match random.below(4) {
            0 => member::Op::Add,
            1 => member::Op::Remove,
            _ => member::Op::Contains,
        };
        (element, (self.0[element].clone(), op))
    }
}

/// Clients that put in elements of their own and now and then read all.
pub(crate) struct Collectors {
    chosen: usize,
    between_reads: usize,
}

const READS: usize = 8;

impl Collectors {
    pub(crate) fn new(operations: usize) -> Self {
        Self { chosen: 0, between_reads: (operations / READS).max(1) }
    }

    /// The next element, none for a read.
    fn draw(&mut self) -> Option<u64> {
        self.chosen += 1;
        (!self.chosen.is_multiple_of(self.between_reads)).then_some(self.chosen as u64)
    }
}

impl Players<Set<u64>> for Collectors {
    fn choose(&mut self, _: usize, _: &mut Random) -> (usize, set::Op<u64>) {
        (0, self.draw().map_or(set::Op::Read, set::Op::Add))
    }
}

impl Players<List<u64>> for Collectors {
    fn choose(&mut self, _: usize, _: &mut Random) -> (usize, list::Op<u64>) {
        (0, self.draw().map_or(list::Op::Read, list::Op::Append))
    }
}

impl Players<Text> for Collectors {
    fn choose(&mut self, _: usize, _: &mut Random) -> (usize, string::Op) {
        let append = |number| string::Op::Append(format!("{number},"));
        (0, self.draw().map_or(string::Op::Read, append))
    }
}

/// Changes the answer of one read among the last tenth of the calls to another small value.
pub(crate) fn answer_wrongly(calls: &mut [Call<Register<u64>>], random: &mut Random) {
    let from = calls.len() - calls.len() / 10;
    let shift = 1 + random.below(SMALL_VALUES - 1);
    for call in &mut calls[from..] {
        if let Some(Answer { ret: Ret::Value(Some(value)), .. }) = &mut call.answer {
            *value = (*value + shift) % SMALL_VALUES;
            return;
        }
    }
}
