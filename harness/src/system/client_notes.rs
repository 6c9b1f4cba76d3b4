//! What clients say beside their answers, and who hears it.

use crate::recorder::Revisions;
use history::NodeId;
use std::sync::Arc;

/// Who hears what clients say beside their answers.
#[derive(Clone)]
pub struct Asides {
    /// Those that are processes of their own.
    pub notes: Arc<dyn ClientNotes>,
    /// Those whose answers carry revisions, if anybody keeps them.
    pub revisions: Option<Arc<Revisions>>,
}

impl Asides {
    /// Nobody.
    #[must_use]
    pub fn unheard() -> Self {
        Self { notes: Arc::new(NoNotes), revisions: None }
    }
}

/// Takes what such a client says. It must not block for long: clients call it.
pub trait ClientNotes: Send + Sync {
    /// Something that no client may do, with the line that it wrote, as a sentence; `node` is whom it asks or who
    /// answered.
    fn finding(&self, node: Option<NodeId>, text: String);

    /// Bytes that it wrote to its standard error.
    fn said(&self, bytes: &[u8]);
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoNotes;

impl ClientNotes for NoNotes {
    fn finding(&self, _: Option<NodeId>, _: String) {}

    fn said(&self, _: &[u8]) {}
}
