//! A set that can be read whole.
//!
//! A read shows every element, so nothing can be split by element, and a history is checked whole.
//! One without such reads is better checked element by element, as [`Member`](super::member).
//!
//! A set to which each element is added once, and from which none is removed, is decided by its
//! reads, however long it is (`fast/set.rs`). With removes, or questions about one element, it is
//! searched.

use super::register::Value;
use super::text::listed;
use crate::fast::layers::Span;
use crate::fast::set::{self, set};
use crate::{Budget, Call, Finding, Halt, Spec};
use stateright::semantics::SequentialSpec;
use std::collections::BTreeSet;

/// What is in the set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set<T>(pub BTreeSet<T>);

/// What can be asked of a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op<T> {
    /// Have this element in it.
    Add(T),
    /// Have this element not in it.
    Remove(T),
    /// Is this element in it?
    Contains(T),
    /// What is in it?
    Read,
}

/// What a set answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ret<T> {
    /// The answer to an add or a remove, whether or not it changed anything.
    Done,
    /// The answer to a question about one element.
    Bool(bool),
    /// The answer to a read: all elements.
    Items(BTreeSet<T>),
}

impl<T: Value + Ord> SequentialSpec for Set<T> {
    type Op = Op<T>;
    type Ret = Ret<T>;

    fn invoke(&mut self, op: &Op<T>) -> Ret<T> {
        match op {
            Op::Add(element) => {
                self.0.insert(element.clone());
                Ret::Done
            }
            Op::Remove(element) => {
                self.0.remove(element);
                Ret::Done
            }
            Op::Contains(element) => Ret::Bool(self.0.contains(element)),
            Op::Read => Ret::Items(self.0.clone()),
        }
    }

    fn is_valid_step(&mut self, op: &Op<T>, ret: &Ret<T>) -> bool {
        match (op, ret) {
            // Sets may be large: they are compared where they are.
            (Op::Read, Ret::Items(items)) => self.0 == *items,
            (Op::Read, _) => false,
            _ => self.invoke(op) == *ret,
        }
    }
}

impl<T: Value + Ord> Spec for Set<T> {
    fn describe(op: &Op<T>, ret: Option<&Ret<T>>) -> String {
        match (op, ret) {
            (Op::Add(element), _) => format!("add {element}"),
            (Op::Remove(element), _) => format!("remove {element}"),
            (Op::Contains(element), Some(Ret::Bool(found))) => {
                format!("contains {element} → {found}")
            }
            (Op::Contains(element), _) => format!("contains {element}"),
            (Op::Read, Some(Ret::Items(items))) => format!("read → {{{}}}", listed(items.iter())),
            (Op::Read, _) => "read".to_owned(),
        }
    }

    fn describe_state(&self) -> String {
        format!("{{{}}}", listed(self.0.iter()))
    }

    fn heap_bytes(&self) -> u64 {
        // A node has room for eleven elements and is about two thirds full.
        (3 * self.0.len() * size_of::<T>() / 2) as u64
    }

    fn specialised(
        &self,
        calls: &[Call<Self>],
        _certify: bool,
        budget: &mut Budget<'_>,
    ) -> Result<Finding, Halt> {
        budget.hold(set::BYTES_PER_CALL * calls.len() as u64)?;
        let (mut adds, mut reads) = (Vec::new(), Vec::new());
        for (place, call) in calls.iter().enumerate() {
            budget.spend(1)?;
            let span = Span::new(place, call);
            match (&call.op, call.answer.as_ref().map(|answer| &answer.ret)) {
                (Op::Add(element), None | Some(Ret::Done)) => adds.push((span, element)),
                (Op::Read, Some(Ret::Items(items))) => reads.push((span, items)),
                // It changes nothing, whenever it happened.
                (Op::Read | Op::Contains(_), None) => {}
                (Op::Remove(_), _) => return Ok(Finding::Declined("elements are removed")),
                (Op::Contains(_), _) => {
                    return Ok(Finding::Declined("questions are asked about one element"));
                }
                _ => return Ok(Finding::Declined("an answer is that of another operation")),
            }
        }
        set(&self.0, adds, reads, budget)
    }
}
