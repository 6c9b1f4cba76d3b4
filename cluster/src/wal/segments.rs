//! Writing the log: one record, one sync, and a new segment when the old one is full.
//!
//! Before a segment is full its successor is already being filled with zeros on a thread of its own, so that
//! a turn to the next segment costs a few syncs and not the writing of a whole file. The order of a turn
//! matters: the successor with its header becomes durable first, the end mark in the old segment second.
//! A crash between the two leaves an empty successor, which recovery removes.
//!
//! Old segments are deleted once the mark of a compaction that makes them superfluous is on stable storage, and
//! not before: until then recovery needs them. They are not used again: old records in a new segment would
//! have to be told from damage.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::WalError;
use super::disk::{Disk, DiskFile};
use super::format::{self, HEADER, Header, Item, RECORD, SEAL};
use super::recovery::{self, Contents, Report, Scan, Sealed, Tail, segment_name};
use crate::raft::{Batch, HardState};

/// Segments smaller than this would hold hardly more than their header.
pub const SEGMENT_MIN: u64 = 512;
/// Largest payload of one record in bytes: how much one sync may carry.
const PAYLOAD_MAX: usize = 1 << 20;
/// A segment that is being made ready; the name is not one that recovery reads.
const SPARE: &str = "spare";

/// The open log of one node.
pub(super) struct Segments {
    disk: Arc<dyn Disk>,
    file: Box<dyn DiskFile>,
    header: Header,
    offset: u64,
    sequence: u64,
    segment_size: u64,
    spare: Option<JoinHandle<io::Result<Box<dyn DiskFile>>>>,
    /// The segments before this one, oldest first.
    sealed: Vec<Sealed>,
    /// The highest index in this segment.
    highest: u64,
    /// As last written.
    hard_state: HardState,
    /// Records written, one sync each, since the log was opened.
    pub(super) syncs: u64,
}

impl Segments {
    /// Reads what is on `disk`, cuts a torn tail off and gets ready to write.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        node: u64,
        segment_size: u64,
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
                let file = make_spare(&*disk, segment_size)
                    .and_then(|file| install(&*disk, file, &header))
                    .map_err(|e| WalError::io(&*disk, "create", &segment_name(1), e))?;
                (file, header, HEADER as u64, 1)
            }
        };
        let mut segments = Segments {
            disk,
            file,
            header,
            offset,
            sequence,
            segment_size,
            spare: None,
            sealed,
            highest,
            hard_state: contents.hard_state,
            syncs: 0,
        };
        segments
            .remove(&stale)
            .map_err(|e| WalError::io(&*segments.disk, "remove", "an old segment", e))?;
        Ok((segments, contents, report))
    }

    /// Writes all batches in order; when this returns they are on stable storage.
    ///
    /// After an error the log must not be written again.
    pub(super) fn append(&mut self, batches: Vec<Batch>) -> io::Result<()> {
        let mut payload = Vec::new();
        let mut superfluous = Vec::new();
        for mut item in batches.into_iter().flat_map(format::items) {
            let size = item.size();
            let full = payload.len() + size > PAYLOAD_MAX;
            if !payload.is_empty() && (full || !self.fits(payload.len() + size)) {
                self.write(&payload)?;
                payload.clear();
            }
            if !self.fits(payload.len() + size) {
                self.turn(size)?;
            }
            superfluous.extend(self.note(&mut item));
            item.encode(&mut payload);
        }
        if !payload.is_empty() {
            self.write(&payload)?;
        }
        superfluous.dedup();
        self.remove(&superfluous)
    }

    /// Keeps book of what the present segment holds, completes the mark of a compaction, and returns the
    /// segments that it makes superfluous.
    fn note(&mut self, item: &mut Item) -> Vec<u64> {
        match item {
            Item::HardState(state) => self.hard_state = *state,
            Item::Entry(entry) => self.highest = self.highest.max(entry.index),
            Item::Reset(position) => {
                // What was written before is forgotten, wherever it ends.
                self.highest = position.index;
                self.sealed.iter_mut().for_each(|segment| segment.highest = position.index);
            }
            Item::Compact(compact) => {
                let covered = |segment: &&Sealed| segment.highest <= compact.base.index;
                let old: Vec<u64> =
                    self.sealed.iter().take_while(covered).map(|segment| segment.number).collect();
                let next = self.sealed.get(old.len()).map(|segment| segment.number);
                compact.first_segment = next.unwrap_or(self.header.number);
                compact.hard_state = self.hard_state;
                return old;
            }
            Item::TruncateFrom(_) | Item::Seal => {}
        }
        Vec::new()
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

    fn fits(&self, payload: usize) -> bool {
        self.offset + (RECORD + payload + SEAL) as u64 <= self.header.size
    }

    fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        let record = format::encode_record(self.header.salt, self.sequence, payload);
        self.file.write(self.offset, &record)?;
        self.file.sync()?;
        self.offset += record.len() as u64;
        self.sequence += 1;
        self.syncs += 1;
        if self.spare.is_none() && self.offset > self.header.size / 2 {
            let (disk, size) = (Arc::clone(&self.disk), self.segment_size);
            let spare = thread::Builder::new().name("wal-spare".to_owned());
            self.spare = Some(spare.spawn(move || make_spare(&*disk, size))?);
        }
        Ok(())
    }

    /// Goes on in a new segment that has room for an item of `size` bytes.
    fn turn(&mut self, size: usize) -> io::Result<()> {
        let spare = match self.spare.take() {
            Some(thread) => Some(thread.join().map_err(|_| io::Error::other("a panic"))??),
            None => None,
        };
        let needed = (HEADER + RECORD + size + SEAL) as u64;
        let (spare, length) = match spare {
            Some(file) if needed <= self.segment_size => (file, self.segment_size),
            _ => {
                let length = needed.max(self.segment_size);
                (make_spare(&*self.disk, length)?, length)
            }
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
        let record = format::encode_record(self.header.salt, self.sequence, &seal);
        self.file.write(self.offset, &record)?;
        self.file.sync()?;
        self.sealed.push(Sealed {
            number: self.header.number,
            bytes: self.offset + record.len() as u64,
            highest: self.highest,
        });
        self.highest = 0;
        self.sequence += 1;
        self.header = header;
        self.file = file;
        self.offset = HEADER as u64;
        Ok(())
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

fn make_spare(disk: &dyn Disk, size: u64) -> io::Result<Box<dyn DiskFile>> {
    disk.create(SPARE, size)
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
