//! Room for the log to go on: the next segment, made in advance on a thread of its own.
//!
//! A turn to the next segment then costs a few syncs and not the writing of a whole file. And a full disk is
//! noticed while half of the present segment is still free: new work is refused from then on, and what is under
//! way still finds its place. Space is looked for again every [`RETRY`]; as soon as there is some, the disk
//! is full no more. Nothing here writes records.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::disk::{Disk, DiskFile};
use super::policy::{self, Reaction, Work};
use crate::bug::Bugs;

/// A segment that is being made ready; the name is not one that recovery reads.
pub(super) const SPARE: &str = "spare";
/// How long a full disk is left alone before it is asked again.
pub(super) const RETRY: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 100 });

/// The segment after the present one.
pub(super) struct Room {
    disk: Arc<dyn Disk>,
    /// Bytes of a segment.
    size: u64,
    bugs: Bugs,
    making: Option<JoinHandle<io::Result<Box<dyn DiskFile>>>>,
    ready: Option<Box<dyn DiskFile>>,
    /// When the disk was last found to be full, if there has been no space since.
    full: Option<Instant>,
}

/// What was found.
pub(super) enum Found {
    /// A file of zeros, still named [`SPARE`], and its length.
    Segment(Box<dyn DiskFile>, u64),
    /// There is no space, and this is what to do about it.
    Nothing(Reaction),
}

impl Room {
    pub(super) fn new(disk: Arc<dyn Disk>, size: u64, bugs: Bugs) -> Room {
        Room { disk, size, bugs, making: None, ready: None, full: None }
    }

    /// Whether the disk was full when it was last looked at.
    pub(super) fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// Looks at what the thread has made, and if a segment will be wanted, starts to make one.
    ///
    /// # Errors
    /// The disk is broken.
    pub(super) fn prepare(&mut self, wanted: bool) -> io::Result<()> {
        if let Some(thread) = self.making.take_if(|thread| thread.is_finished()) {
            self.settle(made(thread))?;
        }
        if wanted && self.ready.is_none() && self.making.is_none() && self.may_try() {
            let (disk, size) = (Arc::clone(&self.disk), self.size);
            let spare = thread::Builder::new().name("wal-spare".to_owned());
            self.making = Some(spare.spawn(move || disk.create(SPARE, size))?);
        }
        Ok(())
    }

    /// A segment of at least `needed` bytes: the one that was made in advance if that is large enough.
    ///
    /// # Errors
    /// The disk is broken.
    pub(super) fn take(&mut self, needed: u64) -> io::Result<Found> {
        if let Some(thread) = self.making.take() {
            self.settle(made(thread))?;
        }
        if needed <= self.size
            && let Some(file) = self.ready.take()
        {
            return Ok(Found::Segment(file, self.size));
        }
        if !self.may_try() {
            return Ok(Found::Nothing(Reaction::Wait));
        }
        let length = needed.max(self.size);
        // It has the same name, so there is only one.
        self.ready = None;
        let reaction = self.settle(self.disk.create(SPARE, length))?;
        Ok(match self.ready.take() {
            Some(file) => Found::Segment(file, length),
            None => Found::Nothing(reaction),
        })
    }

    fn may_try(&self) -> bool {
        self.full.is_none_or(|since| since.elapsed() >= RETRY)
    }

    fn settle(&mut self, made: io::Result<Box<dyn DiskFile>>) -> io::Result<Reaction> {
        let error = match made {
            Ok(file) => {
                self.ready = Some(file);
                self.full = None;
                return Ok(Reaction::Wait);
            }
            Err(error) => error,
        };
        let reaction = policy::react(Work::Room, error.kind(), self.bugs);
        match reaction {
            Reaction::Stop => return Err(error),
            Reaction::Wait => self.full = Some(Instant::now()),
            // Whoever pretends sees no need to tell anybody.
            Reaction::Again | Reaction::Pretend => {}
        }
        Ok(reaction)
    }
}

fn made(thread: JoinHandle<io::Result<Box<dyn DiskFile>>>) -> io::Result<Box<dyn DiskFile>> {
    thread.join().map_err(|_| io::Error::other("making a segment panicked"))?
}
