//! One node.

use super::config::Config;
use super::event::{Effect, Event, Recovered, Role, Timer};
use super::message::{Index, NodeId, Position, Term};

/// One node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft {
    config: Config,
    recovered: Recovered,
}

impl Raft {
    /// A node with what it read back from its disk. It does nothing before [`Raft::start`].
    pub fn new(config: Config, recovered: Recovered) -> Raft {
        Raft { config, recovered }
    }

    /// The first effects: sets the election timer and reports the role. Call once.
    pub fn start(&mut self, effects: &mut Vec<Effect>) {
        effects.push(Effect::SetTimer(Timer::Election));
    }

    /// Takes one event and appends its effects.
    pub fn step(&mut self, event: Event, effects: &mut Vec<Effect>) {
        let _ = (event, effects, &self.recovered);
    }

    /// Who this node is.
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// What it does.
    pub fn role(&self) -> Role {
        Role::Follower
    }

    /// Its term.
    pub fn term(&self) -> Term {
        0
    }

    /// Whom it takes for the leader of its term.
    pub fn leader(&self) -> Option<NodeId> {
        None
    }

    /// The highest index it knows to be committed.
    pub fn commit(&self) -> Index {
        0
    }

    /// The end of its log.
    pub fn last(&self) -> Position {
        Position::default()
    }

    /// The last index of its log that would survive a crash.
    pub fn durable(&self) -> Index {
        0
    }
}
