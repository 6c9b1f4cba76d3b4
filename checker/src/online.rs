//! Is this history legal, said while it happens?
//!
//! [`linearizable`](crate::linearizable) takes a whole history and may look at any of it as often
//! as it likes. A [`Checker`] is told of each start and each end of a call as it comes, keeps what
//! may still matter and nothing else, and says *violation* as soon as a key has one. So it watches
//! a run that never ends, in memory that does not grow with it. Both say the same of every history.
//!
//! ```
//! use checker::online::{Checker, Notice};
//! use checker::specs::register::{Op, Register, Ret};
//! use checker::{Limits, Ruling};
//!
//! let mut checker = Checker::new(Register(None), Limits::default());
//! let notices = [
//!     Notice::Invoke { index: 0, process: 1, time: 10, op: Op::Write(3) },
//!     Notice::Invoke { index: 1, process: 2, time: 15, op: Op::Read },
//!     Notice::Return { process: 1, time: 20, ret: Ret::Done },
//!     Notice::Return { process: 2, time: 25, ret: Ret::Value(Some(3)) },
//!     Notice::Invoke { index: 4, process: 2, time: 30, op: Op::Read },
//!     Notice::Return { process: 2, time: 35, ret: Ret::Value(None) }, // lost again
//!     Notice::Invoke { index: 6, process: 1, time: 40, op: Op::Read },
//! ];
//! for notice in notices {
//!     checker.push(notice)?;
//! }
//! assert_eq!(checker.violation().map(|found| found.operation), Some(4));
//! assert_eq!(checker.finish().ruling, Ruling::Invalid);
//! # Ok::<(), checker::online::Refusal>(())
//! ```
//!
//! # Behind the present
//!
//! While a call is open nobody knows what it will answer, and so not what it did. The checker does
//! not guess: it follows each key up to a *watermark*, the start of the earliest call there that is
//! still open, or the present if none is. Every call that started before the watermark has an
//! answer or is of unknown outcome for good. The returns of the present moment wait too, as
//! something that starts at the same time is concurrent with them. A key that has gone quiet is
//! thus decided to its end when something happens on it again, when it is retired, at the next
//! [`Notice::Wait`], or at [`Checker::finish`].
//!
//! That a violation is never said too early follows: a legal order of the whole history so far, cut
//! after the last call that returned before the watermark, holds no call that started after the
//! watermark, and so is a legal order of what the checker has looked at.
//!
//! # Everything that may have become of a key
//!
//! At each moment a key has a set of *configurations* (`frontier`): what its state may be, and
//! which of the calls that are open then have happened. At the return of a call that has not
//! happened in some configuration (`pass`), open calls are linearized there in every order, that
//! one last. What is left over is kept for later. No order is lost by being this late: calls that
//! come after the returning one in a legal order are open then or start later, and can be taken
//! when a later return needs them. No configuration left: no order is legal, whatever will happen.
//!
//! The offline search goes down one path at a time and may ask what is still to come. Here the
//! future is not known, so only those of its rules hold that do not ask:
//!
//! - **Settle.** A *pure* call (it leaves every state as it is) happens as soon as it is open and
//!   possible: nobody can tell, and nobody gains by waiting.
//! - **Hidden.** When a *blind* call (it sets the state whatever it was) happens, any other open
//!   blind call may have come right before it, unseen. One configuration stands for all of these
//!   choices; at its own return a hidden call may have come unseen, and it is tried, too, whether
//!   it comes only now.
//! - **Nobody looks.** Before the returning call, a blind call or one of unknown outcome is
//!   linearized only if some *open* call needs the state it leaves or needs the present one to be
//!   gone, or is not understood. Between it and the returning call only open calls can come. If
//!   none of them looks, the next one that changes the state hides it, and it is hidden there (or
//!   did not happen, if its outcome is unknown).
//! - **Symmetry.** Of unknown calls that are the same operation, the one that started first is
//!   used: the two change places in any legal order.
//! - **Covering.** Of two configurations, the one that has done as much, but for pure calls, and
//!   used no unknown call besides, is kept alone (`frontier`).
//!
//! Calls of one process may touch in time: one starts at the moment at which the other ends. They
//! are open together and still in order, so each has to wait for the one before it; the second and
//! the third rule leave them out.
//!
//! # Memory
//!
//! A key holds its configurations, its open calls, its calls of unknown outcome that are not used
//! everywhere, and what happened on it since its watermark; states die with their configurations.
//! [`Notice::Retire`] drops the key. To refuse later calls, retired keys are remembered as numbers,
//! a hash of the name before its last digits, and these; so are processes that may call no more.
//! Numbers are kept in ranges: a few hundred bytes where names and processes are numbered one after
//! another, some forty bytes for each key where they are not. (A call is refused that should not be
//! if two hashes are the same: of a billion names before the digits, with a probability of 3 %.)
//! Keys that are violated or undecided are kept by name.
//!
//! # What it does not do
//!
//! It explains nothing and makes no small counterexample: for that the offline check judges the
//! recorded history. It believes the shapes of a spec. It has no clock and does no I/O.

