//! The one clock and the one writer of a run.
//!
//! A verdict about "before" and "after" is only as good as the stamps it rests on. Three rules hold here, and nowhere
//! else does anything read a clock for the history:
//!
//! - **One clock.** Every stamp is the time since the start of the run on this process's `CLOCK_MONOTONIC`. Stamps are
//!   strictly increasing (a tie is moved by 1 ns), so the order of lines and the order of times are the same order.
//! - **An invocation is on file before it is on the wire.** [`Recorder::invoke`] stamps, hands the line to the kernel
//!   with one `write(2)`, and only then returns. A harness killed at any moment therefore leaves a history in which
//!   every value that anybody read was written by an operation that is also there.
//! - **A completion is stamped after its bytes were read.** [`Recorder::complete`] is called with the answer in hand.
//!
//! So a recorded interval always contains the real one: it may be too wide, never too narrow, and a correct system is
//! never accused because of the recorder.
//!
//! The recorder refuses what the format forbids (a second open call of one process, a call of a retired process) as a
//! harness error: such a history would be worthless evidence. It keeps the events in memory too where somebody wants to
//! judge what was recorded so far ([`Recorder::keep_events`]), and otherwise only counts them: a run may go on for a
//! day. It does not judge, and it never waits for a disk: lines go to the page
//! cache, which survives the death of this process, though not of the machine.

mod journal;
mod lines;
mod revisions;
mod tally;

pub use journal::Journal;
pub use lines::Lines;
pub use revisions::Revisions;
pub use tally::{Beat, Count, Counts, Tally};

use history::{Event, Header, Kind, Nanos, NodeId, Process, Writer};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use workloads::{Completion, Invocation};

/// Why an event could not be recorded. Each of these ends the run with `error`: nothing was judged.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The operating system refused the line, for example because the disk is full.
    #[error("the history could not be written: {0}")]
    Write(String),
    /// A caller broke the rules of a sequential process; a bug of the harness.
    #[error("process {process} {broke}")]
    Protocol {
        /// The process.
        process: Process,
        /// Which rule, as the end of a sentence.
        broke: &'static str,
    },
}

/// The clock and the history of one run; shared by workers, nemesis and the final phases.
pub struct Recorder {
    origin: Instant,
    state: Mutex<State>,
}

struct State {
    writer: Writer<File>,
    /// The last stamp given out, in nanoseconds; none before the first.
    last: Option<u64>,
    next_process: u64,
    open: BTreeSet<Process>,
    retired: BTreeSet<Process>,
    /// How many events there are.
    recorded: u64,
    /// Those since the start, where they are kept.
    events: Option<Vec<Event>>,
    keys: BTreeSet<String>,
    tally: Tally,
    /// Set by the first failed write: a history with a hole is not continued.
    broken: Option<String>,
}

/// An operation that was invoked and has not been completed. Dropped uncompleted it stays open in the history, which
/// means unknown.
#[derive(Debug)]
#[must_use = "an operation that is never completed stays unknown"]
pub struct Call {
    process: Process,
    f: &'static str,
    key: Option<String>,
    value: Value,
    invoked: Nanos,
}

/// What [`Recorder::complete`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// From the stamp of the invocation to the stamp of the completion.
    pub latency: Nanos,
    /// The outcome is unknown: the process is retired and its worker must go on under a fresh number.
    pub retired: bool,
}

impl Recorder {
    /// Starts the clock and writes the header line to `file`.
    ///
    /// # Errors
    /// When the operating system refuses the line.
    pub fn start(file: File, header: &Header) -> Result<Self, RecordError> {
        Self::start_at(Instant::now(), file, header)
    }

    /// As [`start`](Self::start), with time zero at an `origin` that has already passed: the start of the run.
    ///
    /// # Errors
    /// When the operating system refuses the line.
    pub fn start_at(origin: Instant, file: File, header: &Header) -> Result<Self, RecordError> {
        let writer = Writer::new(file, header).map_err(|e| RecordError::Write(e.to_string()))?;
        Ok(Self {
            origin,
            state: Mutex::new(State {
                writer,
                last: None,
                next_process: 0,
                open: BTreeSet::new(),
                retired: BTreeSet::new(),
                recorded: 0,
                events: None,
                keys: BTreeSet::new(),
                tally: Tally::default(),
                broken: None,
            }),
        })
    }

    /// From now on keeps events in memory for [`events_from`](Self::events_from); to be called before the first one.
    #[must_use]
    pub fn keep_events(self) -> Self {
        self.lock().events.get_or_insert_default();
        self
    }

    /// The time now. For waits and for lines of other files; events are stamped when they are recorded.
    #[must_use]
    pub fn now(&self) -> Nanos {
        Nanos(nanos_since(self.origin))
    }

    /// A process number that was never given out before.
    #[must_use]
    pub fn process(&self) -> Process {
        let mut state = self.lock();
        let number = state.next_process;
        state.next_process += 1;
        Process::Client(number)
    }

