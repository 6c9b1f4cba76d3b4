//! Maelstrom's services: what its nodes may use beside each other, `lin-kv`, `seq-kv`, `lww-kv` and `lin-tso`.
//!
//! A node sends a request to one of these names as it would to another node, and gets an answer back. What they promise, and
//! what they do not, is Maelstrom's, read in its source (`src/maelstrom/service.clj`), and what they may do they do: `seq-kv`
//! shows states of the past and `lww-kv` loses writes, at random, since a node that needs more than it was promised is to be
//! found out. The draws are of the run's seed; the order of requests is not fixed by it.
//!
//! They are one thing for all nodes of a run, in the process of the harness ([`host`]), and gone with the run. No fault
//! reaches them: Maelstrom, too, cuts off nodes from nodes only. A request that a service does not have gets error 10, where
//! Maelstrom is silent. What all of them keep is bounded ([`MOST_BYTES`], and at most as much again that the
//! replicas of `lww-kv` tell each other); a request that would need more gets error 11.
//!
//! | module | what it is |
//! |---|---|
//! | [`request`] | what can be asked of a store |
//! | [`linear`] | `lin-kv` |
//! | [`sequential`] | `seq-kv` |
//! | [`eventual`] | `lww-kv` |
//! | [`host`] | where bridges reach them |

mod eventual;
pub(super) mod host;
mod linear;
mod request;
mod sequential;

use eventual::Eventual;
use linear::Linear;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use request::{Kept, Request, Store};
use sequential::Sequential;
use serde_json::{Value, json};

/// Their names.
pub(super) const NAMES: [&str; 4] = ["lin-kv", "seq-kv", "lww-kv", "lin-tso"];
/// How much all of them keep together, about, in bytes; what was replaced no longer counts.
const MOST_BYTES: usize = 256 << 20;

/// The services of one run.
#[derive(Debug)]
pub(super) struct Services {
    linear: Linear,
    sequential: Sequential,
    eventual: Eventual,
    /// What the next one who asks for a timestamp gets.
    timestamp: u64,
    rng: ChaCha8Rng,
    kept: Kept,
}

impl Services {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            linear: Linear::default(),
            sequential: Sequential::default(),
            eventual: Eventual::default(),
            timestamp: 0,
            rng: ChaCha8Rng::seed_from_u64(seed),
            kept: Kept::default(),
        }
    }

    /// Performs what a line asks; its answer as a line, none for a line that is no request to a service.
    pub(super) fn answer(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        let message: Value = serde_json::from_slice(line).ok()?;
        let (node, service) = (message["src"].as_str()?, message["dest"].as_str()?);
        let body = &message["body"];
        let mut answer = self.perform(node, service, body)?;
        // As it was asked, also by one who wants no answer and so gave no number.
        answer["in_reply_to"] = body["msg_id"].clone();
        Some(json!({"src": service, "dest": node, "body": answer}).to_string().into_bytes())
    }

    fn perform(&mut self, node: &str, service: &str, body: &Value) -> Option<Value> {
        let kind = body["type"].as_str().unwrap_or_default();
        let unknown = || error(10, &format!("{service} does not know {kind}"));
        if service == "lin-tso" {
            return Some(if kind == "ts" { self.next_timestamp() } else { unknown() });
        }
        let mut draw = |bound: u64| below(&mut self.rng, bound);
        let store: &mut dyn Store = match service {
            "lin-kv" => &mut self.linear,
            "seq-kv" => &mut self.sequential,
            "lww-kv" => &mut self.eventual,
            _ => return None,
        };
        let Some(request) = Request::of(kind, body) else { return Some(unknown()) };
        Some(store.perform(node, &request, &mut draw, &mut self.kept))
    }

    fn next_timestamp(&mut self) -> Value {
        self.timestamp += 1;
        json!({"type": "ts_ok", "ts": self.timestamp - 1})
    }
}

fn error(code: u64, text: &str) -> Value {
    json!({"type": "error", "code": code, "text": text})
}

/// A number below `bound`, which is small: the bias of a remainder of 64 bits is too small to be seen.
fn below(rng: &mut ChaCha8Rng, bound: u64) -> u64 {
    rng.next_u64() % bound.max(1)
}

#[cfg(test)]
mod tests;
