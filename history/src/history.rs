//! A whole history: events checked against each other and paired into operations.
//!
//! The events stay as they were recorded, so that a part of them can be written again unchanged;
//! the operations are what the rest of the project works with. What does not fit together is
//! refused by the `pairing` module.

use crate::pairing::Pairing;
use crate::{Event, Header, HistoryError, Operation, Outcome};
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
    /// Every event of the nemesis, in order.
    pub nemesis: Vec<Event>,
    /// What was odd and does not change what the history proves, in sentences.
    pub warnings: Vec<String>,
    /// Whether a last line that is whole, but lacks its newline, was left out. What it says was not
    /// judged, so such a history must not pass.
    pub left_out: bool,
    events: Vec<Event>,
}

impl History {
    /// Checks events against each other and pairs them into operations.
    ///
    /// # Errors
    /// [`HistoryError::Contradiction`] names the first event that cannot follow those before it.
    pub fn from_events(
        header: Header,
        events: Vec<Event>,
        order: Order,
    ) -> Result<Self, HistoryError> {
        let mut pairing = Pairing::new(order);
        for (position, event) in (0_u64..).zip(&events) {
            pairing.push(position, event).map_err(|problem| HistoryError::Contradiction {
                line: None,
                position: position + 1,
                problem,
            })?;
        }
        let (operations, nemesis) = pairing.finish();
        Ok(Self {
            header,
            order,
            operations,
            nemesis,
            warnings: Vec::new(),
            left_out: false,
            events,
        })
    }

    /// Every event, in order, as recorded.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events of the operations with these invocation indexes, in order, as recorded.
    #[must_use]
    pub fn select(&self, invocations: &BTreeSet<u64>) -> Vec<Event> {
        let wanted: BTreeSet<u64> = self
            .operations
            .iter()
            .filter(|operation| invocations.contains(&operation.index))
            .flat_map(|operation| [Some(operation.index), completion_index(&operation.outcome)])
            .flatten()
            .collect();
        self.events.iter().filter(|event| wanted.contains(&event.index)).cloned().collect()
    }
}

fn completion_index(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Ok { index, .. } | Outcome::Fail { index, .. } => Some(*index),
        Outcome::Info { index, .. } => *index,
    }
}
