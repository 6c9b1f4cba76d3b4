//! Raft messages as they travel: [`Message`] to [`Envelope`] and back.
//!
//! What comes in may be anything, so [`decode`] checks that it is for this node and whole. Whether its
//! sender is a member is Raft's to judge.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::notices::Word;
use crate::proto::{self, Envelope, envelope};
use crate::raft::{Body, Configuration, Entry, Hint, Message, NodeId, Payload, Position};

/// Wraps a message of `cluster`. Whose it is, is left to be added.
pub(super) fn encode(cluster: u64, message: Message) -> Envelope {
    let Message { from, to, term, body } = message;
    let body = match body {
        Body::PreVote { term, last } => {
            envelope::Body::PreVote(proto::PreVote { term, last: position(last) })
        }
        Body::PreVoteAnswer { term, granted } => {
            envelope::Body::PreVoteAnswer(proto::PreVoteAnswer { term, granted })
        }
        Body::Vote { last, forced } => {
            envelope::Body::Vote(proto::Vote { last: position(last), forced })
        }
        Body::VoteAnswer { granted } => envelope::Body::VoteAnswer(proto::VoteAnswer { granted }),
        Body::Append { base, entries, commit } => {
            let entries = entries.into_iter().map(encode_entry).collect();
            envelope::Body::Append(proto::Append { base: position(base), entries, commit })
        }
        Body::AppendAccepted { matched } => {
            envelope::Body::AppendAccepted(proto::AppendAccepted { matched })
        }
        Body::AppendRejected { base, hint } => {
            envelope::Body::AppendRejected(proto::AppendRejected {
                base,
                hint_term: hint.term,
                hint_first: hint.first,
            })
        }
        Body::Heartbeat { commit, round } => {
            envelope::Body::Heartbeat(proto::Heartbeat { commit, round })
        }
        Body::HeartbeatAnswer { round } => {
            envelope::Body::HeartbeatAnswer(proto::HeartbeatAnswer { round })
        }
        Body::TimeoutNow => envelope::Body::TimeoutNow(proto::TimeoutNow {}),
    };
    Envelope { cluster, from, to, term, identity: 0, body: Some(body) }
}

/// Wraps a notice of `cluster`.
pub(super) fn encode_word(cluster: u64, from: NodeId, to: NodeId, word: Word) -> Envelope {
    let body = match word {
        Word::Hello => envelope::Body::Hello(proto::Hello {}),
        Word::Stranger { identity } => envelope::Body::Stranger(proto::Stranger { identity }),
        Word::NotMember { index } => envelope::Body::NotMember(proto::NotMember { index }),
    };
    Envelope { cluster, from, to, body: Some(body), ..Envelope::default() }
}

/// What an envelope held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A message for the core.
    Message(Message),
    /// A notice from this node.
    Word(NodeId, Word),
}

/// Unwraps what is for node `id` of `cluster`, or says why nothing is.
pub(super) fn decode(envelope: Envelope, cluster: u64, id: NodeId) -> Result<Received, String> {
    let Envelope { cluster: theirs, from, to, term, identity, body } = envelope;
    if theirs != cluster {
        return Err(format!("a message of cluster {theirs} reached cluster {cluster}"));
    }
    if to != id {
        return Err(format!("a message for node {to} reached node {id}"));
    }
    if from == 0 {
        return Err("a message came from node 0, which is none".to_owned());
    }
    if identity == 0 {
        return Err(format!("a message of node {from} does not say who it is"));
    }
    let word = match &body {
        Some(envelope::Body::Hello(_)) => Some(Word::Hello),
        Some(envelope::Body::Stranger(m)) => Some(Word::Stranger { identity: m.identity }),
        Some(envelope::Body::NotMember(m)) => Some(Word::NotMember { index: m.index }),
        _ => None,
    };
    if let Some(word) = word {
        return Ok(Received::Word(from, word));
    }
    let body = body.and_then(decode_body).ok_or("a message is empty or of an unknown kind")?;
    Ok(Received::Message(Message { from, to, term, body }))
}

fn decode_body(body: envelope::Body) -> Option<Body> {
    Some(match body {
        envelope::Body::PreVote(m) => Body::PreVote { term: m.term, last: place(m.last)? },
        envelope::Body::PreVoteAnswer(m) => {
            Body::PreVoteAnswer { term: m.term, granted: m.granted }
        }
        envelope::Body::Vote(m) => Body::Vote { last: place(m.last)?, forced: m.forced },
        envelope::Body::VoteAnswer(m) => Body::VoteAnswer { granted: m.granted },
        envelope::Body::Append(m) => Body::Append {
            base: place(m.base)?,
            entries: m.entries.into_iter().map(decode_entry).collect(),
            commit: m.commit,
        },
        envelope::Body::AppendAccepted(m) => Body::AppendAccepted { matched: m.matched },
        envelope::Body::AppendRejected(m) => Body::AppendRejected {
            base: m.base,
            hint: Hint { term: m.hint_term, first: m.hint_first },
        },
        envelope::Body::Heartbeat(m) => Body::Heartbeat { commit: m.commit, round: m.round },
        envelope::Body::TimeoutNow(_) => Body::TimeoutNow,
        envelope::Body::Hello(_) | envelope::Body::Stranger(_) | envelope::Body::NotMember(_) => {
            return None;
        }
        envelope::Body::HeartbeatAnswer(m) => Body::HeartbeatAnswer { round: m.round },
    })
}

