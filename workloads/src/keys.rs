//! Which keys are in use, and which have been used up.
//!
//! A check's cost grows with the operations on one key, and steeply with those of unknown outcome, so a key retires
//! after a number of either and a fresh one takes its place. Retired keys are remembered in order of first use: the
//! final phase reads them all, so a write lost on any of them is still seen.

use crate::Settings;
use crate::draw::Draw;
use std::collections::HashMap;

/// How many times likelier the first place is to be drawn than each other: half of the operations meet on one key
/// of five, so that calls overlap there, while the other keys live long enough to span several faults.
const FOCUS: u64 = 4;

/// The active keys, each in its place, and all that went before them.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    retire_operations: u64,
    retire_unknown: u64,
    active: Vec<Active>,
    place_of: HashMap<String, usize>,
    used: Vec<String>,
}

#[derive(Clone, Debug)]
struct Active {
    key: String,
    operations: u64,
    unknown: u64,
}

impl Keys {
    /// `settings.keys` fresh keys (at least one).
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut keys = Self {
            retire_operations: settings.retire_operations.max(1),
            retire_unknown: settings.retire_unknown.max(1),
            active: Vec::new(),
            place_of: HashMap::new(),
            used: Vec::new(),
        };
        for place in 0..settings.keys.max(1) {
            let fresh = keys.fresh(place);
            keys.active.push(fresh);
        }
        keys
    }

    /// The key of a drawn place.
    pub(crate) fn draw(&self, draw: &mut Draw) -> String {
        let weights = (0..self.active.len()).map(|place| if place == 0 { FOCUS } else { 1 });
        self.active[draw.weighted(weights)].key.clone()
    }

    /// Whether `key` is still to be used.
    pub(crate) fn is_active(&self, key: &str) -> bool {
        self.place_of.contains_key(key)
    }

    /// Counts an operation about to be invoked on `key`, and retires the key if it was its last.
    pub(crate) fn count_operation(&mut self, key: &str) {
        self.count(key, |active| &mut active.operations, self.retire_operations);
    }

    /// Counts an unknown outcome on `key`, and retires the key if it was its last.
    pub(crate) fn count_unknown(&mut self, key: &str) {
        self.count(key, |active| &mut active.unknown, self.retire_unknown);
    }

    /// Every key ever used, in order of first use.
    pub(crate) fn used(&self) -> &[String] {
        &self.used
    }

    fn count(&mut self, key: &str, counter: fn(&mut Active) -> &mut u64, limit: u64) {
        let Some(&place) = self.place_of.get(key) else { return };
        let count = counter(&mut self.active[place]);
        *count += 1;
        if *count >= limit {
            self.place_of.remove(key);
            self.active[place] = self.fresh(place);
        }
    }

    fn fresh(&mut self, place: usize) -> Active {
        let key = format!("k{}", self.used.len() + 1);
        self.used.push(key.clone());
        self.place_of.insert(key.clone(), place);
        Active { key, operations: 0, unknown: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(&Settings { seed: 1, keys: 2, retire_operations: 3, retire_unknown: 2 })
    }

    #[test]
    fn a_key_retires_after_its_operations() {
        let mut keys = keys();
        assert_eq!(keys.used(), ["k1", "k2"]);
        keys.count_operation("k1");
        keys.count_operation("k1");
        assert!(keys.is_active("k1"));
        keys.count_operation("k1");
        assert!(!keys.is_active("k1"));
        assert_eq!(keys.used(), ["k1", "k2", "k3"]);
    }

    #[test]
    fn a_key_retires_after_its_unknown_outcomes_and_stays_retired() {
        let mut keys = keys();
        keys.count_unknown("k2");
        keys.count_unknown("k2");
        keys.count_unknown("k2");
        assert!(!keys.is_active("k2"));
        assert_eq!(keys.used(), ["k1", "k2", "k3"]);
    }

    #[test]
    fn the_first_place_is_where_clients_meet() {
        let keys =
            Keys::new(&Settings { seed: 1, keys: 5, retire_operations: 9, retire_unknown: 9 });
        let mut draw = Draw::new(1, 1);
        let first = (0..8_000).filter(|_| keys.draw(&mut draw) == "k1").count();
        assert!((3_800..4_200).contains(&first), "{first}");
    }
}
