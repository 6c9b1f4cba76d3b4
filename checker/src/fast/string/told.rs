//! What the reads tell: which states there were, and which append led to each.
//!
//! A state that some read shows is a *site*: the state before it and the text that makes the difference. If
//! one call alone brings that text, that call made it. If several do, those appends are ruled out that
//! cannot have, in any order:
//!
//! - one that started after a read of the site had ended, if the state before it cannot come twice: by then it was gone.
//!   A state cannot come twice if one call alone brings its last text, or if it comes from such a state and nothing but an
//!   append can lead to it; the empty string cannot if no write makes it empty;
//! - one that ended before the call started that alone brings the text before it;
//! - where the site follows the empty string, which no write makes: one that started after another mutator had ended.
//!
//! A site of which one append is left, and that no write makes, has that one; no append makes two sites, so that one is
//! ruled out elsewhere; and so on. Whatever is still open then is declined: a state that comes twice may have two makers.
//! What ruled out whom is part of every proof that shows that text.

use super::texts::Texts;
use super::{EMPTY, State};
use crate::Call;
use crate::budget::{Budget, Halt};
use crate::hash::Table;
use crate::specs::string::{Ret, Text};
use std::collections::BTreeSet;

/// A state that some read shows, by what leads to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) before: State,
    /// The number of the text.
    text: u32,
    /// The read that showed it first, to its end.
    first: u32,
    /// The read that shows least beside it.
    pub(super) least: u32,
    /// Whether it cannot come twice.
    once: bool,
}

/// Which append made which state.
#[derive(Default)]
pub(super) struct Made {
    /// The state, by the append that made it.
    pub(super) by: Table<u32, State>,
    /// By the number of a text that several calls bring: the calls that ruled some of them out.
    pub(super) because: Table<u32, BTreeSet<u32>>,
}

/// What the reads are.
pub(super) enum Reads {
    /// All of them are strings of what is brought.
    Told,
    /// These calls contradict each other.
    Conflict(Vec<u32>),
    /// A text is shown in more states than calls bring it.
    TooMany,
}

/// A text that more calls bring is not looked at: it takes the square of that.
const MOST_REPEATED: usize = 64;

/// All states that reads show.
pub(super) struct Told<'a> {
    pub(super) calls: &'a [Call<Text>],
    pub(super) texts: Texts<'a>,
    /// The state numbered n is at n - 1; the empty one is none of them.
    sites: Vec<Site>,
    numbers: Table<(State, u32), State>,
    /// By state, the one that was first shown behind it; [`EMPTY`] if none was.
    next: Vec<State>,
    /// By the number of a text, the states that it leads to.
    led_to: Table<u32, Vec<State>>,
    /// The mutator that ended first.
    earliest: Option<u32>,
}

impl<'a> Told<'a> {
    pub(super) fn new(calls: &'a [Call<Text>], texts: Texts<'a>) -> Self {
        let end = |place: &u32| calls[*place as usize].answer.as_ref().map(|answer| answer.end);
        let answered = texts.all().iter().copied().filter(|place| end(place).is_some());
        let earliest = answered.min_by_key(end);
        let (numbers, led_to) = (Table::default(), Table::default());
        let (sites, next) = (Vec::new(), vec![EMPTY]);
        Self { calls, texts, sites, numbers, next, led_to, earliest }
    }

