//! From items to contents: what a log means, whatever segments it is in.
//!
//! While all segments are there, the log begins at index 1. Once old segments were deleted, it begins with
//! whatever the first one left holds: entries that were forgotten long ago, a truncation of entries that are
//! gone, or nothing but the mark of a compaction. Where the log really begins is said by the last of those
//! marks; up to there everything is skipped, and what is kept must follow it without a gap.

use super::format::{Compact, Item};
use super::recovery::Contents;
use crate::raft::{Entry, Position};

/// Contents in the making.
#[derive(Debug)]
pub(super) struct Replay {
    contents: Contents,
    begin: Begin,
    /// The last compaction.
    compact: Option<Compact>,
    /// The highest index that the present segment needs to be kept for.
    pub(super) highest: u64,
    /// Where a reset in the present segment began anew: earlier segments are wanted no longer than that.
    pub(super) reset: Option<u64>,
}

/// What is known of the place before the first entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// Index and term.
    Known,
    /// Only the index: the entry before was in a segment that is gone.
    Guessed,
    /// Nothing: any entry may come first, and there is none yet.
    Unknown,
}

impl Replay {
    /// A log whose first segment is there, or one that has lost some.
    pub(super) fn new(is_whole: bool) -> Replay {
        let begin = if is_whole { Begin::Known } else { Begin::Unknown };
        Replay { contents: Contents::default(), begin, compact: None, highest: 0, reset: None }
    }

    /// The first segment that must be there, by the last compaction.
    pub(super) fn first_segment(&self) -> u64 {
        self.compact.as_ref().map_or(1, |compact| compact.first_segment)
    }

    /// Takes one item, or says how it contradicts what came before.
    pub(super) fn apply(&mut self, item: Item) -> Result<(), String> {
        match item {
            Item::HardState(state) => self.hard_state(state),
            Item::TruncateFrom(index) => self.truncate_from(index),
            Item::Entry(entry) => self.entry(entry),
            Item::Seal => Ok(()),
            Item::Reset(position) => {
                self.contents.entries.clear();
                self.contents.base = position;
                self.begin = Begin::Known;
                self.highest = position.index;
                self.reset = Some(position.index);
                if let Some(compact) = &mut self.compact {
                    compact.base = position;
                }
                Ok(())
            }
            Item::Compact(compact) => {
                self.hard_state(compact.hard_state)?;
                self.compact(compact)
            }
        }
    }

    fn last(&self) -> u64 {
        self.contents.base.index + self.contents.entries.len() as u64
    }

    fn hard_state(&mut self, state: crate::raft::HardState) -> Result<(), String> {
        let before = self.contents.hard_state.term;
        if state.term < before {
            return Err(format!("term {} follows term {before}", state.term));
        }
        self.contents.hard_state = state;
        Ok(())
    }

    fn truncate_from(&mut self, index: u64) -> Result<(), String> {
        let (base, last) = (self.contents.base.index, self.last());
        if self.begin == Begin::Unknown {
            return Ok(());
        }
        if index > last + 1 || (index <= base && self.begin == Begin::Known) {
            return Err(format!("the log up to entry {last} is truncated from {index}"));
        }
        if index <= base {
            self.begin = Begin::Unknown;
        }
        self.contents.entries.truncate(index.saturating_sub(base + 1) as usize);
        Ok(())
    }

    fn entry(&mut self, entry: Entry) -> Result<(), String> {
        if self.begin == Begin::Unknown {
            self.contents.base = Position { term: 0, index: entry.index.saturating_sub(1) };
            self.begin = Begin::Guessed;
        }
        let last = self.last();
        if entry.index != last + 1 {
            return Err(format!("entry {} follows entry {last}", entry.index));
        }
        self.highest = self.highest.max(entry.index);
        self.contents.entries.push(entry);
        Ok(())
    }

    fn compact(&mut self, compact: Compact) -> Result<(), String> {
        let Position { index, term } = compact.base;
        let last = self.last();
        // Of a log whose beginning is unknown, entries after this one may be gone with their segment too.
        let is_known = self.begin != Begin::Unknown;
        if is_known && index > last {
            return Err(format!("entries up to {index} are forgotten, but {last} is the last"));
        }
        if let Some(held) = index.checked_sub(self.contents.base.index + 1)
            && let Some(entry) = self.contents.entries.get(held as usize)
            && entry.term != term
        {
            let held = entry.term;
            return Err(format!("entry {index} of term {term} is forgotten, of term {held} held"));
        }
        self.compact = Some(compact);
        Ok(())
    }

    /// What the log holds, from its base on.
    pub(super) fn finish(self) -> Result<Contents, String> {
        let Replay { mut contents, begin, compact, .. } = self;
        let Some(base) = compact.map(|compact| compact.base) else { return Ok(contents) };
        if begin == Begin::Unknown {
            contents.base = base;
        }
        let begins = contents.base.index;
        if begin == Begin::Guessed && begins > base.index {
            return Err(format!("entries {} to {begins} are missing", base.index + 1));
        }
        if begins <= base.index {
            let forgotten = (base.index - begins) as usize;
            contents.entries.drain(..forgotten.min(contents.entries.len()));
            contents.base = base;
        }
        Ok(contents)
    }
}
