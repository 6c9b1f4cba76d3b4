//! A disk for tests that keeps only what the seam promises.
//!
//! [`Memory::crash`] is a power cut: every write that no `sync` covered is dropped, and every creation or
//! rename that no directory sync covered is undone. With [`Memory::lie`] `sync` does nothing, which is how
//! the tests show that they would notice a missing fdatasync. [`Memory::die_after`] makes every change fail
//! from the n-th on, which is how they stop a writer at any point. [`Memory::fill`] leaves no space for new bytes,
//! and [`Memory::fail_once`] makes one sync fail and forgets its pages, as Linux does. It is not fast and not
//! part of a node.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::disk::{Disk, DiskFile};

/// An in-memory disk; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    lie: bool,
    fail: bool,
    fail_once: bool,
    /// Bytes that all named files together may have, if that is limited.
    capacity: Option<u64>,
    stalled: bool,
    syncs: u64,
    /// Changes that will still succeed, if that is limited.
    left: Option<u64>,
}

#[derive(Debug, Default)]
struct Content {
    grows: bool,
    now: Vec<u8>,
    durable: Vec<u8>,
}

impl Memory {
    /// An empty disk.
    pub(crate) fn new() -> Memory {
        Memory::default()
    }

    /// Cuts the power: what was not synced is gone.
    pub(crate) fn crash(&self) {
        let mut inner = self.inner();
        inner.names = inner.durable_names.clone();
        for file in &mut inner.files {
            file.now.clone_from(&file.durable);
        }
        inner.left = None;
    }

    /// After so many more changes (a write, a sync, a rename …) every one fails, until [`Memory::crash`] or
    /// [`Memory::revive`].
    pub(crate) fn die_after(&self, changes: u64) {
        self.inner().left = Some(changes);
    }

    /// The process was killed and starts again: what it wrote is still there.
    pub(crate) fn revive(&self) {
        self.inner().left = None;
    }

    /// Whether the limit of [`Memory::die_after`] was reached.
    pub(crate) fn is_dead(&self) -> bool {
        self.inner().left == Some(0)
    }

    /// After a power cut, or with only the process killed, it all starts again. Says whether the limit of
    /// [`Memory::die_after`] was reached before that.
    pub(crate) fn start_again(&self, power_cut: bool) -> bool {
        let died = self.is_dead();
        if power_cut {
            self.crash();
        } else {
            self.revive();
        }
        died
    }

    /// While true, `sync` answers ok and does nothing.
    pub(crate) fn lie(&self, lying: bool) {
        self.inner().lie = lying;
    }

    /// From now on every sync of a file fails.
    pub(crate) fn fail(&self) {
        self.inner().fail = true;
    }

    /// The next sync of a file fails, and what it was to make durable is dropped from the cache: the one after it
    /// succeeds and makes nothing durable.
    pub(crate) fn fail_once(&self) {
        self.inner().fail_once = true;
    }

    /// The files may have so many bytes and no more; `None` for any number.
    pub(crate) fn limit(&self, capacity: Option<u64>) {
        self.inner().capacity = capacity;
    }

    /// From now on there is no space left, but for what is freed.
    pub(crate) fn fill(&self) {
        let mut inner = self.inner();
        inner.capacity = Some(inner.used());
    }

    /// While true, a sync of a file does not return.
    pub(crate) fn stall(&self, stalled: bool) {
        self.inner().stalled = stalled;
    }

    /// How many times a file was synced.
    pub(crate) fn syncs(&self) -> u64 {
        self.inner().syncs
    }

