//! Limits are kept, and what they leave undecided is unknown and never valid.

use super::draw::{Draw, Family, history};
use super::{EMPTY, Mute, Plain, mute, options, retype};
use crate::specs::keyed::Keyed;
use crate::specs::queue::{self, Queue};
use crate::specs::register::{Op, Register, Ret};
use crate::{
    Answer, Budget, Call, Finding, Halt, Judgement, Limits, Needs, Options, Ruling, Shape, Spec,
    linearizable,
};
use stateright::semantics::SequentialSpec;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// Without shapes this takes the search for ever: many open writes, and a last read of a value
/// nobody wrote.
fn endless() -> Vec<Call<Mute<Plain>>> {
    let mut calls: Vec<Call<Plain>> =
        (0..40).map(|n| super::call(n, 100 + n, Op::Write(n as u8), Ret::Done)).collect();
    calls.push(super::call(200, 201, Op::Read, Ret::Value(Some(99))));
    mute(&calls)
}

fn with(limits: Limits, stop: &(dyn Fn() -> bool + Sync)) -> Judgement {
    linearizable(&Mute(EMPTY), endless(), &Options { limits, stop, ..options() })
}

#[test]
fn steps_are_kept() {
    let judgement = with(Limits { steps: 100_000, ..Limits::default() }, &|| false);
    assert_eq!(judgement.ruling, Ruling::Unknown);
    assert_eq!((judgement.partitions, judgement.valid), (1, 0));
    let unknown = &judgement.unknown[0];
    assert_eq!(unknown.reason, "the search budget of 100000 steps is spent");
    assert!((1_000..=100_000).contains(&unknown.explored));
    assert!(unknown.reached.ends_with(" of 41 answered operations were put in order"));
}

#[test]
fn bytes_are_kept() {
    // The steps are a backstop, for a checker that counts no bytes.
    let judgement = with(Limits { bytes: 1 << 20, steps: 20_000_000 }, &|| false);
    assert_eq!(judgement.ruling, Ruling::Unknown);
    assert_eq!(judgement.unknown[0].reason, "the check needs more than its 1 MiB of memory");
}

#[test]
fn stop_is_obeyed_soon() {
    let asked = AtomicU64::new(0);
    let stop = || asked.fetch_add(1, Ordering::Relaxed) >= 10;
    let judgement = with(Limits::default(), &stop);
    assert_eq!(judgement.ruling, Ruling::Unknown);
    assert!(judgement.unknown[0].reason.contains("stopped"));
    assert!(asked.load(Ordering::Relaxed) <= 12, "it went on after it was told to stop");
}

/// The search stops for its own reasons before it guesses; who stopped it then is said rightly, and
/// how far it came.
#[test]
fn stopped_at_any_question_is_stopped_and_never_out_of_steps() {
    for most in 2..120 {
        let asked = AtomicU64::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) + 1 >= most;
        let limits = Limits { steps: u64::MAX, ..Limits::default() };
        let judgement = with(limits, &stop);
        let unknown = &judgement.unknown[0];
        assert_eq!(unknown.halt, Some(Halt::Stopped), "question {most}: {unknown:?}");
        assert!(most < 5 || unknown.explored > 0, "question {most}: {unknown:?}");
    }
}

#[test]
fn a_violation_found_in_time_is_not_lost_when_the_shrink_is_stopped() {
    let calls = [
        super::call(0, 1, Op::Write(1), Ret::Done),
        super::call(2, 3, Op::Read, Ret::Value(None)),
        super::call(4, 5, Op::Read, Ret::Value(Some(1))),
    ];
    // Says yes from the second question on: the search asks once, the shrink is told to stop at
    // once.
    let asked = AtomicU64::new(0);
    let stop = || asked.fetch_add(1, Ordering::Relaxed) >= 1;
    let judgement = linearizable(&EMPTY, calls.to_vec(), &Options { stop: &stop, ..options() });
    assert_eq!(judgement.ruling, Ruling::Invalid);
    assert!(!judgement.violations[0].exact);
    assert_eq!(judgement.violations[0].operations, [0, 2]);
}

/// A register that cannot bear the value 13.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Superstitious(Plain);

impl SequentialSpec for Superstitious {
    type Op = Op<u8>;
    type Ret = Ret<u8>;
    fn invoke(&mut self, op: &Op<u8>) -> Ret<u8> {
        assert!(*op != Op::Write(13), "thirteen");
        self.0.invoke(op)
    }
}

