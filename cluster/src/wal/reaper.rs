//! Gives back the space of removed files, beside everything else.
//!
//! A name is removed at once, by whoever removes it. But a file system that gives back a gigabyte in one go takes
//! some hundred milliseconds for it, and the syncs of all other files wait meanwhile. So the last descriptor of a large
//! file comes here, and a thread of its own makes the file shorter a piece at a time before it closes it.
//!
//! Nothing depends on it: after a crash, or where there is no room in the queue, the kernel gives back what is left.

use std::fs::File;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Bytes that are given back at a time; a file that is no longer than this is closed where it is.
const PIECE: u64 = 16 << 20;
/// Files that may wait, each for a descriptor.
const QUEUE: usize = 64;

/// The thread; dropping this waits until it is done.
#[derive(Debug)]
pub(super) struct Reaper {
    /// `None` only while it is dropped.
    files: Option<SyncSender<File>>,
    thread: Option<JoinHandle<()>>,
}

impl Reaper {
    pub(super) fn start() -> std::io::Result<Reaper> {
        let (files, queue) = sync_channel::<File>(QUEUE);
        let thread = thread::Builder::new().name("reaper".to_owned());
        let thread = thread.spawn(move || queue.iter().for_each(|file| shrink(&file)))?;
        Ok(Reaper { files: Some(files), thread: Some(thread) })
    }

    /// Closes a file that has no name any more.
    pub(super) fn close(&self, file: File) {
        let is_large = file.metadata().is_ok_and(|metadata| metadata.len() > PIECE);
        if let (true, Some(files)) = (is_large, &self.files) {
            // A full queue hands the file back, and it is closed here.
            drop(files.try_send(file));
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.files = None;
        if let Some(thread) = self.thread.take() {
            // It reports nothing, and a panic in it has been printed.
            drop(thread.join());
        }
    }
}

fn shrink(file: &File) {
    let mut left = file.metadata().map_or(0, |metadata| metadata.len());
    while left > PIECE {
        left -= PIECE;
        if file.set_len(left).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::{Directory, Disk};
    use super::*;

    /// Lengths of a removed file of this length once the directory is closed, and of its name.
    fn left_of(length: u64) -> (u64, bool) {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(&folder.path().join("data")).unwrap();
        drop(directory.create_empty("old").unwrap());
        let path = folder.path().join("data/old");
        let other = File::options().write(true).open(&path).unwrap();
        other.set_len(length).unwrap();
        directory.remove("old").unwrap();
        let named = path.exists();
        drop(directory);
        (other.metadata().unwrap().len(), named)
    }

    #[test]
    fn a_large_file_loses_its_name_at_once_and_is_given_back_in_pieces() {
        let (left, named) = left_of(5 * PIECE + 7);
        assert!(!named);
        // Another descriptor sees how short it was made before it was closed.
        assert!((1..=PIECE).contains(&left), "{left}");
    }

    #[test]
    fn a_small_file_is_closed_as_it_is() {
        assert_eq!(left_of(PIECE), (PIECE, false));
    }
}
