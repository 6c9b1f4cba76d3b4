//! Data types of which shapes say little: a counter, of which one answer may need many calls of
//! unknown outcome at once, and a register that explains its writes only.

use super::super::retype;
use super::*;
use crate::{Leaves, Needs, Shape};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Counter(u64);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Count {
    Add(u64),
    Read,
}

impl SequentialSpec for Counter {
    type Op = Count;
    type Ret = u64;
    fn invoke(&mut self, op: &Count) -> u64 {
        if let Count::Add(number) = op {
            self.0 += number;
            return 0;
        }
        self.0
    }
}

impl Spec for Counter {
    fn describe(op: &Count, _: Option<&u64>) -> String {
        format!("{op:?}")
    }
    fn describe_state(&self) -> String {
        self.0.to_string()
    }
}

/// Takes over who called when; an add adds one or two, a read sees about as much as was added.
fn counting(calls: &[Call<Plain>], draw: &mut Draw) -> Vec<Call<Counter>> {
    let (mut added, mut counting) = (0, Vec::new());
    for Call { index, process, start, op, answer } in calls.iter().cloned() {
        let (op, ret) = match op {
            Op::Read => (Count::Read, draw.below(added + 2)),
            _ => (Count::Add(1 + draw.below(2)), 0),
        };
        if let Count::Add(number) = op {
            added += number;
        }
        let answer = answer.map(|Answer { end, .. }| Answer { end, ret });
        counting.push(Call { index, process, start, op, answer });
    }
    counting
}

#[test]
fn sums_of_unknown_calls_are_judged_as_every_order_judges_them() {
    let mut illegal = 0;
    for seed in 0..3_000 {
        let draw = &mut Draw::new(6_000_000 + seed);
        let family = Family {
            clients: 3,
            operations: 6,
            values: 0,
            unknown_percent: 50,
            wrong_percent: 0,
            tie_percent: [0, 50][(seed % 2) as usize],
        };
        let calls = counting(&history(family, draw), draw);
        let order = telling(&calls, draw);
        let legal = is_legal(&Counter(0), &calls);
        let said = tell(&Counter(0), &calls, &order).finish().ruling == Ruling::Valid;
        assert_eq!(said, legal, "seed {seed}: {calls:#?}");
        illegal += usize::from(!legal);
    }
    assert!(illegal > 300 && illegal < 2_700, "{illegal}");
}

/// A register that says what its writes and deletes do, and nothing of the rest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Half(Plain);

impl SequentialSpec for Half {
    type Op = Op<u8>;
    type Ret = Ret<u8>;
    fn invoke(&mut self, op: &Op<u8>) -> Ret<u8> {
        self.0.invoke(op)
    }
}

impl Spec for Half {
    fn describe(op: &Op<u8>, ret: Option<&Ret<u8>>) -> String {
        Plain::describe(op, ret)
    }
    fn describe_state(&self) -> String {
        self.0.describe_state()
    }
    fn shape(op: &Op<u8>, ret: Option<&Ret<u8>>) -> Shape<Self> {
        match Plain::shape(op, ret) {
            Shape { needs: Needs::Nothing, leaves: Leaves::Always(state) } => {
                Shape { needs: Needs::Nothing, leaves: Leaves::Always(Self(state)) }
            }
            _ => Shape { needs: Needs::Unclear, leaves: Leaves::Unclear },
        }
    }
}

#[test]
fn what_is_not_understood_may_look_at_anything() {
    for seed in 0..3_000 {
        let draw = &mut Draw::new(7_000_000 + seed);
        let calls = history(family(seed, draw, 8), draw);
        let order = telling(&calls, draw);
        let legal = is_legal(&EMPTY, &calls);
        let half: Vec<Call<Half>> = retype(&calls);
        let said = tell(&Half(EMPTY), &half, &order).finish().ruling == Ruling::Valid;
        assert_eq!(said, legal, "seed {seed}: {calls:#?}");
    }
}
