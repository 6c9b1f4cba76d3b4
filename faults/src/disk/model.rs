//! A file system as a value: what processes see, and what a loss of power would leave of it.
//!
//! Everything exists twice. The *live* version is what processes see; the *durable* one is what survives. A write, a
//! truncation, a new name, a rename and a removal change only the live one. A sync of a file makes its bytes and its
//! length durable, a sync of a directory makes the names in it durable, and [`Tree::lose`] makes the live version what
//! the durable one is. Nothing else is promised, as nothing else is by POSIX; [`Promises`] says what some file systems
//! do besides, because a program that relies on it is not wrong there.
//!
//! Invariants, held against an oracle that replays only what was synced (`tests/it/disk.rs`):
//! - after a loss the tree is its last synced image, plus at most sectors of files that were written since;
//! - a rename between directories is durable in both or in neither;
//! - an inode number never comes back.
//!
//! It does no I/O, reads no clock, and knows nothing of mounts. It keeps no links, devices or extended attributes.

use super::content::{Content, PAGE, SECTOR, pages_of};
use super::{Image, Lost, Promises, Torn};
use crate::random::Random;
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};

/// The number of the root directory, as FUSE has it.
pub const ROOT: u64 = 1;
/// The longest name, in bytes.
const NAME_LIMIT_BYTES: usize = 255;

type Names = BTreeMap<String, u64>;

/// What an inode is besides its number.
#[derive(Clone, Debug)]
struct Inode {
    mode: u32,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    File(File),
    Directory { live: Names, durable: Names },
}

#[derive(Clone, Debug, Default)]
struct File {
    live: Content,
    durable: Content,
    /// Pages that may differ and that the next sync writes.
    dirty: BTreeSet<u64>,
    /// When it was last written, counted in writes of the whole tree.
    written: u64,
}

/// What is to be known of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Length in bytes.
    pub size: u64,
    /// Space taken, in bytes.
    pub taken: u64,
    /// Permission bits.
    pub mode: u32,
    /// Whether it is a directory.
    pub directory: bool,
    /// How many writes the whole tree had seen with the last one to this file: what stands for its time.
    pub written: u64,
}

/// One file system.
#[derive(Clone, Debug)]
pub struct Tree {
    inodes: BTreeMap<u64, Inode>,
    next: u64,
    writes: u64,
    /// Directories between which something was renamed since either was synced.
    tied: BTreeSet<(u64, u64)>,
    promises: Promises,
    capacity: u64,
    /// With this much taken, in bytes, there is no space; set while the disk is filled on purpose.
    filled: Option<u64>,
}

impl Tree {
    /// An empty file system that holds so many bytes.
    #[must_use]
    pub fn new(promises: Promises, capacity: u64) -> Self {
        let root = Kind::Directory { live: Names::new(), durable: Names::new() };
        Self {
            inodes: BTreeMap::from([(ROOT, Inode { mode: 0o755, kind: root })]),
            next: ROOT + 1,
            writes: 0,
            tied: BTreeSet::new(),
            promises,
            capacity,
            filled: None,
        }
    }

    /// Leaves no space for anything more; or as much as there is.
    pub fn fill(&mut self, full: bool) {
        self.filled = full.then(|| self.taken());
    }

    /// Whether it was filled on purpose.
    #[must_use]
    pub fn is_filled(&self) -> bool {
        self.filled.is_some()
    }

