//! A whole history: events checked against each other and paired into operations.

use crate::{Event, Header, HistoryError, Operation};
use std::collections::BTreeSet;

/// What decides which of two events came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Their times, as in histories recorded here by one clock: equal times are concurrent.
    Time,
    /// Their place in the sequence, as in histories from elsewhere, whose clocks prove nothing.
    Position,
}

/// A history that makes sense.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// The first line of its file.
    pub header: Header,
    /// What decides the order of its events, and so what `Operation::start` and `end` are.
    pub order: Order,
    /// Every client operation, in the order of their invocations.
    pub operations: Vec<Operation>,
    /// Every event of the nemesis.
    pub nemesis: Vec<Event>,
    /// What was odd and did not matter, in sentences.
    pub warnings: Vec<String>,
    events: Vec<Event>,
}

impl History {
    /// Pairs events into operations.
    ///
    /// # Errors
    /// [`HistoryError::Contradiction`] names the first event that cannot follow those before it.
    pub fn from_events(
        header: Header,
        events: Vec<Event>,
        order: Order,
    ) -> Result<Self, HistoryError> {
        let _ = (header, events, order);
        Err(HistoryError::Empty)
    }

    /// Every event, in order, as recorded.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events of the operations with these invocation indexes, in order, as recorded.
    #[must_use]
    pub fn select(&self, invocations: &BTreeSet<u64>) -> Vec<Event> {
        let _ = invocations;
        Vec::new()
    }
}
