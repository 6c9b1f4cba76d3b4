//! A mounted file system: it answers the kernel, and does to the disk what its controller says.
//!
//! One thread, one loop over two descriptors. A request that must wait (a slow sync, a hung disk) is kept with its
//! answer owed, and everything else goes on. The kernel lets a process that was killed wait for an answer that is
//! owed, so who waits is looked at every `LOOK_EVERY`, and the dead are let go: a request of theirs is not carried
//! out, which is what the loss of power needs too.
//!
//! The kernel keeps neither names nor attributes of it, and forgets the bytes it holds of a file when that is opened:
//! after a loss a process sees what is there. Writes come through at once, so what a killed process had written stays.

use super::model::Tree;
use super::wire::{self, Arguments, Header, op};
use super::{Answer, Figures, Order, Promises, Torn, namespace};
use crate::random::Random;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often those who wait are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// With nobody waiting, the loop turns at least this often.
const IDLE: Duration = Duration::from_secs(1);
/// How long after the death of its processes a disk may still be open.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Requests answered before the controller is heard again.
const TURN: usize = 64;
/// The longest order, in bytes.
const ORDER_LIMIT_BYTES: usize = 4096;
/// Stream of the draws of a torn write.
const TORN_STREAM: u64 = 1;

/// What the kernel is answered.
type Outcome = std::result::Result<Vec<u8>, Errno>;
/// What the controller is answered.
type Told = std::result::Result<Answer, String>;

/// A file system that is mounted, in the namespace of the thread that mounted it.
pub struct Mount {
    device: File,
    /// The folder below the mount.
    covered: OwnedFd,
    tree: Tree,
    users: BTreeMap<u64, Users>,
    held: Vec<Held>,
    fail_next: bool,
    slow: Duration,
    hangs: bool,
    losing: Option<Losing>,
    figures: Figures,
}

/// Who still has an inode that may have no name any more.
#[derive(Clone, Copy, Default)]
struct Users {
    lookups: u64,
    opens: u64,
}

/// A request whose answer is owed: from then on, or once the disk is healed.
struct Held {
    request: Vec<u8>,
    header: Header,
    due: Option<Instant>,
}

/// A loss of power that waits until nothing is open.
#[derive(Clone, Copy)]
struct Losing {
    torn: Torn,
    seed: u64,
    latest: Instant,
}

