//! `lin-kv`: one state, and each request is done to it when it comes.

use super::request::{Draw, Kept, Request, Store, entry, full};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Linear {
    values: BTreeMap<String, Value>,
}

impl Store for Linear {
    fn perform(&mut self, _: &str, request: &Request, _: Draw<'_>, kept: &mut Kept) -> Value {
        let held = self.values.get(request.key());
        let effect = request.effect(held);
        if let Some(value) = effect.put {
            let old = held.map_or(0, |held| entry(request.key(), held));
            if !kept.replace(old, entry(request.key(), &value)) {
                return full();
            }
            self.values.insert(request.key().to_owned(), value);
        }
        effect.answer
    }
}
