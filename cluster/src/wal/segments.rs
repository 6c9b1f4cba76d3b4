//! Writing the log: one record, one sync, and a new segment when the old one is full.
//!
//! Before a segment is full its successor is made ready (`room`). The order of a turn matters: the successor with
//! its header becomes durable first, the end mark in the old segment second. A crash between the two leaves an
//! empty successor, which recovery removes.
//!
//! When the disk is full, what finds no place stays in the queue, and is written when there is space. Each segment
//! keeps a few bytes for one mark of a compaction, which may then go ahead of what waits: it is what makes space.
//!
//! Old segments are deleted once the mark of a compaction that makes them superfluous is on stable storage, and
//! not before: until then recovery needs them. They are not used again: old records in a new segment would
//! have to be told from damage.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;

use super::WalError;
use super::disk::{Disk, DiskFile};
use super::format::{self, COMPACT, Compact, HEADER, Header, Item, RECORD, SEAL};
use super::policy::{self, Reaction, Work};
use super::recovery::{self, Contents, Report, Scan, Sealed, Tail, segment_name};
use super::room::{Found, Room, SPARE};
use crate::bug::{Bug, Bugs, Mark};
use crate::raft::{Batch, HardState};

/// Segments smaller than this would hold hardly more than their header.
pub const SEGMENT_MIN: u64 = 512;
/// Largest payload of one record in bytes: how much one sync may carry.
const PAYLOAD_MAX: usize = 1 << 20;
/// The open log of one node.
pub(super) struct Segments {
    disk: Arc<dyn Disk>,
    file: Box<dyn DiskFile>,
    header: Header,
    offset: u64,
    sequence: u64,
    room: Room,
    /// What is not written yet.
    queue: VecDeque<Queued>,
    /// The ticket of the newest batch that is.
    durable: u64,
    /// Segments that may go once the mark that says so is durable.
    superfluous: Vec<u64>,
    /// The segments before this one, oldest first.
    sealed: Vec<Sealed>,
    /// The highest index in this segment.
    highest: u64,
    /// The last index of the log as written.
    last: u64,
    /// As last written.
    hard_state: HardState,
    bugs: Bugs,
    /// What the deliberate bugs did.
    pub(super) marks: Vec<(Bug, Mark)>,
    /// Records written, one sync each, since the log was opened.
    pub(super) syncs: u64,
}

enum Queued {
    Item(Item),
    /// All before it belongs to this ticket or an earlier one.
    End(u64),
}

