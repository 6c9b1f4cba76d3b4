//! Processes that may call no more, as ranges.
//!
//! Every unknown outcome retires a process for good, so a set of them would grow with the history.
//! Where numbers are handed out one after another nearly all low ones are gone in the end, and a
//! range holds any number of neighbours: what is kept goes by the processes that are *not* gone.

use std::collections::BTreeMap;

/// A set of numbers, small where they lie next to each other.
#[derive(Debug, Default)]
pub(super) struct Gone(BTreeMap<u64, u64>);

impl Gone {
    /// Whether the number is in the set.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, last)| *last >= number)
    }

    /// Puts a number into the set.
    pub(super) fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let before = self.0.range(..number).next_back().map(|(first, last)| (*first, *last));
        let first = match before {
            Some((first, last)) if last + 1 == number => first,
            _ => number,
        };
        let after = number.checked_add(1).and_then(|next| self.0.remove(&next));
        self.0.insert(first, after.unwrap_or(number));
    }
}

#[cfg(test)]
mod tests {
    use super::Gone;

    #[test]
    fn neighbours_become_one_range() {
        let mut gone = Gone::default();
        for number in [5, 0, 9, 7, 6, u64::MAX, 8, 5] {
            gone.insert(number);
        }
        assert_eq!(gone.0.len(), 3, "{gone:?}");
        let inside = [0, 5, 6, 7, 8, 9, u64::MAX];
        assert!(inside.iter().all(|number| gone.contains(*number)));
        assert!([1, 4, 10, u64::MAX - 1].iter().all(|number| !gone.contains(*number)));
    }
}
