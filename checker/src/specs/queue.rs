//! A first-in, first-out queue.
//!
//! The state is what is in it, the oldest first. A dequeue of an empty queue answers null and
//! changes nothing.

use super::register::Value;
use crate::fast::queue::queue;
use crate::{Budget, Call, Finding, Halt, Leaves, Needs, Shape, Spec};
use stateright::semantics::SequentialSpec;
use std::collections::VecDeque;

/// What is in the queue, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue<T>(pub VecDeque<T>);

/// What can be asked of a queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op<T> {
    /// Put this at the back.
    Enqueue(T),
    /// Take what is at the front.
    Dequeue,
}

/// What a queue answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ret<T> {
    /// The answer to an enqueue.
    Done,
    /// The answer to a dequeue: what it took, none if the queue was empty.
    Item(Option<T>),
}

impl<T: Value> SequentialSpec for Queue<T> {
    type Op = Op<T>;
    type Ret = Ret<T>;

    fn invoke(&mut self, op: &Op<T>) -> Ret<T> {
        match op {
            Op::Enqueue(item) => {
                self.0.push_back(item.clone());
                Ret::Done
            }
            Op::Dequeue => Ret::Item(self.0.pop_front()),
        }
    }
}

impl<T: Value> Spec for Queue<T> {
    fn heap_bytes(&self) -> u64 {
        (size_of::<T>() * self.0.len()) as u64
    }

    fn describe(op: &Op<T>, ret: Option<&Ret<T>>) -> String {
        match (op, ret) {
            (Op::Enqueue(item), _) => format!("enqueue {item}"),
            (Op::Dequeue, Some(Ret::Item(Some(item)))) => format!("dequeue → {item}"),
            (Op::Dequeue, Some(Ret::Item(None))) => "dequeue → null".to_owned(),
            (Op::Dequeue, _) => "dequeue".to_owned(),
        }
    }

    fn describe_state(&self) -> String {
        let items: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        format!("[{}]", items.join(", "))
    }

    fn shape(op: &Op<T>, ret: Option<&Ret<T>>) -> Shape<Self> {
        let empty = || Self(VecDeque::new());
        let (needs, leaves) = match (op, ret) {
            (Op::Enqueue(_), None | Some(Ret::Done)) => (Needs::Nothing, Leaves::Unclear),
            (Op::Dequeue, Some(Ret::Item(None))) => (Needs::Exactly(empty()), Leaves::Unchanged),
            (Op::Dequeue, None) => (Needs::AnythingBut(empty()), Leaves::Unclear),
            // What it takes is at the front of many states.
            _ => (Needs::Unclear, Leaves::Unclear),
        };
        Shape { needs, leaves }
    }

    fn specialised(
        &self,
        calls: &[Call<Self>],
        certify: bool,
        budget: &mut Budget<'_>,
    ) -> Result<Finding, Halt> {
        queue(self, calls, certify, budget)
    }
}
