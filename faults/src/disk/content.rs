//! The bytes of one file as pages that two versions of it can share, so that a sync copies references and no bytes.
//!
//! A page that was never written is a hole: it reads as zeros and takes no space. Invariant: in a page that holds the
//! end of the file, the bytes after the end are zero, so a file that grows again shows nothing of what it once held.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The unit in which space is taken, in bytes.
pub(super) const PAGE: usize = 4096;
/// The unit that a disk writes whole or not at all, in bytes.
pub(super) const SECTOR: usize = 512;

/// One page.
pub(super) type Page = [u8; PAGE];

/// The bytes of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    size: u64,
    pages: BTreeMap<u64, Arc<Page>>,
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// How many pages take space.
    pub(super) fn allocated(&self) -> u64 {
        self.pages.len() as u64
    }

    /// How many more pages would take space if this range were written.
    pub(super) fn missing(&self, offset: u64, length: u64) -> u64 {
        let wanted = pages_of(offset, length);
        let held = self.pages.range(wanted.clone()).count() as u64;
        wanted.end.saturating_sub(wanted.start) - held
    }

    pub(super) fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let end = self.size.min(offset.saturating_add(length as u64));
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(offset)).unwrap_or(0)];
        each_piece(offset, bytes.len(), |page, within, piece| {
            if let Some(page) = self.pages.get(&page) {
                let from = &page[within..within + piece.len()];
                bytes[piece].copy_from_slice(from);
            }
        });
        bytes
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.read(0, usize::try_from(self.size).unwrap_or(usize::MAX))
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        each_piece(offset, bytes.len(), |page, within, piece| {
            let page = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[within..within + piece.len()].copy_from_slice(&bytes[piece]);
        });
        self.size = self.size.max(offset + bytes.len() as u64);
    }

    /// Takes the space of this range, whose bytes stay as they are.
    pub(super) fn allocate(&mut self, offset: u64, length: u64) {
        for page in pages_of(offset, length) {
            self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE]));
        }
    }

    pub(super) fn resize(&mut self, size: u64) {
        if size < self.size {
            self.pages.split_off(&size.div_ceil(PAGE as u64));
            let within = (size % PAGE as u64) as usize;
            if within > 0
                && let Some(last) = self.pages.get_mut(&(size / PAGE as u64))
            {
                Arc::make_mut(last)[within..].fill(0);
            }
        }
        self.size = size;
    }

    pub(super) fn page(&self, number: u64) -> Option<&Arc<Page>> {
        self.pages.get(&number)
    }

    /// Makes this page what it is elsewhere.
    pub(super) fn set_page(&mut self, number: u64, page: Option<Arc<Page>>) {
        match page {
            Some(page) => drop(self.pages.insert(number, page)),
            None => drop(self.pages.remove(&number)),
        }
    }

    /// The pages that take space.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.pages.keys().copied()
    }

    /// One sector, zeros for a hole.
    pub(super) fn sector(&self, page: u64, sector: usize) -> &[u8] {
        const ZEROS: [u8; SECTOR] = [0; SECTOR];
        let within = sector * SECTOR;
        self.pages.get(&page).map_or(&ZEROS[..], |page| &page[within..within + SECTOR])
    }
}

/// The pages that this range touches.
pub(super) fn pages_of(offset: u64, length: u64) -> std::ops::Range<u64> {
    if length == 0 {
        return 0..0;
    }
    offset / PAGE as u64..(offset.saturating_add(length)).div_ceil(PAGE as u64)
}

/// Calls `each` with every page that the range touches, where in the page the range begins, and which bytes of the
/// range are in it.
fn each_piece(
    offset: u64,
    length: usize,
    mut each: impl FnMut(u64, usize, std::ops::Range<usize>),
) {
    let mut done = 0;
    while done < length {
        let at = offset + done as u64;
        let within = (at % PAGE as u64) as usize;
        let piece = (PAGE - within).min(length - done);
        each(at / PAGE as u64, within, done..done + piece);
        done += piece;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_does_not_come_back() {
        let mut content = Content::default();
        content.write(4000, &[7; 5000]);
        assert_eq!((content.size(), content.allocated()), (9000, 3));
        content.resize(4100);
        content.resize(9000);
        assert_eq!(content.read(4000, 100), [7; 100]);
        assert_eq!(content.read(4100, 10_000), [0; 4900]);
        assert_eq!(content.allocated(), 2);
        assert_eq!(content.missing(4095, 4098), 1, "the third page of three");
        assert_eq!(content.missing(0, 0), 0);
    }
}
