//! Receiving a snapshot: its bytes in order, then a check of all of it, then its name.
//!
//! The bytes are those of the sender's file. They are read back and decoded before the file gets its name, here
//! on a thread that may wait, so that the node's own loop has nothing left to do but exchange two pointers.
//!
//! A transfer that breaks off leaves what has arrived, under a name that says what it is to become, down to the
//! checksum of the whole. When the same snapshot is offered again, it goes on from there, also after a restart. What a power
//! cut took from the middle is found by the check at the end; then it starts over. A disk that refuses leaves
//! nothing: the space may be wanted for something else. One snapshot is kept at a time.

use std::io;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::writer::Sink;
use super::{Files, SnapshotError, file};
use crate::kv::Store;
use crate::raft::{Position, Snapshot};

/// What a sender announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The last entry that the snapshot covers.
    pub(crate) last: Position,
    /// Bytes of the file.
    pub(crate) size: u64,
    /// The checksum of all its blocks.
    pub(crate) crc: u32,
}

impl Files {
    /// How many bytes of this snapshot have arrived already. What has arrived of others is removed.
    ///
    /// # Errors
    /// The disk refused.
    pub(crate) fn arrived(&self, offer: &Offer) -> Result<u64, SnapshotError> {
        let wanted = file::incoming(offer);
        let look = || {
            let names = self.disk.names()?;
            let is_other =
                |name: &&String| file::incoming_position(name).is_some() && **name != wanted;
            names.iter().filter(is_other).try_for_each(|name| self.disk.remove(name))?;
            if names.contains(&wanted) { self.disk.length(&wanted) } else { Ok(0) }
        };
        look().map_err(|e| self.failed("look at", &wanted, e))
    }

    /// Why chunks that begin at `begins` are not taken when `arrived` bytes are here. Nothing is removed.
    pub(crate) fn gap(&self, offer: &Offer, begins: u64, arrived: u64) -> SnapshotError {
        let message = format!("{arrived} bytes are here, and what comes begins after {begins}");
        self.failed("go on with", &file::incoming(offer), io::Error::other(message))
    }

    /// Takes the chunks of one snapshot, the first of which follows what has [arrived](Files::arrived), until the
    /// channel is closed, and returns what they hold once it is durable. Blocks; only one may run at a time.
    ///
    /// # Errors
    /// The transfer broke off, the bytes are not the snapshot that was offered, or the disk refused.
    pub(crate) fn receive(
        &self,
        offer: Offer,
        chunks: mpsc::Receiver<Bytes>,
    ) -> Result<(Snapshot, Store), SnapshotError> {
        let name = file::incoming(&offer);
        let taken = self.take_in(&offer, chunks);
        if matches!(taken, Ok(written) if written < offer.size) {
            return Err(self.failed("write", &name, io::Error::other("the transfer broke off")));
        }
        let received = taken.and_then(|_| {
            let (snapshot, store) = self.read(&name)?;
            if snapshot.last != offer.last {
                let message = format!("{} was offered, {} came", offer.last, snapshot.last);
                return Err(self.damaged(&name, message));
            }
            let named = self.install(&name, offer.last);
            named.map_err(|e| self.failed("rename", &name, e))?;
            Ok((snapshot, store))
        });
        if received.is_err() {
            // What cannot be removed now is removed by the next snapshot.
            drop(self.disk.remove(&name));
        }
        received
    }

    /// Writes what comes, and returns how much of the file is durable then.
    fn take_in(
        &self,
        offer: &Offer,
        mut chunks: mpsc::Receiver<Bytes>,
    ) -> Result<u64, SnapshotError> {
        let name = file::incoming(offer);
        let failed = |error| self.failed("write", &name, error);
        let mut sink = match self.arrived(offer)? {
            0 => Sink::create(&*self.disk, &name),
            arrived => Sink::go_on(&*self.disk, &name, arrived),
        }
        .map_err(failed)?;
        while let Some(chunk) = chunks.blocking_recv() {
            if sink.written() + chunk.len() as u64 > offer.size {
                return Err(failed(io::Error::other("more came than was offered")));
            }
            sink.put(&chunk).map_err(failed)?;
        }
        let written = sink.finish().map_err(failed)?;
        self.disk.sync().map_err(failed)?;
        Ok(written)
    }
}
