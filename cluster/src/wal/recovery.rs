//! Reading the log back: what survived, what is a torn tail, and what is damage.
//!
//! A crash can leave only one kind of wrong bytes: an unfinished record at the end of the last segment,
//! which nobody was told about. That tail is cut off. Anything else that does not fit (a bad record with a
//! valid one after it, a file of the wrong length, a segment missing, two records that contradict each
//! other) is damage: records that were on stable storage are gone, and a node that went on could break a
//! promise that it made to its peers. So [`scan`] refuses, and says where and what to do.
//!
//! Limit: damage to the very last record looks like a torn tail.

use super::WalError;
use super::disk::Disk;
use super::format::{self, HEADER, Header, Item, RECORD};
use crate::raft::{Entry, HardState};

/// What was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The last hard state written.
    pub hard_state: HardState,
    /// The log from index 1.
    pub entries: Vec<Entry>,
}

/// What recovery found besides the contents, for the node's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segment files.
    pub segments: u64,
    /// Valid records.
    pub records: u64,
    /// A torn tail that was cut off: file name, offset of its first byte, bytes that were not zero.
    pub torn: Option<(String, u64, u64)>,
}

/// The last segment and where the next record goes.
pub(super) struct Tail {
    pub(super) name: String,
    pub(super) header: Header,
    pub(super) offset: u64,
    pub(super) next_sequence: u64,
    /// Bytes from `offset` to the end are not all zero and must be zeroed before anything is written.
    pub(super) dirty: bool,
    /// An empty successor, left by a crash between its creation and the seal: to be removed.
    pub(super) leftover: Option<String>,
}

/// Everything that [`scan`] learned; `tail` is absent for an empty directory.
pub(super) struct Scan {
    pub(super) contents: Contents,
    pub(super) report: Report,
    pub(super) tail: Option<Tail>,
    /// Bytes of all segments up to their last record.
    pub(super) bytes: u64,
}

/// File name of a segment.
pub(super) fn segment_name(number: u64) -> String {
    format!("wal-{number:08}")
}

/// Reads all segments of `node`'s log.
pub(super) fn scan(disk: &dyn Disk, node: u64) -> Result<Scan, WalError> {
    let numbers = numbers(disk)?;
    let mut scan = Scan {
        contents: Contents::default(),
        report: Report { segments: numbers.len() as u64, ..Report::default() },
        tail: None,
        bytes: 0,
    };
    let mut next_sequence = 1;
    for (expected, number) in (1..).zip(&numbers) {
        if *number != expected {
            let message = format!("this segment is missing, but segment {number} exists");
            return Err(damage(disk, &segment_name(expected), 0, message));
        }
        let name = segment_name(expected);
        let bytes = disk.read(&name).map_err(|e| WalError::io(disk, "read", &name, e))?;
        // A successor is made before the end mark, which is a record, is written.
        let first = next_sequence + u64::from(scan.tail.is_some());
        let header = check_header(disk, &name, &bytes, (node, expected, first))?;
        let is_last = numbers.len() as u64 == expected;
        let segment = Segment { disk, name: &name, bytes: &bytes, header };
        let end = segment.replay(first, &mut scan)?;
        if let (Some(tail), true) = (&mut scan.tail, is_last && end.sequence == first) {
            // Created but never written: the crash came before its predecessor's seal.
            tail.leftover = Some(name);
            break;
        }
        if let Some(tail) = &scan.tail {
            let message = format!("the segment has no end mark, but {name} follows it");
            return Err(damage(disk, &tail.name, tail.offset, message));
        }
        next_sequence = end.sequence;
        scan.bytes += end.offset as u64;
        if end.sealed && is_last {
            let message = "this segment is missing: the one before it says that it exists";
            return Err(damage(disk, &segment_name(expected + 1), 0, message.to_owned()));
        }
        if !end.sealed {
            scan.tail = Some(segment.tail(&end));
            if end.dirty > 0 {
                scan.report.torn = Some((name, end.offset as u64, end.dirty));
            }
        }
    }
    Ok(scan)
}

