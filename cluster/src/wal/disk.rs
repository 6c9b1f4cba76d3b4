//! The seam between the log and the disk, and the real side of it: one directory.
//!
//! A [`Disk`] holds a flat set of named files: segments of fixed size, and snapshots that grow. What `write` did may be lost until `sync` of
//! that file returned; a file that was created or renamed may be lost until [`Disk::sync`] returned. Those
//! are the only promises the log builds on, so the tests put a double behind this seam that keeps nothing
//! else. The seam knows nothing of records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};

use super::reaper::Reaper;

/// A flat set of named files.
pub trait Disk: Send + Sync {
    /// Where this is, for messages to people.
    fn place(&self) -> String;
    /// Names of all files, in no particular order.
    fn names(&self) -> io::Result<Vec<String>>;
    /// The whole content of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Creates a file of `size` zero bytes that are on stable storage, replacing any of that name.
    ///
    /// The zeros are written, not reserved: a reserved extent costs a journal commit at each later sync. If there
    /// is not enough space, nothing is left of it.
    fn create(&self, name: &str, size: u64) -> io::Result<Box<dyn DiskFile>>;
    /// Creates an empty file that grows as it is written, replacing any of that name.
    fn create_empty(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to be read from this byte on. What was opened can be read to its end even if the name is
    /// removed meanwhile.
    fn reader(&self, name: &str, from: u64) -> io::Result<Box<dyn Read + Send>>;
    /// The number of bytes in a file.
    fn length(&self, name: &str) -> io::Result<u64>;
    /// Opens an existing file for writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Renames a file; not durable before [`Disk::sync`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; not durable before [`Disk::sync`].
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync(&self) -> io::Result<()>;
}

/// A file open for writing.
pub trait DiskFile: Send {
    /// Writes all bytes at `offset`; they may be lost until [`DiskFile::sync`] returned.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Waits until these written bytes have left memory, so that a sync to come has little to do and nobody else's
    /// sync waits for them. It promises nothing, but an error means what one of [`DiskFile::sync`] means.
    fn hand_over(&mut self, _offset: u64, _length: u64) -> io::Result<()> {
        Ok(())
    }
    /// Returns once every earlier write is on stable storage. After an error nothing is known of those
    /// writes, and a later success means nothing: the caller must not try again.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory that this process has to itself.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    handle: File,
    reaper: Reaper,
    _lock: Flock<File>,
}

impl Directory {
    /// Creates the directory if it is missing, and locks it until dropped.
    ///
    /// # Errors
    /// The path cannot be created, written or locked; a message that names it. `WouldBlock` means that
    /// another process has it.
    pub fn open(path: &Path) -> io::Result<Directory> {
        let named = |what: &str, error: io::Error| {
            io::Error::new(error.kind(), format!("cannot {what} {}: {error}", path.display()))
        };
        let existed = path.is_dir();
        fs::create_dir_all(path).map_err(|e| named("create the data directory", e))?;
        if !existed && let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(parent)
                .and_then(|p| p.sync_all())
                .map_err(|e| named("sync the parent of", e))?;
        }
        let handle = File::open(path).map_err(|e| named("open the data directory", e))?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .map_err(|e| named("write to the data directory", e))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
            let error = io::Error::from(errno);
            if error.kind() == io::ErrorKind::WouldBlock {
                let message =
                    format!("the data directory {} is in use by another node", path.display());
                io::Error::new(io::ErrorKind::WouldBlock, message)
            } else {
                named("lock the data directory", error)
            }
        })?;
        let reaper = Reaper::start().map_err(|e| named("start a thread for", e))?;
        Ok(Directory { path: path.to_owned(), handle, reaper, _lock: lock })
    }
}

impl Disk for Directory {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.path.join(name))?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, name: &str, size: u64) -> io::Result<Box<dyn DiskFile>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
        match fill(&file, size) {
            Ok(()) => Ok(Box::new(RealFile(file))),
            Err(error) => {
                // A part of a file would keep others from the space that is left.
                drop(fs::remove_file(&path));
                Err(error)
            }
        }
    }

    fn create_empty(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(File::create(self.path.join(name))?)))
    }

    fn reader(&self, name: &str, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(self.path.join(name))?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Box::new(file))
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).open(self.path.join(name))?;
        Ok(Box::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        // Held open, it keeps its content; of what cannot be opened the space is given back in one go.
        let file = OpenOptions::new().write(true).open(&path);
        fs::remove_file(&path)?;
        if let Ok(file) = file {
            self.reaper.close(file);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

/// Writes zeros and syncs them, a piece at a time: records that are synced meanwhile wait for one piece and not for
/// the whole file. The space is reserved first, so that a full disk says so at once, and not after all that was left
/// of it has been written.
fn fill(file: &File, size: u64) -> io::Result<()> {
    const PIECE: usize = 1 << 20;
    match fallocate(file, FallocateFlags::empty(), 0, size as i64) {
        // Not every file system can.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {}
        Err(error) => return Err(error.into()),
    }
    let zeros = vec![0; PIECE];
    let mut at = 0;
    while at < size {
        let length = (size - at).min(PIECE as u64);
        file.write_all_at(&zeros[..length as usize], at)?;
        hand_over(file, at, length)?;
        at += length;
    }
    file.sync_all()
}

/// A sync of the file would do as well, but each would cost a commit of the file system's journal, and other files
/// of the disk wait for those.
fn hand_over(file: &File, offset: u64, length: u64) -> io::Result<()> {
    use nix::libc::{
        SYNC_FILE_RANGE_WAIT_AFTER, SYNC_FILE_RANGE_WAIT_BEFORE, SYNC_FILE_RANGE_WRITE,
        sync_file_range,
    };
    let flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the call takes numbers alone, and the descriptor is open for as long as `file` is borrowed.
    let result = unsafe {
        sync_file_range(file.as_raw_fd(), offset.cast_signed(), length.cast_signed(), flags)
    };
    match Errno::result(result) {
        // Not every file system can.
        Ok(_) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::ESPIPE) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn hand_over(&mut self, offset: u64, length: u64) -> io::Result<()> {
        hand_over(&self.0, offset, length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
