//! A whole history: events checked against each other and paired into operations.
//!
//! Only operations are kept: they are what the rest of the project works with, and they know enough
//! to be written again as the events they were recorded as. What does not fit together is refused by
//! the `pairing` module.

use crate::pairing::{Line, Pairing};
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
    /// Every event of the nemesis, in order.
    pub nemesis: Vec<Event>,
    /// Whether a read that was answered null observed nothing: in histories from elsewhere whose
    /// keys never hold null, null says that the answer is not known.
    pub null_reads_are_unknown: bool,
    /// What was odd and does not change what the history proves, in sentences.
    pub warnings: Vec<String>,
    /// Whether a last line that is whole, but lacks its newline, was left out. What it says was not
    /// judged, so such a history must not pass.
    pub left_out: bool,
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
        for (position, mut event) in (0_u64..).zip(events) {
            pairing.push(position, Line::of(&mut event)).map_err(|problem| {
                HistoryError::Contradiction { line: None, position: position + 1, problem }
            })?;
        }
        Ok(Self::paired(header, order, pairing))
    }

    pub(crate) fn paired(header: Header, order: Order, pairing: Pairing) -> Self {
        let (operations, nemesis) = pairing.finish();
        Self {
            header,
            order,
            operations,
            nemesis,
            null_reads_are_unknown: false,
            warnings: Vec::new(),
            left_out: false,
        }
    }

    /// Every event, in order, as recorded. They are made anew on each call.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        in_order(&mut self.operations.iter(), self.nemesis.clone())
    }

    /// The events of the operations with these invocation indexes, in order, as recorded.
    #[must_use]
    pub fn select(&self, invocations: &BTreeSet<u64>) -> Vec<Event> {
        let mut wanted =
            self.operations.iter().filter(|operation| invocations.contains(&operation.index));
        in_order(&mut wanted, Vec::new())
    }
}

fn in_order(
    operations: &mut dyn Iterator<Item = &Operation>,
    mut events: Vec<Event>,
) -> Vec<Event> {
    for operation in operations {
        events.push(operation.invocation());
        events.extend(operation.completion());
    }
    events.sort_by_key(|event| event.index);
    events
}
