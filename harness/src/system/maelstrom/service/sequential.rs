//! `seq-kv`: all requests have one order, in which each node's are in its own, and that is all.
//!
//! A node may meet any of the last [`KEPT`] states that is not older than one it has met, and one is drawn for each request.
//! If the request changes nothing there (a read, a compare-and-set that does not compare equal, the same value once more) it
//! has happened there, in the past. Else it is done to the newest state, and its node has met that. So who wants to know
//! what is newest has to change something; a read alone may be stale for ever.

use super::request::{Draw, Kept, Request, Store, entry, full};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// How many states may be met, with the newest.
const KEPT: u64 = 32;

/// States are numbered, beginning with the empty one; of each key the changes are kept.
#[derive(Debug, Default)]
pub(super) struct Sequential {
    newest: u64,
    /// The state from which on a key has a value, ascending.
    values: BTreeMap<String, VecDeque<(u64, Value)>>,
    /// The newest state that each node has met.
    met: BTreeMap<String, u64>,
}

impl Sequential {
    fn oldest(&self) -> u64 {
        self.newest.saturating_sub(KEPT - 1)
    }

    fn at(&self, state: u64, key: &str) -> Option<&Value> {
        let changes = self.values.get(key)?;
        changes.iter().rev().find(|(since, _)| *since <= state).map(|(_, value)| value)
    }

    /// False, and nothing put, if there is no room.
    fn put(&mut self, key: &str, value: Value, kept: &mut Kept) -> bool {
        if !kept.replace(0, entry(key, &value)) {
            return false;
        }
        self.newest += 1;
        let oldest = self.oldest();
        let changes = self.values.entry(key.to_owned()).or_default();
        changes.push_back((self.newest, value));
        // Nobody can meet a state before the oldest any more.
        while changes.get(1).is_some_and(|(since, _)| *since <= oldest) {
            let over = changes.pop_front();
            kept.force(over.map_or(0, |(_, value)| entry(key, &value)), 0);
        }
        true
    }
}

impl Store for Sequential {
    fn perform(&mut self, node: &str, request: &Request, draw: Draw<'_>, kept: &mut Kept) -> Value {
        if !self.met.contains_key(node) {
            if !kept.replace(0, entry(node, &Value::Null)) {
                return full();
            }
            self.met.insert(node.to_owned(), 0);
        }
        let from = self.met.get(node).copied().unwrap_or(0).max(self.oldest());
        let state = from + draw(self.newest - from + 1);
        let held = self.at(state, request.key());
        let effect = request.effect(held);
        let changes = effect.put.as_ref().is_some_and(|value| held != Some(value));
        if !changes {
            self.met.insert(node.to_owned(), state);
            return effect.answer;
        }
        let held = self.at(self.newest, request.key());
        let effect = request.effect(held);
        if let Some(value) = effect.put.filter(|value| held != Some(value))
            && !self.put(request.key(), value, kept)
        {
            return full();
        }
        self.met.insert(node.to_owned(), self.newest);
        effect.answer
    }
}
