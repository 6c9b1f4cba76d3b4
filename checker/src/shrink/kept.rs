//! A set of calls, by their places in the evidence: a bit for each.

/// A set of items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    words: Vec<u64>,
    count: usize,
}

impl Kept {
    /// Becomes the empty set, in the room it has.
    pub(super) fn empty(&mut self, items: usize) {
        self.words.clear();
        self.words.resize(items.div_ceil(64), 0);
        self.count = 0;
    }

    /// Becomes another set, in the room it has.
    pub(super) fn copy(&mut self, other: &Self) {
        self.words.clear();
        self.words.extend_from_slice(&other.words);
        self.count = other.count;
    }

    pub(super) fn all(items: usize) -> Self {
        let mut words = vec![u64::MAX; items.div_ceil(64)];
        if let Some(last) = words.last_mut()
            && !items.is_multiple_of(64)
        {
            *last = (1 << (items % 64)) - 1;
        }
        Self { words, count: items }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn has(&self, item: usize) -> bool {
        self.words[item / 64] >> (item % 64) & 1 == 1
    }

    pub(super) fn add(&mut self, item: usize) {
        self.count += usize::from(!self.has(item));
        self.words[item / 64] |= 1 << (item % 64);
    }

    pub(super) fn remove(&mut self, item: usize) {
        self.count -= usize::from(self.has(item));
        self.words[item / 64] &= !(1 << (item % 64));
    }

    /// In ascending order.
    pub(crate) fn members(&self) -> Vec<usize> {
        let mut members = Vec::with_capacity(self.count);
        members.extend(self.iter());
        members
    }

    /// The same, one after another.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let member = self.first_from(next)?;
            next = member + 1;
            Some(member)
        })
    }

    /// The first member from `item` on.
    pub(super) fn first_from(&self, item: usize) -> Option<usize> {
        let mut place = item / 64;
        let mut rest = self.words.get(place)? & (u64::MAX << (item % 64));
        while rest == 0 {
            place += 1;
            rest = *self.words.get(place)?;
        }
        Some(64 * place + rest.trailing_zeros() as usize)
    }

    /// The last member before `item` for which `is` holds.
    pub(super) fn last_before(&self, item: usize, is: impl Fn(usize) -> bool) -> Option<usize> {
        let mut rest = self.words[item / 64] & ((1 << (item % 64)) - 1);
        for place in (0..=item / 64).rev() {
            while rest != 0 {
                let bit = 63 - rest.leading_zeros() as usize;
                let member = 64 * place + bit;
                if is(member) {
                    return Some(member);
                }
                rest ^= 1 << bit;
            }
            rest = if place > 0 { self.words[place - 1] } else { 0 };
        }
        None
    }

    /// Whether `other` has all its members, and how many words it took to tell.
    pub(super) fn is_part_of(&self, other: &Self) -> (bool, u64) {
        if self.count > other.count {
            return (false, 0);
        }
        let both = self.words.iter().zip(&other.words);
        match both.enumerate().find(|(_, (word, other))| *word & !*other != 0) {
            Some((place, _)) => (false, place as u64 + 1),
            None => (true, self.words.len() as u64),
        }
    }

    /// How many words it takes.
    pub(super) fn words(&self) -> usize {
        self.words.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Kept;

    fn none(items: usize) -> Kept {
        let mut kept = Kept::default();
        kept.empty(items);
        kept
    }

    #[test]
    fn a_set_has_what_was_added_and_not_removed() {
        for items in [0, 1, 63, 64, 65, 130] {
            let mut kept = none(items);
            assert!(kept.is_empty() && kept.members().is_empty());
            (0..items).for_each(|item| kept.add(item));
            assert_eq!(kept, Kept::all(items));
            (0..items).filter(|item| item % 3 != 0).for_each(|item| kept.remove(item));
            let left: Vec<usize> = (0..items).step_by(3).collect();
            assert_eq!((kept.members(), kept.len()), (left.clone(), left.len()));
            for item in 0..items {
                let odd = left.iter().rfind(|other| **other < item && *other % 2 == 1);
                assert_eq!(kept.last_before(item, |other| other % 2 == 1), odd.copied());
                let next = left.iter().find(|other| **other >= item);
                assert_eq!(kept.first_from(item), next.copied());
            }
            let mut other = Kept::all(200);
            other.copy(&kept);
            assert_eq!(other, kept);
            other.empty(items);
            assert!(other.is_empty() && other.members().is_empty());
        }
    }

    #[test]
    fn a_part_has_nothing_else() {
        let mut whole = none(130);
        [1, 70, 129].iter().for_each(|item| whole.add(*item));
        let mut part = whole.clone();
        assert!(part.is_part_of(&whole).0);
        part.remove(70);
        assert!(part.is_part_of(&whole).0 && !whole.is_part_of(&part).0);
        part.add(128);
        assert_eq!(part.is_part_of(&whole), (false, 3));
    }
}
