//! What a spec says of itself is true: answers, equality, shapes.

use super::Plain;
use crate::specs::keyed::Keyed;
use crate::specs::register::{Op, Register, Ret};
use crate::{Leaves, Needs, Spec};
use std::collections::HashSet;
use std::fmt::Debug;

/// Checks a spec's promises on every combination of states, operations and answers.
fn obey<S: Spec + Debug>(states: &[S], ops: &[S::Op], rets: &[S::Ret]) {
    for state in states {
        for op in ops {
            let mut after = state.clone();
            let answer = after.invoke(op);
            assert_eq!(state.clone().invoke(op), answer, "{op:?} is deterministic");
            assert!(state.successors(op).contains(&after), "{op:?} on {state:?}");
            unknown_shape(state, op);
            for ret in rets {
                let mut stepped = state.clone();
                let valid = stepped.is_valid_step(op, ret);
                assert_eq!(valid, answer == *ret, "{op:?} with {ret:?} on {state:?}");
                assert!(!valid || stepped == after, "{op:?} on {state:?}");
                answered_shape(state, op, ret, valid, &after);
            }
        }
    }
    let distinct: HashSet<&S> = states.iter().collect();
    assert_eq!(distinct.len(), states.len(), "hash agrees with equality");
}

fn answered_shape<S: Spec + Debug>(state: &S, op: &S::Op, ret: &S::Ret, valid: bool, after: &S) {
    let shape = S::shape(op, Some(ret));
    match &shape.needs {
        Needs::Nothing => assert!(valid, "{op:?} {ret:?} on {state:?}"),
        Needs::Exactly(only) => assert_eq!(valid, only == state, "{op:?} {ret:?} on {state:?}"),
        Needs::AnythingBut(not) => assert_eq!(valid, not != state, "{op:?} {ret:?} on {state:?}"),
        Needs::Unclear => {}
    }
    if valid {
        match &shape.leaves {
            Leaves::Unchanged => assert_eq!(after, state, "{op:?} {ret:?}"),
            Leaves::Always(left) => assert_eq!(after, left, "{op:?} {ret:?}"),
            Leaves::Unclear => {}
        }
    }
}

/// Of unknown outcome: where it does not do what its shape says it changes nothing.
fn unknown_shape<S: Spec + Debug>(state: &S, op: &S::Op) {
    let shape = S::shape(op, None);
    for after in state.successors(op) {
        let could = match &shape.needs {
            Needs::Nothing | Needs::Unclear => true,
            Needs::Exactly(only) => only == state,
            Needs::AnythingBut(not) => not != state,
        };
        match &shape.leaves {
            Leaves::Unchanged => assert_eq!(after, *state, "{op:?}"),
            Leaves::Always(left) if could => assert!(after == *left || after == *state, "{op:?}"),
            Leaves::Always(_) => assert_eq!(after, *state, "{op:?}"),
            Leaves::Unclear => assert!(could || after == *state, "{op:?}"),
        }
    }
}

fn register() -> (Vec<Plain>, Vec<Op<u8>>, Vec<Ret<u8>>) {
    let values = [None, Some(1), Some(2)];
    let mut ops = vec![Op::Read, Op::Delete, Op::Write(1), Op::Write(2)];
    ops.extend(values.iter().flat_map(|from| [Op::Cas(*from, 1), Op::Cas(*from, 2)]));
    let mut rets = vec![Ret::Done, Ret::Swapped, Ret::Mismatch];
    rets.extend(values.map(Ret::Value));
    (values.map(Register).into(), ops, rets)
}

#[test]
fn a_register_obeys() {
    let (states, ops, rets) = register();
    obey(&states, &ops, &rets);
}

#[test]
fn a_keyed_register_obeys() {
    let (states, ops, rets) = register();
    let states: Vec<_> = states.into_iter().map(Keyed).collect();
    let ops: Vec<_> = ops.into_iter().map(|op| ("k7".into(), op)).collect();
    obey(&states, &ops, &rets);
    assert_eq!(Keyed::<Plain>::key(&ops[0]).as_deref(), Some("k7"));
}

#[test]
fn operations_read_well() {
    let text = |op, ret: Option<Ret<u8>>| Register::describe(&op, ret.as_ref());
    assert_eq!(text(Op::Read, Some(Ret::Value(Some(3)))), "read → 3");
    assert_eq!(text(Op::Read, Some(Ret::Value(None))), "read → null");
    assert_eq!(text(Op::Write(3), None), "write 3");
    assert_eq!(text(Op::Cas(Some(3), 4), Some(Ret::Swapped)), "cas 3 → 4");
    assert_eq!(text(Op::Cas(None, 4), Some(Ret::Mismatch)), "cas null → 4 mismatch");
    assert_eq!(text(Op::Delete, Some(Ret::Done)), "delete");
}
