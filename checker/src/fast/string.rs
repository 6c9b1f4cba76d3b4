//! A string that is written and appended to in texts that can be told apart, and that is read whole.
//!
//! No text is the beginning of another, and none is appended twice or written as well. Then a string
//! is made of such texts in one way at most, and a read says which mutators came last, and in which
//! order: the write that it begins with, or nothing, and the appends that follow. So each append that
//! some read shows needs one state, the string before it, and leaves one: it is a compare-and-set. An
//! append that no read shows leaves a state that nobody sees, as does a write that nobody reads. That
//! is a register ([`blocks`]), and it decides.
//!
//! The two are legal in the same orders. From string to register: in a legal order the mutators since the
//! last write before a read are those that the read shows, so each of them finds the state that it needs.
//! From register to string: by induction, wherever the register holds a state that a read shows, the string
//! is that of this state, since a write says all of it and an append that finds its state adds what
//! it leaves.
//!
//! A proof keeps the mutators of all that its reads show, and for each append that is shown a read that
//! shows it. Other calls may go: without them the reads that are kept stay right.
//!
//! It takes time in proportion to the total size of the reads, times the logarithm of the number of texts. It
//! declines strings that are not empty at first, and whatever `blocks` declines: what is written more than
//! once, mostly.

use super::blocks;
use super::layers::{Span, illegal};
use crate::budget::{Budget, Halt};
use crate::hash::Table;
use crate::partition::Partition;
use crate::specs::register::{self, Register};
use crate::specs::string::{Op, Ret, Text};
use crate::{Answer, Call, Finding};
use std::collections::BTreeSet;

const NAME: &str = "string";

/// Bytes held for each call, at most, besides those of `blocks`: its text, the state it leaves, and the call of a
/// register that it becomes.
const BYTES_PER_CALL: u64 = 240;

/// A state of the string that some read shows, or that a write leaves; empty is [`EMPTY`].
type State = u32;
const EMPTY: State = 0;
/// Stands for whatever was before an append that nobody saw, so that each of those leaves a state of its own.
const UNSEEN: State = State::MAX;

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
        let mut told = Told { calls, texts, states: Table::default(), shown: Table::default() };
        if let Some(conflict) = told.read(budget)? {
            return Ok(told.proof(conflict));
        }
        let register = told.as_register(budget)?;
        let initial = Register(Some(EMPTY));
        let partition =
            Partition::new(&initial, None, register, budget).map_err(|(halt, _)| halt)?;
        Ok(match blocks::decide(&partition, u64::MAX, certify, budget)? {
            Finding::Legal { order, .. } => Finding::Legal { by: NAME, order },
            Finding::Illegal { calls, .. } => told.proof(calls),
            Finding::Declined(why) => Finding::Declined(why),
        })
    })
}

/// A text, and a call that brings it.
#[derive(Clone, Copy)]
struct Brought<'a> {
    text: &'a str,
    place: u32,
    is_append: bool,
}

/// The texts of all mutators. The number of one is its place here; of equal ones, the first.
struct Texts<'a> {
    /// None is the beginning of another.
    sorted: Vec<Brought<'a>>,
    /// The writes that make the string empty.
    emptying: Vec<u32>,
}

impl<'a> Texts<'a> {
    /// The texts of all mutators, or why they cannot be told apart.
    fn of(
        calls: &'a [Call<Text>],
        budget: &mut Budget<'_>,
    ) -> Result<Result<Self, &'static str>, Halt> {
        let mut texts = Vec::with_capacity(calls.len());
        let mut emptying = Vec::new();
        for (place, call) in (0..).zip(calls) {
            budget.spend(1)?;
            let (text, is_append) = match (&call.op, call.answer.as_ref().map(|answer| &answer.ret))
            {
                (Op::Read, None | Some(Ret::Value(_))) => continue,
                (Op::Write(text), None | Some(Ret::Done)) => (text, false),
                (Op::Append(text), None | Some(Ret::Done)) => (text, true),
                _ => return Ok(Err("an answer is that of another operation")),
            };
            match (text.is_empty(), is_append) {
                (true, true) => return Ok(Err("nothing is appended")),
                (true, false) => emptying.push(place),
                (false, _) => texts.push(Brought { text, place, is_append }),
            }
        }
        budget.spend(texts.len() as u64)?;
        // Stable: of equal texts the first call comes first.
        texts.sort_by_key(|brought| brought.text);
        for pair in texts.windows(2) {
            let same = pair[0].text == pair[1].text;
            if same && (pair[0].is_append || pair[1].is_append) {
                return Ok(Err("a text is appended more than once, or written as well"));
            }
            if !same && pair[1].text.starts_with(pair[0].text) {
                return Ok(Err("a text begins with another"));
            }
        }
        Ok(Ok(Self { sorted: texts, emptying }))
    }

    /// The number of a text that there is.
    fn number(&self, text: &str) -> u32 {
        self.sorted.partition_point(|brought| brought.text < text) as u32
    }

    /// The number of the text that a string begins with.
    fn first(&self, string: &str) -> Option<u32> {
        // Whatever is between a text and a string that begins with it begins with it too, and no other text does.
        let after = self.sorted.partition_point(|brought| brought.text <= string);
        let text = self.sorted[after.checked_sub(1)?].text;
        string.starts_with(text).then(|| self.number(text))
    }

    /// The calls that bring a text.
    fn places(&self, number: u32) -> impl Iterator<Item = u32> {
        let text = self.get(number).text;
        let same = self.sorted[number as usize..].iter().take_while(move |is| is.text == text);
        same.map(|brought| brought.place)
    }

    fn get(&self, number: u32) -> Brought<'a> {
        self.sorted[number as usize]
    }

    /// The texts that a string is made of, as far as it is, and what is left of it.
    fn parts<'s>(&self, mut string: &'s str) -> (Vec<u32>, &'s str) {
        let mut parts = Vec::new();
        while let Some(number) = self.first(string) {
            parts.push(number);
            string = &string[self.get(number).text.len()..];
        }
        (parts, string)
    }
}

