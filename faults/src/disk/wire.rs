//! The messages of FUSE as bytes, version 7.31, in the machine's own byte order (`linux/fuse.h`).
//!
//! A request is a header, the arguments of its operation, and names that end with a zero; an answer is a header and
//! what the operation returns. Nothing here knows of files.

use super::model::Attributes;
use nix::errno::Errno;

/// The version spoken.
const MAJOR: u32 = 7;
const MINOR: u32 = 31;
/// The most bytes in one write, and in one read.
pub(super) const WRITE_LIMIT_BYTES: usize = 1 << 20;
/// A buffer of this size holds every request.
pub(super) const REQUEST_LIMIT_BYTES: usize = WRITE_LIMIT_BYTES + 4096;
const HEADER_BYTES: usize = 40;
/// Writes of more than a page; more than 32 pages in a request.
const WANTED: u32 = 1 << 5 | 1 << 22;

/// Operation numbers.
pub(super) mod op {
    pub(crate) const LOOKUP: u32 = 1;
    pub(crate) const FORGET: u32 = 2;
    pub(crate) const GETATTR: u32 = 3;
    pub(crate) const SETATTR: u32 = 4;
    pub(crate) const MKDIR: u32 = 9;
    pub(crate) const UNLINK: u32 = 10;
    pub(crate) const RMDIR: u32 = 11;
    pub(crate) const RENAME: u32 = 12;
    pub(crate) const OPEN: u32 = 14;
    pub(crate) const READ: u32 = 15;
    pub(crate) const WRITE: u32 = 16;
    pub(crate) const STATFS: u32 = 17;
    pub(crate) const RELEASE: u32 = 18;
    pub(crate) const FSYNC: u32 = 20;
    pub(crate) const INIT: u32 = 26;
    pub(crate) const OPENDIR: u32 = 27;
    pub(crate) const READDIR: u32 = 28;
    pub(crate) const RELEASEDIR: u32 = 29;
    pub(crate) const FSYNCDIR: u32 = 30;
    pub(crate) const CREATE: u32 = 35;
    pub(crate) const INTERRUPT: u32 = 36;
    pub(crate) const DESTROY: u32 = 38;
    pub(crate) const BATCH_FORGET: u32 = 42;
    pub(crate) const FALLOCATE: u32 = 43;
    pub(crate) const RENAME2: u32 = 45;
}

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) operation: u32,
    pub(super) unique: u64,
    pub(super) inode: u64,
    /// The thread that waits for the answer; 0 for the kernel itself.
    pub(super) thread: i32,
}

impl Header {
    /// The header of a request, and its arguments.
    pub(super) fn parse(request: &[u8]) -> Option<(Self, Arguments<'_>)> {
        let mut fields = Arguments(request);
        fields.u32()?;
        let operation = fields.u32()?;
        let (unique, inode) = (fields.u64()?, fields.u64()?);
        fields.skip(8)?;
        let thread = fields.u32()?.cast_signed();
        Some((Self { operation, unique, inode, thread }, Arguments(request.get(HEADER_BYTES..)?)))
    }
}

/// What is left of the arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments<'a>(&'a [u8]);

impl<'a> Arguments<'a> {
    pub(super) fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_ne_bytes(*bytes))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_ne_bytes(*bytes))
    }

    pub(super) fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A name; one that is no text is not to be had.
    pub(super) fn name(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let name = std::str::from_utf8(&self.0[..end]).ok()?;
        self.0 = &self.0[end + 1..];
        Some(name)
    }
}

/// An answer: what is returned, or the error.
pub(super) fn answer(unique: u64, result: Result<Vec<u8>, Errno>) -> Vec<u8> {
    let (error, body) = match result {
        Ok(body) => (0, body),
        Err(errno) => (-(errno as i32), Vec::new()),
    };
    let mut bytes = Body::default();
    bytes.u32(16 + body.len() as u32).u32(error.cast_unsigned()).u64(unique);
    bytes.0.extend(body);
    bytes.0
}

/// What is put together for an answer.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn attributes(&mut self, inode: u64, of: Attributes) -> &mut Self {
        let kind = if of.directory { 0o040_000 } else { 0o100_000 };
        let links = if of.directory { 2 } else { 1 };
        self.u64(inode).u64(of.size).u64(of.taken / 512);
        // Of access, of writing, of change: there is no clock, but an order of writes.
        self.u64(0).u64(of.written).u64(of.written).u32(0).u32(0).u32(0);
        self.u32(kind | of.mode).u32(links);
        self.u32(nix::unistd::geteuid().as_raw()).u32(nix::unistd::getegid().as_raw());
        self.u32(0).u32(4096).u32(0)
    }
}

