//! The texts of which strings are made.

use crate::Call;
use crate::budget::{Budget, Halt};
use crate::specs::string::{Op, Ret, Text};

/// A text, and a call that brings it.
#[derive(Clone, Copy)]
pub(super) struct Brought<'a> {
    pub(super) text: &'a str,
    pub(super) place: u32,
    pub(super) is_append: bool,
}

/// The texts of all mutators. The number of one is its place here; of equal ones, the first.
pub(super) struct Texts<'a> {
    /// None is the beginning of another.
    sorted: Vec<Brought<'a>>,
    /// The writes that make the string empty.
    pub(super) emptying: Vec<u32>,
}

impl<'a> Texts<'a> {
    /// The texts of all mutators, or why strings are not made of them in one way.
    pub(super) fn of(
        calls: &'a [Call<Text>],
        budget: &mut Budget<'_>,
    ) -> Result<Result<Self, &'static str>, Halt> {
        let mut sorted = Vec::with_capacity(calls.len());
        let mut emptying = Vec::new();
        for (place, call) in (0..).zip(calls) {
            budget.spend(1)?;
            let answer = call.answer.as_ref().map(|answer| &answer.ret);
            let (text, is_append) = match (&call.op, answer) {
                (Op::Read, None | Some(Ret::Value(_))) => continue,
                (Op::Write(text), None | Some(Ret::Done)) => (text, false),
                (Op::Append(text), None | Some(Ret::Done)) => (text, true),
                _ => return Ok(Err("an answer is that of another operation")),
            };
            match (text.is_empty(), is_append) {
                (true, true) => return Ok(Err("nothing is appended")),
                (true, false) => emptying.push(place),
                (false, _) => sorted.push(Brought { text, place, is_append }),
            }
        }
        budget.spend(sorted.len() as u64)?;
        sorted.sort_by_key(|brought| brought.text);
        let begins = |pair: &[Brought<'_>]| {
            pair[0].text != pair[1].text && pair[1].text.starts_with(pair[0].text)
        };
        if sorted.windows(2).any(begins) {
            return Ok(Err("a text begins with another"));
        }
        Ok(Ok(Self { sorted, emptying }))
    }

    /// The number of a text that there is.
    pub(super) fn number(&self, text: &str) -> u32 {
        self.sorted.partition_point(|brought| brought.text < text) as u32
    }

    /// The calls that bring a text.
    pub(super) fn brought(&self, number: u32) -> &[Brought<'a>] {
        let rest = &self.sorted[number as usize..];
        let same = rest.iter().take_while(|brought| brought.text == rest[0].text);
        &rest[..same.count()]
    }

    /// Whether an append brings a text.
    pub(super) fn has_append(&self, number: u32) -> bool {
        self.brought(number).iter().any(|brought| brought.is_append)
    }

    /// All of them.
    pub(super) fn all(&self) -> &[Brought<'a>] {
        &self.sorted
    }

    /// The texts that a string is made of, as far as it is, and what is left of it.
    pub(super) fn parts<'s>(&self, mut string: &'s str) -> (Vec<u32>, &'s str) {
        let mut parts = Vec::new();
        while let Some(number) = self.first(string) {
            parts.push(number);
            string = &string[self.sorted[number as usize].text.len()..];
        }
        (parts, string)
    }

    /// The number of the text that a string begins with.
    fn first(&self, string: &str) -> Option<u32> {
        // Whatever is between a text and a string that begins with it begins with it too, and no other text does.
        let after = self.sorted.partition_point(|brought| brought.text <= string);
        let text = self.sorted[after.checked_sub(1)?].text;
        string.starts_with(text).then(|| self.number(text))
    }
}
