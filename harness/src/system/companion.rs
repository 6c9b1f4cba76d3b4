//! What some systems need beside their nodes: a part of the run itself, which no fault reaches.
//!
//! It is started before the first node and ends after the last one, when it is dropped. Nothing of it outlives a run.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;

/// Something that serves the nodes of one run.
pub struct Companion {
    /// Where nodes reach it, past all proxies.
    pub address: SocketAddr,
    /// Keeps it alive.
    pub keeper: Box<dyn Any + Send>,
}

impl fmt::Debug for Companion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Companion").field("address", &self.address).finish_non_exhaustive()
    }
}
