//! Events in, violation or not out; and what is none of the workload's.

use crate::{OnlineError, OnlineJudge, by_name};
use checker::Limits;
use checker::online::Refusal;
use history::{Event, Header, Kind, Nanos, Process};
use serde_json::{Value, json};

fn judge(initial: Value) -> Box<dyn OnlineJudge> {
    let header = Header { initial, ..Header::new("kv") };
    let kv = by_name("kv").expect("it is listed");
    kv.online(&header, Limits::default()).expect("kv can be judged online")
}

fn event(time: u64, process: u64, kind: Kind, f: &str, value: Value) -> Event {
    Event {
        index: time,
        time: Nanos(time),
        process: Process::Client(process),
        kind,
        f: f.to_owned(),
        key: Some("k1".to_owned()),
        value,
        node: None,
        error: None,
    }
}

/// Whether these events, each its own moment, are a violation.
fn violates(initial: Value, events: &[(u64, Kind, &str, Value)]) -> bool {
    let mut judge = judge(initial);
    for (time, (process, kind, f, value)) in (1..).zip(events) {
        let mut event = event(time, *process, *kind, f, value.clone());
        event.error = (*kind == Kind::Fail).then(|| crate::MISMATCH.to_owned());
        judge.push(&event).expect("it makes sense");
    }
    judge.wait(Nanos(1_000)).expect("it is later");
    judge.is_violated()
}

#[test]
fn every_kind_of_completion_says_what_it_says_to_the_whole_judgement() {
    use Kind::{Fail, Info, Invoke, Ok};
    let read = |value: Value| [(1, Invoke, "read", Value::Null), (1, Ok, "read", value)];
    let write = |end: Kind| [(2, Invoke, "write", json!(7)), (2, end, "write", json!(7))];
    let cas = |end: Kind| [(3, Invoke, "cas", json!([4, 7])), (3, end, "cas", json!([4, 7]))];
    assert!(!violates(json!(4), &read(json!(4))), "the value of the header");
    assert!(violates(json!(4), &read(Value::Null)));
    let cases = [
        (write(Ok), json!(7), false),
        (write(Ok), json!(4), true),
        (write(Info), json!(7), false),
        (write(Info), json!(4), false),
        (write(Fail), json!(7), true),
        (write(Fail), json!(4), false),
        (cas(Ok), json!(7), false),
        (cas(Ok), json!(4), true),
        // A mismatch says that the value was not 4, and it was.
        (cas(Fail), json!(4), true),
    ];
    for (first, value, violated) in cases {
        let events: Vec<_> = first.into_iter().chain(read(value)).collect();
        assert_eq!(violates(json!(4), &events), violated, "{events:?}");
    }
}

#[test]
fn what_makes_no_sense_is_an_error() {
    let mut it = judge(Value::Null);
    let error = it.push(&event(1, 1, Kind::Invoke, "push", Value::Null)).expect_err("no such f");
    assert!(error.to_string().contains("unknown function `push`"), "{error}");
    let error = it.push(&event(2, 1, Kind::Ok, "read", json!(1))).expect_err("it is not open");
    assert_eq!(error, OnlineError::Refused(Refusal::Idle { process: 1 }));
    it.push(&event(5, 1, Kind::Invoke, "read", Value::Null)).expect("it makes sense");
    let error = it.wait(Nanos(4)).expect_err("5 was before");
    assert_eq!(error, OnlineError::Refused(Refusal::Backwards { now: 5, time: 4 }));
    let nemesis = Event {
        process: Process::Nemesis,
        key: None,
        ..event(6, 0, Kind::Info, "partition", json!({"id": 1}))
    };
    assert_eq!(it.push(&nemesis), Ok(()));
}