fn position(position: Position) -> Option<proto::Position> {
    Some(proto::Position { term: position.term, index: position.index })
}

fn place(position: Option<proto::Position>) -> Option<Position> {
    position.map(|p| Position { term: p.term, index: p.index })
}

fn encode_entry(entry: Entry) -> proto::Entry {
    let (command, configuration) = match entry.payload {
        Payload::Noop => (None, None),
        // Shares the bytes of the log.
        Payload::Command(command) => (Some(Bytes::from_owner(command)), None),
        Payload::Configuration(configuration) => (None, Some(members(&configuration))),
    };
    proto::Entry { term: entry.term, index: entry.index, command, configuration }
}

fn decode_entry(entry: proto::Entry) -> Entry {
    let payload = match (entry.configuration, entry.command) {
        (Some(configuration), _) => Payload::Configuration(Arc::new(configure(configuration))),
        (None, None) => Payload::Noop,
        (None, Some(command)) => Payload::Command(command.as_ref().into()),
    };
    Entry { term: entry.term, index: entry.index, payload }
}

fn members(configuration: &Configuration) -> proto::Configuration {
    let list = |ids: &BTreeSet<NodeId>| ids.iter().copied().collect();
    let address = |(id, address): (&NodeId, &Arc<str>)| (*id, address.to_string());
    proto::Configuration {
        voters: list(&configuration.voters),
        outgoing: list(&configuration.outgoing),
        learners: list(&configuration.learners),
        addresses: configuration.addresses.iter().map(address).collect(),
    }
}

fn configure(configuration: proto::Configuration) -> Configuration {
    let address = |(id, address): (NodeId, String)| (id, address.into());
    Configuration {
        voters: configuration.voters.into_iter().collect(),
        outgoing: configuration.outgoing.into_iter().collect(),
        learners: configuration.learners.into_iter().collect(),
        addresses: configuration.addresses.into_iter().map(address).collect(),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn message(body: Body) -> Message {
        Message { from: 2, to: 1, term: 9, body }
    }

    #[test]
    fn every_message_survives_the_wire() {
        let last = Position { term: 3, index: 8 };
        let noop = Entry { term: 3, index: 9, payload: Payload::Noop };
        let empty = Entry { term: 4, index: 10, payload: Payload::Command([].into()) };
        let full = Entry { term: 4, index: 11, payload: Payload::Command([1, 2].into()) };
        let members = Configuration {
            voters: [1, 2].into(),
            outgoing: [2, 3].into(),
            learners: [4].into(),
            addresses: [(4, "127.0.0.1:4".into())].into(),
        };
        let members = Payload::Configuration(Arc::new(members));
        let members = Entry { term: 4, index: 12, payload: members };
        let bodies = [
            Body::PreVote { term: 10, last },
            Body::PreVoteAnswer { term: 10, granted: true },
            Body::Vote { last: Position::default(), forced: false },
            Body::Vote { last, forced: true },
            Body::TimeoutNow,
            Body::VoteAnswer { granted: false },
            Body::Append { base: last, entries: vec![noop, empty, full, members], commit: 7 },
            Body::AppendAccepted { matched: 11 },
            Body::AppendRejected { base: 8, hint: Hint { term: None, first: 5 } },
            Body::AppendRejected { base: 8, hint: Hint { term: Some(0), first: 5 } },
            Body::Heartbeat { commit: 7, round: 5 },
            Body::HeartbeatAnswer { round: 5 },
        ];
        for body in bodies {
            let envelope = Envelope { identity: 5, ..encode(7, message(body.clone())) };
            let envelope = Envelope::decode(envelope.encode_to_vec().as_slice()).unwrap();
            assert_eq!(decode(envelope, 7, 1), Ok(Received::Message(message(body))));
        }
        for word in [Word::Hello, Word::Stranger { identity: 9 }, Word::NotMember { index: 4 }] {
            let envelope = Envelope { identity: 5, ..encode_word(7, 2, 1, word) };
            let envelope = Envelope::decode(envelope.encode_to_vec().as_slice()).unwrap();
            assert_eq!(decode(envelope, 7, 1), Ok(Received::Word(2, word)));
        }
    }

    #[test]
    fn a_message_that_is_not_for_this_node_is_refused() {
        let answer = || encode(7, message(Body::HeartbeatAnswer { round: 1 }));
        let envelope = || Envelope { identity: 5, ..answer() };
        assert!(decode(envelope(), 7, 1).is_ok() && decode(answer(), 7, 1).is_err());
        assert!(decode(envelope(), 8, 1).is_err());
        assert!(decode(envelope(), 7, 2).is_err());
        assert!(decode(Envelope { from: 0, ..envelope() }, 7, 1).is_err());
        assert!(decode(Envelope { body: None, ..envelope() }, 7, 1).is_err());
    }
}
