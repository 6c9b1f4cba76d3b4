//! `lin-kv`: one state, and each request is done to it when it comes.

use super::request::{Draw, Request, Store};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Linear {
    values: BTreeMap<String, Value>,
}

impl Store for Linear {
    fn perform(&mut self, _: &str, request: &Request, _: Draw<'_>) -> Value {
        let effect = request.effect(self.values.get(request.key()));
        if let Some(value) = effect.put {
            self.values.insert(request.key().to_owned(), value);
        }
        effect.answer
    }
}
