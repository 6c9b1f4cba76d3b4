//! Which configurations have been looked at.
//!
//! A configuration is how far the history is, which open calls are linearized, the state, which
//! calls of unknown outcome were used, and which blind calls may be absorbed. Of two that agree in
//! the first three, the one that used fewer unknown calls and may absorb more *dominates*: whatever
//! order leads on from the other leads on from it. So if it has been looked at, the other need not
//! be.
//!
//! Rows lie in one flat array, chained by (moment, linearized, state); memory is what it says it
//! is.

use crate::hash::hash;
use crate::problem::{Field, NONE};

/// The configurations of one search.
#[derive(Default)]
pub(crate) struct Memo<'a> {
    /// Words of a configuration: `done` words of linearized slots, as many of absorbable ones, the
    /// rest the numbers of unknown ones used.
    width: usize,
    done: usize,
    /// Where the numbers of used unknown calls are. None: a dominated configuration does not count
    /// as known, only the same one does.
    fields: Option<&'a [Field]>,
    /// First row of each chain, [`NONE`] where empty; its length is a power of two.
    heads: Vec<u32>,
    chains: usize,
    /// For each row one word of moment and state, then the configuration.
    rows: Vec<u64>,
    next: Vec<u32>,
}

/// A memo begins with so many heads, and room for so many rows.
const HEADS: usize = 64;
const ROWS: usize = 16;

impl Memo<'_> {
    /// An empty one, in the room of this one.
    pub(crate) fn renew(self, done: usize, width: usize, fields: Option<&[Field]>) -> Memo<'_> {
        let Memo { mut heads, mut rows, mut next, .. } = self;
        heads.clear();
        heads.resize(HEADS, NONE);
        rows.clear();
        rows.reserve(ROWS * (width + 1));
        next.clear();
        next.reserve(ROWS);
        Memo { width, done, fields, heads, chains: 0, rows, next }
    }

    /// How many configurations it holds.
    pub(crate) fn len(&self) -> usize {
        self.next.len()
    }

    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> u64 {
        (8 * self.rows.capacity() + 4 * (self.next.capacity() + self.heads.capacity())) as u64
    }

    /// Adds a configuration unless one that is there dominates it. Says whether it was added, and
    /// how many were compared.
    pub(crate) fn add(&mut self, moment: u32, state: u32, configuration: &[u64]) -> (bool, u64) {
        let place = u64::from(moment) << 32 | u64::from(state);
        if 2 * self.chains >= self.heads.len() {
            self.grow();
        }
        let slot = self.find(place, &configuration[..self.done]);
        let (mut row, mut compared) = (self.heads[slot], 1);
        self.chains += usize::from(row == NONE);
        while row != NONE {
            compared += 1;
            if self.dominates(self.row(row), configuration) {
                return (false, compared);
            }
            row = self.next[row as usize];
        }
        let added = self.next.len() as u32;
        self.rows.push(place);
        self.rows.extend_from_slice(configuration);
        self.next.push(self.heads[slot]);
        self.heads[slot] = added;
        (true, compared)
    }

    fn dominates(&self, earlier: &[u64], later: &[u64]) -> bool {
        let Some(fields) = self.fields else { return earlier == later };
        let absorbable = self.done..2 * self.done;
        let used = 2 * self.done..self.width;
        let (fewer, more) = (&earlier[used.clone()], &later[used]);
        earlier[absorbable.clone()].iter().zip(&later[absorbable]).all(|(a, b)| b & !a == 0)
            && (fewer == more || fields.iter().all(|field| field.get(fewer) <= field.get(more)))
    }

    /// How far the history is in a configuration.
    pub(crate) fn moment(&self, row: u32) -> u32 {
        (self.rows[row as usize * (self.width + 1)] >> 32) as u32
    }

    /// The state in a configuration.
    pub(crate) fn state(&self, row: u32) -> u32 {
        self.rows[row as usize * (self.width + 1)] as u32
    }

    /// Linearized and absorbable slots, and numbers of unknown calls used.
    pub(crate) fn row(&self, row: u32) -> &[u64] {
        let start = row as usize * (self.width + 1) + 1;
        &self.rows[start..start + self.width]
    }

    /// The chain of this place and set, or the empty head where it belongs.
    fn find(&self, place: u64, done: &[u64]) -> usize {
        let mask = self.heads.len() - 1;
        let mut slot = hash(place, done) as usize & mask;
        loop {
            let row = self.heads[slot];
            if row == NONE
                || self.rows[row as usize * (self.width + 1)] == place
                    && self.row(row)[..self.done] == *done
            {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let doubled = vec![NONE; 2 * self.heads.len()];
        let heads = std::mem::replace(&mut self.heads, doubled);
        for row in heads.into_iter().filter(|row| *row != NONE) {
            let place = self.rows[row as usize * (self.width + 1)];
            let slot = self.find(place, &self.row(row)[..self.done]);
            self.heads[slot] = row;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Memo;
    use crate::problem::Field;

    #[test]
    fn fewer_unknown_and_more_absorbable_dominate() {
        // Two numbers of one bit.
        let fields = [0, 1].map(|shift| Field { word: 0, shift, mask: 1 });
        let mut memo = Memo::default().renew(1, 3, Some(&fields));
        assert!(memo.add(5, 1, &[0b1, 0b10, 0b01]).0);
        assert!(!memo.add(5, 1, &[0b1, 0b10, 0b01]).0, "the same");
        assert!(!memo.add(5, 1, &[0b1, 0b00, 0b11]).0, "absorbs less, used more");
        assert!(memo.add(5, 1, &[0b1, 0b10, 0b10]).0, "used another");
        assert!(memo.add(5, 1, &[0b1, 0b11, 0b01]).0, "absorbs more");
        assert!(memo.add(5, 2, &[0b1, 0b10, 0b01]).0, "another state");
        assert!(memo.add(6, 1, &[0b1, 0b10, 0b01]).0, "another moment");
        assert!(memo.add(5, 1, &[0b0, 0b10, 0b01]).0, "another set");
        assert_eq!(memo.len(), 6);
    }

    #[test]
    fn it_grows_and_forgets_nothing() {
        let mut memo = Memo::default().renew(2, 4, Some(&[]));
        for round in [true, false] {
            for word in 0..5_000 {
                assert_eq!(memo.add(1, 1, &[word, word / 7, 0, 0]).0, round);
            }
        }
        assert!(memo.bytes() >= 5_000 * 40);
        let mut memo = memo.renew(1, 2, Some(&[]));
        assert_eq!(memo.len(), 0);
        assert!(memo.add(1, 1, &[1, 0]).0, "a renewed one knows nothing");
    }
}