impl Mount {
    /// Mounts an empty file system of so many bytes over the folder `place`.
    ///
    /// # Errors
    /// The folder is not there, or the kernel does not let it be mounted over.
    pub fn new(place: &Path, promises: Promises, capacity: u64) -> Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let covered = open(place, flags, Mode::empty())?;
        let device = File::from(namespace::mount_fuse(place)?);
        Ok(Self {
            device,
            covered,
            tree: Tree::new(promises, capacity),
            users: BTreeMap::new(),
            held: Vec::new(),
            fail_next: false,
            slow: Duration::ZERO,
            hangs: false,
            losing: None,
            figures: Figures::default(),
        })
    }

    /// Answers the kernel and the controller until the latter closes its end. Each order is a line of JSON, and so is
    /// each answer: an [`Answer`], or a sentence that says why not. The first is that it is mounted.
    ///
    /// # Errors
    /// The kernel's or the controller's end broke.
    pub fn serve(mut self, mut control: UnixStream) -> Result<()> {
        control.set_nonblocking(true)?;
        reply(&mut control, Ok(self.answer()))?;
        let mut buffer = vec![0; wire::REQUEST_LIMIT_BYTES];
        let mut line = Vec::new();
        loop {
            self.wait(&control)?;
            let mut turns = 0;
            while turns < TURN && self.hear_kernel(&mut buffer)? {
                turns += 1;
            }
            self.pay();
            if turns < TURN {
                if let Some(answer) = self.lose_if_closed() {
                    reply(&mut control, answer)?;
                }
                if !self.hear_control(&mut control, &mut line)? {
                    return Ok(());
                }
            }
        }
    }

    fn wait(&self, control: &UnixStream) -> Result<()> {
        let dues = self.held.iter().filter_map(|held| held.due);
        let next =
            dues.min().map_or(LOOK_EVERY, |due| due.saturating_duration_since(Instant::now()));
        let busy = !self.held.is_empty() || self.losing.is_some();
        let limit = if busy { next.min(LOOK_EVERY) } else { IDLE };
        // Rounded up: a wait that is too short would turn in vain.
        let limit = PollTimeout::try_from(limit + Duration::from_micros(999));
        let limit = limit.unwrap_or(PollTimeout::from(10_u16));
        let mut watched = [
            PollFd::new(self.device.as_fd(), PollFlags::POLLIN),
            PollFd::new(control.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut watched, limit) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes in one request; false if there is none.
    fn hear_kernel(&mut self, buffer: &mut [u8]) -> Result<bool> {
        match self.device.read(buffer) {
            Ok(length) => {
                self.take(&buffer[..length]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            // That there is none means that who asked is gone.
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EINTR | Errno::ENOENT) => Ok(true),
                _ => Err(error),
            },
        }
    }

    /// Answers a request now or later.
    fn take(&mut self, request: &[u8]) {
        let Some((header, arguments)) = Header::parse(request) else { return };
        let is_sync = matches!(header.operation, op::FSYNC | op::FSYNCDIR);
        let due = if self.hangs && waits(header.operation) {
            self.figures.held += 1;
            None
        } else if is_sync && !self.slow.is_zero() {
            self.figures.slow_syncs += 1;
            Some(Instant::now() + self.slow)
        } else {
            self.carry_out(header, arguments);
            return;
        };
        self.held.push(Held { request: request.to_vec(), header, due });
    }

    /// Gives the answers that are due, and lets the dead go.
    fn pay(&mut self) {
        let now = Instant::now();
        for held in std::mem::take(&mut self.held) {
            let is_due = held.due.map_or(!self.hangs, |due| due <= now && !self.hangs);
            if is_dying(held.header.thread) {
                self.send(held.header.unique, Err(Errno::EINTR));
            } else if is_due {
                if let Some((header, arguments)) = Header::parse(&held.request) {
                    self.carry_out(header, arguments);
                }
            } else {
                self.held.push(held);
            }
        }
    }

    fn carry_out(&mut self, header: Header, arguments: Arguments<'_>) {
        match header.operation {
            op::FORGET | op::BATCH_FORGET => {
                // One that is cut short forgets less, and costs memory only.
                let _ = self.forget(header, arguments);
            }
            op::INTERRUPT => {}
            _ => {
                let result = self.operate(header, arguments);
                self.send(header.unique, result);
            }
        }
    }

    /// That nobody waits for it any more is no error.
    fn send(&mut self, unique: u64, result: Outcome) {
        let _ = self.device.write(&wire::answer(unique, result));
    }

    fn forget(&mut self, header: Header, mut arguments: Arguments<'_>) -> Option<()> {
        if header.operation == op::FORGET {
            let count = arguments.u64()?;
            self.users.entry(header.inode).or_default().lookups_less(count);
        } else {
            let several = arguments.u32()?;
            arguments.u32()?;
            for _ in 0..several {
                let (inode, count) = (arguments.u64()?, arguments.u64()?);
                self.users.entry(inode).or_default().lookups_less(count);
            }
        }
        self.sweep();
        Some(())
    }

    fn sweep(&mut self) {
        self.users.retain(|_, users| users.lookups + users.opens > 0);
        self.tree.sweep(|inode| self.users.contains_key(&inode));
    }

    fn operate(&mut self, header: Header, mut arguments: Arguments<'_>) -> Outcome {
        let inode = header.inode;
        let fields = &mut arguments;
        match header.operation {
            op::INIT => wire::hello(arguments).ok_or(Errno::EPROTO),
            op::LOOKUP => {
                let found = self.tree.lookup(inode, name(fields)?)?;
                self.entry(found)
            }
            op::GETATTR => Ok(wire::attributes(inode, self.tree.attributes(inode)?)),
            op::SETATTR => self.set_attributes(inode, fields),
            op::MKDIR => {
                let (mode, _umask) = (number(fields)?, number(fields)?);
                let made = self.tree.make_directory(inode, name(fields)?, mode)?;
                self.entry(made)
            }
            op::CREATE => self.create(inode, fields),
            op::UNLINK => self.tree.unlink(inode, name(fields)?).map(nothing),
            op::RMDIR => self.tree.remove_directory(inode, name(fields)?).map(nothing),
            op::RENAME | op::RENAME2 => {
                let to = long(fields)?;
                if header.operation == op::RENAME2 && (number(fields)?, number(fields)?).0 != 0 {
                    return Err(Errno::EINVAL);
                }
                let (old, new) = (name(fields)?, name(fields)?);
                self.tree.rename((inode, old), (to, new)).map(nothing)
            }
            op::OPEN | op::OPENDIR => {
                self.tree.attributes(inode)?;
                self.users.entry(inode).or_default().opens += 1;
                Ok(wire::opened())
            }
            op::RELEASE | op::RELEASEDIR => {
                let users = self.users.entry(inode).or_default();
                users.opens = users.opens.saturating_sub(1);
                self.sweep();
                Ok(Vec::new())
            }
            op::READ => {
                let (offset, size) = range(fields)?;
                self.tree.read(inode, offset, size.min(wire::WRITE_LIMIT_BYTES))
            }
            op::READDIR => self.read_directory(inode, fields),
            op::WRITE => self.write(inode, fields),
            op::FALLOCATE => self.allocate(inode, fields),
            op::FSYNC => self.sync(inode),
            op::FSYNCDIR => {
                self.figures.syncs += 1;
                self.tree.sync_directory(inode).map(nothing)
            }
            op::STATFS => Ok(wire::space(self.tree.capacity(), self.tree.taken())),
            op::DESTROY => Ok(Vec::new()),
            _ => Err(Errno::ENOSYS),
        }
    }

    fn entry(&mut self, inode: u64) -> Outcome {
        let attributes = self.tree.attributes(inode)?;
        self.users.entry(inode).or_default().lookups += 1;
        Ok(wire::entry(inode, attributes))
    }

    fn create(&mut self, directory: u64, fields: &mut Arguments<'_>) -> Outcome {
        let (_flags, mode) = (number(fields)?, number(fields)?);
        fields.skip(8).ok_or(Errno::EINVAL)?;
        let made = self.tree.create(directory, name(fields)?, mode)?;
        let mut body = self.entry(made)?;
        self.users.entry(made).or_default().opens += 1;
        body.extend(wire::opened());
        Ok(body)
    }

    fn set_attributes(&mut self, inode: u64, fields: &mut Arguments<'_>) -> Outcome {
        const MODE: u32 = 1;
        const SIZE: u32 = 8;
        let which = number(fields)?;
        fields.skip(12).ok_or(Errno::EINVAL)?;
        let size = long(fields)?;
        fields.skip(44).ok_or(Errno::EINVAL)?;
        let mode = number(fields)?;
        if which & SIZE != 0 {
            self.tree.resize(inode, size)?;
        }
        if which & MODE != 0 {
            self.tree.set_mode(inode, mode)?;
        }
        Ok(wire::attributes(inode, self.tree.attributes(inode)?))
    }

    fn read_directory(&self, inode: u64, fields: &mut Arguments<'_>) -> Outcome {
        let (from, limit) = range(fields)?;
        let kind = |(name, inode): (String, u64)| {
            self.tree.attributes(inode).map(|of| (name, inode, of.directory))
        };
        let all = self.tree.entries(inode)?.into_iter().map(kind);
        let all: Vec<_> = all.collect::<std::result::Result<_, _>>()?;
        Ok(wire::entries(&all, from, limit))
    }

    fn write(&mut self, inode: u64, fields: &mut Arguments<'_>) -> Outcome {
        let (offset, size) = range(fields)?;
        fields.skip(20).ok_or(Errno::EINVAL)?;
        let bytes = fields.bytes(size).ok_or(Errno::EINVAL)?;
        let written = self.tree.write(inode, offset, bytes);
        self.spaceless(written)?;
        Ok(wire::written(bytes.len() as u32))
    }

    fn allocate(&mut self, inode: u64, fields: &mut Arguments<'_>) -> Outcome {
        const KEEP_SIZE: u32 = 1;
        let _handle = long(fields)?;
        let (offset, length, mode) = (long(fields)?, long(fields)?, number(fields)?);
        if mode & !KEEP_SIZE != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let allocated = self.tree.allocate(inode, (offset, length), mode & KEEP_SIZE != 0);
        self.spaceless(allocated).map(nothing)
    }

    /// Counts what found no space.
    fn spaceless<T>(
        &mut self,
        result: std::result::Result<T, Errno>,
    ) -> std::result::Result<T, Errno> {
        if result.as_ref().err() == Some(&Errno::ENOSPC) {
            let full = self.tree.is_filled();
            let count = if full { &mut self.figures.refused } else { &mut self.figures.overflowed };
            *count += 1;
        }
        result
    }

    fn sync(&mut self, inode: u64) -> Outcome {
        self.figures.syncs += 1;
        if self.fail_next && self.tree.has_news(inode) {
            self.fail_next = false;
            self.figures.failed_syncs += 1;
            self.tree.fail_sync(inode)?;
            return Err(Errno::EIO);
        }
        self.tree.sync_file(inode).map(nothing)
    }

    /// Takes in what the controller sent; false once it closed its end.
    fn hear_control(&mut self, control: &mut UnixStream, line: &mut Vec<u8>) -> Result<bool> {
        let mut buffer = [0; ORDER_LIMIT_BYTES];
        match control.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(length) => line.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        }
        while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            let order = serde_json::from_slice(&line[..end]).map_err(Error::other)?;
            line.drain(..=end);
            if let Some(answer) = self.obey(order) {
                reply(control, answer)?;
            }
        }
        if line.len() > ORDER_LIMIT_BYTES {
            return Err(Error::other("an order is too long"));
        }
        Ok(true)
    }

    /// Does as it is told; no answer yet to what has to wait.
    fn obey(&mut self, order: Order) -> Option<Told> {
        match order {
            Order::Look => {}
            Order::FailSync => self.fail_next = true,
            Order::Fill => self.tree.fill(true),
            Order::Slow { ms } => self.slow = Duration::from_millis(ms),
            Order::Hang => self.hangs = true,
            Order::Heal => {
                self.clear();
                self.held.iter_mut().for_each(|held| held.due = None);
                self.pay();
            }
            Order::Lose { torn, seed } => {
                let latest = Instant::now() + CLOSE_LIMIT;
                self.losing = Some(Losing { torn, seed, latest });
                return None;
            }
            Order::Keep => {
                let folder = PathBuf::from(format!("/proc/self/fd/{}", self.covered.as_raw_fd()));
                if let Err(error) = self.tree.live().write(&folder) {
                    return Some(Err(format!("its files could not be kept: {error}")));
                }
            }
        }
        Some(Ok(self.answer()))
    }

    fn clear(&mut self) {
        (self.fail_next, self.slow, self.hangs) = (false, Duration::ZERO, false);
        self.tree.fill(false);
    }

    /// Loses what was not synced, once nothing is open any more: while a process had a file open it would see bytes
    /// change under it, which no loss of power does.
    fn lose_if_closed(&mut self) -> Option<Told> {
        let Losing { torn, seed, latest } = self.losing?;
        let open: u64 = self.users.values().map(|users| users.opens).sum();
        if open > 0 || !self.held.is_empty() {
            if Instant::now() < latest {
                return None;
            }
            self.losing = None;
            return Some(Err(format!("{open} of its files are still open")));
        }
        self.losing = None;
        let before = self.tree.durable().digest();
        let lost = self.tree.lose(torn, &mut Random::new(seed, TORN_STREAM));
        self.clear();
        let left = if torn == Torn::Nothing { before } else { self.tree.durable().digest() };
        Some(Ok(Answer { lost: Some(lost), digest: Some(left), ..self.answer() }))
    }

    fn answer(&self) -> Answer {
        let figures = Figures { taken: self.tree.taken(), ..self.figures };
        Answer { figures, ..Answer::default() }
    }
}

