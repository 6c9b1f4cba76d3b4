//! The texts of which strings are made.

use crate::Call;
use crate::budget::{Budget, Halt};
use crate::specs::string::{Op, Ret, Text};
use std::ops::Range;

/// A text, and who brings it.
#[derive(Clone, Debug)]
struct Group<'a> {
    text: &'a str,
    /// In [`Texts::places`].
    calls: Range<u32>,
    appends: u32,
}

/// The texts of all mutators, by number.
pub(super) struct Texts<'a> {
    /// Sorted; none is the beginning of another.
    groups: Vec<Group<'a>>,
    /// The mutators, by text; of each, the appends first.
    places: Vec<u32>,
    /// The writes that make the string empty.
    pub(super) emptying: Vec<u32>,
}

impl<'a> Texts<'a> {
    /// The texts of all mutators, or why strings are not made of them in one way.
    pub(super) fn of(
        calls: &'a [Call<Text>],
        budget: &mut Budget<'_>,
    ) -> Result<Result<Self, &'static str>, Halt> {
        let mut brought: Vec<(&str, bool, u32)> = Vec::with_capacity(calls.len());
        let mut emptying = Vec::new();
        for (place, call) in (0..).zip(calls) {
            budget.spend(1)?;
            let answer = call.answer.as_ref().map(|answer| &answer.ret);
            let (text, is_write) = match (&call.op, answer) {
                (Op::Read, None | Some(Ret::Value(_))) => continue,
                (Op::Write(text), None | Some(Ret::Done)) => (text, true),
                (Op::Append(text), None | Some(Ret::Done)) => (text, false),
                _ => return Ok(Err("an answer is that of another operation")),
            };
            match (text.is_empty(), is_write) {
                (true, true) => emptying.push(place),
                (true, false) => return Ok(Err("nothing is appended")),
                (false, _) => brought.push((text, is_write, place)),
            }
        }
        budget.spend(brought.len() as u64)?;
        brought.sort_unstable();
        let mut groups: Vec<Group<'a>> = Vec::new();
        for (nth, (text, is_write, _)) in (0..).zip(&brought) {
            match groups.last_mut() {
                Some(group) if group.text == *text => group.calls.end = nth + 1,
                _ => groups.push(Group { text, calls: nth..nth + 1, appends: 0 }),
            }
            if let Some(group) = groups.last_mut() {
                group.appends += u32::from(!is_write);
            }
        }
        if groups.windows(2).any(|pair| pair[1].text.starts_with(pair[0].text)) {
            return Ok(Err("a text begins with another"));
        }
        let places = brought.into_iter().map(|(_, _, place)| place).collect();
        Ok(Ok(Self { groups, places, emptying }))
    }

    /// The number of a text that there is.
    pub(super) fn number(&self, text: &str) -> u32 {
        self.groups.partition_point(|group| group.text < text) as u32
    }

    /// The calls that bring a text.
    pub(super) fn bringers(&self, number: u32) -> &[u32] {
        let calls = &self.groups[number as usize].calls;
        &self.places[calls.start as usize..calls.end as usize]
    }

    /// Those of them that append it.
    pub(super) fn appends(&self, number: u32) -> &[u32] {
        &self.bringers(number)[..self.groups[number as usize].appends as usize]
    }

    /// Whether some call writes it.
    pub(super) fn is_written(&self, number: u32) -> bool {
        self.appends(number).len() < self.bringers(number).len()
    }

    /// All mutators that leave something.
    pub(super) fn all(&self) -> &[u32] {
        &self.places
    }

    /// What is left of a string behind this text, if it begins with it.
    pub(super) fn behind<'s>(&self, number: u32, string: &'s str) -> Option<&'s str> {
        string.strip_prefix(self.groups[number as usize].text)
    }

    /// The number of the text that a string begins with.
    pub(super) fn first(&self, string: &str) -> Option<u32> {
        // Whatever is between a text and a string that begins with it begins with it too, and no other text does.
        let after = self.groups.partition_point(|group| group.text <= string);
        let number = after.checked_sub(1)?;
        string.starts_with(self.groups[number].text).then_some(number as u32)
    }
}
