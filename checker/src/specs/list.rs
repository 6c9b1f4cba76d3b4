//! A list to which elements are appended, and transactions on many such lists.
//!
//! A read shows the whole list, and so what was appended in which order. Where elements are unique
//! that decides a list however long its history is (`fast/list.rs`).
//!
//! A [`List`] is one list; many are [`Keyed`](super::keyed::Keyed). [`Transactions`] read and
//! append to several lists at once, and what is asked of them is strict serializability: each takes
//! effect whole, at one moment between its start and its end. Transactions that name one key only
//! are split by key. Those that do one thing each are a list; all others are searched.

use super::register::Value;
use super::text::listed;
use crate::fast::layers::Span;
use crate::fast::list::{self, list};
use crate::{Budget, Call, Finding, Halt, Spec};
use stateright::semantics::SequentialSpec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is in the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct List<T>(pub Vec<T>);

/// What can be asked of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op<T> {
    /// Put this at its end.
    Append(T),
    /// What is in it?
    Read,
}

/// What a list answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ret<T> {
    /// The answer to an append.
    Done,
    /// The answer to a read: all elements, the oldest first.
    Items(Vec<T>),
}

impl<T: Value> SequentialSpec for List<T> {
    type Op = Op<T>;
    type Ret = Ret<T>;

    fn invoke(&mut self, op: &Op<T>) -> Ret<T> {
        match op {
            Op::Append(element) => {
                self.0.push(element.clone());
                Ret::Done
            }
            Op::Read => Ret::Items(self.0.clone()),
        }
    }

    fn is_valid_step(&mut self, op: &Op<T>, ret: &Ret<T>) -> bool {
        match (op, ret) {
            // Lists may be long: they are compared where they are.
            (Op::Read, Ret::Items(items)) => self.0 == *items,
            (Op::Read, _) => false,
            (Op::Append(_), _) => self.invoke(op) == *ret,
        }
    }
}

impl<T: Value + Ord> Spec for List<T> {
    fn describe(op: &Op<T>, ret: Option<&Ret<T>>) -> String {
        match (op, ret) {
            (Op::Append(element), _) => format!("append {element}"),
            (Op::Read, Some(Ret::Items(items))) => format!("read → [{}]", listed(items.iter())),
            (Op::Read, _) => "read".to_owned(),
        }
    }

    fn describe_state(&self) -> String {
        format!("[{}]", listed(self.0.iter()))
    }

    fn heap_bytes(&self) -> u64 {
        size_of_val(self.0.as_slice()) as u64
    }

    fn specialised(
        &self,
        calls: &[Call<Self>],
        _certify: bool,
        budget: &mut Budget<'_>,
    ) -> Result<Finding, Halt> {
        budget.hold(list::BYTES_PER_CALL * calls.len() as u64)?;
        let (mut appends, mut reads) = (Vec::new(), Vec::new());
        for (place, call) in calls.iter().enumerate() {
            budget.spend(1)?;
            let span = Span::new(place, call);
            match (&call.op, call.answer.as_ref().map(|answer| &answer.ret)) {
                (Op::Append(element), None | Some(Ret::Done)) => appends.push((span, element)),
                (Op::Read, Some(Ret::Items(items))) => reads.push((span, items.as_slice())),
                // It changes nothing, whenever it happened.
                (Op::Read, None) => {}
                _ => return Ok(Finding::Declined("an answer is that of another operation")),
            }
        }
        list(&self.0, appends, reads, budget)
    }
}

/// What is in each list; one that is not named is empty, and an empty one is not named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transactions<T>(pub BTreeMap<Arc<str>, Vec<T>>);

/// One thing that a transaction does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Micro<T> {
    /// What is in the list of this key?
    Read(Arc<str>),
    /// Put this at the end of the list of this key.
    Append(Arc<str>, T),
}

impl<T> Micro<T> {
    fn key(&self) -> &Arc<str> {
        match self {
            Self::Read(key) | Self::Append(key, _) => key,
        }
    }
}

/// What the reads of a transaction showed, in their order.
pub type Reads<T> = Vec<Vec<T>>;

impl<T> Transactions<T> {
    fn list(&self, key: &str) -> &[T] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }
}

impl<T: Value> SequentialSpec for Transactions<T> {
    type Op = Vec<Micro<T>>;
    type Ret = Reads<T>;

    fn invoke(&mut self, op: &Vec<Micro<T>>) -> Reads<T> {
        let mut reads = Vec::new();
        for micro in op {
            match micro {
                Micro::Read(key) => reads.push(self.list(key).to_vec()),
                Micro::Append(key, element) => {
                    self.0.entry(key.clone()).or_default().push(element.clone());
                }
            }
        }
        reads
    }
}

impl<T: Value + Ord> Spec for Transactions<T> {
    /// The key, if there is only one. One transaction of several keys, or of none, and the history
    /// is checked whole.
    fn key(op: &Vec<Micro<T>>) -> Option<String> {
        let key = op.first()?.key();
        op.iter().all(|micro| micro.key() == key).then(|| key.to_string())
    }

    fn describe(op: &Vec<Micro<T>>, ret: Option<&Reads<T>>) -> String {
        let mut reads = ret.into_iter().flatten();
        let words = op.iter().map(|micro| match micro {
            Micro::Append(key, element) => format!("append {element} to {key}"),
            Micro::Read(key) => match reads.next() {
                Some(items) => format!("read {key} → [{}]", listed(items.iter())),
                None => format!("read {key}"),
            },
        });
        words.collect::<Vec<String>>().join(", ")
    }

    fn describe_state(&self) -> String {
        let list = |(key, items): (&Arc<str>, &Vec<T>)| format!("{key} [{}]", listed(items.iter()));
        match self.0.is_empty() {
            true => "all empty".to_owned(),
            false => self.0.iter().map(list).collect::<Vec<String>>().join(", "),
        }
    }

    fn heap_bytes(&self) -> u64 {
        let list = |items: &Vec<T>| size_of_val(items.as_slice()) + 2 * size_of_val(items);
        self.0.values().map(list).sum::<usize>() as u64
    }

    fn specialised(
        &self,
        calls: &[Call<Self>],
        _certify: bool,
        budget: &mut Budget<'_>,
    ) -> Result<Finding, Halt> {
        let Some(key) = calls.first().and_then(|call| call.op.first()).map(Micro::key) else {
            return Ok(Finding::Declined("a transaction does nothing"));
        };
        budget.hold(list::BYTES_PER_CALL * calls.len() as u64)?;
        let (mut appends, mut reads) = (Vec::new(), Vec::new());
        for (place, call) in calls.iter().enumerate() {
            budget.spend(1)?;
            let [micro] = call.op.as_slice() else {
                return Ok(Finding::Declined("transactions do several things at once"));
            };
            if micro.key() != key {
                return Ok(Finding::Declined("transactions are about several keys"));
            }
            let span = Span::new(place, call);
            let ret = call.answer.as_ref().map(|answer| answer.ret.as_slice());
            match (micro, ret) {
                (Micro::Append(_, element), None | Some([])) => appends.push((span, element)),
                (Micro::Read(_), Some([items])) => reads.push((span, items.as_slice())),
                // It changes nothing, whenever it happened.
                (Micro::Read(_), None) => {}
                _ => return Ok(Finding::Declined("an answer is that of another operation")),
            }
        }
        list(self.list(key), appends, reads, budget)
    }
}