impl Users {
    fn lookups_less(&mut self, count: u64) {
        self.lookups = self.lookups.saturating_sub(count);
    }
}

/// Whether a hung disk lets this wait. What ends a use of it never does.
fn waits(operation: u32) -> bool {
    let ends = [op::FORGET, op::BATCH_FORGET, op::INTERRUPT, op::RELEASE, op::RELEASEDIR];
    !ends.contains(&operation) && !matches!(operation, op::INIT | op::DESTROY)
}

/// Whether a thread was killed, or is gone.
fn is_dying(thread: i32) -> bool {
    const SIGKILL: u64 = 1 << (nix::libc::SIGKILL - 1);
    if thread <= 0 {
        return false;
    }
    let Ok(status) = std::fs::read_to_string(format!("/proc/{thread}/status")) else { return true };
    let pending = status.lines().filter_map(|line| {
        let value = line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(value.trim(), 16).ok()
    });
    pending.fold(0, |all, one| all | one) & SIGKILL != 0
}

fn reply(control: &mut UnixStream, answer: Told) -> Result<()> {
    let mut line = serde_json::to_vec(&answer).map_err(Error::other)?;
    line.push(b'\n');
    control.write_all(&line)
}

fn nothing(_: ()) -> Vec<u8> {
    Vec::new()
}

fn number(fields: &mut Arguments<'_>) -> std::result::Result<u32, Errno> {
    fields.u32().ok_or(Errno::EINVAL)
}

fn long(fields: &mut Arguments<'_>) -> std::result::Result<u64, Errno> {
    fields.u64().ok_or(Errno::EINVAL)
}

fn name<'a>(fields: &mut Arguments<'a>) -> std::result::Result<&'a str, Errno> {
    fields.name().ok_or(Errno::EINVAL)
}

/// The offset and the length in the arguments of a read or a write, after the handle.
fn range(fields: &mut Arguments<'_>) -> std::result::Result<(u64, usize), Errno> {
    let _handle = long(fields)?;
    Ok((long(fields)?, number(fields)? as usize))
}
