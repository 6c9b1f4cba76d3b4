//! Receiving a snapshot: its bytes in order, then a check of all of it, then its name.
//!
//! The bytes are those of the sender's file. They are read back and decoded before the file gets its name, here
//! on a thread that may wait, so that the node's own loop has nothing left to do but exchange two pointers. A
//! transfer that breaks off leaves nothing, and starts over.

use std::io;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::writer::Sink;
use super::{Files, INCOMING, SnapshotError};
use crate::kv::Store;
use crate::raft::{Position, Snapshot};

/// What a sender announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The last entry that the snapshot covers.
    pub(crate) last: Position,
    /// Bytes of the file.
    pub(crate) size: u64,
}

impl Files {
    /// Takes the chunks of one snapshot until the channel is closed, and returns what they hold once it is
    /// durable. Blocks; only one may run at a time.
    ///
    /// # Errors
    /// The transfer broke off, the bytes are not the snapshot that was offered, or the disk refused.
    pub(crate) fn receive(
        &self,
        offer: Offer,
        chunks: mpsc::Receiver<Bytes>,
    ) -> Result<(Snapshot, Store), SnapshotError> {
        let received = self.take_in(offer, chunks).and_then(|()| {
            let (snapshot, store) = self.read(INCOMING)?;
            if snapshot.last != offer.last {
                let message = format!("{} was offered, {} came", offer.last, snapshot.last);
                return Err(self.damaged(INCOMING, message));
            }
            let named = self.install(INCOMING, offer.last);
            named.map_err(|e| self.failed("rename", INCOMING, e))?;
            Ok((snapshot, store))
        });
        if received.is_err() {
            // What cannot be removed is removed at the next start.
            drop(self.disk.remove(INCOMING));
        }
        received
    }

    fn take_in(
        &self,
        offer: Offer,
        mut chunks: mpsc::Receiver<Bytes>,
    ) -> Result<(), SnapshotError> {
        let failed = |error| self.failed("write", INCOMING, error);
        let mut sink = Sink::create(&*self.disk, INCOMING).map_err(failed)?;
        while let Some(chunk) = chunks.blocking_recv() {
            if sink.written() + chunk.len() as u64 > offer.size {
                return Err(failed(io::Error::other("more came than was offered")));
            }
            sink.put(&chunk).map_err(failed)?;
        }
        if sink.written() != offer.size {
            return Err(failed(io::Error::other("the transfer broke off")));
        }
        sink.finish().map(drop).map_err(failed)
    }
}
