//! Bytes of a snapshot file.
//!
//! ```text
//! file    = header block* trailer           file name snapshot-<index>-<term>, twenty digits each
//! header  = "RAFTSNAP" format:u32 length:u32 body(length) crc:u32
//! body    = cluster:u64 index:u64 term:u64 configuration       see `members`
//! block   = length:u32 crc:u32 bytes(length)          not empty; what is in it: `kv/export.rs`
//! trailer = 0:u32 crc:u32 blocks:u64
//! ```
//!
//! Numbers are little-endian. The CRC32C of a block covers all blocks up to it, so that none can be missing,
//! repeated or out of order; the trailer's covers their number too. Every byte is covered by some checksum or
//! compared with what it must be. The configuration is that of the state, not of the cluster as it is now.

use std::io::{self, Read};
use std::sync::Arc;

use super::Offer;
use crate::kv::BLOCK_MAX;
use crate::members;
use crate::raft::{Position, Snapshot};

const MAGIC: &[u8; 8] = b"RAFTSNAP";
/// Version of the layout above.
const FORMAT: u32 = 1;
/// Bytes of a trailer.
pub(super) const TRAILER: u64 = 16;
/// Largest header body: far more members than any cluster has.
const BODY_MAX: usize = 1 << 20;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) cluster: u64,
    pub(super) snapshot: Snapshot,
}

/// The name of the file that holds the state as of `last`.
pub(super) fn name(last: Position) -> String {
    format!("snapshot-{:020}-{:020}", last.index, last.term)
}

/// What the file of this name holds, if it is a snapshot's.
pub(super) fn position(name: &str) -> Option<Position> {
    let (index, term) = name.strip_prefix("snapshot-")?.split_once('-')?;
    Some(Position { index: index.parse().ok()?, term: term.parse().ok()? })
}

impl Head {
    /// The bytes of the header.
    pub(super) fn encode(&self) -> Vec<u8> {
        let Snapshot { last, configuration } = &self.snapshot;
        let mut body = Vec::new();
        for number in [self.cluster, last.index, last.term] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        body.extend_from_slice(&members::encode(configuration));
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&body);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn read(reader: &mut dyn Read) -> io::Result<Head> {
        let mut bytes = vec![0; 16];
        reader.read_exact(&mut bytes)?;
        if &bytes[..8] != MAGIC {
            return Err(damage("it does not start with RAFTSNAP"));
        }
        let (format, length) = (u32_at(&bytes, 8), u32_at(&bytes, 12) as usize);
        if length > BODY_MAX {
            return Err(damage("its header is too long"));
        }
        bytes.resize(16 + length + 4, 0);
        reader.read_exact(&mut bytes[16..])?;
        let (covered, crc) = bytes.split_at(16 + length);
        if crc32c::crc32c(covered) != u32_at(crc, 0) {
            return Err(damage("the checksum of its header is wrong"));
        }
        if format != FORMAT {
            let message = format!("it has format {format}; this program reads {FORMAT}");
            return Err(damage(message));
        }
        Head::decode(&covered[16..]).ok_or_else(|| damage("its header makes no sense"))
    }

    fn decode(mut body: &[u8]) -> Option<Head> {
        let input = &mut body;
        let [cluster, index, term] =
            [take(input)?, take(input)?, take(input)?].map(u64::from_le_bytes);
        let configuration = Arc::new(members::decode(input)?);
        let snapshot = Snapshot { last: Position { index, term }, configuration };
        Some(Head { cluster, snapshot })
    }
}

/// The name of the file that is to become this snapshot: what has arrived of it so far.
pub(super) fn incoming(offer: &Offer) -> String {
    let Offer { last, size, crc } = offer;
    format!("incoming-{:020}-{:020}-{size:020}-{crc:08x}", last.index, last.term)
}

/// What the file of this name is to become, if it is one that is being received.
pub(super) fn incoming_position(name: &str) -> Option<Position> {
    let mut fields = name.strip_prefix("incoming-")?.split('-');
    Some(Position { index: fields.next()?.parse().ok()?, term: fields.next()?.parse().ok()? })
}

/// The checksum in the trailer, which is the end of the file: it covers every block.
pub(super) fn final_sum(mut end: impl Read) -> io::Result<u32> {
    let mut trailer = [0; TRAILER as usize];
    end.read_exact(&mut trailer)?;
    Ok(u32_at(&trailer, 4))
}

/// The running checksum of the blocks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    crc: u32,
    blocks: u64,
}

impl Sum {
    /// Wraps the next block.
    pub(super) fn block(&mut self, block: &[u8]) -> Vec<u8> {
        self.add(block);
        let mut bytes = Vec::with_capacity(8 + block.len());
        bytes.extend_from_slice(&(block.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.crc.to_le_bytes());
        bytes.extend_from_slice(block);
        bytes
    }

    /// The bytes after the last block.
    pub(super) fn trailer(self) -> [u8; 16] {
        let count = self.blocks.to_le_bytes();
        let mut bytes = [0; 16];
        bytes[4..8].copy_from_slice(&crc32c::crc32c_append(self.crc, &count).to_le_bytes());
        bytes[8..].copy_from_slice(&count);
        bytes
    }

    fn add(&mut self, block: &[u8]) {
        self.crc = crc32c::crc32c_append(self.crc, block);
        self.blocks += 1;
    }
}

/// Reads a header and goes on with the blocks. Damage is `InvalidData` or `UnexpectedEof`.
pub(super) fn open(reader: Box<dyn Read + Send>) -> io::Result<(Head, Blocks)> {
    let mut reader: Box<dyn Read + Send> = Box::new(io::BufReader::with_capacity(1 << 18, reader));
    let head = Head::read(&mut reader)?;
    Ok((head, Blocks { reader, sum: Sum::default(), is_over: false }))
}

/// The blocks of a file. The last item is an error unless the file ends as it was written.
pub(super) struct Blocks {
    reader: Box<dyn Read + Send>,
    sum: Sum,
    is_over: bool,
}

impl Blocks {
    fn step(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut head = [0; 8];
        self.reader.read_exact(&mut head)?;
        let (length, crc) = (u32_at(&head, 0) as usize, u32_at(&head, 4));
        if length == 0 {
            let mut trailer = [0; 16];
            trailer[..8].copy_from_slice(&head);
            self.reader.read_exact(&mut trailer[8..])?;
            let is_end = self.reader.read(&mut [0])? == 0;
            let is_whole = is_end && trailer == self.sum.trailer();
            return if is_whole { Ok(None) } else { Err(damage("its end is not as written")) };
        }
        if length > BLOCK_MAX {
            return Err(damage(format!("block {} is too long", self.sum.blocks + 1)));
        }
        let mut block = vec![0; length];
        self.reader.read_exact(&mut block)?;
        self.sum.add(&block);
        if self.sum.crc != crc {
            return Err(damage(format!("the checksum of block {} is wrong", self.sum.blocks)));
        }
        Ok(Some(block))
    }
}

impl Iterator for Blocks {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        if self.is_over {
            return None;
        }
        let step = self.step().transpose();
        self.is_over = !matches!(step, Some(Ok(_)));
        step
    }
}

fn damage(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*first)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}