/// Numbers of the segments in the directory, ascending.
fn numbers(disk: &dyn Disk) -> Result<Vec<u64>, WalError> {
    let names = disk.names().map_err(|e| WalError::io(disk, "list", "the data directory", e))?;
    let parse = |name: String| name.strip_prefix("wal-")?.parse::<u64>().ok();
    let mut numbers: Vec<u64> = names.into_iter().filter_map(parse).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn check_header(
    disk: &dyn Disk,
    name: &str,
    bytes: &[u8],
    (node, number, first): (u64, u64, u64),
) -> Result<Header, WalError> {
    let header = Header::decode(bytes).map_err(|message| damage(disk, name, 0, message))?;
    if header.node != node {
        let owner = header.node;
        return Err(WalError::WrongNode { place: disk.place(), owner, node });
    }
    let message = if header.number != number {
        format!("the file holds segment {}", header.number)
    } else if header.first != first {
        format!("records {first} to {} are missing before this segment", header.first - 1)
    } else if header.size != bytes.len() as u64 {
        format!("the file has {} bytes where it was made with {}", bytes.len(), header.size)
    } else {
        return Ok(header);
    };
    Err(damage(disk, name, 0, message))
}

struct Segment<'a> {
    disk: &'a dyn Disk,
    name: &'a str,
    bytes: &'a [u8],
    header: Header,
}

/// Where the records of a segment end.
struct End {
    offset: usize,
    /// Sequence of the next record.
    sequence: u64,
    sealed: bool,
    /// Bytes after `offset` that are not zero.
    dirty: u64,
}

impl Segment<'_> {
    /// Feeds the records to `scan` and finds where they end.
    fn replay(&self, first: u64, scan: &mut Scan) -> Result<End, WalError> {
        let mut end = End { offset: HEADER, sequence: first, sealed: false, dirty: 0 };
        while !end.sealed
            && let Some((sequence, payload)) =
                format::decode_record(self.bytes, end.offset, self.header.salt)
            && sequence == end.sequence
        {
            let damage = |message| damage(self.disk, self.name, end.offset as u64, message);
            let items = Item::decode_all(payload)
                .ok_or_else(|| damage("the record has a valid checksum but no meaning".into()))?;
            for item in items {
                if item == Item::Seal {
                    end.sealed = true;
                } else {
                    apply(item, &mut scan.contents).map_err(damage)?;
                }
            }
            end.offset += RECORD + payload.len();
            end.sequence += 1;
            scan.report.records += 1;
        }
        let (at, salt) = (end.offset, self.header.salt);
        if let Some(later) = format::later_record(self.bytes, at, salt, end.sequence) {
            let message = format!("the record here is damaged; the one at {later} is whole");
            return Err(damage(self.disk, self.name, at as u64, message));
        }
        end.dirty = self.bytes[at..].iter().filter(|byte| **byte != 0).count() as u64;
        if end.sealed && end.dirty > 0 {
            let message = "there are bytes after the end mark of this segment".to_owned();
            return Err(damage(self.disk, self.name, at as u64, message));
        }
        Ok(end)
    }

    fn tail(&self, end: &End) -> Tail {
        Tail {
            name: self.name.to_owned(),
            header: self.header,
            offset: end.offset as u64,
            next_sequence: end.sequence,
            dirty: end.dirty > 0,
            leftover: None,
        }
    }
}

/// Replays one item.
fn apply(item: Item, contents: &mut Contents) -> Result<(), String> {
    let last = contents.entries.len() as u64;
    match item {
        Item::HardState(state) if state.term < contents.hard_state.term => {
            Err(format!("term {} follows term {}", state.term, contents.hard_state.term))
        }
        Item::HardState(state) => {
            contents.hard_state = state;
            Ok(())
        }
        Item::TruncateFrom(index) if index == 0 || index > last + 1 => {
            Err(format!("the log of {last} entries is truncated from {index}"))
        }
        Item::TruncateFrom(index) => {
            contents.entries.truncate(index as usize - 1);
            Ok(())
        }
        Item::Entry(entry) if entry.index != last + 1 => {
            Err(format!("entry {} follows entry {last}", entry.index))
        }
        Item::Entry(entry) => {
            contents.entries.push(entry);
            Ok(())
        }
        Item::Seal => Ok(()),
    }
}

fn damage(disk: &dyn Disk, file: &str, offset: u64, message: String) -> WalError {
    WalError::Damaged { file: format!("{}/{file}", disk.place()), offset, message }
}
