//! Bytes of the log on disk: segment headers, records, and the items in a record.
//!
//! ```text
//! segment  = header(64) record* zeros          file name wal-00000001, size in the header
//! header   = "RAFTWAL\0" format:u32 0:u32 node:u64 number:u64 salt:u64 first:u64 size:u64 crc:u32 0:u32
//! record   = length:u32 crc:u32 sequence:u64 payload(length)
//! payload  = item+
//! item     = 1 term:u64 vote:u64 | 2 index:u64  | 3 index:u64 term:u64 length:u32 command
//!            hard state            truncate from  entry with a command
//!          | 4 index:u64 term:u64 | 5     | 6 index:u64 term:u64
//!            entry of a no-op       seal    reset: nothing but a snapshot up to here
//!          | 7 index:u64 term:u64 segment:u64 term:u64 vote:u64
//!            compaction: entries up to here, and segments before this one, may be gone
//!          | 8 index:u64 term:u64 length:u32 configuration (see `members`)
//! ```
//!
//! All numbers are little-endian. A record's CRC32C covers the segment's salt, the sequence and the payload,
//! so bytes of another segment, or of another life of this one, never pass for a record. Sequences count
//! records from 1 without a gap through all segments; `first` is the sequence of a segment's first record.
//! **One record is one sync**: a valid record proves that every record before it was on stable storage.
//! A seal is the last item of a segment that has a successor. A compaction restates the hard state, which may
//! stand nowhere else once old segments are gone.

use std::borrow::Cow;
use std::sync::Arc;

use crate::members;
use crate::raft::{Batch, Entry, HardState, Payload, Position};

/// Version of the layout above.
pub const FORMAT: u32 = 2;
/// The version before it, which lacks items 6 to 8 and is still read.
const FORMAT_BEFORE: u32 = 1;
/// Bytes of a segment header.
pub const HEADER: usize = 64;
/// Bytes of a record before its payload.
pub const RECORD: usize = 16;
/// Bytes of a record that holds only a seal.
pub(super) const SEAL: usize = RECORD + 1;
/// Bytes of a record that holds only the mark of a compaction.
pub(super) const COMPACT: usize = RECORD + 41;

const MAGIC: &[u8; 8] = b"RAFTWAL\0";

/// First bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) node: u64,
    pub(super) number: u64,
    pub(super) salt: u64,
    pub(super) first: u64,
    pub(super) size: u64,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        let fields = [self.node, self.number, self.salt, self.first, self.size];
        for (field, at) in fields.iter().zip((16..).step_by(8)) {
            bytes[at..at + 8].copy_from_slice(&field.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[..56]);
        bytes[56..60].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header, or says what is wrong with it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Header, String> {
        let Some(bytes) = bytes.get(..HEADER) else {
            return Err(format!("{} bytes are too few for a segment header", bytes.len()));
        };
        if &bytes[..8] != MAGIC {
            return Err("the segment header does not start with RAFTWAL".to_owned());
        }
        if crc32c::crc32c(&bytes[..56]) != u32_at(bytes, 56) || bytes[60..] != [0; 4] {
            return Err("the checksum of the segment header is wrong".to_owned());
        }
        let format = u32_at(bytes, 8);
        if ![FORMAT_BEFORE, FORMAT].contains(&format) {
            return Err(format!("the log has format {format}; this program reads {FORMAT}"));
        }
        Ok(Header {
            node: u64_at(bytes, 16),
            number: u64_at(bytes, 24),
            salt: u64_at(bytes, 32),
            first: u64_at(bytes, 40),
            size: u64_at(bytes, 48),
        })
    }
}

/// Encodes a record around `payload`.
pub(super) fn encode_record(salt: u64, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RECORD + payload.len());
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&checksum(salt, sequence, payload).to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The record at `at`: its sequence and payload, if every byte of it is as it was written.
pub(super) fn decode_record(segment: &[u8], at: usize, salt: u64) -> Option<(u64, &[u8])> {
    let head = segment.get(at..at + RECORD)?;
    let length = u32_at(head, 0) as usize;
    let sequence = u64_at(head, 8);
    if length == 0 {
        return None;
    }
    let payload = segment.get(at + RECORD..at + RECORD + length)?;
    (checksum(salt, sequence, payload) == u32_at(head, 4)).then_some((sequence, payload))
}

/// Where in `segment`, at or after `from`, a record later than `sequence` starts.
pub(super) fn later_record(segment: &[u8], from: usize, salt: u64, sequence: u64) -> Option<usize> {
    let end = segment.len().saturating_sub(RECORD);
    let plausible = sequence..sequence.saturating_add((segment.len() / RECORD) as u64);
    (from..end).find(|&at| {
        // The sequence alone rules nearly every position out; only then is the checksum worth computing.
        plausible.contains(&u64_at(segment, at + 8)) && decode_record(segment, at, salt).is_some()
    })
}

fn checksum(salt: u64, sequence: u64, payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&salt.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &sequence.to_le_bytes());
    crc32c::crc32c_append(crc, payload)
}

/// One fact in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    HardState(HardState),
    TruncateFrom(u64),
    Entry(Entry),
    Seal,
    Reset(Position),
    Compact(Compact),
}

