//! What each outcome says, and what each nonsense is told.

use super::super::{call, describe, label};
use super::*;
use history::{Header, History, Nanos, NodeId, Order, Process};
use serde_json::{Value, json};

const ALL: Registers =
    Registers { null_is_unknown: false, functions: &["read", "write", "cas", "delete"] };

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
    let call = call(&ALL, &operation(f, input, outcome)).expect("sensible")?;
    Some((call.op, call.answer.map(|answer| answer.ret)))
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
}

#[test]
fn unknown_outcomes_have_no_answer() {
    assert_eq!(said("write", json!(3), info()), Some((Op::Write(number(3)), None)));
}

#[test]
fn nonsense_is_named_by_its_operation() {
    let refused = |f: &str, input: Value| {
        call(&ALL, &operation(f, input, info())).expect_err("nonsense").to_string()
    };
    assert_eq!(
        refused("enqueue", json!(1)),
        "operation 12 (index of its invocation; by c5): unknown function `enqueue`; there are `read`, `write`, `cas`, `delete`"
    );
    assert_eq!(
        refused("cas", json!(1)),
        "operation 12 (index of its invocation; by c5): the value of a cas must be [from, to], not 1"
    );
    assert_eq!(
        refused("cas", json!([1, null])),
        "operation 12 (index of its invocation; by c5): a cas cannot write null"
    );
    let few = Registers { functions: &["read", "write", "cas"], ..ALL };
    let error = call(&few, &operation("delete", Value::Null, info())).expect_err("nonsense");
    assert!(error.to_string().ends_with("there are `read`, `write`, `cas`"), "{error}");
}

#[test]
fn operations_are_told_in_words() {
    let text = |f: &str, input: Value, outcome| describe(&ALL, &operation(f, input, outcome));
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

#[test]
fn a_null_that_says_nothing_observes_nothing() {
    let doubtful = Registers { null_is_unknown: true, ..ALL };
    let read = operation("read", Value::Null, ok(Value::Null));
    assert!(call(&doubtful, &read).expect("sensible").is_none());
    assert!(call(&ALL, &read).expect("sensible").is_some());
}

/// `false` may mean that a cas did not swap, or anything else: nobody is accused on a guess.
#[test]
fn an_ok_that_contradicts_its_invocation_is_refused() {
    for (f, input, answer) in [
        ("cas", json!([1, 2]), json!(false)),
        ("write", json!(3), json!(4)),
        ("delete", Value::Null, json!(true)),
    ] {
        let error = call(&ALL, &operation(f, input, ok(answer))).expect_err("a contradiction");
        assert!(error.to_string().contains("repeats its value or has none"), "{error}");
    }
}
