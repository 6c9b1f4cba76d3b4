//! A string that is written and appended to in texts that can be told apart, and that is read whole.
//!
//! No text is the beginning of another. Then a string is made of such texts in one way at most, and a
//! read says which mutators came last, and in which order: the write that it begins with, or nothing,
//! and the appends that follow. If it can also be told which append led to which state that is shown
//! (`told`; always where none is appended twice or written as well), each of those needs
//! one state, the string before it, and leaves one: it is a compare-and-set. An append that no
//! read shows leaves a state that nobody sees, as does a write that nobody reads. That is a
//! register ([`blocks`]), and it decides.
//!
//! The two are legal in the same orders. From string to register: in a legal order the mutators since the
//! last write before a read are those that the read shows, so each of them finds the state that it needs.
//! From register to string: by induction, wherever the register holds a state that a read shows, the string
//! is that of this state, since a write says all of it and an append that finds its state adds what
//! it leaves.
//!
//! A proof keeps all calls that bring what its reads show, for each append that is shown a read that shows it,
//! and where several calls bring a text, what told which of them it was. Other calls may go: without them
//! the reads that are kept stay right.
//!
//! It takes time in proportion to the total size of the reads, times the logarithm of the number of texts, and memory
//! in proportion to the calls. It declines strings that are not empty at first, texts that cannot be told apart, and
//! whatever `blocks` declines: what is written more than once, mostly.

mod texts;
mod told;

use super::blocks;
use super::layers::{Span, illegal};
use crate::budget::{Budget, Halt};
use crate::partition::Partition;
use crate::specs::register::{self, Register};
use crate::specs::string::{Op, Text};
use crate::{Answer, Call, Finding};
use std::collections::BTreeSet;
use texts::Texts;
use told::{Made, Reads, Told};

const NAME: &str = "string";
/// Why it declines, mostly.
const WHOSE: &str = "several calls bring the same text, and whose a read shows cannot be told";

/// Bytes held for each call, at most, besides those of `blocks`: its text, the state it leaves, and the call of a
/// register that it becomes.
const BYTES_PER_CALL: u64 = 240;

/// A state of the string, by number.
type State = u32;
const EMPTY: State = 0;

/// Decides calls of a string; see [`crate::Spec::specialised`].
pub(crate) fn string(
    initial: &Text,
    calls: &[Call<Text>],
    certify: bool,
    budget: &mut Budget<'_>,
) -> Result<Finding, Halt> {
    if !initial.0.is_empty() {
        return Ok(Finding::Declined("the string is not empty at first"));
    }
    budget.beside(BYTES_PER_CALL * calls.len() as u64, |budget| {
        let texts = match Texts::of(calls, budget)? {
            Ok(texts) => texts,
            Err(why) => return Ok(Finding::Declined(why)),
        };
        let mut told = Told::new(calls, texts);
        match told.read(budget)? {
            Reads::Told => {}
            Reads::Conflict(calls) => return proof(&told, &Made::default(), calls, budget),
            Reads::TooMany => return Ok(Finding::Declined(WHOSE)),
        }
        let Some(made) = told.made(budget)? else { return Ok(Finding::Declined(WHOSE)) };
        let register = as_register(&told, &made, budget)?;
        let initial = Register(Some(EMPTY));
        let partition =
            Partition::new(&initial, None, register, budget).map_err(|(halt, _)| halt)?;
        match blocks::decide(&partition, u64::MAX, certify, budget)? {
            Finding::Legal { order, .. } => Ok(Finding::Legal { by: NAME, order }),
            Finding::Illegal { calls, .. } => proof(&told, &made, calls, budget),
            Finding::Declined(why) => Ok(Finding::Declined(why)),
        }
    })
}

/// The same calls, of a register.
fn as_register(
    told: &Told<'_>,
    made: &Made,
    budget: &mut Budget<'_>,
) -> Result<Vec<Call<Register<State>>>, Halt> {
    let mut calls = Vec::with_capacity(told.calls.len());
    // States that nobody sees come after those that somebody does.
    let mut unseen = told.states()..;
    for (place, call) in (0..).zip(told.calls) {
        budget.spend(1)?;
        let (op, ret) = match &call.op {
            Op::Read => {
                let parts = told.parts(told.answer(place).unwrap_or_default()).0;
                let behind = |state, text: u32| told.state(state, text).unwrap_or(EMPTY);
                let state = parts.into_iter().fold(EMPTY, behind);
                (register::Op::Read, register::Ret::Value(Some(state)))
            }
            Op::Write(text) if text.is_empty() => (register::Op::Write(EMPTY), register::Ret::Done),
            Op::Write(text) => {
                let state = told.state(EMPTY, told.texts.number(text));
                let state = state.or_else(|| unseen.next()).unwrap_or_default();
                (register::Op::Write(state), register::Ret::Done)
            }
            Op::Append(_) => match made.by.get(&place) {
                Some(&state) => {
                    let before = told.site(state).map(|site| site.before);
                    (register::Op::Cas(before, state), register::Ret::Swapped)
                }
                None => {
                    let state = unseen.next().unwrap_or_default();
                    (register::Op::Write(state), register::Ret::Done)
                }
            },
        };
        let answer = call.answer.as_ref().map(|answer| Answer { end: answer.end, ret });
        let Call { index, process, start, .. } = *call;
        calls.push(Call { index, process, start, op, answer });
    }
    Ok(calls)
}

/// These calls with all that they rely on.
fn proof(
    told: &Told<'_>,
    made: &Made,
    conflict: Vec<u32>,
    budget: &mut Budget<'_>,
) -> Result<Finding, Halt> {
    let mut chosen: BTreeSet<u32> = BTreeSet::new();
    let mut shown: BTreeSet<u32> = BTreeSet::new();
    // What is still to be chosen, and appends that were and that perhaps no chosen read shows.
    let (mut new, mut appends) = (conflict, Vec::new());
    loop {
        while let Some(place) = new.pop() {
            if !chosen.insert(place) {
                continue;
            }
            budget.spend(1)?;
            if let Op::Append(text) = &told.calls[place as usize].op {
                appends.push((place, told.texts.number(text)));
            }
            let Some(string) = told.answer(place) else { continue };
            let (parts, _) = told.parts(string);
            budget.spend(parts.len() as u64)?;
            if parts.first().is_none_or(|first| !told.texts.appends(*first).is_empty()) {
                new.extend(&told.texts.emptying);
            }
            for text in parts.into_iter().filter(|text| shown.insert(*text)) {
                new.extend(told.texts.bringers(text));
                new.extend(made.because.get(&text).into_iter().flatten());
            }
        }
        let Some((place, text)) = appends.pop() else { break };
        if !shown.contains(&text) {
            let state = made.by.get(&place).and_then(|state| told.site(*state));
            new.extend(state.map(|site| site.least));
        }
    }
    let span = |place: &u32| Span::new(*place as usize, &told.calls[*place as usize]);
    Ok(illegal(NAME, chosen.iter().map(span)))
}
