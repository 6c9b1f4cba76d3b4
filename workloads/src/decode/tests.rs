//! What each outcome says, and what each nonsense is told.

use super::*;
use checker::{Leaves, Needs, SequentialSpec};
use history::{Header, Nanos, NodeId};
use serde_json::json;

fn operation(f: &str, input: Value, outcome: Outcome) -> Operation {
    Operation {
        index: 12,
        process: Process::Client(5),
        f: f.into(),
        key: Some("k1".into()),
        input,
        node: Some(NodeId(2)),
        invoked: Nanos(10),
        start: 10,
        end: match outcome {
            Outcome::Info { .. } => None,
            _ => Some(20),
        },
        outcome,
        unusual: None,
    }
}

fn ok(value: Value) -> Outcome {
    Outcome::Ok { index: 13, time: Nanos(20), value }
}

fn fail(error: &str) -> Outcome {
    Outcome::Fail { index: 13, time: Nanos(20), error: Some(error.into()) }
}

fn info() -> Outcome {
    Outcome::Info { index: None, time: None, error: None }
}

fn said(f: &str, input: Value, outcome: Outcome) -> Option<(Op<Datum>, Option<Ret<Datum>>)> {
    let call = call(&operation(f, input, outcome), false).expect("sensible")?;
    Some((call.op.1, call.answer.map(|answer| answer.ret)))
}

fn number(value: i64) -> Datum {
    Datum::Integer(value)
}

#[test]
fn answers_are_answers() {
    let read = |value| said("read", Value::Null, ok(value));
    assert_eq!(read(json!(7)), Some((Op::Read, Some(Ret::Value(Some(number(7)))))));
    assert_eq!(read(Value::Null), Some((Op::Read, Some(Ret::Value(None)))));
    let text = Datum::Text(r#""x""#.into());
    assert_eq!(read(json!("x")), Some((Op::Read, Some(Ret::Value(Some(text))))));
    let write = said("write", json!(3), ok(json!(3)));
    assert_eq!(write, Some((Op::Write(number(3)), Some(Ret::Done))));
    let cas = said("cas", json!([1, 2]), ok(json!([1, 2])));
    assert_eq!(cas, Some((Op::Cas(Some(number(1)), number(2)), Some(Ret::Swapped))));
    let delete = said("delete", Value::Null, ok(Value::Null));
    assert_eq!(delete, Some((Op::Delete, Some(Ret::Done))));
}

#[test]
fn a_mismatch_observes_and_no_other_failure_does() {
    let cas = || Op::Cas(Some(number(1)), number(2));
    assert_eq!(said("cas", json!([1, 2]), fail("mismatch")), Some((cas(), Some(Ret::Mismatch))));
    assert_eq!(said("cas", json!([1, 2]), fail("overloaded")), None);
    assert_eq!(said("write", json!(3), fail("mismatch")), None);
    let observed = call(&operation("cas", json!([1, 2]), fail("any")), true).expect("sensible");
    let ret = observed.and_then(|call| call.answer).map(|answer| answer.ret);
    assert_eq!(ret, Some(Ret::Mismatch));
}

#[test]
fn unknown_outcomes_have_no_answer() {
    assert_eq!(said("write", json!(3), info()), Some((Op::Write(number(3)), None)));
}

#[test]
fn nonsense_is_named_by_its_operation() {
    let refused = |f: &str, input: Value| {
        call(&operation(f, input, info()), false).expect_err("nonsense").to_string()
    };
    assert_eq!(
        refused("enqueue", json!(1)),
        "operation 12: unknown function `enqueue`; there are `read`, `write`, `cas`, `delete`"
    );
    assert_eq!(
        refused("cas", json!(1)),
        "operation 12: the value of a cas must be [from, to], not 1"
    );
    assert_eq!(refused("cas", json!([1, null])), "operation 12: a cas cannot write null");
    let mut keyless = operation("read", Value::Null, info());
    keyless.key = None;
    let error = call(&keyless, false).expect_err("nonsense").to_string();
    assert_eq!(error, "operation 12: read without a key");
}

#[test]
fn operations_are_told_in_words() {
    let text = |f: &str, input: Value, outcome| describe(&operation(f, input, outcome));
    assert_eq!(text("read", Value::Null, ok(json!(7))), "read → 7");
    assert_eq!(text("read", Value::Null, ok(Value::Null)), "read → null");
    assert_eq!(text("write", json!(3), info()), "write 3");
    assert_eq!(text("cas", json!([1, 2]), fail("mismatch")), "cas 1 → 2 mismatch");
    assert_eq!(text("delete", Value::Null, ok(Value::Null)), "delete");
    assert_eq!(text("enqueue", json!(1), info()), "enqueue 1");
}

#[test]
fn calls_are_labelled_for_people() {
    let operation = operation("read", Value::Null, info());
    let index = operation.index;
    let mut history =
        History::from_events(Header::new("kv"), Vec::new(), Order::Time).expect("empty");
    history.operations.push(operation);
    assert_eq!(label(&history, index).as_deref(), Some("c5 → n2"));
    assert_eq!(label(&history, index + 1), None);
}

/// `invoke` and `is_valid_step` agree, and so does what the spec promises of its operations.
#[test]
fn the_spec_keeps_its_laws() {
    let states = [None, Some(number(1)), Some(number(2))].map(|value| Keyed(Register(value)));
    let key = || std::sync::Arc::<str>::from("k1");
    let mut ops = vec![(key(), Op::Read), (key(), Op::Delete)];
    for to in [1, 2] {
        ops.push((key(), Op::Write(number(to))));
        for from in [None, Some(number(1)), Some(number(2))] {
            ops.push((key(), Op::Cas(from, number(to))));
        }
    }
    let values = states.iter().map(|state| Ret::Value(state.0.0.clone()));
    let rets: Vec<_> = [Ret::Done, Ret::Swapped, Ret::Mismatch].into_iter().chain(values).collect();
    for (state, op) in states.iter().flat_map(|state| ops.iter().map(move |op| (state, op))) {
        let mut after = state.clone();
        let answer = after.invoke(op);
        assert_eq!(KeyedRegister::key(&op.clone()).as_deref(), Some("k1"));
        assert_eq!(state.successors(op), std::slice::from_ref(&after));
        for ret in &rets {
            let mut stepped = state.clone();
            assert_eq!(stepped.is_valid_step(op, ret), *ret == answer, "{state:?} {op:?} {ret:?}");
        }
        let shape = KeyedRegister::shape(op, Some(&answer));
        let possible = match shape.needs {
            Needs::Exactly(needed) => needed == *state,
            Needs::AnythingBut(other) => other != *state,
            Needs::Nothing | Needs::Unclear => true,
        };
        assert!(possible, "{state:?} {op:?}");
        match shape.leaves {
            Leaves::Unchanged => assert_eq!(after, *state),
            Leaves::Always(left) => assert_eq!(after, left),
            Leaves::Unclear => {}
        }
    }
}

/// `false` may mean that a cas did not swap, or anything else: nobody is accused on a guess.
#[test]
fn an_ok_that_contradicts_its_invocation_is_refused() {
    for (f, input, answer) in [
        ("cas", json!([1, 2]), json!(false)),
        ("write", json!(3), json!(4)),
        ("delete", Value::Null, json!(true)),
    ] {
        let error = call(&operation(f, input, ok(answer)), false).expect_err("a contradiction");
        assert!(error.to_string().contains("repeats its value or has none"), "{error}");
    }
}