impl Segments {
    /// Reads what is on `disk`, cuts a torn tail off and gets ready to write.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        node: u64,
        segment_size: u64,
        bugs: Bugs,
    ) -> Result<(Segments, Contents, Report), WalError> {
        let segment_size = segment_size.max(SEGMENT_MIN);
        let Scan { contents, report, tail, sealed, highest, stale } = recovery::scan(&*disk, node)?;
        let (file, header, offset, sequence) = match tail {
            Some(tail) => {
                let file = clean(&*disk, &tail)
                    .map_err(|e| WalError::io(&*disk, "repair the tail of", &tail.name, e))?;
                (file, tail.header, tail.offset, tail.next_sequence)
            }
            None => {
                let header =
                    Header { node, number: 1, salt: new_salt(), first: 1, size: segment_size };
                let file = disk
                    .create(SPARE, segment_size)
                    .and_then(|file| install(&*disk, file, &header))
                    .map_err(|e| WalError::io(&*disk, "create", &segment_name(1), e))?;
                (file, header, HEADER as u64, 1)
            }
        };
        let mut segments = Segments {
            room: Room::new(Arc::clone(&disk), segment_size, bugs),
            disk,
            file,
            header,
            offset,
            sequence,
            queue: VecDeque::new(),
            durable: 0,
            superfluous: Vec::new(),
            sealed,
            highest,
            last: contents.base.index + contents.entries.len() as u64,
            hard_state: contents.hard_state,
            bugs,
            marks: Vec::new(),
            syncs: 0,
        };
        segments
            .remove(&stale)
            .map_err(|e| WalError::io(&*segments.disk, "remove", "an old segment", e))?;
        Ok((segments, contents, report))
    }

    /// The highest ticket that is durable with all before it.
    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    /// Whether there was no space for another segment when that was last looked for.
    pub(super) fn is_full(&self) -> bool {
        self.room.is_full()
    }

    /// How many batches wait for space.
    pub(super) fn held(&self) -> usize {
        self.queue.iter().filter(|queued| matches!(queued, Queued::End(_))).count()
    }

    /// Takes batches in, to be written by [`Segments::flush`].
    pub(super) fn push(&mut self, batches: Vec<Batch>) {
        for batch in batches {
            let ticket = batch.ticket;
            self.queue.extend(format::items(batch).map(Queued::Item));
            self.queue.push_back(Queued::End(ticket));
        }
    }

    /// Writes what was taken in, in its order, until all of it is on stable storage or the disk is full.
    ///
    /// # Errors
    /// The disk is broken: the log must not be written again.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.room.prepare(self.offset > self.header.size / 2)?;
        let mut payload = Vec::new();
        let mut reached = self.durable;
        while let Some(queued) = self.queue.pop_front() {
            let mut item = match queued {
                Queued::Item(item) => item,
                Queued::End(ticket) => {
                    reached = ticket;
                    continue;
                }
            };
            let size = item.size();
            let full = payload.len() + size > PAYLOAD_MAX;
            if !payload.is_empty() && (full || !self.fits(payload.len() + size)) {
                self.write(&payload)?;
                payload.clear();
            }
            if !self.fits(payload.len() + size) {
                self.queue.push_front(Queued::Item(item));
                self.durable = reached;
                match self.turn(size)? {
                    None => continue,
                    Some(Reaction::Pretend) => return self.pretend(),
                    Some(_) => return self.compact_ahead(),
                }
            }
            self.note(&mut item);
            item.encode(&mut payload);
        }
        if !payload.is_empty() {
            self.write(&payload)?;
        }
        self.durable = reached;
        self.remove_superfluous()
    }

    /// The bug `enospc-ack`: what finds no space is reported as written.
    fn pretend(&mut self) -> io::Result<()> {
        let mut ends = self.queue.drain(..).filter_map(|queued| match queued {
            Queued::End(ticket) => Some(ticket),
            Queued::Item(_) => None,
        });
        self.durable = ends.next_back().unwrap_or(self.durable);
        self.marks.extend([Mark::Reached, Mark::Triggered].map(|mark| (Bug::EnospcAck, mark)));
        Ok(())
    }

    /// There is no space for what comes next. A compaction that waits behind it goes ahead if its base is written
    /// already, nothing before it takes that back, and segments can go with it. Older ones are then void.
    fn compact_ahead(&mut self) -> io::Result<()> {
        self.remove_superfluous()?;
        let (mut reach, mut found) = (self.last, None);
        for (place, queued) in self.queue.iter().enumerate() {
            match queued {
                Queued::Item(Item::Reset(_)) => break,
                Queued::Item(Item::TruncateFrom(index)) => {
                    reach = reach.min(index.saturating_sub(1));
                }
                Queued::Item(Item::Compact(compact)) if compact.base.index <= reach => {
                    found = Some((place, compact.clone()));
                }
                Queued::Item(_) | Queued::End(_) => {}
            }
        }
        let Some((place, compact)) = found else { return Ok(()) };
        if self.covered(&compact).is_empty() || self.left() < COMPACT + SEAL {
            return Ok(());
        }
        let mut at = 0;
        self.queue.retain(|queued| {
            at += 1;
            at > place + 1 || !matches!(queued, Queued::Item(Item::Compact(_)))
        });
        let (mut item, mut payload) = (Item::Compact(compact), Vec::new());
        self.note(&mut item);
        item.encode(&mut payload);
        self.write(&payload)?;
        self.remove_superfluous()
    }

    /// Keeps book of what the present segment holds, completes the mark of a compaction, and notes which
    /// segments it makes superfluous.
    fn note(&mut self, item: &mut Item) {
        match item {
            Item::HardState(state) => self.hard_state = *state,
            Item::Entry(entry) => {
                self.highest = self.highest.max(entry.index);
                self.last = entry.index;
            }
            Item::TruncateFrom(index) => self.last = index.saturating_sub(1),
            Item::Reset(position) => {
                // What was written before is forgotten, wherever it ends.
                (self.highest, self.last) = (position.index, position.index);
                self.sealed.iter_mut().for_each(|segment| segment.highest = position.index);
            }
            Item::Compact(compact) => {
                let old = self.covered(compact);
                let next = self.sealed.get(old.len()).map(|segment| segment.number);
                compact.first_segment = next.unwrap_or(self.header.number);
                compact.hard_state = self.hard_state;
                if old.len() > self.superfluous.len() {
                    self.superfluous = old;
                }
            }
            Item::Seal => {}
        }
    }

    /// The segments that are not needed after this compaction, oldest first.
    fn covered(&self, compact: &Compact) -> Vec<u64> {
        let covered = |segment: &&Sealed| segment.highest <= compact.base.index;
        self.sealed.iter().take_while(covered).map(|segment| segment.number).collect()
    }

    fn remove_superfluous(&mut self) -> io::Result<()> {
        let numbers = std::mem::take(&mut self.superfluous);
        self.remove(&numbers)
    }

    /// Deletes segments, oldest first.
    fn remove(&mut self, numbers: &[u64]) -> io::Result<()> {
        if numbers.is_empty() {
            return Ok(());
        }
        for number in numbers {
            self.disk.remove(&segment_name(*number))?;
        }
        self.sealed.retain(|segment| !numbers.contains(&segment.number));
        self.disk.sync()
    }

    /// Number of segments, and bytes in them up to the last record.
    pub(super) fn extent(&self) -> (u64, u64) {
        let sealed: u64 = self.sealed.iter().map(|segment| segment.bytes).sum();
        (self.sealed.len() as u64 + 1, sealed + self.offset)
    }

    /// Bytes after the last record.
    fn left(&self) -> usize {
        (self.header.size - self.offset) as usize
    }

    /// Whether a record with such a payload leaves room for a compaction and the end mark.
    fn fits(&self, payload: usize) -> bool {
        RECORD + payload + COMPACT + SEAL <= self.left()
    }

    /// Writes a record and syncs it.
    fn put(&mut self, payload: &[u8]) -> io::Result<()> {
        let record = format::encode_record(self.header.salt, self.sequence, payload);
        self.file.write(self.offset, &record)?;
        if let Err(error) = self.file.sync() {
            if policy::react(Work::Sync, error.kind(), self.bugs) != Reaction::Again {
                return Err(error);
            }
            let marks = [Mark::Reached, Mark::Triggered].map(|mark| (Bug::FsyncRetry, mark));
            self.marks.extend(marks);
            self.file.sync()?;
        }
        self.offset += record.len() as u64;
        self.sequence += 1;
        Ok(())
    }

    fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        self.put(payload)?;
        self.syncs += 1;
        self.room.prepare(self.offset > self.header.size / 2)
    }

    /// Goes on in a new segment that has room for an item of `size` bytes; or returns what to do as there is no
    /// space for one.
    fn turn(&mut self, size: usize) -> io::Result<Option<Reaction>> {
        let needed = (HEADER + RECORD + size + COMPACT + SEAL) as u64;
        let (spare, length) = match self.room.take(needed)? {
            Found::Segment(file, length) => (file, length),
            Found::Nothing(reaction) => return Ok(Some(reaction)),
        };
        let header = Header {
            number: self.header.number + 1,
            salt: new_salt(),
            first: self.sequence + 1,
            size: length,
            ..self.header
        };
        let file = install(&*self.disk, spare, &header)?;
        let mut seal = Vec::new();
        Item::Seal.encode(&mut seal);
        self.put(&seal)?;
        self.sealed.push(Sealed {
            number: self.header.number,
            bytes: self.offset,
            highest: self.highest,
        });
        self.highest = 0;
        self.header = header;
        self.file = file;
        self.offset = HEADER as u64;
        Ok(None)
    }
}

