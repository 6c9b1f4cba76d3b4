//! What the sets that were searched say of others.
//!
//! Of two sound sets one of which is a part of the other, the part is legal if the whole is: it is
//! a sound part of that, too, since what it leaves out of it, it leaves out of all. So a part of a
//! legal set need not be searched, and neither need a set with an illegal part. From either end one
//! comes to the same sets again and again, and to parts of them.
//!
//! The legal sets that are remembered take a bounded room, and the oldest go first; of the illegal
//! ones those with an illegal part are forgotten, which leaves few.

use super::kept::Kept;
use std::collections::VecDeque;

/// How many words the legal sets may take, 128 KiB: 2,000 sets of 512 calls.
const MOST_WORDS: usize = 16_384;

/// Sets that were searched. All of them are sound, and of the same calls.
#[derive(Debug, Default)]
pub(super) struct Known {
    legal: VecDeque<Kept>,
    illegal: Vec<Kept>,
}

impl Known {
    /// Whether a set is illegal, if that is known, and how many words were compared.
    pub(super) fn is_illegal(&self, kept: &Kept) -> (Option<bool>, u64) {
        let mut compared = 0;
        let mut is_part = |part: &Kept, whole: &Kept| {
            let (is, words) = part.is_part_of(whole);
            compared += 1 + words;
            is
        };
        let known = if self.legal.iter().rev().any(|legal| is_part(kept, legal)) {
            Some(false)
        } else {
            self.illegal.iter().any(|illegal| is_part(illegal, kept)).then_some(true)
        };
        (known, compared)
    }

    /// Remembers what a search said of a set.
    pub(super) fn learn(&mut self, kept: &Kept, is_illegal: bool) {
        if is_illegal {
            self.illegal.retain(|whole| !kept.is_part_of(whole).0);
            self.illegal.push(kept.clone());
            return;
        }
        if (self.legal.len() + 1) * kept.words() > MOST_WORDS {
            self.legal.pop_front();
        }
        if kept.words() <= MOST_WORDS {
            self.legal.push_back(kept.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, MOST_WORDS};
    use crate::shrink::kept::Kept;

    fn set(items: usize, members: &[usize]) -> Kept {
        let mut kept = Kept::default();
        kept.empty(items);
        members.iter().for_each(|item| kept.add(*item));
        kept
    }

    #[test]
    fn parts_of_legal_sets_are_legal_and_sets_with_illegal_parts_illegal() {
        let set = |members: &[usize]| set(8, members);
        let mut known = Known::default();
        let says = |known: &Known, members: &[usize]| known.is_illegal(&set(members)).0;
        assert_eq!(says(&known, &[1]), None);
        known.learn(&set(&[1, 2, 3]), false);
        known.learn(&set(&[1, 4, 5, 6]), true);
        assert_eq!(says(&known, &[1, 2, 3]), Some(false));
        assert_eq!(says(&known, &[2, 3]), Some(false));
        assert_eq!(says(&known, &[1, 2, 3, 4]), None);
        assert_eq!(says(&known, &[1, 4, 5]), None);
        assert_eq!(says(&known, &[1, 2, 4, 5, 6]), Some(true));
        known.learn(&set(&[4, 5]), true);
        assert_eq!(known.illegal.len(), 1, "that has the smaller one in it");
        assert_eq!(says(&known, &[4, 5, 7]), Some(true));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes() {
        let mut known = Known::default();
        let items = 64 * MOST_WORDS / 4;
        for item in 0..6 {
            known.learn(&set(items, &[item]), false);
        }
        let says: Vec<_> = (0..6).map(|item| known.is_illegal(&set(items, &[item])).0).collect();
        assert_eq!(says, [None, None, Some(false), Some(false), Some(false), Some(false)]);
        let large = 64 * (MOST_WORDS + 1);
        let mut known = Known::default();
        known.learn(&set(large, &[1]), false);
        assert_eq!(known.is_illegal(&set(large, &[1])).0, None);
    }
}
