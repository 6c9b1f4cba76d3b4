//! What a violation says.

use super::{EMPTY, Plain, call, judge};
use crate::specs::register::{Op, Ret};
use crate::{Blocked, Call, Coordinates, Options, Step, linearizable};

fn stale() -> Vec<Call<Plain>> {
    vec![
        call(0, 9_000_000, Op::Write(3), Ret::Done),
        call(12_000_000, 20_000_000, Op::Write(7), Ret::Done),
        call(28_000_000, 36_000_000, Op::Read, Ret::Value(Some(3))),
    ]
}

fn label(index: u64) -> Option<String> {
    let labels = [(0, "c5 → n2"), (12_000_000, "c3 → n2"), (28_000_000, "c1 → n3")];
    labels.iter().find(|(known, _)| *known == index).map(|(_, label)| (*label).to_owned())
}

#[test]
fn a_stale_read_is_told_step_by_step() {
    let options =
        Options { coordinates: Coordinates::Nanoseconds, label: &label, ..super::options() };
    let judgement = linearizable(&EMPTY, stale(), &options);
    assert_eq!(judgement.message, "no order of the operations is legal");
    let violation = &judgement.violations[0];
    assert!(violation.exact);
    let step = |operation, text: &str, before: &str, after: &str| Step {
        operation,
        text: text.to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
    };
    assert_eq!(
        violation.steps,
        [step(0, "write 3", "null", "3"), step(12_000_000, "write 7", "3", "7")]
    );
    assert_eq!(
        violation.blocked,
        [Blocked {
            operation: 28_000_000,
            text: "read → 3".to_owned(),
            why: "needs 3, finds 7".to_owned(),
        }]
    );
    assert_eq!(
        violation.sentences,
        [
            "write 3 (c5 → n2) had finished 3.0 ms before write 7 (c3 → n2) began.",
            "write 7 (c3 → n2) had finished 8.0 ms before read → 3 (c1 → n3) began.",
            "The longest legal order is write 3, then write 7; it leaves 7.",
            "read → 3 (c1 → n3) cannot follow: it needs 3, finds 7.",
            "Only write 3 (c5 → n2) leaves 3, and it has been.",
            "So no order of these 3 operations is legal.",
        ]
    );
}

/// An append leaves what depends on what it finds: that nobody ever left a string cannot be told from the calls alone.
#[test]
fn nothing_is_said_of_states_that_cannot_be_told() {
    use crate::specs::string::{Op, Ret, Text};
    let call = |start, op, ret| Call::<Text> {
        index: start,
        process: start,
        start,
        op,
        answer: Some(crate::Answer { end: start + 1, ret }),
    };
    let append = |start, text: &str| call(start, Op::Append(text.to_owned()), Ret::Done);
    let read = |start, text: &str| call(start, Op::Read, Ret::Value(text.to_owned()));
    let calls = [append(0, "a"), append(2, "b"), read(4, "a")];
    let judgement = judge(&Text::default(), &calls);
    let sentences = &judgement.violations[0].sentences;
    let order = "The longest legal order is append \"a\", then append \"b\"; it leaves \"ab\".";
    assert!(sentences.iter().any(|sentence| sentence == order), "{sentences:#?}");
    let untrue = |sentence: &String| sentence.contains("ever left") || sentence.contains("Only");
    assert!(!sentences.iter().any(untrue), "{sentences:#?}");
}

#[test]
fn operations_that_are_told_alike_are_numbered() {
    let calls = [
        call(0, 1, Op::Write(3), Ret::Done),
        call(2, 3, Op::Cas(Some(3), 4), Ret::Swapped),
        call(4, 5, Op::Cas(Some(3), 4), Ret::Swapped),
    ];
    let violation = &judge(&EMPTY, &calls).violations[0];
    assert_eq!(violation.operations, [0, 2, 4]);
    let told = violation.sentences.join(" ");
    assert!(told.contains("cas 3 → 4 (1 of 2)") && told.contains("cas 3 → 4 (2 of 2)"), "{told}");
    assert!(!told.contains("write 3 ("), "{told}");
}

#[test]
fn what_may_have_happened_is_said() {
    let calls = [
        call(0, 1, Op::Write(1), Ret::Done),
        super::unknown(2, Op::Cas(Some(1), 2)),
        call(4, 5, Op::Read, Ret::Value(Some(2))),
        call(6, 7, Op::Read, Ret::Value(Some(1))),
    ];
    let violation = &judge(&EMPTY, &calls).violations[0];
    assert_eq!(violation.operations, [0, 2, 4, 6]);
    let told = violation.sentences.join("\n");
    assert!(told.contains("The outcome of cas 1 → 2 is unknown"), "{told}");
    assert!(told.contains("read → 1 cannot follow: it needs 1, finds 2."), "{told}");
}

#[test]
fn a_value_from_nowhere_needs_no_other_operation() {
    let calls = [call(0, 1, Op::Write(1), Ret::Done), call(2, 3, Op::Read, Ret::Value(Some(4)))];
    let violation = &judge(&EMPTY, &calls).violations[0];
    assert_eq!(
        violation.sentences,
        [
            "Nothing can come first: the state is null.",
            "read → 4 cannot follow: it needs 4, finds null.",
            "Nothing ever left 4.",
            "So no order is legal.",
        ]
    );
}
