//! The adds of a history, and its reads in numbers of adds.

use crate::specs::counter::{Counter, Op, Ret};
use crate::{Budget, Call, Halt};

/// The end of an add of unknown outcome: later than every coordinate.
pub(super) const UNENDED: u64 = u64::MAX;

/// The value of a read that no number of adds leads to.
const IMPOSSIBLE: u64 = u64::MAX;

/// An add.
#[derive(Clone, Copy, Debug)]
pub(super) struct Add {
    pub(super) place: u32,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// An answered read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) place: u32,
    pub(super) start: u64,
    pub(super) end: u64,
    /// How many adds came before it. More than there are if no number explains it.
    pub(super) value: u64,
}

/// Both in the order of their starts.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) adds: Vec<Add>,
    pub(super) reads: Vec<Read>,
}

/// What the calls are.
#[derive(Debug)]
pub(super) enum Adds {
    /// Adds of one amount, and reads.
    Counted(Counts),
    /// The call at this place has an answer that no such call has.
    Misanswered(u32),
    /// Not for this algorithm.
    Unclear(&'static str),
}

pub(super) fn read(
    initial: Counter,
    calls: &[Call<Counter>],
    budget: &mut Budget<'_>,
) -> Result<Adds, Halt> {
    let initial = i128::from(initial.0);
    let amounts = calls.iter().filter_map(|call| match call.op {
        Op::Add(amount) => Some(i128::from(amount)),
        Op::Read => None,
    });
    let (number, amount) = (amounts.clone().count(), amounts.clone().next().unwrap_or(1));
    budget.spend(calls.len() as u64)?;
    if amount == 0 || amounts.clone().any(|other| other != amount) {
        return Ok(Adds::Unclear("the adds are not all of one amount"));
    }
    if i64::try_from(initial + amount * number as i128).is_err() {
        return Ok(Adds::Unclear("the sum may leave 64 bits"));
    }
    let mut counts = Counts { adds: Vec::with_capacity(number), reads: Vec::new() };
    for (place, call) in calls.iter().enumerate() {
        budget.spend(1)?;
        let (place, start) = (place as u32, call.start);
        let end = call.answer.as_ref().map_or(UNENDED, |answer| answer.end);
        if end < start || start == UNENDED || call.answer.is_some() && end == UNENDED {
            return Ok(Adds::Unclear("a call ends before it starts, or at the end of time"));
        }
        match (call.op, call.answer.as_ref().map(|answer| answer.ret)) {
            (Op::Add(_), None | Some(Ret::Done)) => counts.adds.push(Add { place, start, end }),
            (Op::Read, None) => {}
            (Op::Read, Some(Ret::Value(value))) => {
                let (above, amount) = (i128::from(value) - initial, amount);
                let adds = if above % amount == 0 { above / amount } else { -1 };
                let value = u64::try_from(adds).unwrap_or(IMPOSSIBLE);
                counts.reads.push(Read { place, start, end, value });
            }
            _ => return Ok(Adds::Misanswered(place)),
        }
    }
    Ok(Adds::Counted(counts))
}
