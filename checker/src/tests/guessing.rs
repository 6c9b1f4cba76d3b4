//! When a guess is taken for the verdict, and when the search has to agree.

use super::{EMPTY, Plain, call, options, retype};
use crate::specs::register::{Op, Ret};
use crate::{Call, Judgement, Leaves, Limits, Needs, Options, Ruling, Shape, Spec, linearizable};
use stateright::semantics::SequentialSpec;

/// The register of which it is unclear what writes of these values do, so that many of them at once
/// are searched for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Murky(Plain);

const MURKY: u8 = 200;

impl SequentialSpec for Murky {
    type Op = Op<u8>;
    type Ret = Ret<u8>;
    fn invoke(&mut self, op: &Op<u8>) -> Ret<u8> {
        self.0.invoke(op)
    }
}

impl Spec for Murky {
    fn describe(op: &Op<u8>, ret: Option<&Ret<u8>>) -> String {
        Plain::describe(op, ret)
    }
    fn describe_state(&self) -> String {
        self.0.describe_state()
    }
    fn shape(op: &Op<u8>, ret: Option<&Ret<u8>>) -> Shape<Self> {
        if matches!(op, Op::Write(MURKY..)) {
            return Shape { needs: Needs::Unclear, leaves: Leaves::Unclear };
        }
        let Shape { needs, leaves } = Plain::shape(op, ret);
        Shape { needs: needs.map(Self), leaves: leaves.map(Self) }
    }
}

/// Forty murky writes at once; then a write of 0 and a cas from each value to the next, 128 calls
/// with the last, a read of a value long gone. What relies on every cas up to that value is as long
/// as that.
fn chained(stale: u8) -> Judgement {
    let murky = |n: u8| call(u64::from(n), 100 + u64::from(n), Op::Write(MURKY + n), Ret::Done);
    let mut calls: Vec<Call<Plain>> = (0..40).map(murky).collect();
    calls.push(call(1_000, 1_001, Op::Write(0), Ret::Done));
    for value in 0..126 {
        let start = 2_000 + 10 * u64::from(value);
        calls.push(call(start, start + 5, Op::Cas(Some(value), value + 1), Ret::Swapped));
    }
    calls.push(call(9_000, 9_001, Op::Read, Ret::Value(Some(stale))));
    let limits = Limits { steps: 600_000, ..Limits::default() };
    linearizable(&Murky(EMPTY), retype(&calls), &Options { limits, ..options() })
}

/// A counterexample that is confirmed needs no search that goes to its end; one that is too large
/// for that does.
#[test]
fn a_guess_too_large_to_confirm_is_no_verdict() {
    let small = chained(5);
    assert_eq!(small.ruling, Ruling::Invalid, "{small:?}");
    let operations = &small.violations[0].operations;
    assert_eq!(operations.len(), 8, "the write, six cas and the read: {operations:?}");
    let large = chained(70);
    assert_eq!(large.ruling, Ruling::Unknown, "{large:?}");
    assert_eq!(large.unknown[0].reason, "the search budget of 600000 steps is spent");
}

/// The largest that is confirmed has sixty calls: the write, 58 cas and the read.
#[test]
fn sixty_calls_are_confirmed_and_one_more_is_not() {
    let most = chained(57);
    assert_eq!(most.ruling, Ruling::Invalid, "{most:?}");
    assert_eq!(most.violations[0].operations.len(), 60);
    assert_eq!(chained(58).ruling, Ruling::Unknown);
}
