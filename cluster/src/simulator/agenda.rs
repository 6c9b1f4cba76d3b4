//! What is going to happen, in order of time; what is due at once, in the order in which it was put down.

use super::Time;
use super::clients::{Reply, Request};
use super::disk::File;
use super::snapshots::Shipment;
use crate::raft::{Index, Message, NodeId, Timer};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Something that happens at a time.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A message reaches a node.
    Deliver(Message),
    /// A timer may be due.
    Tick { node: NodeId, timer: Timer },
    /// A snapshot that a node takes is in its file, if its node still is in this life.
    Written { node: NodeId, life: u64, file: Box<File> },
    /// A snapshot is whole at its receiver.
    Arrive(Box<Shipment>),
    /// The sending of a snapshot has ended, if its sender still is in this life.
    Shipped { node: NodeId, life: u64, to: NodeId, index: Index, arrived: bool },
    /// A sync of a disk ends, if its node still is in this life.
    Synced { node: NodeId, life: u64 },
    /// A node starts, if it is down and not broken.
    Start(NodeId),
    /// A paused node goes on.
    Resume { node: NodeId, pause: u64 },
    /// The action with this number.
    Act(usize),
    /// A request of a client reaches a node.
    Ask { node: NodeId, request: Request },
    /// An answer reaches a client.
    Answer { client: usize, attempt: u64, reply: Reply },
    /// A client has waited long enough for an attempt.
    Patience { client: usize, attempt: u64 },
    /// A client begins its next operation, or the next attempt of one.
    Go { client: usize, attempt: u64 },
}

#[derive(Clone, Debug)]
struct Entry {
    time: Time,
    sequence: u64,
    happening: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The heap gives the greatest first, so the earliest is the greatest.
impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        (other.time, other.sequence).cmp(&(self.time, self.sequence))
    }
}

/// Everything that is going to happen.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Entry>,
    sequence: u64,
}

impl Agenda {
    pub(super) fn add(&mut self, time: Time, happening: Happening) {
        self.sequence += 1;
        self.heap.push(Entry { time, sequence: self.sequence, happening });
    }

    /// The next thing, if it is due by `end`, with its time and its number.
    pub(super) fn next(&mut self, end: Time) -> Option<(Time, u64, Happening)> {
        if self.heap.peek()?.time > end {
            return None;
        }
        let Entry { time, sequence, happening } = self.heap.pop()?;
        Some((time, sequence, happening))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_equals_in_their_order() {
        let mut agenda = Agenda::default();
        for (time, node) in [(5, 1), (3, 2), (5, 3), (9, 4)] {
            agenda.add(time, Happening::Start(node));
        }
        let mut order = Vec::new();
        while let Some((time, _, Happening::Start(node))) = agenda.next(5) {
            order.push((time, node));
        }
        assert_eq!(order, [(3, 2), (5, 1), (5, 3)]);
    }
}
