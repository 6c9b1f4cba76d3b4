//! What is asked of which object: the families of histories, and how each is typed.
//!
//! - `register`: half reads, half writes of a value of their own; over several keys if there are.
//! - `mix`: 40 % reads, 30 % writes, 22 % compare-and-sets from the value that the client saw last,
//!   on the key it saw it on, and 8 % deletes; every value new.
//! - `cas`: a third each of reads, writes and compare-and-sets, all of the values 0 to 4.
//! - `stale`: the same, with one read near the end answered otherwise.
//! - `queue`: half enqueues of an item of their own, half dequeues, some of an empty queue.
//! - `counter`: half adds of 1, half reads.
//! - `member`: a set that is asked about one element at a time: a quarter adds, a quarter removes,
//!   half questions, each element a key.
//! - `set`, `list` and `string`: each call puts in an element of its own, but for eight reads of the whole, so
//!   that what all reads show together grows in step with the operations.
//! - `lock`: clients that acquire and release one lock, with fencing tokens; see `locks`.
//!
//! A stale answer is illegal only if nothing explains it, so which seeds make an illegal history of
//! `stale` was found by checking; every violation is checked again by itself, see `sample`.

use crate::generate::{Crowd, Players, Random, history};
use crate::locks::locks;
use crate::players::{Collectors, Elements, Numbered, Store, answer_wrongly, names};
use checker::specs::counter::Counter;
use checker::specs::keyed::Keyed;
use checker::specs::list::List;
use checker::specs::lock::Lock;
use checker::specs::member::Member;
use checker::specs::queue::Queue;
use checker::specs::register::Register;
use checker::specs::set::Set;
use checker::specs::string::Text;
use checker::{Call, Ruling, Spec};
use std::collections::{BTreeSet, VecDeque};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Register,
    Mix,
    Cas,
    Stale,
    Queue,
    Counter,
    Member,
    Set,
    List,
    String,
    Lock,
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
    pub(crate) const ALL: [Self; 11] = [
        Self::Register,
        Self::Mix,
        Self::Cas,
        Self::Stale,
        Self::Queue,
        Self::Counter,
        Self::Member,
        Self::Set,
        Self::List,
        Self::String,
        Self::Lock,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Mix => "mix",
            Self::Cas => "cas",
            Self::Stale => "stale",
            Self::Queue => "queue",
            Self::Counter => "counter",
            Self::Member => "member",
            Self::Set => "set",
            Self::List => "list",
            Self::String => "string",
            Self::Lock => "lock",
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Register => "register, values unique",
            Self::Mix => "kv mix",
            Self::Cas => "cas, values 0-4",
            Self::Stale => "cas, values 0-4, stale read",
            Self::Member => "set by element",
            _ => self.name(),
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

impl Start for Member {
    fn start() -> Self {
        Self(false)
    }
}

impl Start for Set<u64> {
    fn start() -> Self {
        Self(BTreeSet::new())
    }
}

impl Start for List<u64> {
    fn start() -> Self {
        Self(Vec::new())
    }
}

impl Start for Text {
    fn start() -> Self {
        Self::default()
    }
}

impl Start for Lock {
    fn start() -> Self {
        Self::default()
    }
}

impl Recipe {
    fn crowd(&self) -> Crowd {
        let Self { clients, operations, unknown_percent, seed, .. } = *self;
        Crowd { clients, operations, unknown_percent, seed }
    }

    /// On one object.
    fn one<S: Start>(&self, players: &mut impl Players<S>) -> Vec<Call<S>> {
        history(self.crowd(), vec![S::start()], players)
    }

    /// On one object under each key.
    fn many<S: Start>(&self, players: &mut impl Players<S>) -> Vec<Call<S>> {
        history(self.crowd(), vec![S::start(); self.keys], players)
    }

    pub(crate) fn register(&self) -> Vec<Call<Register<u64>>> {
        let mut calls = self.one(&mut Store::new(self));
        if self.family == Family::Stale {
            answer_wrongly(&mut calls, &mut Random::new(self.seed ^ u64::MAX));
        }
        calls
    }

    pub(crate) fn store(&self) -> Vec<Call<Keyed<Register<u64>>>> {
        self.many(&mut Store::new(self))
    }

    pub(crate) fn member(&self) -> Vec<Call<Keyed<Member>>> {
        self.many(&mut Elements(names(self.keys)))
    }

    pub(crate) fn queue(&self) -> Vec<Call<Queue<u64>>> {
        self.one(&mut Numbered(0))
    }

    pub(crate) fn counter(&self) -> Vec<Call<Counter>> {
        self.one(&mut Numbered(0))
    }

    pub(crate) fn set(&self) -> Vec<Call<Set<u64>>> {
        self.one(&mut Collectors::new(self.operations))
    }

    pub(crate) fn list(&self) -> Vec<Call<List<u64>>> {
        self.one(&mut Collectors::new(self.operations))
    }

    pub(crate) fn string(&self) -> Vec<Call<Text>> {
        self.one(&mut Collectors::new(self.operations))
    }

    pub(crate) fn lock(&self) -> Vec<Call<Lock>> {
        locks(self.crowd())
    }
}
