//! What clients that are processes of their own leave beside their answers.

use history::NodeId;

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
