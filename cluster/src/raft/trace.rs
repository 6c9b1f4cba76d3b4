//! Messages and entries in words, for logs and golden scripts: `n1@2 → n3 Append base=3@1 …`.

use super::message::{Body, Entry, Hint, Message, NodeId, Payload};
use super::quorum::Configuration;
use std::collections::BTreeSet;
use std::fmt;

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "n{}@{} → n{} {}", self.from, self.term, self.to, self.body)
    }
}

impl fmt::Display for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let granted = |granted: &bool| if *granted { "granted" } else { "refused" };
        match self {
            Body::PreVote { term, last } => write!(formatter, "PreVote term={term} last={last}"),
            Body::PreVoteAnswer { term, granted: vote } => {
                write!(formatter, "PreVoteAnswer term={term} {}", granted(vote))
            }
            Body::Vote { last, forced } => {
                write!(formatter, "Vote last={last}{}", if *forced { " forced" } else { "" })
            }
            Body::VoteAnswer { granted: vote } => {
                write!(formatter, "VoteAnswer {}", granted(vote))
            }
            Body::Append { base, entries, commit } => {
                write!(formatter, "Append base={base} commit={commit} [")?;
                for (place, entry) in entries.iter().enumerate() {
                    write!(formatter, "{}{entry}", if place == 0 { "" } else { ", " })?;
                }
                formatter.write_str("]")
            }
            Body::AppendAccepted { matched } => {
                write!(formatter, "AppendAccepted matched={matched}")
            }
            Body::AppendRejected { base, hint } => {
                write!(formatter, "AppendRejected base={base} {hint}")
            }
            Body::Heartbeat { commit, round } => {
                write!(formatter, "Heartbeat commit={commit} round={round}")
            }
            Body::TimeoutNow => formatter.write_str("TimeoutNow"),
            Body::HeartbeatAnswer { round } => {
                write!(formatter, "HeartbeatAnswer round={round}")
            }
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.term {
            None => write!(formatter, "hint=ends before {}", self.first),
            Some(term) => write!(formatter, "hint=term {term} starts at {}", self.first),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ", self.position())?;
        match &self.payload {
            Payload::Noop => formatter.write_str("noop"),
            Payload::Configuration(configuration) => configuration.fmt(formatter),
            Payload::Command(command) => match std::str::from_utf8(command) {
                Ok(text) if text.len() <= 20 && !text.chars().any(char::is_control) => {
                    formatter.write_str(text)
                }
                _ => write!(formatter, "{} bytes", command.len()),
            },
        }
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ids: &BTreeSet<NodeId>| {
            ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        write!(formatter, "{{{}", list(&self.voters))?;
        if self.is_joint() {
            write!(formatter, " from {}", list(&self.outgoing))?;
        }
        if !self.learners.is_empty() {
            write!(formatter, " learning {}", list(&self.learners))?;
        }
        formatter.write_str("}")
    }
}