    /// Records that `process` starts `invocation`, meant for `node` where that is known. When this returns, the line
    /// is with the kernel and the request may be sent.
    ///
    /// # Errors
    /// When the line cannot be written, or `process` has an open call or is retired.
    pub fn invoke(
        &self,
        process: Process,
        invocation: &Invocation,
        node: Option<NodeId>,
    ) -> Result<Call, RecordError> {
        let mut state = self.lock();
        if state.retired.contains(&process) {
            return Err(RecordError::Protocol {
                process,
                broke: "was retired and may not call again",
            });
        }
        if !state.open.insert(process) {
            return Err(RecordError::Protocol { process, broke: "already has a call open" });
        }
        let invoked = state.record(
            self.origin,
            Event {
                index: 0,
                time: Nanos(0),
                process,
                kind: Kind::Invoke,
                f: invocation.f.to_owned(),
                key: invocation.key.clone(),
                value: invocation.value.clone(),
                node,
                error: None,
            },
        )?;
        Ok(Call {
            process,
            f: invocation.f,
            key: invocation.key.clone(),
            value: invocation.value.clone(),
            invoked,
        })
    }

    /// Records how `call` ended; called once the answer has been read, or given up on. `node` answered, or was asked
    /// last.
    ///
    /// # Errors
    /// When the line cannot be written.
    pub fn complete(
        &self,
        call: Call,
        completion: &Completion,
        node: Option<NodeId>,
    ) -> Result<Completed, RecordError> {
        let (kind, value, error) = match completion {
            Completion::Ok(value) => (Kind::Ok, value.clone(), None),
            Completion::Fail { error } => (Kind::Fail, call.value, Some(error.clone())),
            Completion::Info { error } => (Kind::Info, call.value, Some(error.clone())),
        };
        let mut state = self.lock();
        if !state.open.remove(&call.process) {
            let broke = "completed a call that is not open";
            return Err(RecordError::Protocol { process: call.process, broke });
        }
        let retired = kind == Kind::Info;
        if retired {
            state.retired.insert(call.process);
        }
        let time = state.record(
            self.origin,
            Event {
                index: 0,
                time: Nanos(0),
                process: call.process,
                kind,
                f: call.f.to_owned(),
                key: call.key,
                value,
                node,
                error,
            },
        )?;
        let latency = Nanos(time.0 - call.invoked.0);
        state.tally.completed(call.f, kind, latency);
        Ok(Completed { latency, retired })
    }

    /// Records one step of a fault, an info event of the nemesis, and returns its stamp.
    ///
    /// # Errors
    /// When the line cannot be written.
    pub fn nemesis(&self, f: &str, value: Value) -> Result<Nanos, RecordError> {
        self.lock().record(
            self.origin,
            Event {
                index: 0,
                time: Nanos(0),
                process: Process::Nemesis,
                kind: Kind::Info,
                f: f.to_owned(),
                key: None,
                value,
                node: None,
                error: None,
            },
        )
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.lock().recorded
    }

    /// Whether nothing was recorded yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The events from the `from`-th on, in order; none where they are not kept.
    #[must_use]
    pub fn events_from(&self, from: usize) -> Vec<Event> {
        self.lock()
            .events
            .as_ref()
            .and_then(|events| events.get(from..))
            .unwrap_or_default()
            .to_vec()
    }

    /// How many keys were named.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.lock().keys.len() as u64
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().tally.counts()
    }

    /// Rate and latency since the last call of this, for the live line.
    #[must_use]
    pub fn beat(&self) -> Beat {
        self.lock().tally.beat()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of another holder leaves at worst an event that was written and not remembered.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Stamps, writes and remembers one event.
    fn record(&mut self, origin: Instant, mut event: Event) -> Result<Nanos, RecordError> {
        if let Some(why) = &self.broken {
            return Err(RecordError::Write(why.clone()));
        }
        event.time = Nanos(stamp(nanos_since(origin), self.last));
        event.index = self.recorded;
        if let Err(error) = self.writer.append(&event) {
            self.broken = Some(error.to_string());
            return Err(RecordError::Write(error.to_string()));
        }
        let time = event.time;
        self.last = Some(time.0);
        self.recorded += 1;
        if let Some(key) = event.key.as_ref().filter(|key| !self.keys.contains(*key)) {
            self.keys.insert(key.clone());
        }
        if let Some(events) = &mut self.events {
            events.push(event);
        }
        Ok(time)
    }
}

/// The stamp of an event at `now`: later than the `last` one given out, by 1 ns if the clock did not move.
fn stamp(now: u64, last: Option<u64>) -> u64 {
    now.max(last.map_or(0, |last| last.saturating_add(1)))
}

/// Nanoseconds since `origin`; saturates after 584 years.
fn nanos_since(origin: Instant) -> u64 {
    u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
