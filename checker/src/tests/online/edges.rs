//! Retiring, refusing, limits, and what is held.

use super::*;

type Kv = Keyed<Register<u8>>;

fn start(process: u64, time: u64, key: &str, op: Op<u8>) -> Notice<Kv> {
    Notice::Invoke { index: 100 * time + process, process, time, op: (key.into(), op) }
}

fn end(process: u64, time: u64, ret: Ret<u8>) -> Notice<Kv> {
    Notice::Return { process, time, ret }
}

fn retire(key: &str) -> Notice<Kv> {
    Notice::Retire { key: key.to_owned() }
}

fn checker() -> Checker<Kv> {
    Checker::new(Keyed(EMPTY), Limits::default())
}

/// Pushes what can be.
fn all(checker: &mut Checker<Kv>, notices: impl IntoIterator<Item = Notice<Kv>>) {
    for notice in notices {
        checker.push(notice).expect("it can be");
    }
}

#[test]
fn a_retired_key_is_decided_when_its_last_call_ends_and_then_dropped() {
    for (value, violations) in [(1, 0), (2, 1)] {
        let mut it = checker();
        all(&mut it, [start(1, 1, "a", Op::Write(1)), start(2, 2, "a", Op::Read)]);
        all(&mut it, [start(3, 3, "a", Op::Write(5)), end(1, 4, Ret::Done), retire("a")]);
        assert_eq!((it.held().keys, it.held().open), (1, 2));
        let refused = it.push(start(4, 5, "a", Op::Read));
        assert_eq!(refused, Err(Refusal::Retired { key: "a".to_owned() }), "it still lives");
        all(&mut it, [Notice::Unknown { process: 3 }, end(2, 6, Ret::Value(Some(value)))]);
        assert_eq!(it.held(), Held::default());
        assert_eq!(it.violation().is_some(), violations == 1, "nothing but its end told it so");
        let refused = it.push(start(4, 7, "a", Op::Read));
        assert_eq!(refused, Err(Refusal::Retired { key: "a".to_owned() }), "it is remembered");
        all(&mut it, [start(4, 7, "b", Op::Read), end(4, 8, Ret::Value(None))]);
        let summary = it.finish();
        assert_eq!((summary.keys, summary.valid), (2, 2 - violations));
    }
}

#[test]
fn a_quiet_key_is_decided_when_time_has_passed() {
    let mut it = checker();
    all(&mut it, [start(1, 1, "a", Op::Read), end(1, 4, Ret::Value(Some(7)))]);
    all(&mut it, [Notice::Wait { time: 4 }]);
    assert_eq!(it.violation(), None, "a write of 7 may still start at 4");
    all(&mut it, [Notice::Wait { time: 5 }]);
    assert!(it.violation().is_some());
    let backwards = it.push(Notice::Wait { time: 4 });
    assert_eq!(backwards, Err(Refusal::Backwards { now: 5, time: 4 }));
}

#[test]
fn a_key_without_open_calls_is_dropped_at_once_and_twice_is_once_too_often() {
    let mut it = checker();
    all(&mut it, [start(1, 1, "a", Op::Write(1)), end(1, 2, Ret::Done), retire("a"), retire("b")]);
    assert_eq!(it.held(), Held::default());
    for key in ["a", "b"] {
        assert_eq!(it.push(retire(key)), Err(Refusal::Retired { key: key.to_owned() }));
    }
}

#[test]
fn what_cannot_be_is_refused_and_leaves_no_trace() {
    let mut it = checker();
    all(&mut it, [start(1, 5, "a", Op::Write(1))]);
    let refusals = [
        (start(2, 4, "b", Op::Read), Refusal::Backwards { now: 5, time: 4 }),
        (end(1, 4, Ret::Done), Refusal::Backwards { now: 5, time: 4 }),
        (start(1, 6, "b", Op::Read), Refusal::Busy { process: 1 }),
        (end(2, 6, Ret::Done), Refusal::Idle { process: 2 }),
        (Notice::Fail { process: 2 }, Refusal::Idle { process: 2 }),
        (Notice::Unknown { process: 2 }, Refusal::Idle { process: 2 }),
    ];
    let before = it.held();
    for (notice, refusal) in refusals {
        assert_eq!(it.push(notice), Err(refusal.clone()));
        assert!(!refusal.to_string().is_empty());
        assert_eq!(it.held(), before, "{refusal}");
    }
    // Had a refused notice moved the time, this would be refused.
    all(&mut it, [start(2, 5, "b", Op::Read), Notice::Unknown { process: 1 }]);
    assert_eq!(it.push(start(1, 7, "b", Op::Read)), Err(Refusal::Gone { process: 1 }));
    assert_eq!(it.finish().ruling, Ruling::Valid);
}

/// A register, keyed where the operation writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sometimes(Plain);

impl SequentialSpec for Sometimes {
    type Op = Op<u8>;
    type Ret = Ret<u8>;
    fn invoke(&mut self, op: &Op<u8>) -> Ret<u8> {
        assert!(*op != Op::Write(13), "thirteen");
        self.0.invoke(op)
    }
}

