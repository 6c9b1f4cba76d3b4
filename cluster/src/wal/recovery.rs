//! Reading the log back: what survived, what is a torn tail, and what is damage.
//!
//! A crash can leave only one kind of wrong bytes: an unfinished record at the end of the last segment,
//! which nobody was told about. That tail is cut off. Anything else that does not fit (a bad record with a
//! valid one after it, a file of the wrong length, a segment missing, two records that contradict each
//! other) is damage: records that were on stable storage are gone, and a node that went on could break a
//! promise that it made to its peers. So [`scan`] refuses, and says where and what to do.
//!
//! Segments may be missing from the front, as far as the last compaction allows. A crash while they are deleted
//! may leave any of them: what stands before a gap is no part of the log and is deleted again.
//!
//! Limit: damage to the very last record looks like a torn tail.

use super::WalError;
use super::disk::Disk;
use super::format::{self, HEADER, Header, Item, RECORD};
use super::replay::Replay;
use crate::raft::{Entry, HardState, Position};

/// What was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The last hard state written.
    pub hard_state: HardState,
    /// What stands before the first entry: 0@0, or a position up to which the log was compacted.
    pub base: Position,
    /// The log after `base`.
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
    /// The sealed segments, oldest first.
    pub(super) sealed: Vec<Sealed>,
    /// The highest index in the last segment.
    pub(super) highest: u64,
    /// Segments that are no part of the log any more: to be removed.
    pub(super) stale: Vec<u64>,
}

/// A segment that is not written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) number: u64,
    /// Bytes up to its end mark.
    pub(super) bytes: u64,
    /// It is wanted as long as an entry with this index is.
    pub(super) highest: u64,
}

/// File name of a segment.
pub(super) fn segment_name(number: u64) -> String {
    format!("wal-{number:08}")
}

/// Reads all segments of `node`'s log.
pub(super) fn scan(disk: &dyn Disk, node: u64) -> Result<Scan, WalError> {
    let (stale, numbers) = numbers(disk)?;
    let mut scan = Scan {
        contents: Contents::default(),
        report: Report { segments: numbers.len() as u64, ..Report::default() },
        tail: None,
        sealed: Vec::new(),
        highest: 0,
        stale,
    };
    let begin = numbers.first().copied().unwrap_or(1);
    let mut replay = Replay::new(begin == 1);
    let mut next_sequence = 1;
    for expected in numbers.iter().copied() {
        let name = segment_name(expected);
        let bytes = disk.read(&name).map_err(|e| WalError::io(disk, "read", &name, e))?;
        // A successor is made before the end mark, which is a record, is written.
        let first = next_sequence + u64::from(scan.tail.is_some());
        let follows = (expected == 1 || expected > begin).then_some(first);
        let header = check_header(disk, &name, &bytes, (node, expected, follows))?;
        let first = header.first;
        let is_last = numbers.last() == Some(&expected);
        let segment = Segment { disk, name: &name, bytes: &bytes, header };
        replay.highest = 0;
        let (end, records) = segment.replay(first, &mut replay)?;
        scan.report.records += records;
        if let Some(index) = replay.reset.take() {
            scan.sealed.iter_mut().for_each(|segment| segment.highest = index);
        }
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
        if end.sealed && is_last {
            let message = "this segment is missing: the one before it says that it exists";
            return Err(damage(disk, &segment_name(expected + 1), 0, message.to_owned()));
        }
        scan.highest = replay.highest;
        if end.sealed {
            let bytes = end.offset as u64;
            let highest = replay.highest;
            scan.sealed.push(Sealed { number: expected, bytes, highest });
        } else {
            scan.tail = Some(segment.tail(&end));
            if end.dirty > 0 {
                scan.report.torn = Some((name, end.offset as u64, end.dirty));
            }
        }
    }
    if begin > replay.first_segment() {
        let message = format!("this segment is missing, but segment {begin} exists");
        return Err(damage(disk, &segment_name(begin - 1), 0, message));
    }
    scan.stale.extend(begin..replay.first_segment());
    let begin = segment_name(begin);
    scan.contents = replay.finish().map_err(|message| damage(disk, &begin, 0, message))?;
    Ok(scan)
}

/// Numbers of the segments in the directory, ascending: those before the last gap, and those after it.
fn numbers(disk: &dyn Disk) -> Result<(Vec<u64>, Vec<u64>), WalError> {
    let names = disk.names().map_err(|e| WalError::io(disk, "list", "the data directory", e))?;
    let parse = |name: String| name.strip_prefix("wal-")?.parse::<u64>().ok();
    let mut numbers: Vec<u64> = names.into_iter().filter_map(parse).collect();
    numbers.sort_unstable();
    let gap = numbers.windows(2).rposition(|pair| pair[0] + 1 != pair[1]);
    let after = numbers.split_off(gap.map_or(0, |place| place + 1));
    Ok((numbers, after))
}

fn check_header(
    disk: &dyn Disk,
    name: &str,
    bytes: &[u8],
    (node, number, follows): (u64, u64, Option<u64>),
) -> Result<Header, WalError> {
    let header = Header::decode(bytes).map_err(|message| damage(disk, name, 0, message))?;
    if header.node != node {
        let owner = header.node;
        return Err(WalError::WrongNode { place: disk.place(), owner, node });
    }
    let message = if header.number != number {
        format!("the file holds segment {}", header.number)
    } else if let Some(first) = follows.filter(|first| header.first != *first) {
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
    fn replay(&self, first: u64, replay: &mut Replay) -> Result<(End, u64), WalError> {
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
                    replay.apply(item).map_err(damage)?;
                }
            }
            end.offset += RECORD + payload.len();
            end.sequence += 1;
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
        let records = end.sequence - first;
        Ok((end, records))
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

fn damage(disk: &dyn Disk, file: &str, offset: u64, message: String) -> WalError {
    WalError::Damaged { file: format!("{}/{file}", disk.place()), offset, message }
}
