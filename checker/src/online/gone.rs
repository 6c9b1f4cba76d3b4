//! Processes and keys that will never be heard of again, as ranges of numbers.
//!
//! Every unknown outcome retires a process for good, and keys are retired one after another, so
//! sets of them would grow with the history. Where numbers are handed out one after another nearly
//! all low ones are gone in the end, and a range holds any number of neighbours: what is kept goes
//! by what is *not* gone. It grows only with numbers that have no neighbours.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A set of numbers, small where they lie next to each other.
#[derive(Debug, Default)]
pub(super) struct Gone(BTreeMap<u128, u128>);

impl Gone {
    /// Whether the number is in the set.
    pub(super) fn contains(&self, number: u128) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, last)| *last >= number)
    }

    /// Puts a number into the set. False: it was there.
    pub(super) fn insert(&mut self, number: u128) -> bool {
        if self.contains(number) {
            return false;
        }
        let before = self.0.range(..number).next_back().map(|(first, last)| (*first, *last));
        let first = match before {
            Some((first, last)) if last + 1 == number => first,
            _ => number,
        };
        let after = number.checked_add(1).and_then(|next| self.0.remove(&next));
        self.0.insert(first, after.unwrap_or(number));
        true
    }
}

/// The number of a key: a hash of its name up to the digits at the end, and these. So the numbers
/// of `k7` and `k8` are neighbours, and those of two keys the same only if two hashes are.
pub(super) fn number(key: &str) -> u128 {
    let stem = key.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let digits = &key[stem.len()..];
    let number = digits.parse::<u64>().ok().filter(|number| number.to_string() == digits);
    // Digits that do not give themselves back (none, `007`, too many) belong to the stem.
    let (stem, number) = match number {
        Some(number) if number < u64::MAX => (stem, number),
        _ => (key, u64::MAX),
    };
    let mut hasher = DefaultHasher::new();
    stem.hash(&mut hasher);
    u128::from(hasher.finish()) << 64 | u128::from(number)
}

#[cfg(test)]
mod tests {
    use super::{Gone, number};

    #[test]
    fn neighbours_become_one_range() {
        let mut gone = Gone::default();
        for number in [5, 0, 9, 7, 6, u128::MAX, 8] {
            assert!(gone.insert(number));
        }
        assert!(!gone.insert(7));
        assert_eq!(gone.0.len(), 3, "{gone:?}");
        let inside = [0, 5, 6, 7, 8, 9, u128::MAX];
        assert!(inside.iter().all(|number| gone.contains(*number)));
        assert!([1, 4, 10, u128::MAX - 1].iter().all(|number| !gone.contains(*number)));
    }

    #[test]
    fn keys_that_are_not_the_same_have_other_numbers() {
        assert_eq!(number("k7") + 1, number("k8"));
        let most = u64::MAX.to_string();
        let keys = ["k7", "k07", "k007", "k", "7", "", "j7", "k70", "k18446744073709551616", &most];
        for (place, key) in keys.iter().enumerate() {
            assert!(keys[..place].iter().all(|other| number(other) != number(key)), "{key}");
        }
    }
}
