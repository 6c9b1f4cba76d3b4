//! What the reads tell: which states there were, and which append led to each.
//!
//! A state that some read shows is a *site*: the state before it and the text that makes the difference. If
//! only one call brings that text, that call made it. If several appends do, those are ruled out that cannot
//! have, in any order: an append that started after a read of the site had ended; one that ended before the call
//! started that certainly made the state before; behind nothing, one that started after another mutator
//! had ended, where no write makes the string empty. A site of which one append is left has that one; no
//! append makes two sites, so that one is ruled out elsewhere; and so on. Whatever is still
//! open then is declined. What ruled out whom is part of every proof that has a call of that text.

use super::texts::{Brought, Texts};
use super::{EMPTY, State};
use crate::Call;
use crate::budget::{Budget, Halt};
use crate::hash::Table;
use crate::specs::string::{Ret, Text};

/// A state that some read shows, by what leads to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) before: State,
    /// The number of the text.
    pub(super) text: u32,
    /// The read that showed it first, to its end.
    pub(super) first: u32,
    /// The read that shows least beside it.
    pub(super) least: u32,
}

/// Which append made which state.
#[derive(Default)]
pub(super) struct Made {
    /// The state, by the append that made it.
    pub(super) by: Table<u32, State>,
    /// By the number of a text that several calls bring: the calls that ruled some of them out.
    pub(super) because: Table<u32, Vec<u32>>,
}

/// A text that several calls bring, and the states that it leads to.
struct Open {
    text: u32,
    states: Vec<State>,
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
    /// The mutator that ended first.
    earliest: Option<u32>,
}

impl<'a> Told<'a> {
    pub(super) fn new(calls: &'a [Call<Text>], texts: Texts<'a>) -> Self {
        let answered = |brought: &&Brought<'_>| calls[brought.place as usize].answer.is_some();
        let end = |place: &u32| calls[*place as usize].answer.as_ref().map(|answer| answer.end);
        let mutators = texts.all().iter().filter(answered).map(|brought| brought.place);
        let earliest = mutators.min_by_key(end);
        Self { calls, texts, sites: Vec::new(), numbers: Table::default(), earliest }
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

    /// The state that reads show behind another one, by the text.
    pub(super) fn state(&self, before: State, text: u32) -> Option<State> {
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

    /// Takes in all answers, in the order of their ends: the calls that contradict each other, if any do.
    pub(super) fn read(&mut self, budget: &mut Budget<'_>) -> Result<Option<Vec<u32>>, Halt> {
        let mut reads: Vec<u32> = (0..self.calls.len() as u32).collect();
        reads.retain(|place| self.answer(*place).is_some());
        reads.sort_by_key(|place| self.end(*place));
        // The site of each text that only one call brings, an append.
        let mut only: Table<u32, State> = Table::default();
        for read in reads {
            let string = self.answer(read).unwrap_or_default();
            let (parts, rest) = self.texts.parts(string);
            budget.spend(1 + parts.len() as u64)?;
            if !rest.is_empty() {
                // Nobody brings what follows, unless it is in the rest of it somewhere.
                let within = self.texts.all().iter().filter(|brought| rest.contains(brought.text));
                return Ok(Some(within.map(|brought| brought.place).chain([read]).collect()));
            }
            let mut state = EMPTY;
            for (nth, &text) in parts.iter().enumerate() {
                let before = state;
                state = self.see(before, text, read);
                let brought = self.texts.brought(text);
                if nth > 0 && !self.texts.has_append(text) {
                    return Ok(Some(vec![read]));
                }
                if brought.len() == 1 && brought[0].is_append {
                    let other = *only.entry(text).or_insert(state);
                    if let Some(site) = self.site(other).filter(|_| other != state) {
                        return Ok(Some(vec![read, site.least]));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Notes that a read shows a state.
    fn see(&mut self, before: State, text: u32, read: u32) -> State {
        let next = self.states();
        let state = *self.numbers.entry((before, text)).or_insert(next);
        if state == next {
            self.sites.push(Site { before, text, first: read, least: read });
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
        let mut open: Vec<Open> = Vec::new();
        let mut several: Table<u32, usize> = Table::default();
        for (state, site) in (1..).zip(&self.sites) {
            budget.spend(1)?;
            let brought = self.texts.brought(site.text);
            match brought {
                [only] if only.is_append => {
                    made.by.insert(only.place, state);
                }
                _ if self.texts.has_append(site.text) => {
                    let next = open.len();
                    let of_text = *several.entry(site.text).or_insert(next);
                    if of_text == next {
                        open.push(Open { text: site.text, states: Vec::new() });
                    }
                    open[of_text].states.push(state);
                }
                _ => {}
            }
        }
        for open in open {
            if !self.settle(&open, &mut made, budget)? {
                return Ok(None);
            }
        }
        Ok(Some(made))
    }

    /// Finds which append made each state of a text that several calls bring; whether it could.
    fn settle(&self, open: &Open, made: &mut Made, budget: &mut Budget<'_>) -> Result<bool, Halt> {
        let brought = self.texts.brought(open.text);
        if brought.len().max(open.states.len()) > MOST_REPEATED {
            return Ok(false);
        }
        let is_written = brought.iter().any(|brought| !brought.is_append);
        let mut because = Vec::new();
        // For each state, who may have made it.
        let mut left: Vec<(State, Vec<u32>)> = Vec::new();
        for &state in &open.states {
            let mut appends = Vec::new();
            for brought in brought.iter().filter(|brought| brought.is_append) {
                budget.spend(1)?;
                match self.rules_out(brought.place, state) {
                    Some(call) => because.push(call),
                    None => appends.push(brought.place),
                }
            }
            let written = is_written && self.site(state).is_some_and(|site| site.before == EMPTY);
            match (written, appends.is_empty()) {
                // A write made it.
                (true, true) => {}
                (true, false) | (false, true) => return Ok(false),
                (false, false) => left.push((state, appends)),
            }
        }
        while let Some(sure) = left.iter().position(|(_, appends)| appends.len() == 1) {
            let (state, appends) = left.swap_remove(sure);
            made.by.insert(appends[0], state);
            because.extend(self.site(state).map(|site| site.least));
            for (_, others) in &mut left {
                budget.spend(others.len() as u64)?;
                others.retain(|append| *append != appends[0]);
            }
        }
        made.because.insert(open.text, because);
        Ok(left.is_empty())
    }

    /// A call because of which this append cannot have made this state, in any order.
    fn rules_out(&self, append: u32, state: State) -> Option<u32> {
        let site = self.site(state)?;
        if self.end(site.first) < self.start(append) {
            return Some(site.first);
        }
        match self.site(site.before) {
            Some(before) => match self.texts.brought(before.text) {
                [only] => (self.end(append) < self.start(only.place)).then_some(only.place),
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
