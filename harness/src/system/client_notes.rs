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

/// Something that a client did and no client may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whom it asks, or who answered it last, if that is one node.
    pub node: Option<NodeId>,
    /// What it did, with the line that it wrote.
    pub what: String,
    /// The same with what it said last and what it was asked.
    pub text: String,
    /// Its last lines on standard error, oldest first.
    pub words: Vec<String>,
    /// Whether all that is wrong is the time it took, which may be somebody else's fault.
    pub is_late: bool,
}

/// Takes what such a client says. It must not block for long: clients call it.
pub trait ClientNotes: Send + Sync {
    /// It did what no client may do.
    fn finding(&self, finding: Finding);

    /// It answered an operation as it should, whatever the answer.
    fn answered(&self);

    /// Bytes that it wrote to its standard error.
    fn said(&self, bytes: &[u8]);
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoNotes;

impl ClientNotes for NoNotes {
    fn finding(&self, _: Finding) {}

    fn answered(&self) {}

    fn said(&self, _: &[u8]) {}
}