/// The mark of a compaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Compact {
    /// Entries up to here may be gone.
    pub(super) base: Position,
    /// Segments before this one may be gone.
    pub(super) first_segment: u64,
    /// The hard state as of this record.
    pub(super) hard_state: HardState,
}

impl Item {
    /// Bytes that [`Item::encode`] adds.
    pub(super) fn size(&self) -> usize {
        match self {
            Item::HardState(_) => 17,
            Item::TruncateFrom(_) => 9,
            Item::Entry(entry) => match &entry.payload {
                Payload::Command(command) => 21 + command.len(),
                Payload::Noop => 17,
                Payload::Configuration(configuration) => 21 + members::encode(configuration).len(),
            },
            Item::Seal => 1,
            Item::Reset(_) => 17,
            Item::Compact(_) => 41,
        }
    }

    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Item::HardState(state) => {
                bytes.push(1);
                bytes.extend_from_slice(&state.term.to_le_bytes());
                bytes.extend_from_slice(&state.vote.unwrap_or(0).to_le_bytes());
            }
            Item::TruncateFrom(index) => {
                bytes.push(2);
                bytes.extend_from_slice(&index.to_le_bytes());
            }
            Item::Entry(entry) => {
                bytes.push(match &entry.payload {
                    Payload::Command(_) => 3,
                    Payload::Noop => 4,
                    Payload::Configuration(_) => 8,
                });
                bytes.extend_from_slice(&entry.index.to_le_bytes());
                bytes.extend_from_slice(&entry.term.to_le_bytes());
                let content = match &entry.payload {
                    Payload::Noop => return,
                    Payload::Command(command) => Cow::Borrowed(&**command),
                    Payload::Configuration(configuration) => {
                        Cow::Owned(members::encode(configuration))
                    }
                };
                bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
                bytes.extend_from_slice(&content);
            }
            Item::Seal => bytes.push(5),
            Item::Reset(position) => {
                bytes.push(6);
                bytes.extend_from_slice(&position.index.to_le_bytes());
                bytes.extend_from_slice(&position.term.to_le_bytes());
            }
            Item::Compact(Compact { base, first_segment, hard_state }) => {
                bytes.push(7);
                let vote = hard_state.vote.unwrap_or(0);
                for number in [base.index, base.term, *first_segment, hard_state.term, vote] {
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
    }

    /// Takes one item off the front of `bytes`.
    fn decode(bytes: &mut &[u8]) -> Option<Item> {
        let (kind, mut rest) = bytes.split_first()?;
        let item = match kind {
            1 => Item::HardState(take_hard_state(&mut rest)?),
            2 => Item::TruncateFrom(take_u64(&mut rest)?),
            3 | 8 => {
                let index = take_u64(&mut rest)?;
                let term = take_u64(&mut rest)?;
                let length = u32::from_le_bytes(*rest.split_first_chunk()?.0) as usize;
                let content = rest.get(4..4 + length)?;
                let payload = match kind {
                    3 => Payload::Command(Arc::from(content)),
                    _ => Payload::Configuration(Arc::new(members::decode(content)?)),
                };
                rest = &rest[4 + length..];
                Item::Entry(Entry { index, term, payload })
            }
            4 => {
                let index = take_u64(&mut rest)?;
                let term = take_u64(&mut rest)?;
                Item::Entry(Entry { index, term, payload: Payload::Noop })
            }
            5 => Item::Seal,
            6 => Item::Reset(take_position(&mut rest)?),
            7 => Item::Compact(Compact {
                base: take_position(&mut rest)?,
                first_segment: take_u64(&mut rest)?,
                hard_state: take_hard_state(&mut rest)?,
            }),
            _ => return None,
        };
        *bytes = rest;
        Some(item)
    }

    /// All items of a payload; `None` if it is not a sequence of items.
    pub(super) fn decode_all(mut payload: &[u8]) -> Option<Vec<Item>> {
        let mut items = Vec::new();
        while !payload.is_empty() {
            items.push(Item::decode(&mut payload)?);
        }
        Some(items)
    }
}

/// The items of a batch, in the order in which they take effect. Of a compaction only the base is known here.
pub(super) fn items(batch: Batch) -> impl Iterator<Item = Item> {
    let state = batch.hard_state.map(Item::HardState);
    let truncate = batch.truncate_from.map(Item::TruncateFrom);
    let reset = batch.reset.map(|snapshot| Item::Reset(snapshot.last));
    let compact = batch.compact.map(|base| Item::Compact(Compact { base, ..Compact::default() }));
    let entries = batch.entries.into_iter().map(Item::Entry);
    state.into_iter().chain(reset).chain(truncate).chain(entries).chain(compact)
}

fn take_position(bytes: &mut &[u8]) -> Option<Position> {
    let index = take_u64(bytes)?;
    Some(Position { index, term: take_u64(bytes)? })
}

fn take_hard_state(bytes: &mut &[u8]) -> Option<HardState> {
    let term = take_u64(bytes)?;
    let vote = take_u64(bytes)?;
    Some(HardState { term, vote: (vote != 0).then_some(vote) })
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*first))
}

/// The number at `at`, which the caller knows to be inside.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}