/// Opens the last segment with nothing but zeros after its last record, and with everything that was
/// read on stable storage. A process that was killed may have left records, and the end mark of the
/// segment before, in the kernel's cache only; from here on Raft takes them for durable.
fn clean(disk: &dyn Disk, tail: &Tail) -> io::Result<Box<dyn DiskFile>> {
    if let Some(leftover) = &tail.leftover {
        disk.remove(leftover)?;
    }
    let before = segment_name(tail.header.number.saturating_sub(1));
    if disk.names()?.contains(&before) {
        disk.open(&before)?.sync()?;
    }
    let mut file = disk.open(&tail.name)?;
    if tail.dirty {
        file.write(tail.offset, &vec![0; (tail.header.size - tail.offset) as usize])?;
    }
    file.sync()?;
    disk.sync()?;
    Ok(file)
}

/// Turns the spare file into the segment that `header` describes, durably.
fn install(
    disk: &dyn Disk,
    mut file: Box<dyn DiskFile>,
    header: &Header,
) -> io::Result<Box<dyn DiskFile>> {
    file.write(0, &header.encode())?;
    file.sync()?;
    disk.rename(SPARE, &segment_name(header.number))?;
    disk.sync()?;
    Ok(file)
}

/// A number that no earlier segment has; chance is enough, the operating system seeds it.
fn new_salt() -> u64 {
    RandomState::new().hash_one("salt")
}
