//! Where a shrink begins.

use super::at_end;
use crate::budget::Budget;
use crate::specs::register::{Op, Ret};
use crate::tests::{EMPTY, Plain, call, partition};
use crate::{Call, Limits};

/// What is to blame lies farther back than half of the longest end, and each shorter end has no
/// sound set: all its reads rely on a write before it. So the window is tried as a whole.
#[test]
fn the_longest_end_is_tried_as_a_whole() {
    let mut calls: Vec<Call<Plain>> = Vec::new();
    let mut push = |op: Op<u8>, ret: Ret<u8>| {
        let start = 10 * calls.len() as u64;
        calls.push(call(start, start + 5, op, ret));
    };
    for _ in 0..150 {
        push(Op::Write(1), Ret::Done);
        push(Op::Read, Ret::Value(Some(1)));
    }
    push(Op::Write(7), Ret::Done);
    push(Op::Write(8), Ret::Done);
    for _ in 0..300 {
        push(Op::Read, Ret::Value(Some(8)));
    }
    push(Op::Read, Ret::Value(Some(7)));
    let last = calls.len() as u32 - 1;
    assert!(last > 512, "or it would be no window");
    let partition = partition(&EMPTY, &calls);
    let budget = &mut Budget::new(Limits::default(), &|| false);
    let core = at_end(&partition, last, budget).expect("a window has it");
    assert_eq!(core.calls, [301, last], "the write of 8 that hid the 7, and the read of it");
    assert!(core.exact);
}
