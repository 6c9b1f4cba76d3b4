//! Strings of texts that can be told apart, and now and then of others.

use super::super::super::draw::Draw;
use super::super::super::lists_replay::{Item, Source};
use super::super::Subject;
use crate::specs::string::{Op, Ret, Text};

/// Draws operations on a string.
pub(crate) struct Strings {
    /// What there was is written and appended again.
    repeats: bool,
    /// It is made empty.
    empties: bool,
    filled: bool,
}

/// A text that goes with a place in a sequence.
fn text(count: u64) -> String {
    format!("{count},")
}

impl Source<Text> for Strings {
    fn operation(&mut self, _: u64, _: u64, count: u64, draw: &mut Draw) -> Op {
        match draw.below(12) {
            0..=3 => Op::Append(text(count)),
            4 => Op::Write(text(count)),
            5 if self.empties => Op::Write(String::new()),
            6 if self.repeats => Op::Write("w".to_owned()),
            7 | 8 if self.repeats => Op::Append(text(draw.below(3))),
            _ => Op::Read,
        }
    }

    /// A text less, one more, two in another order, or one that nobody brings.
    fn wrong(&mut self, _: &Op, ret: Ret, draw: &mut Draw) -> Ret {
        let Ret::Value(string) = ret else { return ret };
        let mut parts: Vec<&str> = string.split_inclusive(',').collect();
        let place = draw.below(1 + parts.len() as u64) as usize;
        let other = text(draw.below(8));
        match draw.below(5) {
            0 => drop(parts.pop()),
            1 if place < parts.len() => drop(parts.remove(place)),
            2 if place + 1 < parts.len() => parts.swap(place, place + 1),
            3 => parts.push("?"),
            _ => parts.insert(place, &other),
        }
        Ret::Value(parts.concat())
    }
}

/// The same with the letters a and b exchanged.
fn swapped(text: &str) -> String {
    let other = |letter: char| match letter {
        'a' => 'b',
        'b' => 'a',
        letter => letter,
    };
    text.chars().map(other).collect()
}

impl Subject<Text> for Strings {
    const NAME: &'static str = "a string";
    const ALGORITHMS: &'static [&'static str] = &["string"];
    const DECLINED_PERCENT: u64 = 25;

    fn new(seed: u64) -> Self {
        Self { repeats: seed % 4 == 1, empties: seed % 3 == 2, filled: seed.is_multiple_of(11) }
    }

    fn initial(&self) -> Text {
        Text(if self.filled { "200,201,".to_owned() } else { String::new() })
    }

    fn beginnings() -> Vec<Text> {
        vec![Text(String::new()), Text("c".to_owned())]
    }

    fn menu() -> Vec<Item<Text>> {
        let mut menu = vec![(Op::Read, None)];
        for text in ["a", "b"].map(str::to_owned) {
            menu.extend([None, Some(Ret::Done)].map(|ret| (Op::Append(text.clone()), ret)));
            menu.extend([None, Some(Ret::Done)].map(|ret| (Op::Write(text.clone()), ret)));
        }
        menu.push((Op::Write(String::new()), Some(Ret::Done)));
        let shown = ["", "a", "b", "ab", "ba", "aa", "bb", "c"];
        menu.extend(shown.map(|string| (Op::Read, Some(Ret::Value(string.to_owned())))));
        menu
    }

    fn exchanged((op, ret): &Item<Text>) -> Item<Text> {
        let op = match op {
            Op::Append(text) => Op::Append(swapped(text)),
            Op::Write(text) => Op::Write(swapped(text)),
            Op::Read => Op::Read,
        };
        let ret = match ret {
            Some(Ret::Value(string)) => Some(Ret::Value(swapped(string))),
            ret => ret.clone(),
        };
        (op, ret)
    }
}
