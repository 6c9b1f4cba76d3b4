//! The neighbours that a node is told in a workload that has such: once in its life, before what clients ask.
//!
//! Maelstrom's clients tell each node once, all of them before any work; a node may begin something new each time that it is
//! told. A bridge does not know which workload it is for, so a client says [`WORD`] on a connection before it asks
//! anything, and is answered once the node has been told and has agreed. With the first such word the bridges tell each
//! other, and on each link the word goes before whatever the node says after it: so no node hears what another one makes of
//! an operation before it was told. Only a node that was killed and has begun again may, until a client comes.

use serde_json::Value;
use std::collections::BTreeSet;

/// What a client and a bridge say; no message of a node looks like it.
pub(in super::super) const WORD: &str = "topology";
/// The number of the message to the node; that of `init` is 1.
pub(super) const NUMBER: u64 = 2;

/// How far it is with one node.
#[derive(Debug, Default)]
pub(super) struct Topology {
    begun: bool,
    wanted: bool,
    told: bool,
    /// What clients are answered: nothing is yes, else why not.
    answer: Option<String>,
    /// The clients that wait for it, by number.
    waiting: BTreeSet<u64>,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// The other bridges are to be told.
    pub(super) spread: bool,
    /// The node is to be told.
    pub(super) tell: bool,
}

impl Topology {
    /// The node has begun.
    pub(super) fn begin(&mut self) -> Next {
        self.begun = true;
        self.next(false)
    }

    /// Somebody said the word.
    pub(super) fn want(&mut self) -> Next {
        let spread = !std::mem::replace(&mut self.wanted, true);
        self.next(spread)
    }

    fn next(&mut self, spread: bool) -> Next {
        let tell = self.begun && self.wanted && !self.told;
        self.told |= tell;
        Next { spread, tell }
    }

    /// What a client is answered; it waits if that is not known yet.
    pub(super) fn ask(&mut self, client: u64) -> Option<String> {
        if self.answer.is_none() {
            self.waiting.insert(client);
        }
        self.answer.clone()
    }

    /// A client has gone.
    pub(super) fn dismiss(&mut self, client: u64) {
        self.waiting.remove(&client);
    }

    /// The node answers something: who waits for that, and what they are answered; none if it is no answer to this.
    pub(super) fn answered(&mut self, body: &Value) -> Option<(BTreeSet<u64>, String)> {
        if !self.told || body["in_reply_to"].as_u64() != Some(NUMBER) {
            return None;
        }
        let answer = match body["type"].as_str() {
            Some("topology_ok") => String::new(),
            _ => format!("no answer to `topology`: {body}"),
        };
        self.answer = Some(answer.clone());
        Some((std::mem::take(&mut self.waiting), answer))
    }
}
