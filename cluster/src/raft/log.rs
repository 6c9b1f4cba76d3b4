//! The log in memory: what the node believes, whether or not it has reached the disk.
//!
//! Invariants: indexes are consecutive from `base.index + 1`; terms never decrease. How much of it
//! is durable is the business of [`gate`](super::gate); how much is committed, of the node.

use super::config::Limits;
use super::message::{Entry, Index, Position, Term};

/// The entries of one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Log {
    /// What stands before the first entry: 0@0, or a position that a snapshot covers.
    base: Position,
    entries: Vec<Entry>,
}

impl Log {
    /// The log as the disk gave it back.
    pub(super) fn recovered(base: Position, entries: Vec<Entry>) -> Log {
        let mut log = Log::after(base);
        entries.into_iter().for_each(|entry| log.append(entry));
        log
    }

    /// An empty log that goes on after `base`.
    pub(super) fn after(base: Position) -> Log {
        Log { base, entries: Vec::new() }
    }

    /// What stands before the first entry.
    pub(super) fn base(&self) -> Position {
        self.base
    }

    /// Whether there is no entry.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The end of the log.
    pub(super) fn last(&self) -> Position {
        self.entries.last().map_or(self.base, Entry::position)
    }

    /// The term of the entry at `index`, if the log reaches there.
    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.entries.get(self.place(index)?).map(|entry| entry.term)
    }

    /// Whether the log contains this position, and with it the prefix that the position names.
    pub(super) fn has(&self, position: Position) -> bool {
        self.term_at(position.index) == Some(position.term)
    }

    /// Adds an entry at the end.
    pub(super) fn append(&mut self, entry: Entry) {
        let last = self.last();
        assert!(entry.index == last.index + 1, "a gap: {last} is followed by {}", entry.position());
        self.entries.push(entry);
    }

    /// Forgets every entry with this index or a later one.
    pub(super) fn truncate_from(&mut self, index: Index) {
        if let Some(place) = self.place(index) {
            self.entries.truncate(place);
        }
    }

    /// Forgets the entries up to `index`, which the log has and a snapshot covers, and returns them.
    pub(super) fn forget_up_to(&mut self, index: Index) -> Vec<Entry> {
        let Some(term) = self.term_at(index) else { return Vec::new() };
        let count = self.between(self.base.index, index).len();
        let kept = self.entries.split_off(count);
        self.base = Position { term, index };
        std::mem::replace(&mut self.entries, kept)
    }

    /// The index before which all may be forgotten if a tail that ends at `last` is to stay: so many
    /// entries at most, and so many bytes of commands.
    pub(super) fn before_tail(&self, last: Index, entries: u64, bytes: usize) -> Index {
        let mut sum = 0_usize;
        let tail = self.between(self.base.index, last).iter().rev();
        let tail = tail.take(usize::try_from(entries).unwrap_or(usize::MAX));
        let kept = tail
            .take_while(|entry| {
                sum = sum.saturating_add(entry.payload.size());
                sum <= bytes
            })
            .count();
        last.saturating_sub(kept as Index)
    }

    /// The entries after `after`, up to and with `to`, as far as there are any.
    pub(super) fn between(&self, after: Index, to: Index) -> &[Entry] {
        let place = |index: Index| {
            let offset = index.saturating_sub(self.base.index);
            usize::try_from(offset).unwrap_or(usize::MAX).min(self.entries.len())
        };
        self.entries.get(place(after)..place(to)).unwrap_or(&[])
    }

    /// The entries from `from` that fit into one append: always at least one if there is one.
    pub(super) fn batch(&self, from: Index, limits: &Limits) -> Vec<Entry> {
        let rest = self.between(from.saturating_sub(1), self.last().index);
        let mut bytes = 0_usize;
        let count = rest
            .iter()
            .take(limits.append_entries.max(1))
            .take_while(|entry| {
                let first = bytes == 0;
                bytes = bytes.saturating_add(entry.payload.size());
                first || bytes <= limits.append_bytes
            })
            .count();
        rest[..count].to_vec()
    }

    /// The first index that has the same term as `index`.
    pub(super) fn first_of_term_at(&self, index: Index) -> Index {
        let Some(term) = self.term_at(index) else { return index };
        let earlier = self.entries.partition_point(|entry| entry.term < term);
        (self.base.index + 1 + earlier as Index).min(index)
    }

    /// The last index, `limit` or earlier, whose term is at most `term`.
    pub(super) fn last_not_after(&self, term: Term, limit: Index) -> Index {
        let known = self.entries.partition_point(|entry| entry.term <= term);
        (self.base.index + known as Index).min(limit)
    }

    fn place(&self, index: Index) -> Option<usize> {
        usize::try_from(index.checked_sub(self.base.index + 1)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Payload;
    use super::*;

    fn log(terms: &[Term]) -> Log {
        let entry = |(place, term): (usize, &Term)| Entry {
            term: *term,
            index: place as Index + 1,
            payload: Payload::Command(vec![0; 10].into()),
        };
        Log::recovered(Position::default(), terms.iter().enumerate().map(entry).collect())
    }

    #[test]
    fn positions_before_inside_and_after_the_log() {
        let log = log(&[1, 1, 3]);
        assert_eq!([0, 1, 3, 4].map(|index| log.term_at(index)), [Some(0), Some(1), Some(3), None]);
        assert!(
            log.has(Position { term: 3, index: 3 }) && !log.has(Position { term: 1, index: 3 })
        );
        assert_eq!(log.last(), Position { term: 3, index: 3 });
    }

    #[test]
    fn ranges_never_leave_the_log() {
        let mut log = log(&[1, 1, 3]);
        let indexes =
            |entries: &[Entry]| entries.iter().map(|entry| entry.index).collect::<Vec<_>>();
        assert_eq!(indexes(log.between(0, 9)), [1, 2, 3]);
        assert_eq!(indexes(log.between(2, 3)), [3]);
        assert!(log.between(5, 9).is_empty() && log.between(3, 1).is_empty());
        log.truncate_from(2);
        assert_eq!(indexes(log.between(0, 9)), [1]);
        log.truncate_from(7);
        assert_eq!(log.last().index, 1);
    }

    #[test]
    fn a_batch_keeps_both_limits_and_is_never_empty_handed() {
        let log = log(&[1; 9]);
        let limits = |append_entries, append_bytes| Limits {
            append_entries,
            append_bytes,
            ..Limits::default()
        };
        assert_eq!(log.batch(3, &limits(2, 1000)).len(), 2);
        assert_eq!(log.batch(3, &limits(100, 35)).len(), 3);
        assert_eq!(log.batch(3, &limits(100, 1)).len(), 1);
        assert_eq!(log.batch(9, &limits(100, 1000)).len(), 1);
        assert_eq!(log.batch(10, &limits(100, 1000)).len(), 0);
    }

    #[test]
    fn terms_are_found_from_both_ends() {
        let log = log(&[1, 1, 4, 4, 6]);
        assert_eq!([1, 2, 3, 4, 5].map(|index| log.first_of_term_at(index)), [1, 1, 3, 3, 5]);
        assert_eq!(log.last_not_after(4, 9), 4);
        assert_eq!(log.last_not_after(5, 9), 4);
        assert_eq!(log.last_not_after(4, 3), 3);
        assert_eq!(log.last_not_after(0, 9), 0);
    }

    #[test]
    fn a_compacted_log_is_the_same_log_from_its_base_on() {
        let mut log = log(&[1, 1, 4, 4, 6]);
        let forgotten = log.forget_up_to(3);
        assert_eq!(forgotten.iter().map(|entry| entry.index).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(log.forget_up_to(2).is_empty(), "it is forgotten already");
        assert_eq!(log.base(), Position { term: 4, index: 3 });
        assert_eq!([2, 3, 4, 6].map(|index| log.term_at(index)), [None, Some(4), Some(4), None]);
        assert_eq!([3, 4, 5].map(|index| log.first_of_term_at(index)), [3, 4, 5]);
        assert_eq!(log.last_not_after(4, 9), 4);
        assert_eq!(log.last_not_after(4, 2), 2, "nothing is known of what is before the base");
        log.truncate_from(4);
        assert_eq!(log.last(), log.base());
    }

    #[test]
    fn a_tail_keeps_both_limits() {
        let log = log(&[1; 9]);
        let before = |entries, bytes| log.before_tail(8, entries, bytes);
        assert_eq!((before(3, 1000), before(0, 1000), before(100, 25)), (5, 8, 6));
        assert_eq!(before(100, 1000), 0);
    }

    #[test]
    #[should_panic(expected = "a gap: 1@1 is followed by 3@1")]
    fn a_gap_is_refused() {
        let mut log = log(&[1]);
        log.append(Entry { term: 1, index: 3, payload: Payload::Noop });
    }
}
