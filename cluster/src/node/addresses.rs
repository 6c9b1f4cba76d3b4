//! Where the other nodes can be reached.
//!
//! Three sources, in this order: what this node was started with, because that may be a proxy on purpose;
//! what the configuration in the log says; and what a node said of itself when it dialled this one. The last
//! is needed by a node that lags: it must answer a leader that its own configuration does not know yet, or it
//! would never learn of it. Nothing here says who is a member.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::raft::{Configuration, NodeId};

/// Nodes whose own word is remembered; more would only be noise, or somebody's mistake.
const HEARD_MAX: usize = 64;

/// The address book of a node, shared by all who dial.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    given: BTreeMap<NodeId, SocketAddr>,
    configured: BTreeMap<NodeId, SocketAddr>,
    heard: BTreeMap<NodeId, SocketAddr>,
}

impl Book {
    /// A book with what the node was started with.
    pub(super) fn new(given: BTreeMap<NodeId, SocketAddr>) -> Book {
        let inner = Inner { given, ..Inner::default() };
        Book { inner: Arc::new(Mutex::new(inner)) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to dial a node, if that is known.
    pub(super) fn of(&self, id: NodeId) -> Option<SocketAddr> {
        let inner = self.inner();
        [&inner.given, &inner.configured, &inner.heard]
            .into_iter()
            .find_map(|m| m.get(&id).copied())
    }

    /// Another configuration is in force.
    pub(super) fn follow(&self, configuration: &Configuration) {
        let parsed = configuration.addresses.iter();
        let parsed = parsed.filter_map(|(id, address)| Some((*id, address.parse().ok()?)));
        self.inner().configured = parsed.collect();
    }

    /// A node that dialled this one says where it listens.
    pub(super) fn heard(&self, id: NodeId, address: SocketAddr) {
        let heard = &mut self.inner().heard;
        if heard.len() < HEARD_MAX || heard.contains_key(&id) {
            heard.insert(id, address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn what_was_given_wins_over_the_log_and_the_log_over_hearsay() {
        let book = Book::new([(1, at(1))].into());
        [1, 2, 3].iter().for_each(|id| book.heard(*id, at(30)));
        let mut configuration = Configuration::of([1, 2]);
        configuration.addresses =
            [(1, at(20).to_string().into()), (2, at(20).to_string().into())].into();
        book.follow(&configuration);
        assert_eq!(
            [1, 2, 3, 4].map(|id| book.of(id)),
            [Some(at(1)), Some(at(20)), Some(at(30)), None]
        );
        configuration.addresses = [(2, "nowhere".into())].into();
        book.follow(&configuration);
        assert_eq!(book.of(2), Some(at(30)));
        (10..200).for_each(|id| book.heard(id, at(40)));
        assert!(book.of(199).is_none() && book.of(10).is_some());
    }
}