impl Spec for Sometimes {
    fn key(op: &Op<u8>) -> Option<String> {
        matches!(op, Op::Write(_)).then(|| "written".to_owned())
    }
    fn describe(op: &Op<u8>, ret: Option<&Ret<u8>>) -> String {
        Plain::describe(op, ret)
    }
    fn describe_state(&self) -> String {
        self.0.describe_state()
    }
}

#[test]
fn keys_and_none_do_not_mix() {
    let (read, write) = (Op::Read, Op::Write(1));
    for [first, second] in [[read.clone(), write.clone()], [write, read]] {
        let mut it = Checker::new(Sometimes(EMPTY), Limits::default());
        let invoke = |process, op| Notice::Invoke { index: process, process, time: 1, op };
        assert_eq!(it.push(invoke(1, first)), Ok(()));
        assert_eq!(it.push(invoke(2, second)), Err(Refusal::Mixed));
    }
}

#[test]
fn a_key_of_which_the_spec_panics_is_undecided() {
    let mut it = Checker::new(Sometimes(EMPTY), Limits::default());
    let write = Notice::Invoke { index: 0, process: 1, time: 1, op: Op::Write(13) };
    for notice in [write, Notice::Return { process: 1, time: 2, ret: Ret::Done }] {
        assert_eq!(it.push(notice), Ok(()));
    }
    let summary = it.finish();
    assert_eq!((summary.ruling, summary.valid), (Ruling::Unknown, 0));
    assert_eq!(summary.undecided[0].reason, "the spec panicked");
}

/// Forty writes that are all open while one of another value is read.
fn endless(key: &str) -> Vec<Notice<Mute<Kv>>> {
    let mut notices = Vec::new();
    for process in 0..40 {
        let op = (key.into(), Op::Write(process as u8));
        notices.push(Notice::Invoke { index: process, process, time: process, op });
    }
    let op = (key.into(), Op::Read);
    notices.push(Notice::Invoke { index: 40, process: 40, time: 40, op });
    notices.push(Notice::Return { process: 40, time: 41, ret: Ret::Value(Some(99)) });
    notices.extend((0..40).map(|process| Notice::Return { process, time: 50, ret: Ret::Done }));
    notices
}

#[test]
fn a_key_that_needs_too_much_is_undecided_and_holds_nothing() {
    let cases = [
        (Limits { steps: 100_000, ..Limits::default() }, "its 100000 steps are spent"),
        (
            Limits { bytes: 1 << 20, ..Limits::default() },
            "it needs more than is left of 1 MiB of memory",
        ),
    ];
    for (limits, reason) in cases {
        let mut it = Checker::new(Mute(Keyed(EMPTY)), limits);
        for notice in endless("a") {
            assert_eq!(it.push(notice), Ok(()));
        }
        assert_eq!((it.held().bytes, it.held().configurations), (0, 0));
        let summary = it.finish();
        assert_eq!((summary.ruling, summary.valid), (Ruling::Unknown, 0));
        assert_eq!(summary.undecided[0].reason, reason);
    }
}

#[test]
fn others_go_on_when_one_key_is_undecided() {
    let mut it = Checker::new(Keyed(EMPTY), Limits { steps: 20, ..Limits::default() });
    for time in 0..30 {
        let op = Op::Write(time as u8);
        all(&mut it, [start(1, 2 * time, "a", op), end(1, 2 * time + 1, Ret::Done)]);
    }
    let bytes = it.held().bytes;
    assert_eq!(bytes, 0, "it is undecided and was dropped");
    all(&mut it, [start(1, 90, "b", Op::Read), end(1, 91, Ret::Value(Some(7))), retire("b")]);
    assert_eq!(it.violation().and_then(|found| found.key.as_deref()), Some("b"));
    let summary = it.finish();
    assert_eq!((summary.ruling, summary.keys, summary.valid), (Ruling::Invalid, 2, 0));
    assert_eq!(summary.undecided[0].key.as_deref(), Some("a"));
}

#[test]
fn what_is_held_does_not_grow_with_the_history() {
    let mut it = checker();
    let (mut most, mut process) = (Held::default(), 0);
    for round in 0..20_000_u64 {
        let value = (round % 200) as u8;
        let time = 10 * round;
        all(&mut it, [start(process, time, "a", Op::Write(value))]);
        // A write in a thousand is lost from sight, and seen.
        match round % 1_000 {
            500 => {
                all(&mut it, [Notice::Unknown { process }]);
                process += 1;
            }
            _ => all(&mut it, [end(process, time + 2, Ret::Done)]),
        }
        all(&mut it, [start(process, time + 4, "a", Op::Read)]);
        all(&mut it, [end(process, time + 6, Ret::Value(Some(value)))]);
        let held = it.held();
        most.bytes = most.bytes.max(held.bytes);
        most.configurations = most.configurations.max(held.configurations);
    }
    assert!(most.bytes < 4_000 && most.configurations <= 2, "{most:?}");
    assert_eq!(it.finish().ruling, Ruling::Valid);
}
