//! Calls that are left out, as far as those that are kept may depend on them.
//!
//! Of these the latest ends are enough: what is not shielded from the call that ended last is not
//! shielded from all.

use super::evidence::Item;
use crate::hash::Table;
use crate::partition::{Leave, Need, StateId};

/// The latest end of the calls that left a state, by state; `u64::MAX` is open.
pub(super) trait Ends {
    /// None if no call left it.
    fn of(&self, state: StateId) -> Option<u64>;

    /// Adds a call. Says the latest end with it.
    fn add(&mut self, state: StateId, end: u64) -> u64;
}

/// For few of very many states.
impl Ends for Table<StateId, u64> {
    fn of(&self, state: StateId) -> Option<u64> {
        self.get(&state).copied()
    }

    fn add(&mut self, state: StateId, end: u64) -> u64 {
        let latest = self.entry(state).or_insert(end);
        *latest = end.max(*latest);
        *latest
    }
}

/// For states that are numbered closely.
impl Ends for Vec<Option<u64>> {
    fn of(&self, state: StateId) -> Option<u64> {
        self[state as usize]
    }

    fn add(&mut self, state: StateId, end: u64) -> u64 {
        let latest = self[state as usize].map_or(end, |latest| latest.max(end));
        self[state as usize] = Some(latest);
        latest
    }
}

/// The ends of those that ended last.
#[derive(Debug, Default)]
pub(super) struct LeftOut<E> {
    by_state: E,
    /// The two states of the latest ends.
    latest: [Option<(u64, StateId)>; 2],
    /// Of those of which it is not clear what they left.
    unclear: Option<u64>,
}

impl LeftOut<Vec<Option<u64>>> {
    /// Becomes nothing, of so many states, in the room it has.
    pub(super) fn empty(&mut self, states: usize) {
        self.by_state.clear();
        self.by_state.resize(states, None);
        (self.latest, self.unclear) = ([None; 2], None);
    }

    /// Becomes another, in the room it has.
    pub(super) fn copy(&mut self, other: &Self) {
        self.by_state.clear();
        self.by_state.extend_from_slice(&other.by_state);
        (self.latest, self.unclear) = (other.latest, other.unclear);
    }
}

impl<E: Ends> LeftOut<E> {
    pub(super) fn add(&mut self, item: &Item) {
        let end = item.end.unwrap_or(u64::MAX);
        match item.leave {
            Leave::Unchanged => {}
            Leave::Unclear => self.unclear = self.unclear.max(Some(end)),
            Leave::Always(state) => {
                let new = Some((self.by_state.add(state, end), state));
                let [first, second] = self.latest;
                self.latest = match (first, second) {
                    (Some((_, known)), _) if known == state => [new, second],
                    _ if new > first => [new, first],
                    (_, Some((_, known))) if known == state => [first, new],
                    _ => [first, second.max(new)],
                };
            }
        }
    }

    /// The latest end of those on which a call depends.
    pub(super) fn latest_for(&self, item: &Item) -> Option<u64> {
        let [first, second] = self.latest.map(|latest| latest.map(|(end, _)| end));
        let by_state = match (item.need, item.leave) {
            (Need::Unclear, _) | (_, Leave::Unclear) => first,
            (Need::Nothing, _) => return None,
            (Need::Exactly(state), _) => self.by_state.of(state),
            (Need::AnythingBut(state), _) => match self.latest[0] {
                Some((_, left)) if left == state => second,
                _ => first,
            },
        };
        by_state.max(self.unclear)
    }
}