mod board;
mod frontier;
mod gone;
mod key;
mod masks;
mod notice;
mod pass;
mod purse;
mod refusal;
mod summary;
mod timeline;

pub use notice::Notice;
pub use refusal::Refusal;
pub use summary::{Held, Summary, Undecided, Violation};

use crate::{Halt, Limits, Ruling, Spec};
use gone::{Gone, number};
use key::Key;
use pass::Scratch;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use timeline::{CallId, Outcome};

/// Checks a history while it happens. See the module.
pub struct Checker<S: Spec> {
    initial: S,
    limits: Limits,
    now: u64,
    /// Where each key is in `entries`.
    places: HashMap<Option<String>, u32>,
    entries: Vec<Option<Entry<S>>>,
    free: Vec<u32>,
    /// For each process with an open call, the key and the call.
    open: HashMap<u64, (u32, CallId)>,
    gone: Gone,
    retired: Gone,
    bytes: u64,
    scratch: Scratch<S>,
    so_far: Summary,
}

/// A key that is not retired.
struct Entry<S: Spec> {
    name: Option<String>,
    /// None once it is violated or undecided.
    key: Option<Box<Key<S>>>,
    /// Bytes of the key when they were last counted.
    bytes: u64,
    /// How many calls are open.
    open: usize,
    retiring: bool,
}

impl<S: Spec> Checker<S> {
    /// A checker of which every key begins in the state `initial`.
    ///
    /// The limits are what one key may take in its life, in steps, and what all keys may hold
    /// together, in bytes. A key that needs more is undecided, its memory is dropped, and the others
    /// go on.
    pub fn new(initial: S, limits: Limits) -> Self {
        let so_far = Summary {
            ruling: Ruling::Valid,
            keys: 0,
            valid: 0,
            violations: Vec::new(),
            undecided: Vec::new(),
        };
        Self {
            initial,
            limits,
            now: 0,
            places: HashMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            open: HashMap::new(),
            gone: Gone::default(),
            retired: Gone::default(),
            bytes: 0,
            scratch: Scratch::new(),
            so_far,
        }
    }

    /// Takes notice.
    ///
    /// # Errors
    /// What cannot be, or cannot be any more. The notice leaves no trace then.
    pub fn push(&mut self, notice: Notice<S>) -> Result<(), Refusal> {
        match notice {
            Notice::Invoke { index, process, time, op } => self.invoke(index, process, time, op),
            Notice::Return { process, time, ret } => {
                self.check_time(time)?;
                let (place, call) = self.close(process)?;
                self.now = time;
                self.change(place, |key| key.timeline.answer(call, process, time, ret));
                Ok(())
            }
            Notice::Fail { process } => self.end(process, Outcome::Failed),
            Notice::Unknown { process } => {
                self.end(process, Outcome::Unknown)?;
                self.gone.insert(process.into());
                Ok(())
            }
            Notice::Wait { time } => {
                self.check_time(time)?;
                self.now = time;
                for place in 0..self.entries.len() as u32 {
                    self.change(place, |key| key.timeline.catch_up(time));
                }
                Ok(())
            }
            Notice::Retire { key } => self.retire(key),
        }
    }

    /// The first violation, if there is one yet.
    pub fn violation(&self) -> Option<&Violation> {
        self.so_far.violations.first()
    }

    /// What it holds at the moment.
    pub fn held(&self) -> Held {
        let keys = self.entries.iter().flatten().filter_map(|entry| entry.key.as_ref());
        Held {
            keys: self.places.len(),
            open: self.open.len(),
            configurations: keys.map(|key| key.configurations()).sum(),
            bytes: self.bytes,
        }
    }

    /// Decides every key to its end. Calls that are still open are of unknown outcome.
    #[must_use]
    pub fn finish(mut self) -> Summary {
        let mut left: Vec<u32> = self.places.values().copied().collect();
        // In an order that does not depend on the table.
        left.sort_unstable();
        for place in left {
            self.drop_key(place);
        }
        if !self.so_far.violations.is_empty() {
            self.so_far.ruling = Ruling::Invalid;
        } else if !self.so_far.undecided.is_empty() {
            self.so_far.ruling = Ruling::Unknown;
        }
        self.so_far
    }

    fn check_time(&self, time: u64) -> Result<(), Refusal> {
        if time < self.now {
            return Err(Refusal::Backwards { now: self.now, time });
        }
        Ok(())
    }

