//! What clients of the model see: one register, one write, some reads, judged by stateright's own tester.
//!
//! Each operation is a thread of its own, and one that is never answered may or may not have happened.

use cluster::raft::{Entry, Index, NodeId, Payload, Position, Term};
use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

/// The thread that writes. Reads are named by their tags, which are greater.
const WRITER: u64 = 1;

/// All operations so far.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(crate) struct Clients {
    tester: LinearizabilityTester<u64, Register<bool>>,
    /// Who was asked to write, and where the entry is.
    waits: Option<(NodeId, Position)>,
    /// Reads that found nothing, and reads that found the value.
    pub(crate) answered: (u8, u8),
    pub(crate) acknowledged: bool,
}

impl Default for Clients {
    fn default() -> Clients {
        let tester = LinearizabilityTester::new(Register(false));
        Clients { tester, waits: None, answered: (0, 0), acknowledged: false }
    }
}

impl Clients {
    pub(crate) fn write_begins(&mut self) {
        self.tester.on_invoke(WRITER, RegisterOp::Write(true)).expect("one write");
    }

    pub(crate) fn appended(&mut self, id: NodeId, term: Term, index: Index) {
        self.waits = Some((id, Position { term, index }));
    }

    /// A node applies an entry: perhaps the one that its client waits for.
    pub(crate) fn applied(&mut self, id: NodeId, entry: &Entry) {
        if self.waits == Some((id, entry.position())) {
            self.written();
        }
    }

    /// The write is acknowledged, if it was not before.
    pub(crate) fn written(&mut self) {
        if !std::mem::replace(&mut self.acknowledged, true) {
            self.tester.on_return(WRITER, RegisterRet::WriteOk).expect("the write is under way");
        }
    }

    pub(crate) fn read_begins(&mut self, tag: u64) {
        self.tester.on_invoke(tag, RegisterOp::Read).expect("each read has its own tag");
    }

    /// What a read finds where this was applied.
    pub(crate) fn value_of(&self, applied: &[Entry]) -> bool {
        applied.iter().any(|entry| matches!(entry.payload, Payload::Command(_)))
    }

    pub(crate) fn read(&mut self, tag: u64, found: bool) {
        *(if found { &mut self.answered.1 } else { &mut self.answered.0 }) += 1;
        self.tester.on_return(tag, RegisterRet::ReadOk(found)).expect("the read is under way");
    }

    /// Whether some order of the operations explains the answers.
    pub(crate) fn are_consistent(&self) -> bool {
        self.tester.is_consistent()
    }
}
