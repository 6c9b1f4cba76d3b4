//! Counters of the deliberate bugs in a file that outlives the node.
//!
//! A bug that was not found may be one that never had a chance. The node counts how often each bug was
//! reached and triggered in a mapped page, so that a SIGKILL loses nothing and counting costs no system
//! call. The page is for people and for the track record; no verdict reads it.
//!
//! Layout, little-endian: `"MARKS\0\0\1"`, then from byte 64 for each bug of [`Bug::ALL`] in order
//! `reached:u64 triggered:u64`. A node that starts again goes on counting.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use memmap2::MmapMut;

use crate::bug::{Bug, Mark};

const MAGIC: &[u8; 8] = b"MARKS\0\0\x01";
const PAGE: u64 = 4096;
const FIRST: usize = 64;

/// How far one bug got, on one node, over all its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The bug.
    pub bug: Bug,
    /// How often its code ran.
    pub reached: u64,
    /// How often a correct node would have acted differently.
    pub triggered: u64,
}

/// The page of a running node, its only writer.
#[derive(Debug)]
pub struct Marks {
    page: MmapMut,
}

impl Marks {
    /// Opens or creates the page.
    ///
    /// # Errors
    /// The file cannot be created, sized or mapped, or is another kind of file.
    pub fn open(path: &Path) -> io::Result<Marks> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if file.metadata()?.len() < PAGE {
            file.set_len(PAGE)?;
        }
        // SAFETY: nobody else writes or shortens the file while this node runs: its name is given to one
        // node. Readers copy it, and a torn copy of a counter is harmless.
        let mut page = unsafe { MmapMut::map_mut(&file)? };
        if page[..8] == [0; 8] {
            page[..8].copy_from_slice(MAGIC);
        }
        check(&page)?;
        Ok(Marks { page })
    }

    /// Counts one mark.
    pub fn count(&mut self, bug: Bug, mark: Mark) {
        let at = place(bug) + if mark == Mark::Reached { 0 } else { 8 };
        let count = number(&self.page, at).wrapping_add(1);
        self.page[at..at + 8].copy_from_slice(&count.to_le_bytes());
    }
}

/// Reads the page of a node that runs or ran; one [`Count`] for each of [`Bug::ALL`].
///
/// # Errors
/// The file cannot be read or is another kind of file.
pub fn read(path: &Path) -> io::Result<Vec<Count>> {
    let page = fs::read(path)?;
    check(&page)?;
    let count = |bug| Count {
        bug,
        reached: number(&page, place(bug)),
        triggered: number(&page, place(bug) + 8),
    };
    Ok(Bug::ALL.into_iter().map(count).collect())
}

fn check(page: &[u8]) -> io::Result<()> {
    if page.len() as u64 >= PAGE && page.starts_with(MAGIC) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "this is no page of marks, or of another version",
    ))
}

fn place(bug: Bug) -> usize {
    FIRST + 16 * bug as usize
}

fn number(page: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&page[at..at + 8]);
    u64::from_le_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_on_after_a_restart_and_can_be_read_while_the_node_runs() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("marks");
        for life in 1..=3 {
            let mut marks = Marks::open(&path).unwrap();
            marks.count(Bug::CasAtLeader, Mark::Reached);
            marks.count(Bug::CasAtLeader, Mark::Triggered);
            marks.count(Bug::LocalRead, Mark::Reached);
            let counts = read(&path).unwrap();
            assert_eq!(counts.len(), Bug::ALL.len());
            assert_eq!(counts[0], Count { bug: Bug::LocalRead, reached: life, triggered: 0 });
            assert_eq!(counts[6], Count { bug: Bug::CasAtLeader, reached: life, triggered: life });
        }
    }

    #[test]
    fn another_kind_of_file_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("marks");
        fs::write(&path, "not marks").unwrap();
        assert!(read(&path).is_err());
        assert!(Marks::open(&path).is_err());
    }
}