    fn invoke(&mut self, index: u64, process: u64, time: u64, op: S::Op) -> Result<(), Refusal> {
        self.check_time(time)?;
        if self.open.contains_key(&process) {
            return Err(Refusal::Busy { process });
        }
        if self.gone.contains(process.into()) {
            return Err(Refusal::Gone { process });
        }
        let place = self.find_or_add(S::key(&op))?;
        self.now = time;
        let mut call = 0; // of a key that is dropped already, any will do
        if let Some(entry) = &mut self.entries[place as usize] {
            entry.open += 1;
        }
        self.change(place, |key| call = key.timeline.invoke(index, process, time, op));
        self.open.insert(process, (place, call));
        Ok(())
    }

    fn find_or_add(&mut self, name: Option<String>) -> Result<u32, Refusal> {
        if let Some(place) = self.places.get(&name) {
            let retiring = self.entries[*place as usize].as_ref().is_some_and(|it| it.retiring);
            return match name {
                Some(key) if retiring => Err(Refusal::Retired { key }),
                _ => Ok(*place),
            };
        }
        match &name {
            Some(key) if self.retired.contains(number(key)) => {
                return Err(Refusal::Retired { key: key.clone() });
            }
            Some(_) if self.places.contains_key(&None) => return Err(Refusal::Mixed),
            None if self.so_far.keys > 0 => return Err(Refusal::Mixed),
            _ => {}
        }
        let key = Box::new(Key::new(self.initial.clone()));
        let bytes = key.bytes();
        self.bytes += bytes;
        self.so_far.keys += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() as u32 - 1
        });
        self.entries[place as usize] =
            Some(Entry { name: name.clone(), key: Some(key), bytes, open: 0, retiring: false });
        self.places.insert(name, place);
        Ok(place)
    }

    /// The open call of a process, which is open no more.
    fn close(&mut self, process: u64) -> Result<(u32, CallId), Refusal> {
        let (place, call) = self.open.remove(&process).ok_or(Refusal::Idle { process })?;
        if let Some(entry) = &mut self.entries[place as usize] {
            entry.open -= 1;
        }
        Ok((place, call))
    }

    fn end(&mut self, process: u64, with: Outcome<S::Ret>) -> Result<(), Refusal> {
        let (place, call) = self.close(process)?;
        self.change(place, |key| key.timeline.end(call, with));
        Ok(())
    }

    fn retire(&mut self, key: String) -> Result<(), Refusal> {
        if !self.retired.insert(number(&key)) {
            return Err(Refusal::Retired { key });
        }
        if let Some(place) = self.places.get(&Some(key)).copied() {
            if let Some(entry) = &mut self.entries[place as usize] {
                entry.retiring = true;
            }
            self.change(place, |_| ());
        }
        Ok(())
    }

    /// Tells a key something and lets it go on; the last of a retired key drops it.
    fn change(&mut self, place: u32, tell: impl FnOnce(&mut Key<S>)) {
        let Some(entry) = &mut self.entries[place as usize] else { return };
        if let Some(key) = &mut entry.key {
            tell(key);
            self.advance(place);
        }
        let idle = |entry: &Entry<S>| entry.retiring && entry.open == 0;
        if self.entries[place as usize].as_ref().is_some_and(idle) {
            self.drop_key(place);
        }
    }

    /// Lets a key go on to its watermark, and counts what it holds.
    fn advance(&mut self, place: u32) {
        let Some(entry) = &mut self.entries[place as usize] else { return };
        let Some(key) = &mut entry.key else { return };
        let Limits { steps, bytes } = self.limits;
        let free = bytes.saturating_sub(self.bytes);
        let scratch = &mut self.scratch;
        let went = catch_unwind(AssertUnwindSafe(|| key.advance(scratch, steps, free)));
        let holds = key.bytes();
        let sum = self.bytes - entry.bytes + holds;
        let reason = match went {
            Ok(Ok(None)) if sum <= bytes => {
                (self.bytes, entry.bytes) = (sum, holds);
                return;
            }
            Ok(Ok(Some(operation))) => {
                let violation = Violation { key: entry.name.clone(), operation };
                self.so_far.violations.push(violation);
                None
            }
            Ok(Err(Halt::Steps)) => Some(format!("its {steps} steps are spent")),
            Ok(Ok(None) | Err(_)) => {
                Some(format!("it needs more than is left of {} MiB of memory", bytes >> 20))
            }
            Err(_) => Some("the spec panicked".to_owned()),
        };
        if let Some(reason) = reason {
            self.so_far.undecided.push(Undecided { key: entry.name.clone(), reason });
        }
        self.bytes -= entry.bytes;
        (entry.bytes, entry.key) = (0, None);
    }

    /// Decides a key to its end and drops it.
    fn drop_key(&mut self, place: u32) {
        if let Some(Entry { key: Some(key), .. }) = &mut self.entries[place as usize] {
            key.timeline.close();
            self.advance(place);
        }
        let Some(entry) = self.entries[place as usize].take() else { return };
        self.so_far.valid += u64::from(entry.key.is_some());
        self.bytes -= entry.bytes;
        self.places.remove(&entry.name);
        self.free.push(place);
    }
}
