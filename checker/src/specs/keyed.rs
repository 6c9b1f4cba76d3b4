//! Many objects of one kind, each under its own key.
//!
//! An operation names its key, and the history is split by key before anything is searched, so the
//! state is that of *one* key and no operation looks at its key. Whoever hands operations of
//! several keys to one such state (stateright's testers know no keys) checks one object, not many.

use crate::{Budget, Call, Finding, Halt, Shape, Spec};
use stateright::semantics::SequentialSpec;
use std::sync::Arc;

/// One of many objects, those of other keys being none of its business.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keyed<S>(pub S);

impl<S: SequentialSpec> SequentialSpec for Keyed<S> {
    type Op = (Arc<str>, S::Op);
    type Ret = S::Ret;

    fn invoke(&mut self, (_, op): &Self::Op) -> S::Ret {
        self.0.invoke(op)
    }

    fn is_valid_step(&mut self, (_, op): &Self::Op, ret: &S::Ret) -> bool {
        self.0.is_valid_step(op, ret)
    }
}

impl<S: Spec> Spec for Keyed<S> {
    fn key((key, _): &Self::Op) -> Option<String> {
        Some(key.to_string())
    }

    fn describe((_, op): &Self::Op, ret: Option<&S::Ret>) -> String {
        S::describe(op, ret)
    }

    fn describe_state(&self) -> String {
        self.0.describe_state()
    }

    fn successors(&self, (_, op): &Self::Op) -> Vec<Self> {
        self.0.successors(op).into_iter().map(Keyed).collect()
    }

    fn heap_bytes(&self) -> u64 {
        self.0.heap_bytes()
    }

    fn specialised(
        &self,
        calls: &[Call<Self>],
        certify: bool,
        budget: &mut Budget<'_>,
    ) -> Result<Finding, Halt> {
        let of_one = |call: &Call<Self>| Call {
            index: call.index,
            process: call.process,
            start: call.start,
            op: call.op.1.clone(),
            answer: call.answer.clone(),
        };
        budget.beside(size_of::<Call<S>>() as u64 * calls.len() as u64, |budget| {
            let calls: Vec<Call<S>> = calls.iter().map(of_one).collect();
            self.0.specialised(&calls, certify, budget)
        })
    }

    fn shape((_, op): &Self::Op, ret: Option<&S::Ret>) -> Shape<Self> {
        let Shape { needs, leaves } = S::shape(op, ret);
        Shape { needs: needs.map(Keyed), leaves: leaves.map(Keyed) }
    }
}