impl Spec for Superstitious {
    fn describe(op: &Op<u8>, ret: Option<&Ret<u8>>) -> String {
        Plain::describe(op, ret)
    }
    fn describe_state(&self) -> String {
        self.0.describe_state()
    }
}

fn keyed<S: Spec<Op = Op<u8>, Ret = Ret<u8>>>(key: &str, call: Call<Plain>) -> Call<Keyed<S>> {
    let Call { index, process, start, op, answer } = call;
    Call { index, process, start, op: (key.into(), op), answer }
}

/// A register whose shapes say of a read that it needs any value but the one it saw.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Liar(Plain);

impl SequentialSpec for Liar {
    type Op = Op<u8>;
    type Ret = Ret<u8>;
    fn invoke(&mut self, op: &Op<u8>) -> Ret<u8> {
        self.0.invoke(op)
    }
}

impl Spec for Liar {
    fn describe(op: &Op<u8>, ret: Option<&Ret<u8>>) -> String {
        Plain::describe(op, ret)
    }
    fn describe_state(&self) -> String {
        self.0.describe_state()
    }
    fn shape(op: &Op<u8>, ret: Option<&Ret<u8>>) -> Shape<Self> {
        let Shape { needs, leaves } = Plain::shape(op, ret);
        let needs = match needs {
            Needs::Exactly(state) => Needs::AnythingBut(Liar(state)),
            other => other.map(Liar),
        };
        Shape { needs, leaves: leaves.map(Liar) }
    }
}

#[test]
fn nobody_is_accused_by_the_rules_alone() {
    let calls = [
        super::call(0, 1, Op::Write(1), Ret::Done),
        super::call(2, 3, Op::Read, Ret::Value(Some(1))),
    ];
    let judgement = linearizable::<Liar>(&Liar(EMPTY), retype(&calls), &options());
    assert_eq!(judgement.ruling, Ruling::Unknown);
    assert!(judgement.unknown[0].reason.contains("this is a mistake"), "{judgement:?}");
}

/// A register whose algorithm calls everything illegal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Accuser(Plain);

impl SequentialSpec for Accuser {
    type Op = Op<u8>;
    type Ret = Ret<u8>;
    fn invoke(&mut self, op: &Op<u8>) -> Ret<u8> {
        self.0.invoke(op)
    }
}

impl Spec for Accuser {
    fn describe(op: &Op<u8>, ret: Option<&Ret<u8>>) -> String {
        Plain::describe(op, ret)
    }
    fn describe_state(&self) -> String {
        self.0.describe_state()
    }
    fn specialised(
        &self,
        calls: &[Call<Self>],
        _certify: bool,
        _budget: &mut Budget<'_>,
    ) -> Result<Finding, Halt> {
        Ok(Finding::Illegal { by: "accuser", calls: (0..calls.len() as u32).collect() })
    }
}

/// Few calls or many: what an algorithm accuses is searched before anybody is.
#[test]
fn nobody_is_accused_by_an_algorithm_alone() {
    for count in [2, 59, 60, 61, 200] {
        let write = |n: u64| super::call(2 * n, 2 * n + 1, Op::Write(n as u8), Ret::Done);
        let calls: Vec<Call<Plain>> = (0..count).map(write).collect();
        let judgement = linearizable::<Accuser>(&Accuser(EMPTY), retype(&calls), &options());
        assert_eq!(judgement.ruling, Ruling::Unknown, "{count} calls");
        assert!(judgement.unknown[0].reason.contains("this is a mistake"), "{judgement:?}");
    }
}

#[test]
fn a_key_that_panics_is_unknown_and_named_and_the_others_are_decided() {
    let write = |n, value| super::call(n, n + 1, Op::Write(value), Ret::Done);
    let good = || vec![keyed("a", write(0, 1)), keyed("b", write(2, 13)), keyed("c", write(4, 2))];
    for threads in [0, 1, 2, 9] {
        let options = Options { threads, ..options() };
        let initial = Keyed(Superstitious(EMPTY));
        let judgement = linearizable(&initial, good(), &options);
        assert_eq!(judgement.ruling, Ruling::Unknown);
        assert_eq!((judgement.partitions, judgement.valid), (3, 2));
        assert_eq!(judgement.unknown[0].key.as_deref(), Some("b"));
        assert_eq!(judgement.unknown[0].reason, "the check panicked: thirteen");
        let mut bad = good();
        let read = super::call(6, 7, Op::Read, Ret::Value(Some(9)));
        bad.push(keyed("c", read));
        let judgement = linearizable(&initial, bad, &options);
        assert_eq!(
            judgement.ruling,
            Ruling::Invalid,
            "a violation is certain whatever else is not"
        );
        assert_eq!(judgement.violations[0].key.as_deref(), Some("c"));
        assert!(judgement.message.contains("undecided on key b"), "{}", judgement.message);
    }
}