/// Where an append is shown.
#[derive(Clone, Copy)]
struct Shown {
    before: State,
    /// Of the reads that show it, the first of those that show least.
    read: u32,
    bytes: usize,
}

/// What the reads tell.
struct Told<'a> {
    calls: &'a [Call<Text>],
    texts: Texts<'a>,
    /// Each state by the one before it and the number of the text that makes the difference.
    states: Table<(State, u32), State>,
    /// By the number of the text.
    shown: Table<u32, Shown>,
}

impl<'a> Told<'a> {
    /// The answer of a read.
    fn answer(&self, place: u32) -> Option<&'a str> {
        match &self.calls[place as usize].answer.as_ref()?.ret {
            Ret::Value(string) => Some(string),
            Ret::Done => None,
        }
    }

    fn state(&mut self, before: State, text: u32) -> State {
        let next = self.states.len() as State + 1;
        *self.states.entry((before, text)).or_insert(next)
    }

    /// Takes in all answers, in the order of their ends: the calls that contradict each other, if any do.
    fn read(&mut self, budget: &mut Budget<'_>) -> Result<Option<Vec<u32>>, Halt> {
        let ends = |place: &u32| self.calls[*place as usize].answer.as_ref().map(|a| a.end);
        let mut reads: Vec<u32> = (0..self.calls.len() as u32).collect();
        reads.retain(|place| self.answer(*place).is_some());
        reads.sort_by_key(ends);
        for read in reads {
            let string = self.answer(read).unwrap_or_default();
            let (parts, rest) = self.texts.parts(string);
            budget.spend(1 + parts.len() as u64)?;
            if !rest.is_empty() {
                // Nobody brings what follows, unless it is in the rest of it somewhere.
                let within = self.texts.sorted.iter().filter(|brought| rest.contains(brought.text));
                let conflict = within.map(|brought| brought.place).chain([read]);
                return Ok(Some(conflict.collect()));
            }
            let mut state = EMPTY;
            for (nth, &part) in parts.iter().enumerate() {
                if !self.texts.get(part).is_append {
                    if nth > 0 {
                        return Ok(Some(vec![read]));
                    }
                } else if let Some(other) = self.show(part, state, read, string.len()) {
                    return Ok(Some(vec![read, other]));
                }
                state = self.state(state, part);
            }
        }
        Ok(None)
    }

    /// Notes that a read shows an append behind this state; a read that shows it elsewhere, if there is one.
    fn show(&mut self, text: u32, before: State, read: u32, bytes: usize) -> Option<u32> {
        let now = Shown { before, read, bytes };
        let known = self.shown.entry(text).or_insert(now);
        if known.before != before {
            return Some(known.read);
        }
        if bytes < known.bytes {
            *known = now;
        }
        None
    }

    /// The same calls, of a register.
    fn as_register(&mut self, budget: &mut Budget<'_>) -> Result<Vec<Call<Register<State>>>, Halt> {
        let mut calls = Vec::with_capacity(self.calls.len());
        for (place, call) in (0..).zip(self.calls) {
            budget.spend(1)?;
            let (op, ret) = match &call.op {
                Op::Read => {
                    let mut state = EMPTY;
                    for part in self.texts.parts(self.answer(place).unwrap_or_default()).0 {
                        state = self.state(state, part);
                    }
                    (register::Op::Read, register::Ret::Value(Some(state)))
                }
                Op::Write(text) => {
                    let state = match text.as_str() {
                        "" => EMPTY,
                        text => self.state(EMPTY, self.texts.number(text)),
                    };
                    (register::Op::Write(state), register::Ret::Done)
                }
                Op::Append(text) => self.append(text),
            };
            let answer = call.answer.as_ref().map(|answer| Answer { end: answer.end, ret });
            let Call { index, process, start, .. } = *call;
            calls.push(Call { index, process, start, op, answer });
        }
        Ok(calls)
    }

    fn append(&mut self, text: &str) -> (register::Op<State>, register::Ret<State>) {
        let number = self.texts.number(text);
        match self.shown.get(&number).copied() {
            Some(Shown { before, .. }) => {
                let after = self.state(before, number);
                (register::Op::Cas(Some(before), after), register::Ret::Swapped)
            }
            None => (register::Op::Write(self.state(UNSEEN, number)), register::Ret::Done),
        }
    }

    /// These calls with all that they rely on.
    fn proof(&self, conflict: Vec<u32>) -> Finding {
        let mut chosen: BTreeSet<u32> = conflict.iter().copied().collect();
        let mut shown: BTreeSet<u32> = BTreeSet::new();
        let mut new = conflict;
        while !new.is_empty() {
            for string in new.drain(..).filter_map(|place| self.answer(place)) {
                let (parts, _) = self.texts.parts(string);
                if parts.first().is_none_or(|first| self.texts.get(*first).is_append) {
                    chosen.extend(&self.texts.emptying);
                }
                shown.extend(parts);
            }
            chosen.extend(shown.iter().flat_map(|number| self.texts.places(*number)));
            for place in &chosen {
                let Op::Append(text) = &self.calls[*place as usize].op else { continue };
                let number = self.texts.number(text);
                if !shown.contains(&number) {
                    new.extend(self.shown.get(&number).map(|shown| shown.read));
                }
            }
            chosen.extend(&new);
        }
        let span = |place: &u32| Span::new(*place as usize, &self.calls[*place as usize]);
        illegal(NAME, chosen.iter().map(span))
    }
}