    /// Replaces the content of a file, durably: damage.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        self.set(name, bytes, false);
    }

    /// The same for a file that may grow.
    pub(crate) fn put_growing(&self, name: &str, bytes: Vec<u8>) {
        self.set(name, bytes, true);
    }

    fn set(&self, name: &str, bytes: Vec<u8>, grows: bool) {
        let mut inner = self.inner();
        let id = inner.files.len();
        inner.files.push(Content { grows, now: bytes.clone(), durable: bytes });
        inner.names.insert(name.to_owned(), id);
        inner.durable_names.insert(name.to_owned(), id);
    }

    /// A copy of the durable content, to be put back with [`Memory::restore`].
    pub(crate) fn image(&self) -> Vec<(String, Vec<u8>)> {
        let inner = self.inner();
        let named = inner.durable_names.iter();
        named.map(|(name, id)| (name.clone(), inner.files[*id].durable.clone())).collect()
    }

    /// Goes back to an image, whatever was written since.
    pub(crate) fn restore(&self, image: Vec<(String, Vec<u8>)>) {
        let mut inner = self.inner();
        inner.names.clear();
        inner.durable_names.clear();
        drop(inner);
        for (name, bytes) in image {
            self.put(&name, bytes);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn id(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn used(&self) -> u64 {
        self.names.values().map(|id| self.files[*id].now.len() as u64).sum()
    }

    /// Fails if there is no space for so many bytes more.
    fn space(&self, bytes: u64) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if self.used() + bytes > capacity => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn change(&mut self) -> io::Result<()> {
        match &mut self.left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the machine is off")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

impl Disk for Memory {
    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.inner().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let inner = self.inner();
        Ok(inner.files[inner.id(name)?].now.clone())
    }

    fn create(&self, name: &str, size: u64) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.inner();
        inner.change()?;
        inner.names.remove(name);
        inner.space(size)?;
        let id = inner.files.len();
        let zeros = vec![0; size as usize];
        inner.files.push(Content { grows: false, now: zeros.clone(), durable: zeros });
        inner.names.insert(name.to_owned(), id);
        Ok(Box::new(MemoryFile { disk: self.clone(), id }))
    }

    fn create_empty(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.inner();
        inner.change()?;
        let id = inner.files.len();
        inner.files.push(Content { grows: true, ..Content::default() });
        inner.names.insert(name.to_owned(), id);
        Ok(Box::new(MemoryFile { disk: self.clone(), id }))
    }

    fn reader(&self, name: &str, from: u64) -> io::Result<Box<dyn io::Read + Send>> {
        let mut cursor = io::Cursor::new(self.read(name)?);
        cursor.set_position(from);
        Ok(Box::new(cursor))
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(self.read(name)?.len() as u64)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let id = self.inner().id(name)?;
        Ok(Box::new(MemoryFile { disk: self.clone(), id }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        let id = inner.id(from)?;
        inner.names.remove(from);
        inner.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        inner.id(name)?;
        inner.names.remove(name);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        inner.durable_names = inner.names.clone();
        Ok(())
    }
}

struct MemoryFile {
    disk: Memory,
    id: usize,
}

impl DiskFile for MemoryFile {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.change()?;
        let start = offset as usize;
        let more = (start + bytes.len()).saturating_sub(inner.files[self.id].now.len());
        if more > 0 && inner.files[self.id].grows {
            inner.space(more as u64)?;
        }
        let file = &mut inner.files[self.id];
        if file.grows && file.now.len() < start + bytes.len() {
            file.now.resize(start + bytes.len(), 0);
        }
        let target = inner.files[self.id].now.get_mut(start..start + bytes.len());
        target.ok_or_else(|| io::Error::other("a write past the end"))?.copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        while inner.stalled {
            drop(inner);
            thread::sleep(Duration::from_millis(1));
            inner = self.disk.inner();
        }
        inner.change()?;
        inner.syncs += 1;
        if std::mem::take(&mut inner.fail_once) {
            let file = &mut inner.files[self.id];
            file.now.clone_from(&file.durable);
            return Err(io::Error::other("the disk lost some pages"));
        }
        if inner.fail {
            return Err(io::Error::other("the disk is broken"));
        }
        if !inner.lie {
            let file = &mut inner.files[self.id];
            file.durable.clone_from(&file.now);
        }
        Ok(())
    }
}
