//! What nodes tell each other besides the algorithm: "I do not listen to you, and this is why".
//!
//! Raft needs none of it. A node that others do not listen to does no harm, but it would never learn why nothing
//! comes of what it does, and its operator neither. Two nodes are told:
//!
//! - one whose id the members know with another data directory (`identity`). It ends when the leader that it
//!   follows says so: a leader has every change of the members in its log, so it cannot be behind;
//! - one that asks for votes although it is no member as of an entry that the asked node has applied. It was
//!   removed while it was away, and ends: unless its own configuration is of that entry or a later one (then
//!   whoever told it is behind), or it hears a leader.
//!
//! A node that has its own removal in its log is not told; it stays and asks for nothing.

use super::NodeError;
use super::driver::Driver;
use crate::raft::{Index, NodeId};

/// What one node tells another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Nothing but who is speaking; the first of each stream.
    Hello,
    /// The receiver's id belongs to another data directory than the one with this identity.
    Stranger { identity: u64 },
    /// As of this committed entry the receiver is no member.
    NotMember { index: Index },
}

/// News of that kind for the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Another node told this one.
    Told { from: NodeId, word: Word },
    /// Under this id came a message with an identity that is not the known one.
    Stranger { from: NodeId, identity: u64 },
}

impl Driver {
    /// Passes a notice on, or heeds it.
    pub(super) fn take_notice(&mut self, notice: Notice) -> Result<(), NodeError> {
        let (raft, id) = (&self.raft, self.raft.id());
        match notice {
            Notice::Stranger { from, identity } => {
                self.transport.tell(from, Word::Stranger { identity });
                Ok(())
            }
            Notice::Told { word: Word::Hello, .. } => Ok(()),
            Notice::Told { from, word: Word::Stranger { identity } } => {
                let is_leader = raft.leader() == Some(from) && from != id;
                if is_leader && identity == self.identities.own() {
                    return Err(NodeError::Stranger { id, leader: from });
                }
                Ok(())
            }
            Notice::Told { from, word: Word::NotMember { index } } => {
                let believes = raft.configuration().contains(id);
                if believes && raft.leader().is_none() && index > raft.configured_at() {
                    return Err(NodeError::Removed { id, by: from, index });
                }
                Ok(())
            }
        }
    }

    /// A node asks for votes: if it is no member, it may not know.
    pub(super) fn tell_if_removed(&mut self, from: NodeId) {
        let applied = self.raft.snapshot_at_applied();
        let configuration = applied.configuration;
        // Who is in no cluster yet cannot know who is.
        if !configuration.voters.is_empty() && !configuration.contains(from) {
            self.transport.tell(from, Word::NotMember { index: applied.last.index });
        }
    }
}
