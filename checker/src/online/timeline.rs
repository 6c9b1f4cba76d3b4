//! What happened on one key and is not digested yet, in the order that decides.
//!
//! Notices come in the order of their times, and equal times are concurrent: at each time every
//! invocation comes before every return. So the returns of the latest time wait apart (`late`)
//! until something later happens, and an invocation of that time still gets in front of them.
//!
//! [`Timeline::pop`] stops at the first invocation of a call that is still open: the *watermark*.
//! Everything before it has an answer (perhaps from after the watermark) or is of unknown outcome
//! for good. A call that never happened is skipped when its turn comes.
//!
//! A call is kept from its invocation to its return, or until it is handed out as one of unknown
//! outcome; then its place is used again.

use crate::SequentialSpec;
use std::collections::VecDeque;

/// A call, by its place in the table.
pub(super) type CallId = u32;

/// What is known of how a call ended.
pub(super) enum Outcome<R> {
    Open,
    Answered(R),
    Unknown,
    /// It did not happen.
    Failed,
}

/// A call that is not digested yet.
pub(super) struct Waiting<S: SequentialSpec> {
    pub(super) index: u64,
    pub(super) op: S::Op,
    pub(super) outcome: Outcome<S::Ret>,
    /// The call of the same process that ended at the very time at which this one started.
    pub(super) previous: Option<CallId>,
}

/// What is at a place of the table.
enum Place<S: SequentialSpec> {
    Free,
    Waiting(Waiting<S>),
    /// It was handed out and has this bit until its return comes.
    Seated(u32),
}

#[derive(Clone, Copy)]
enum Event {
    Invoke(CallId),
    Return(CallId),
}

/// What happens next.
pub(super) enum Moment<S: SequentialSpec> {
    /// A call started; if it has an answer, [`Timeline::seat`] says which bit it got.
    Invoke(CallId, Waiting<S>),
    /// The call with this bit returned.
    Return(u32),
}

pub(super) struct Timeline<S: SequentialSpec> {
    events: VecDeque<Event>,
    /// Processes and calls that returned at `late_time`.
    late: Vec<(u64, CallId)>,
    late_time: u64,
    places: Vec<Place<S>>,
    free: Vec<CallId>,
}

impl<S: SequentialSpec> Timeline<S> {
    pub(super) fn new() -> Self {
        Self {
            events: VecDeque::new(),
            late: Vec::new(),
            late_time: 0,
            places: Vec::new(),
            free: Vec::new(),
        }
    }

    /// A call starts.
    pub(super) fn invoke(&mut self, index: u64, process: u64, time: u64, op: S::Op) -> CallId {
        self.catch_up(time);
        let mut latest = self.late.iter().rev();
        let previous = latest.find(|(returned, _)| *returned == process).map(|(_, call)| *call);
        let id = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::Free);
            self.places.len() as CallId - 1
        });
        self.places[id as usize] =
            Place::Waiting(Waiting { index, op, outcome: Outcome::Open, previous });
        self.events.push_back(Event::Invoke(id));
        id
    }

    /// An open call ends with an answer.
    pub(super) fn answer(&mut self, id: CallId, process: u64, time: u64, ret: S::Ret) {
        self.catch_up(time);
        self.late_time = time;
        self.late.push((process, id));
        self.end(id, Outcome::Answered(ret));
    }

    /// An open call ends.
    pub(super) fn end(&mut self, id: CallId, with: Outcome<S::Ret>) {
        if let Place::Waiting(call) = &mut self.places[id as usize] {
            call.outcome = with;
        }
    }

    /// Nothing will ever happen any more: what is open has an unknown outcome.
    pub(super) fn close(&mut self) {
        for place in &mut self.places {
            if let Place::Waiting(call @ Waiting { outcome: Outcome::Open, .. }) = place {
                call.outcome = Outcome::Unknown;
            }
        }
        self.events.extend(self.late.drain(..).map(|(_, id)| Event::Return(id)));
    }

    /// Nothing that comes will be earlier than this.
    pub(super) fn catch_up(&mut self, time: u64) {
        if time > self.late_time {
            self.events.extend(self.late.drain(..).map(|(_, id)| Event::Return(id)));
        }
    }

    /// The next moment before the watermark.
    pub(super) fn pop(&mut self) -> Option<Moment<S>> {
        while let Some(event) = self.events.front().copied() {
            let id = match event {
                Event::Invoke(id) | Event::Return(id) => id as usize,
            };
            match (event, &self.places[id]) {
                (Event::Return(_), &Place::Seated(bit)) => {
                    self.events.pop_front();
                    self.vacate(id);
                    return Some(Moment::Return(bit));
                }
                (Event::Invoke(_), Place::Waiting(Waiting { outcome: Outcome::Open, .. })) => {
                    return None;
                }
                _ => {}
            }
            self.events.pop_front();
            if let Place::Waiting(call) = self.vacate(id)
                && !matches!(call.outcome, Outcome::Failed)
            {
                return Some(Moment::Invoke(id as CallId, call));
            }
        }
        None
    }

    fn vacate(&mut self, id: usize) -> Place<S> {
        self.free.push(id as CallId);
        std::mem::replace(&mut self.places[id], Place::Free)
    }

    /// The answered call that was just handed out keeps its place, and has this bit from now on.
    pub(super) fn seat(&mut self, id: CallId, bit: u32) {
        let last = self.free.pop();
        debug_assert_eq!(last, Some(id), "it is the place that was vacated last");
        self.places[id as usize] = Place::Seated(bit);
    }

    /// The bit of a call whose return has not come yet.
    pub(super) fn bit(&self, id: CallId) -> Option<u32> {
        match self.places[id as usize] {
            Place::Seated(bit) => Some(bit),
            Place::Free | Place::Waiting(_) => None,
        }
    }

    /// Bytes it takes, but for what operations hold elsewhere.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = self.events.capacity() * size_of::<Event>()
            + self.late.capacity() * size_of::<(u64, CallId)>()
            + self.places.capacity() * size_of::<Place<S>>()
            + self.free.capacity() * size_of::<CallId>();
        bytes as u64
    }
}