    /// How many bytes it holds at most.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.filled.unwrap_or(self.capacity)
    }

    /// The space that is taken, in bytes.
    #[must_use]
    pub fn taken(&self) -> u64 {
        let pages = self.inodes.values().map(|inode| match &inode.kind {
            Kind::File(file) => file.live.allocated(),
            Kind::Directory { .. } => 0,
        });
        pages.sum::<u64>() * PAGE as u64
    }

    /// The inode of that name.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`.
    pub fn lookup(&self, directory: u64, name: &str) -> Result<u64, Errno> {
        self.names(directory)?.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// What is to be known of an inode.
    ///
    /// # Errors
    /// `ENOENT`.
    pub fn attributes(&self, inode: u64) -> Result<Attributes, Errno> {
        let inode = self.inodes.get(&inode).ok_or(Errno::ENOENT)?;
        let mode = inode.mode;
        Ok(match &inode.kind {
            Kind::File(file) => Attributes {
                size: file.live.size(),
                taken: file.live.allocated() * PAGE as u64,
                mode,
                directory: false,
                written: file.written,
            },
            Kind::Directory { .. } => {
                Attributes { size: 0, taken: 0, mode, directory: true, written: 0 }
            }
        })
    }

    /// The names in a directory, in order.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`.
    pub fn entries(&self, directory: u64) -> Result<Vec<(String, u64)>, Errno> {
        Ok(self.names(directory)?.iter().map(|(name, inode)| (name.clone(), *inode)).collect())
    }

    /// Makes an empty file.
    ///
    /// # Errors
    /// `EEXIST`, `ENAMETOOLONG`, or what [`lookup`](Self::lookup) says of the directory.
    pub fn create(&mut self, directory: u64, name: &str, mode: u32) -> Result<u64, Errno> {
        self.add(directory, name, mode, Kind::File(File::default()))
    }

    /// Makes an empty directory.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn make_directory(&mut self, directory: u64, name: &str, mode: u32) -> Result<u64, Errno> {
        let kind = Kind::Directory { live: Names::new(), durable: Names::new() };
        self.add(directory, name, mode, kind)
    }

    fn add(&mut self, directory: u64, name: &str, mode: u32, kind: Kind) -> Result<u64, Errno> {
        if name.len() > NAME_LIMIT_BYTES {
            return Err(Errno::ENAMETOOLONG);
        }
        let number = self.next;
        let names = self.names_mut(directory)?;
        if names.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        names.insert(name.to_owned(), number);
        self.next += 1;
        self.inodes.insert(number, Inode { mode: mode & 0o7777, kind });
        Ok(number)
    }

    /// Removes the name of a file.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`.
    pub fn unlink(&mut self, directory: u64, name: &str) -> Result<(), Errno> {
        if self.attributes(self.lookup(directory, name)?)?.directory {
            return Err(Errno::EISDIR);
        }
        self.names_mut(directory)?.remove(name);
        Ok(())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ENOTEMPTY`.
    pub fn remove_directory(&mut self, directory: u64, name: &str) -> Result<(), Errno> {
        if !self.names(self.lookup(directory, name)?)?.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.names_mut(directory)?.remove(name);
        Ok(())
    }

    /// Renames a file or directory, in place of what has the new name.
    ///
    /// # Errors
    /// As POSIX has it.
    pub fn rename(&mut self, from: (u64, &str), to: (u64, &str)) -> Result<(), Errno> {
        let inode = self.lookup(from.0, from.1)?;
        if to.1.len() > NAME_LIMIT_BYTES {
            return Err(Errno::ENAMETOOLONG);
        }
        let old = self.names(to.0)?.get(to.1).copied();
        if let Some(old) = old {
            let (old, new) = (self.attributes(old)?.directory, self.attributes(inode)?.directory);
            match (new, old) {
                (false, true) => return Err(Errno::EISDIR),
                (true, false) => return Err(Errno::ENOTDIR),
                (true, true) if !self.names(self.lookup(to.0, to.1)?)?.is_empty() => {
                    return Err(Errno::ENOTEMPTY);
                }
                _ => {}
            }
        }
        if self.promises == Promises::Ext4
            && old.is_some()
            && let Some(file) = self.file_mut(inode).ok()
        {
            file.sync();
        }
        self.names_mut(from.0)?.remove(from.1);
        self.names_mut(to.0)?.insert(to.1.to_owned(), inode);
        if from.0 != to.0 {
            self.tied.insert((from.0, to.0));
        }
        Ok(())
    }

    /// The bytes of a file, as far as there are so many.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`.
    pub fn read(&self, inode: u64, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
        Ok(self.file(inode)?.live.read(offset, length))
    }

    /// Writes into a file.
    ///
    /// # Errors
    /// `ENOSPC`, and then nothing was written; `EFBIG`, `ENOENT`, `EISDIR`.
    pub fn write(&mut self, inode: u64, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.room(inode, offset, bytes.len() as u64)?;
        self.writes += 1;
        let writes = self.writes;
        let file = self.file_mut(inode)?;
        file.live.write(offset, bytes);
        file.dirty.extend(pages_of(offset, bytes.len() as u64));
        file.written = writes;
        Ok(())
    }

    /// Takes the space of a range; the file grows to hold it unless `keep_size`.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn allocate(
        &mut self,
        inode: u64,
        (offset, length): (u64, u64),
        keep_size: bool,
    ) -> Result<(), Errno> {
        self.room(inode, offset, length)?;
        let file = self.file_mut(inode)?;
        file.live.allocate(offset, length);
        file.dirty.extend(pages_of(offset, length));
        if !keep_size && file.live.size() < offset + length {
            file.live.resize(offset + length);
        }
        Ok(())
    }

    /// Whether there is space for this range.
    fn room(&self, inode: u64, offset: u64, length: u64) -> Result<(), Errno> {
        let end = offset.checked_add(length).filter(|end| i64::try_from(*end).is_ok());
        end.ok_or(Errno::EFBIG)?;
        let more = self.file(inode)?.live.missing(offset, length) * PAGE as u64;
        if more > 0 && self.taken() + more > self.capacity() {
            return Err(Errno::ENOSPC);
        }
        Ok(())
    }

    /// Cuts a file off, or makes it longer by a hole.
    ///
    /// # Errors
    /// `EFBIG`, `ENOENT`, `EISDIR`.
    pub fn resize(&mut self, inode: u64, size: u64) -> Result<(), Errno> {
        if i64::try_from(size).is_err() {
            return Err(Errno::EFBIG);
        }
        let file = self.file_mut(inode)?;
        let cut = size / PAGE as u64;
        let gone: Vec<u64> = file.live.numbers().filter(|page| *page >= cut).collect();
        file.dirty.extend(gone);
        file.live.resize(size);
        Ok(())
    }

    /// Changes the permission bits, durably: no loss of power is about those.
    ///
    /// # Errors
    /// `ENOENT`.
    pub fn set_mode(&mut self, inode: u64, mode: u32) -> Result<(), Errno> {
        self.inodes.get_mut(&inode).ok_or(Errno::ENOENT)?.mode = mode & 0o7777;
        Ok(())
    }

    /// Makes a file's bytes and length durable.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`.
    pub fn sync_file(&mut self, inode: u64) -> Result<(), Errno> {
        self.file_mut(inode)?.sync();
        self.keep_names();
        Ok(())
    }

    /// Where that is promised: a sync writes the journal, and with it every name that anything was given before.
    fn keep_names(&mut self) {
        if self.promises != Promises::Ext4 {
            return;
        }
        for inode in self.inodes.values_mut() {
            if let Kind::Directory { live, durable } = &mut inode.kind {
                durable.clone_from(live);
            }
        }
        self.tied.clear();
    }

    /// A sync that fails: what was to be written is dropped, and counts as written from now on.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`.
    pub fn fail_sync(&mut self, inode: u64) -> Result<(), Errno> {
        let file = self.file_mut(inode)?;
        for page in std::mem::take(&mut file.dirty) {
            file.live.set_page(page, file.durable.page(page).cloned());
        }
        Ok(())
    }

    /// Whether a sync of this file would write something, into a file whose name is durable already.
    #[must_use]
    pub fn has_news(&self, inode: u64) -> bool {
        let named = |inode_: &Inode| match &inode_.kind {
            Kind::Directory { durable, .. } => durable.values().any(|number| *number == inode),
            Kind::File(_) => false,
        };
        self.file(inode).is_ok_and(|file| !file.dirty.is_empty()) && self.inodes.values().any(named)
    }

    /// Makes the names in a directory durable, and those in directories that something was renamed to or from.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`.
    pub fn sync_directory(&mut self, directory: u64) -> Result<(), Errno> {
        self.names(directory)?;
        let mut together = BTreeSet::from([directory]);
        loop {
            let before = together.len();
            for (one, other) in &self.tied {
                if together.contains(one) || together.contains(other) {
                    together.extend([*one, *other]);
                }
            }
            if together.len() == before {
                break;
            }
        }
        self.tied.retain(|(one, _)| !together.contains(one));
        for number in together {
            if let Some(Inode { kind: Kind::Directory { live, durable }, .. }) =
                self.inodes.get_mut(&number)
            {
                durable.clone_from(live);
            }
        }
        self.keep_names();
        Ok(())
    }

    /// The power fails: what was not synced is gone, but for the sectors that `torn` lets by.
    pub fn lose(&mut self, torn: Torn, random: &mut Random) -> Lost {
        let mut lost = Lost::default();
        for inode in self.inodes.values_mut() {
            match &mut inode.kind {
                Kind::File(file) => file.lose(torn, random, &mut lost),
                Kind::Directory { live, durable } => {
                    let kept = |(name, number): (&String, &u64)| durable.get(name) == Some(number);
                    lost.names += live.iter().filter(|entry| !kept(*entry)).count() as u64;
                    let live_names: Names = std::mem::replace(live, durable.clone());
                    let back = durable.keys().filter(|name| !live_names.contains_key(*name));
                    lost.names += back.count() as u64;
                }
            }
        }
        self.tied.clear();
        self.filled = None;
        self.sweep(|_| false);
        lost
    }

    /// Forgets what no name leads to, live or durable, unless somebody still `uses` it.
    pub fn sweep(&mut self, uses: impl Fn(u64) -> bool) {
        let mut reached = BTreeSet::new();
        let mut next: Vec<u64> =
            self.inodes.keys().copied().filter(|number| uses(*number)).collect();
        next.push(ROOT);
        while let Some(number) = next.pop() {
            if reached.insert(number)
                && let Some(Inode { kind: Kind::Directory { live, durable }, .. }) =
                    self.inodes.get(&number)
            {
                next.extend(live.values().chain(durable.values()));
            }
        }
        self.inodes.retain(|number, _| reached.contains(number));
    }

    /// Everything that processes see.
    #[must_use]
    pub fn live(&self) -> Image {
        self.image(|inode| match &inode.kind {
            Kind::File(file) => Err(file.live.bytes()),
            Kind::Directory { live, .. } => Ok(live),
        })
    }

    /// Everything that a loss of power would leave, with nothing torn.
    #[must_use]
    pub fn durable(&self) -> Image {
        self.image(|inode| match &inode.kind {
            Kind::File(file) => Err(file.durable.bytes()),
            Kind::Directory { durable, .. } => Ok(durable),
        })
    }

    fn image<'a>(&'a self, look: impl Fn(&'a Inode) -> Result<&'a Names, Vec<u8>>) -> Image {
        let mut image = Image::default();
        let mut next = vec![(String::new(), ROOT)];
        while let Some((path, number)) = next.pop() {
            let Some(inode) = self.inodes.get(&number) else { continue };
            match look(inode) {
                Ok(names) => {
                    let below = |(name, number): (&String, &u64)| {
                        (
                            if path.is_empty() { name.clone() } else { format!("{path}/{name}") },
                            *number,
                        )
                    };
                    next.extend(names.iter().map(below));
                    if !path.is_empty() {
                        image.directory(path);
                    }
                }
                Err(bytes) => image.file(path, bytes),
            }
        }
        image
    }

    fn names(&self, directory: u64) -> Result<&Names, Errno> {
        match &self.inodes.get(&directory).ok_or(Errno::ENOENT)?.kind {
            Kind::Directory { live, .. } => Ok(live),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    fn names_mut(&mut self, directory: u64) -> Result<&mut Names, Errno> {
        match &mut self.inodes.get_mut(&directory).ok_or(Errno::ENOENT)?.kind {
            Kind::Directory { live, .. } => Ok(live),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    fn file(&self, inode: u64) -> Result<&File, Errno> {
        match &self.inodes.get(&inode).ok_or(Errno::ENOENT)?.kind {
            Kind::File(file) => Ok(file),
            Kind::Directory { .. } => Err(Errno::EISDIR),
        }
    }

    fn file_mut(&mut self, inode: u64) -> Result<&mut File, Errno> {
        match &mut self.inodes.get_mut(&inode).ok_or(Errno::ENOENT)?.kind {
            Kind::File(file) => Ok(file),
            Kind::Directory { .. } => Err(Errno::EISDIR),
        }
    }
}

/// Where a sector begins in its file.
fn start_of((page, sector): (u64, usize)) -> u64 {
    page * PAGE as u64 + (sector * SECTOR) as u64
}

impl File {
    fn sync(&mut self) {
        // First, so that what lies beyond a cut is gone from the durable version too.
        self.durable.resize(self.live.size());
        for page in std::mem::take(&mut self.dirty) {
            self.durable.set_page(page, self.live.page(page).cloned());
        }
    }

    /// Sectors that differ between the two versions, in the order of their places.
    fn unsynced(&self) -> Vec<(u64, usize)> {
        let sectors = self.dirty.iter().flat_map(|page| (0..PAGE / SECTOR).map(|s| (*page, s)));
        let written = |place: &(u64, usize)| start_of(*place) < self.live.size();
        let differs = |place: &(u64, usize)| {
            self.live.sector(place.0, place.1) != self.durable.sector(place.0, place.1)
        };
        sectors.filter(written).filter(differs).collect()
    }

    fn lose(&mut self, torn: Torn, random: &mut Random, lost: &mut Lost) {
        let unsynced = self.unsynced();
        let kept = torn.keep(&unsynced, random);
        let differ = |(page, sector): &(u64, usize)| {
            let length = self.live.size().saturating_sub(start_of((*page, *sector)));
            let live = self.live.sector(*page, *sector).iter();
            let pair = live
                .zip(self.durable.sector(*page, *sector))
                .take(length.min(SECTOR as u64) as usize);
            pair.filter(|(live, durable)| live != durable).count() as u64
        };
        lost.bytes +=
            unsynced.iter().filter(|place| !kept.contains(place)).map(differ).sum::<u64>();
        lost.torn_bytes += kept.iter().map(differ).sum::<u64>();
        if unsynced.iter().map(differ).sum::<u64>() == 0 {
            lost.bytes += self.live.size().abs_diff(self.durable.size());
        }
        for (page, sector) in kept {
            let start = start_of((page, sector));
            // What was cut off is no news that a disk could have written.
            let length = (self.live.size() - start).min(SECTOR as u64) as usize;
            self.durable.write(start, &self.live.sector(page, sector)[..length]);
        }
        self.live = self.durable.clone();
        self.dirty.clear();
    }
}

impl Torn {
    /// Which of the sectors that were not synced are on the disk all the same.
    fn keep(self, unsynced: &[(u64, usize)], random: &mut Random) -> Vec<(u64, usize)> {
        let upto = |count: usize, random: &mut Random| {
            usize::try_from(random.below(count as u64 + 1)).unwrap_or(count)
        };
        match self {
            Self::Nothing => Vec::new(),
            Self::Sectors => unsynced[..upto(unsynced.len(), random)].to_vec(),
            Self::Pages => {
                let pages: BTreeSet<u64> = unsynced.iter().map(|(page, _)| *page).collect();
                let kept: BTreeSet<u64> =
                    pages.iter().copied().take(upto(pages.len(), random)).collect();
                unsynced.iter().copied().filter(|(page, _)| kept.contains(page)).collect()
            }
            Self::Subset => unsynced.iter().copied().filter(|_| random.chance(50)).collect(),
        }
    }
}
