//! `lww-kv`: two replicas, each request done to one of them, and the last write wins, by clocks that count writes.
//!
//! Before each request one replica, drawn, may tell another one, drawn, all that it knows; then one that is drawn does the
//! request alone. Of two values the one with the higher clock stays, of equal ones that of the replica that tells. So
//! an acknowledged write can be gone, and a compare-and-set proves nothing. As in Maelstrom it takes no notice of
//! `create_if_not_exists`.

use super::request::{Draw, Kept, Request, Store, entry, full};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Two, as Maelstrom's code has it (its text says five).
const REPLICAS: u64 = 2;

#[derive(Debug, Default)]
pub(super) struct Eventual {
    replicas: [Replica; REPLICAS as usize],
    /// Keys that may differ between them: of all others there is nothing to tell.
    differ: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Replica {
    clock: u64,
    values: BTreeMap<String, (u64, Value)>,
}

impl Eventual {
    fn tell(&mut self, from: usize, to: usize, kept: &mut Kept) {
        if from == to {
            return;
        }
        for key in std::mem::take(&mut self.differ) {
            let told = self.replicas[from].values.get(&key).cloned();
            let known = &mut self.replicas[to].values;
            match told {
                Some((time, value)) if known.get(&key).is_none_or(|(own, _)| *own <= time) => {
                    let old = known.get(&key).map_or(0, |(_, old)| entry(&key, old));
                    kept.force(old, entry(&key, &value));
                    known.insert(key, (time, value));
                }
                // What the other one has is newer, and this one does not know it yet.
                _ => {
                    self.differ.insert(key);
                }
            }
        }
        self.replicas[to].clock = self.replicas[to].clock.max(self.replicas[from].clock);
    }
}

impl Store for Eventual {
    fn perform(&mut self, _: &str, request: &Request, draw: Draw<'_>, kept: &mut Kept) -> Value {
        let mut draw = || usize::try_from(draw(REPLICAS)).unwrap_or(0);
        let (from, to) = (draw(), draw());
        self.tell(from, to, kept);
        let replica = &mut self.replicas[draw()];
        let held = replica.values.get(request.key()).map(|(_, value)| value);
        let effect = match request {
            Request::Cas { key, from, to, .. } => {
                let (key, from, to) = (key.clone(), from.clone(), to.clone());
                Request::Cas { key, from, to, create: false }.effect(held)
            }
            other => other.effect(held),
        };
        if let Some(value) = effect.put {
            let old = held.map_or(0, |held| entry(request.key(), held));
            if !kept.replace(old, entry(request.key(), &value)) {
                return full();
            }
            replica.values.insert(request.key().to_owned(), (replica.clock, value));
            replica.clock += 1;
            self.differ.insert(request.key().to_owned());
        }
        effect.answer
    }
}
