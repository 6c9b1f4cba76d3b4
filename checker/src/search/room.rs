//! The room that a search takes, handed on to the next.
//!
//! A shrink searches many sets of a few calls each, one after another. To make room for such a
//! search and to give it back is much of the work; so all searches of a partition take the same.
//! That of a large one is given back, though: it would count against the memory of the next.

use super::frontier::Origin;
use super::tally::Tally;
use super::{Frame, Move, Search};
use crate::Spec;
use crate::memo::Memo;

/// What a search fills as it goes; what is in there still is of no meaning to the next.
#[derive(Default)]
pub(crate) struct Room {
    pub(super) memo: Memo<'static>,
    pub(super) masks: Vec<u64>,
    pub(super) occupant: Vec<u32>,
    pub(super) path: Vec<(u32, bool)>,
    pub(super) frames: Vec<Frame>,
    pub(super) origins: Vec<Origin>,
    pub(super) saved: Vec<u64>,
    pub(super) moves: Vec<Move>,
    pub(super) tally: Tally,
    pub(super) wanted: Vec<u64>,
    pub(super) first: Vec<(u64, u32)>,
    pub(super) unused: Vec<u32>,
}

/// A room of more bytes is given back.
const MOST_BYTES: u64 = 1 << 18;

/// So many of `value`, in the room of `room`.
pub(super) fn filled<T: Clone>(mut room: Vec<T>, count: usize, value: T) -> Vec<T> {
    room.clear();
    room.resize(count, value);
    room
}

/// None yet, with room for so many.
pub(super) fn emptied<T>(mut room: Vec<T>, most: usize) -> Vec<T> {
    room.clear();
    room.reserve(most);
    room
}

impl<S: Spec> Search<'_, S> {
    /// The room it took, for another search.
    pub(super) fn leave(self) -> Room {
        if self.memo.bytes() + self.bytes() > MOST_BYTES {
            return Room::default();
        }
        Room {
            memo: self.memo.renew(0, 0, None),
            masks: self.masks,
            occupant: self.occupant,
            path: self.path,
            frames: self.frames,
            origins: self.origins,
            saved: self.saved,
            moves: self.moves,
            tally: self.tally,
            wanted: self.wanted,
            first: self.first,
            unused: self.unused,
        }
    }
}
