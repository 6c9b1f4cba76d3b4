//! Tests of the whole check: against every order, against stateright, against itself without
//! shapes.

mod agree;
mod blocks;
mod counter;
mod differential;
mod draw;
mod explaining;
mod fast;
mod guessing;
mod hard;
mod laws;
mod limits;
mod list;
mod lists_replay;
mod lock;
mod online;
mod queue;
mod replay;
mod rules;
mod set;
mod shrinking;
mod simulate;
mod string;

use crate::budget::Budget;
use crate::partition::{Partition, sort};
use crate::specs::register::{Op, Register, Ret};
use crate::{Answer, Call, Coordinates, Judgement, Limits, Options, Ruling, Shape, Spec};
use stateright::semantics::SequentialSpec;

pub(crate) type Plain = Register<u8>;
pub(crate) const EMPTY: Plain = Register(None);

/// The same spec, saying nothing about its operations: what any stateright spec is to the search.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mute<S>(pub(crate) S);

impl<S: SequentialSpec> SequentialSpec for Mute<S> {
    type Op = S::Op;
    type Ret = S::Ret;
    fn invoke(&mut self, op: &S::Op) -> S::Ret {
        self.0.invoke(op)
    }
}

impl<S: Spec> Spec for Mute<S> {
    fn describe(op: &S::Op, ret: Option<&S::Ret>) -> String {
        S::describe(op, ret)
    }
    fn describe_state(&self) -> String {
        self.0.describe_state()
    }
}

/// The default shape is the one that promises nothing.
#[test]
fn mute_specs_promise_nothing() {
    let shape: Shape<Mute<Plain>> = Mute::shape(&Op::Read, None);
    assert_eq!(shape.needs, crate::Needs::Unclear);
}

/// The same calls of another spec with the same operations.
pub(crate) fn retype<S>(calls: &[Call<Plain>]) -> Vec<Call<S>>
where
    S: SequentialSpec<Op = Op<u8>, Ret = Ret<u8>>,
{
    let mut typed = Vec::new();
    for call in calls.iter().cloned() {
        let Call { index, process, start, op, answer } = call;
        typed.push(Call { index, process, start, op, answer });
    }
    typed
}

pub(crate) fn mute(calls: &[Call<Plain>]) -> Vec<Call<Mute<Plain>>> {
    retype(calls)
}

pub(crate) fn options() -> Options<'static> {
    Options {
        limits: Limits::default(),
        threads: 1,
        coordinates: Coordinates::Positions,
        stop: &|| false,
        label: &|_| None,
        certify: false,
    }
}

pub(crate) fn judge<S: Spec>(initial: &S, calls: &[Call<S>]) -> Judgement {
    crate::linearizable(initial, calls.to_vec(), &options())
}

/// A partition that can be cut.
pub(crate) fn partition<S: Spec>(initial: &S, calls: &[Call<S>]) -> Partition<S> {
    let mut budget = Budget::new(Limits::default(), &|| false);
    let mut calls = calls.to_vec();
    sort(&mut calls);
    let partition = Partition::new(initial, None, calls, &mut budget);
    let mut partition = partition.expect("the budget is large");
    partition.know_cuts(&mut budget).expect("the budget is large");
    partition
}

/// Whether the check calls it legal; unknown is a failure.
pub(crate) fn is_valid<S: Spec>(initial: &S, calls: &[Call<S>]) -> bool {
    let judgement = judge(initial, calls);
    assert_ne!(judgement.ruling, Ruling::Unknown, "{calls:?}");
    judgement.ruling == Ruling::Valid
}

/// A call of its own process, its index being its start.
pub(crate) fn call<V>(start: u64, end: u64, op: Op<V>, ret: Ret<V>) -> Call<Register<V>>
where
    Register<V>: SequentialSpec<Op = Op<V>, Ret = Ret<V>>,
{
    let answer = Some(Answer { end, ret });
    Call { index: start, process: start, start, op, answer }
}

/// The same, of unknown outcome.
pub(crate) fn unknown<V>(start: u64, op: Op<V>) -> Call<Register<V>>
where
    Register<V>: SequentialSpec<Op = Op<V>, Ret = Ret<V>>,
{
    Call { index: start, process: start, start, op, answer: None }
}