    /// The answer of a read.
    pub(super) fn answer(&self, place: u32) -> Option<&'a str> {
        match &self.calls[place as usize].answer.as_ref()?.ret {
            Ret::Value(string) => Some(string),
            Ret::Done => None,
        }
    }

    /// What is known of a state that is not empty.
    pub(super) fn site(&self, state: State) -> Option<&Site> {
        self.sites.get((state as usize).wrapping_sub(1))
    }

    /// The texts that a string is made of, as far as it is, and what is left of it. What one read shows, the next one
    /// mostly shows too, so that the text behind a state is known before it is looked for.
    pub(super) fn parts<'s>(&self, mut string: &'s str) -> (Vec<u32>, &'s str) {
        let mut parts = Vec::new();
        let mut state = Some(EMPTY);
        loop {
            let known = state.map(|state| self.next[state as usize]).filter(|next| *next != EMPTY);
            let text = known.and_then(|next| self.site(next)).map(|site| site.text);
            if let Some((text, rest)) =
                text.and_then(|text| Some((text, self.texts.behind(text, string)?)))
            {
                (string, state) = (rest, known);
                parts.push(text);
                continue;
            }
            let Some(text) = self.texts.first(string) else { return (parts, string) };
            string = self.texts.behind(text, string).unwrap_or_default();
            state = state.and_then(|state| self.state(state, text));
            parts.push(text);
        }
    }

    /// The state that reads show behind another one, by the text.
    pub(super) fn state(&self, before: State, text: u32) -> Option<State> {
        let known = self.next.get(before as usize).copied().filter(|next| *next != EMPTY);
        if let Some(next) = known
            && self.site(next).is_some_and(|site| site.text == text)
        {
            return known;
        }
        self.numbers.get(&(before, text)).copied()
    }

    /// How many states there are; the next is free.
    pub(super) fn states(&self) -> State {
        self.sites.len() as State + 1
    }

    fn end(&self, place: u32) -> u64 {
        self.calls[place as usize].answer.as_ref().map_or(u64::MAX, |answer| answer.end)
    }

    fn start(&self, place: u32) -> u64 {
        self.calls[place as usize].start
    }

    /// Whether a state cannot come twice, in any order.
    fn once(&self, state: State) -> bool {
        self.site(state).map_or(self.texts.emptying.is_empty(), |site| site.once)
    }

    /// Takes in all answers, in the order of their ends.
    pub(super) fn read(&mut self, budget: &mut Budget<'_>) -> Result<Reads, Halt> {
        let mut reads: Vec<u32> = (0..self.calls.len() as u32).collect();
        reads.retain(|place| self.answer(*place).is_some());
        reads.sort_by_key(|place| self.end(*place));
        for read in reads {
            let string = self.answer(read).unwrap_or_default();
            let (parts, rest) = self.parts(string);
            budget.spend(1 + parts.len() as u64)?;
            if !rest.is_empty() {
                return Ok(Reads::Conflict(vec![read]));
            }
            let mut state = EMPTY;
            for (nth, &text) in parts.iter().enumerate() {
                state = self.see(state, text, read);
                if nth > 0 && self.texts.appends(text).is_empty() {
                    return Ok(Reads::Conflict(vec![read]));
                }
                // Each of these states wants a call of its own.
                let states = self.led_to.get(&text).map_or(&[][..], Vec::as_slice);
                match (states, self.texts.bringers(text).len()) {
                    ([first, _, ..], 1) => {
                        let other = self.site(*first).map(|site| site.least);
                        return Ok(Reads::Conflict(other.into_iter().chain([read]).collect()));
                    }
                    (states, bringers) if states.len() > bringers => return Ok(Reads::TooMany),
                    _ => {}
                }
            }
        }
        Ok(Reads::Told)
    }

    /// Notes that a read shows a state.
    fn see(&mut self, before: State, text: u32, read: u32) -> State {
        let next = self.states();
        let state = self.state(before, text).unwrap_or(next);
        if state == next {
            self.numbers.insert((before, text), state);
            self.next.push(EMPTY);
            let behind = &mut self.next[before as usize];
            if *behind == EMPTY {
                *behind = state;
            }
            let written = before == EMPTY && self.texts.is_written(text);
            let once = self.texts.bringers(text).len() == 1 || self.once(before) && !written;
            self.sites.push(Site { before, text, first: read, least: read, once });
            self.led_to.entry(text).or_default().push(state);
            return state;
        }
        let shown = |place| self.answer(place).map_or(0, str::len);
        let least = self.sites[state as usize - 1].least;
        if shown(read) < shown(least) {
            self.sites[state as usize - 1].least = read;
        }
        state
    }

    /// Which append made which state; none if it cannot be told.
    pub(super) fn made(&self, budget: &mut Budget<'_>) -> Result<Option<Made>, Halt> {
        let mut made = Made::default();
        for (&text, states) in &self.led_to {
            budget.spend(1)?;
            match (self.texts.appends(text), self.texts.bringers(text)) {
                ([], _) => {}
                ([append], [_]) => {
                    made.by.extend(states.iter().map(|state| (*append, *state)));
                }
                _ => {
                    if !self.settle(text, states, &mut made, budget)? {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(Some(made))
    }

    /// Finds which append made each state of a text that several calls bring; whether it could.
    fn settle(
        &self,
        text: u32,
        states: &[State],
        made: &mut Made,
        budget: &mut Budget<'_>,
    ) -> Result<bool, Halt> {
        let appends = self.texts.appends(text);
        if appends.len().max(states.len()) > MOST_REPEATED {
            return Ok(false);
        }
        let mut because = BTreeSet::new();
        // For each state, who may have made it.
        let mut left: Vec<(State, Vec<u32>)> = Vec::new();
        for &state in states {
            budget.spend(appends.len() as u64)?;
            let mut possible = Vec::new();
            for &append in appends {
                match self.rules_out(append, state) {
                    Some(call) => drop(because.insert(call)),
                    None => possible.push(append),
                }
            }
            let before = self.site(state).map(|site| site.before);
            let written = before == Some(EMPTY) && self.texts.is_written(text);
            match (written, possible.is_empty()) {
                // A write made it.
                (true, true) => {}
                (true, false) | (false, true) => return Ok(false),
                (false, false) => left.push((state, possible)),
            }
        }
        while let Some(sure) = left.iter().position(|(_, possible)| possible.len() == 1) {
            let (state, possible) = left.swap_remove(sure);
            made.by.insert(possible[0], state);
            because.extend(self.site(state).map(|site| site.least));
            for (_, others) in &mut left {
                budget.spend(others.len() as u64)?;
                others.retain(|append| *append != possible[0]);
            }
        }
        made.because.insert(text, because);
        Ok(left.is_empty())
    }

    /// A call because of which this append cannot have made this state, in any order.
    fn rules_out(&self, append: u32, state: State) -> Option<u32> {
        let site = self.site(state)?;
        if self.once(site.before) && self.end(site.first) < self.start(append) {
            return Some(site.first);
        }
        match self.site(site.before) {
            Some(before) => match self.texts.bringers(before.text) {
                [only] => (self.end(append) < self.start(*only)).then_some(*only),
                _ => None,
            },
            None if self.texts.emptying.is_empty() => {
                let ended = self.earliest?;
                (ended != append && self.end(ended) < self.start(append)).then_some(ended)
            }
            None => None,
        }
    }
}
