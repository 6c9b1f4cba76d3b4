//! A disk that can fail: a user-space file system under the data folder of each node.
//!
//! | module | what it is |
//! |---|---|
//! | `class` | what the classes of disk faults have in common |
//! | `content` | the bytes of one file, shared between its versions |
//! | [`model`] | the file system as a value: what is live, what is durable, what a loss of power leaves |
//! | `wire` | the messages of FUSE, as bytes |
//! | [`mount`] | a mounted model: answers the kernel, and does to the disk what it is told |
//! | [`namespace`] | mounts that nobody else sees and that end with their processes |
//!
//! Each mount is one thread that answers the kernel and its controller in turn, so there is no lock, and an answer that
//! is late is one that is kept, not a thread that sleeps. The content is memory, bounded by the capacity of the mount:
//! what is tested is what a program makes durable, and not how fast a disk is.
//!
//! It speaks FUSE itself instead of through a crate, because a hung disk must let a process that was killed go: that
//! takes answers held back one by one, which libraries do not hand out.
//!
//! What it does not do: links, devices, extended attributes, times (the order of writes stands for them), locks (the kernel keeps those by itself), direct
//! I/O. A program that asks for them is told `ENOSYS`.

pub(crate) mod class;
mod content;
pub mod model;
pub mod mount;
pub mod namespace;
mod wire;

use crate::environment::{BoxFuture, EnvironmentError};
use history::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What a file system promises besides what POSIX does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promises {
    /// Nothing: only what was synced is durable, a name only by a sync of its directory.
    #[default]
    Posix,
    /// What ext4 does in its default mode: a sync writes the journal and so makes every name durable that was given before,
    /// and a rename in the place of another file makes the bytes of the renamed one durable. (A sync that changes no
    /// attribute need not write the journal there; here each one does, for who relies on it must not be accused.)
    Ext4,
}

/// What of the bytes that were not synced is on the disk after a loss of power. Names that were not synced are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Torn {
    /// Nothing of them.
    #[default]
    Nothing,
    /// A beginning of them, cut between two sectors of 512 bytes.
    Sectors,
    /// A beginning of them, cut between two pages of 4 KiB.
    Pages,
    /// Any sectors of them.
    Subset,
}

/// What a disk is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Nothing: the figures are wanted.
    Look,
    /// The next sync of news in a file whose name is durable fails with `EIO`, and drops the news.
    FailSync,
    /// There is no space for anything more.
    Fill,
    /// Every sync takes so much longer, in milliseconds.
    Slow {
        /// How much.
        ms: u64,
    },
    /// Nothing is answered.
    Hang,
    /// All of that is over, and what was held back is carried out.
    Heal,
    /// The power failed: what was not synced is gone, and so is all that a disk was told. Its processes must be dead.
    Lose {
        /// What is on the disk all the same.
        torn: Torn,
        /// Of what is drawn for that.
        seed: u64,
    },
    /// Everything is written into the folder that the mount covers, to be found there afterwards.
    Keep,
}

/// What a disk did since it was mounted, each a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Syncs that came.
    pub syncs: u64,
    /// Syncs that failed on purpose.
    pub failed_syncs: u64,
    /// Syncs that took longer on purpose.
    pub slow_syncs: u64,
    /// Requests that were held back while the disk hung.
    pub held: u64,
    /// Writes that found no space because the disk was filled on purpose.
    pub refused: u64,
    /// Writes that found no space because the whole of the mount was taken.
    pub overflowed: u64,
    /// Bytes taken now.
    pub taken: u64,
}

/// What a loss of power took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Bytes that had been written and are gone.
    pub bytes: u64,
    /// Bytes that had not been synced and are there all the same.
    pub torn_bytes: u64,
    /// Names that are gone, came back, or lead elsewhere.
    pub names: u64,
}

/// What a disk answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What it did so far.
    pub figures: Figures,
    /// What it lost, if it was told to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// Digest of what must be left of it after the loss, taken from its durable version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<u64>,
    /// Digest of what a process reads of it after the loss: the independent look, which the environment takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_back: Option<u64>,
}

/// A bit that was turned round in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flipped {
    /// The file, below the data folder.
    pub file: String,
    /// The byte in it.
    pub offset: u64,
    /// The bit in that, 0 to 7.
    pub bit: u8,
}

/// The disks under the nodes, as far as a fault may touch them.
pub trait Disks: Send + Sync {
    /// Tells the disk of a node something and returns once it is in effect.
    fn tell(&self, node: NodeId, order: Order) -> BoxFuture<'_, Result<Answer, EnvironmentError>>;

    /// Turns one bit round in a file of a dead node: one that is at rest, which the newest file and the last pages of
    /// any are not. None if it has no such file.
    fn flip(
        &self,
        node: NodeId,
        seed: u64,
    ) -> BoxFuture<'_, Result<Option<Flipped>, EnvironmentError>>;

    /// Turns back what was flipped there and not turned back yet; returns whether there was something, and its byte was
    /// still as the flip had left it.
    fn flip_back(&self, node: NodeId) -> BoxFuture<'_, Result<bool, EnvironmentError>>;

    /// Heals every disk without waiting for an answer; for `Drop`.
    fn release(&self);
}

/// All files and directories of a folder, with their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image(BTreeMap<String, Option<Vec<u8>>>);

impl Image {
    /// Reads a folder.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn of(folder: &Path) -> std::io::Result<Self> {
        let mut image = Self::default();
        let mut next = vec![(String::new(), folder.to_owned())];
        while let Some((path, folder)) = next.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = if path.is_empty() { name } else { format!("{path}/{name}") };
                if entry.file_type()?.is_dir() {
                    image.directory(path.clone());
                    next.push((path, entry.path()));
                } else {
                    image.file(path, std::fs::read(entry.path())?);
                }
            }
        }
        Ok(image)
    }

    /// Writes everything into a folder.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        // A directory sorts before what is in it.
        for (path, bytes) in &self.0 {
            match bytes {
                Some(bytes) => std::fs::write(folder.join(path), bytes)?,
                None => std::fs::create_dir_all(folder.join(path))?,
            }
        }
        Ok(())
    }

    /// Adds a directory.
    pub fn directory(&mut self, path: String) {
        self.0.insert(path, None);
    }

    /// Adds a file.
    pub fn file(&mut self, path: String, bytes: Vec<u8>) {
        self.0.insert(path, Some(bytes));
    }

    /// A number that two different images hardly ever share (FNV-1a).
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut digest = 0xcbf2_9ce4_8422_2325_u64;
        let mut take = |bytes: &[u8]| {
            for byte in bytes {
                digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for (path, bytes) in &self.0 {
            take(path.as_bytes());
            let length = bytes.as_ref().map_or(u64::MAX, |bytes| bytes.len() as u64);
            take(&length.to_le_bytes());
            take(bytes.as_deref().unwrap_or_default());
        }
        digest
    }
}