#[test]
fn keys_do_not_see_each_other() {
    let calls: Vec<Call<Keyed<Register<u8>>>> = vec![
        keyed("a", super::call(0, 1, Op::Write(1), Ret::Done)),
        keyed("b", super::call(2, 3, Op::Read, Ret::Value(None))),
    ];
    let judgement = linearizable(&Keyed(EMPTY), calls, &options());
    assert_eq!((judgement.ruling, judgement.valid), (Ruling::Valid, 2));
    assert_eq!(judgement.message, "2 of 2 keys are legal");
}

/// What is under keys is copied for an algorithm that knows none.
#[test]
fn copies_of_calls_are_counted() {
    let enqueue = |n: u64| {
        let answer = Some(Answer { end: 2 * n + 1, ret: queue::Ret::Done });
        let op = queue::Op::Enqueue(n);
        Call { index: n, process: 0, start: 2 * n, op, answer }
    };
    let calls: Vec<Call<Queue<u64>>> = (0..1_000).map(enqueue).collect();
    let keyed = |call: &Call<Queue<u64>>| Call {
        index: call.index,
        process: call.process,
        start: call.start,
        op: ("k".into(), call.op.clone()),
        answer: call.answer.clone(),
    };
    let under_key: Vec<Call<Keyed<Queue<u64>>>> = calls.iter().map(keyed).collect();
    let (empty, copies) = (Queue(VecDeque::new()), size_of_val(&calls[..]) as u64);
    // The least that is enough for those without a key, and what is missing then.
    let enough = (0..500_000).step_by(1_000).find(|bytes| {
        let limits = Limits { bytes: *bytes, ..Limits::default() };
        empty.specialised(&calls, false, &mut Budget::new(limits, &|| false)).is_ok()
    });
    let enough = enough.expect("500 bytes a call are enough");
    for (bytes, found) in
        [(enough, false), (enough + copies - 2_000, false), (enough + copies, true)]
    {
        let limits = Limits { bytes, ..Limits::default() };
        let mut budget = Budget::new(limits, &|| false);
        let said = Keyed(empty.clone()).specialised(&under_key, false, &mut budget);
        assert_eq!(said.is_ok(), found, "{bytes} bytes: {said:?}");
        // They are gone again.
        assert!(budget.hold(enough).is_ok());
    }
}

#[test]
fn nothing_to_check_is_no_violation() {
    let judgement = linearizable::<Plain>(&EMPTY, Vec::new(), &options());
    assert_eq!((judgement.ruling, judgement.partitions), (Ruling::Valid, 0));
    assert_eq!(judgement.message, "there was nothing to check");
}

#[test]
fn a_check_takes_the_same_steps_every_time() {
    let family = Family {
        clients: 8,
        operations: 120,
        values: 4,
        unknown_percent: 5,
        wrong_percent: 1,
        tie_percent: 0,
    };
    let calls = history(family, &mut Draw::new(3));
    let once = super::judge(&EMPTY, &calls);
    assert_eq!(once, super::judge(&EMPTY, &calls));
    let answer: Option<&Answer<Ret<u8>>> = calls[0].answer.as_ref();
    assert!(answer.is_some());
}

#[test]
fn the_largest_coordinates_are_coordinates() {
    let last = |ret| super::call(2, u64::MAX, Op::Read, ret);
    let write = super::call(0, 1, Op::Write(1), Ret::Done);
    for (value, ruling) in [(Some(1), Ruling::Valid), (None, Ruling::Invalid)] {
        let calls = [write.clone(), last(Ret::Value(value))];
        assert_eq!(super::judge(&EMPTY, &calls).ruling, ruling, "{value:?}");
    }
    let write = super::call(0, u64::MAX - 1, Op::Write(1), Ret::Done);
    let read = super::call(u64::MAX, u64::MAX, Op::Read, Ret::Value(None));
    assert!(!super::is_valid(&EMPTY, &[write, read]));
}