/// The answer to the first message; none to a kernel that speaks another language.
pub(super) fn hello(mut arguments: Arguments<'_>) -> Option<Vec<u8>> {
    let (major, minor) = (arguments.u32()?, arguments.u32()?);
    let (read_ahead, offered) = (arguments.u32()?, arguments.u32()?);
    if major != MAJOR || minor < MINOR {
        return None;
    }
    let mut body = Body::default();
    body.u32(MAJOR).u32(MINOR).u32(read_ahead).u32(offered & WANTED);
    // Requests that nobody waits for: 12 at once, and 9 of them are many.
    body.u32(12 | 9 << 16).u32(WRITE_LIMIT_BYTES as u32).u32(1);
    body.u32((WRITE_LIMIT_BYTES / 4096) as u32);
    for _ in 0..8 {
        body.u32(0);
    }
    Some(body.0)
}

/// An inode that a name leads to. Nothing of it is kept by the kernel, so that a loss shows at once.
pub(super) fn entry(inode: u64, of: Attributes) -> Vec<u8> {
    let mut body = Body::default();
    body.u64(inode).u64(0).u64(0).u64(0).u32(0).u32(0).attributes(inode, of);
    body.0
}

/// The attributes of an inode.
pub(super) fn attributes(inode: u64, of: Attributes) -> Vec<u8> {
    let mut body = Body::default();
    body.u64(0).u32(0).u32(0).attributes(inode, of);
    body.0
}

/// Something was opened. What the kernel still holds of the file it forgets.
pub(super) fn opened() -> Vec<u8> {
    let mut body = Body::default();
    body.u64(0).u32(0).u32(0);
    body.0
}

/// So much was written.
pub(super) fn written(bytes: u32) -> Vec<u8> {
    let mut body = Body::default();
    body.u32(bytes).u32(0);
    body.0
}

/// The entries of a directory from the `from`-th on, as many as fit.
pub(super) fn entries(all: &[(String, u64, bool)], from: u64, limit: usize) -> Vec<u8> {
    let mut body = Body::default();
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    for (place, (name, inode, directory)) in all.iter().enumerate().skip(from) {
        let size = (24 + name.len()).next_multiple_of(8);
        if body.0.len() + size > limit {
            break;
        }
        let end = body.0.len() + size;
        body.u64(*inode).u64(place as u64 + 1).u32(name.len() as u32);
        body.u32(if *directory { 4 } else { 8 });
        body.0.extend(name.as_bytes());
        body.0.resize(end, 0);
    }
    body.0
}

/// How much space there is, and how much of it is taken, in bytes.
pub(super) fn space(capacity: u64, taken: u64) -> Vec<u8> {
    let mut body = Body::default();
    let free = capacity.saturating_sub(taken) / 4096;
    body.u64(capacity / 4096).u64(free).u64(free).u64(1 << 20).u64(1 << 20);
    body.u32(4096).u32(255).u32(4096).u32(0);
    for _ in 0..6 {
        body.u32(0);
    }
    body.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: Attributes =
        Attributes { size: 7, taken: 4096, mode: 0o644, directory: false, written: 1 };

    #[test]
    fn answers_have_the_sizes_that_the_kernel_expects() {
        assert_eq!(entry(2, OF).len(), 128);
        assert_eq!(attributes(2, OF).len(), 104);
        assert_eq!((opened().len(), written(1).len(), space(1 << 20, 0).len()), (16, 8, 80));
        let mut offer = Body::default();
        offer.u32(7).u32(40).u32(4096).u32(u32::MAX);
        assert_eq!(hello(Arguments(&offer.0)).unwrap().len(), 64);
        assert!(hello(Arguments(&[8, 0, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])).is_none());
        let failed = answer(3, Err(Errno::ENOENT));
        assert_eq!((failed.len(), &failed[4..8]), (16, &(-2_i32).to_ne_bytes()[..]));
    }

    #[test]
    fn a_directory_is_read_in_pieces() {
        let all: Vec<_> = (0..10).map(|n| (format!("name-{n}"), n + 2, n == 3)).collect();
        let piece = entries(&all, 0, 70);
        assert_eq!(piece.len(), 64, "two entries of 32 bytes");
        assert_eq!(&piece[8..16], &1_u64.to_ne_bytes(), "where to go on");
        assert_eq!(entries(&all, 9, 4096).len(), 32);
        assert!(entries(&all, 10, 4096).is_empty());
    }

    #[test]
    fn what_is_short_is_no_request() {
        assert!(Header::parse(&[0; 39]).is_none());
        let (_, mut arguments) = Header::parse(&[0; 47]).unwrap();
        assert!(arguments.u64().is_none());
        assert!(Arguments(b"name without end").name().is_none());
        assert!(Arguments(&[0xff, 0]).name().is_none());
    }
}
