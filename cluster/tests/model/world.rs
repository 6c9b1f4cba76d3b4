//! The model: a state is the nodes with their disks, the messages that are out, and what only an onlooker knows.

use crate::machine::Machine;
use cluster::bug::Bugs;
use cluster::raft::{
    Body, Config, Configuration, Effect, Event, Message, NodeId, Proposal, Role, Term, Timer,
};
use stateright::{Model, Property};
use std::collections::{BTreeMap, BTreeSet};

const NODES: u64 = 3;

/// Bounds.
#[derive(Clone, Debug)]
pub(crate) struct Small {
    pub(crate) terms: Term,
    /// Messages out at once.
    pub(crate) messages: usize,
    /// Commands proposed, crashes, heartbeats: in the whole run.
    pub(crate) commands: u64,
    pub(crate) crashes: u8,
    pub(crate) beats: u8,
    pub(crate) bugs: Bugs,
}

impl Default for Small {
    fn default() -> Small {
        Small { terms: 1, messages: 2, commands: 1, crashes: 0, beats: 0, bugs: Bugs::NONE }
    }
}

/// What must never be broken. `World::broken` holds one of these.
pub(crate) const PROMISES: [&str; 7] = [
    "election safety",
    "log matching",
    "leader completeness",
    "state machine safety",
    "durable quorum",
    "one vote a term",
    "persisted before promised",
];

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    machines: Vec<Machine>,
    network: BTreeSet<Message>,
    commands: u64,
    crashes: u8,
    beats: u8,
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// By index: the entry's term, and the term in which it was first seen committed.
    committed: Vec<(Term, Term)>,
    broken: Option<&'static str>,
}

/// Something that may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Campaign(NodeId),
    Propose(NodeId),
    Deliver(Message),
    Sync(NodeId),
    Crash(NodeId),
    Beat(NodeId),
}

impl World {
    fn machine(&mut self, id: NodeId) -> &mut Machine {
        &mut self.machines[id as usize - 1]
    }

    fn breaks(&mut self, broken: bool, promise: &'static str) {
        if broken && self.broken.is_none() {
            self.broken = Some(promise);
        }
    }

    /// Looks at what a node does, and lets its messages out as far as there is room.
    fn carry_out(&mut self, model: &Small, id: NodeId, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                // Nobody has to wait until it may vote for another.
                Effect::SetTimer(Timer::Contact) => {
                    self.machine(id).step(Event::Timeout(Timer::Contact));
                }
                Effect::Send(message) => self.send(model, message),
                Effect::Role { role: Role::Leader, term, .. } => self.leads(id, term),
                Effect::Apply(entries) => {
                    entries.iter().for_each(|entry| self.applies(id, entry.index, entry.term));
                }
                _ => {}
            }
        }
    }

    fn send(&mut self, model: &Small, message: Message) {
        let machine = &self.machines[message.from as usize - 1];
        let disk = &machine.disk;
        let newer = disk.hard_state.term > message.term;
        let voted = |whom| {
            newer || disk.hard_state.term == message.term && disk.hard_state.vote == Some(whom)
        };
        let kept = match &message.body {
            Body::Vote { .. } => voted(message.from),
            Body::VoteAnswer { granted: true } => voted(message.to),
            Body::AppendAccepted { matched } => {
                let place = *matched as usize;
                let durable = disk.log.get(place.wrapping_sub(1)).map(|entry| entry.term);
                place == 0 || durable == machine.core().term_at(*matched)
            }
            _ => true,
        };
        self.breaks(!kept, "persisted before promised");
        let pre_vote = matches!(message.body, Body::PreVote { .. } | Body::PreVoteAnswer { .. });
        if !pre_vote && self.network.len() < model.messages {
            self.network.insert(message);
        }
    }

    fn leads(&mut self, id: NodeId, term: Term) {
        let other = *self.leaders.entry(term).or_insert(id);
        self.breaks(other != id, "election safety");
        let core = self.machines[id as usize - 1].core();
        let lacks = (1..)
            .zip(&self.committed)
            .any(|(index, (entry, seen))| *seen < term && core.term_at(index) != Some(*entry));
        self.breaks(lacks, "leader completeness");
    }

    fn applies(&mut self, id: NodeId, index: u64, term: Term) {
        let place = index as usize - 1;
        if let Some((known, _)) = self.committed.get(place) {
            let differs = *known != term;
            return self.breaks(differs, "state machine safety");
        }
        let seen = self.machines[id as usize - 1].core().term();
        self.committed.push((term, seen));
        let holds = |machine: &&Machine| {
            machine.disk.log.get(place).is_some_and(|entry| entry.term == term)
        };
        let holders = self.machines.iter().filter(holds).count();
        self.breaks(2 * holders <= self.machines.len(), "durable quorum");
    }

    fn sync(&mut self, model: &Small, id: NodeId) {
        let mut newest = None;
        while let Some(ticket) = self.machine(id).sync_one() {
            newest = Some(ticket);
            let hard_state = self.machine(id).disk.hard_state;
            if let Some(vote) = hard_state.vote {
                let earlier = *self.votes.entry((id, hard_state.term)).or_insert(vote);
                self.breaks(earlier != vote, "one vote a term");
            }
        }
        self.compare_logs();
        if let Some(ticket) = newest {
            let effects = self.machine(id).step(Event::Durable { ticket });
            self.carry_out(model, id, effects);
        }
    }

    fn compare_logs(&mut self) {
        let mut differ = false;
        for (place, left) in self.machines.iter().enumerate() {
            for right in &self.machines[place + 1..] {
                let pairs = || left.disk.log.iter().zip(&right.disk.log);
                let agreed = pairs().rposition(|(l, r)| l.term == r.term).map_or(0, |at| at + 1);
                differ |= pairs().take(agreed).any(|(l, r)| l != r);
            }
        }
        self.breaks(differ, "log matching");
    }

    /// Raises the term as if a majority had said that it would vote for this node.
    fn campaign(&mut self, model: &Small, id: NodeId) {
        let effects = self.machine(id).step(Event::Timeout(Timer::Election));
        self.carry_out(model, id, effects);
        let term = self.machine(id).core().term();
        let body = Body::PreVoteAnswer { term: term + 1, granted: true };
        let from = id % NODES + 1;
        let answer = Event::Receive(Message { from, to: id, term, body });
        let effects = self.machine(id).step(answer);
        self.carry_out(model, id, effects);
    }
}

impl Model for Small {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let machine = |id| {
            let mut config = Config::new(id, Configuration::of(1..=NODES));
            config.bugs = self.bugs;
            let mut machine = Machine::new(config);
            machine.start();
            machine
        };
        vec![World {
            machines: (1..=NODES).map(machine).collect(),
            network: BTreeSet::new(),
            commands: self.commands,
            crashes: self.crashes,
            beats: self.beats,
            leaders: BTreeMap::new(),
            votes: BTreeMap::new(),
            committed: Vec::new(),
            broken: None,
        }]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Step>) {
        for (id, machine) in (1..).zip(&state.machines) {
            let core = machine.core();
            let leads = core.role() == Role::Leader;
            if !leads && core.term() < self.terms {
                actions.push(Step::Campaign(id));
            }
            if leads && state.commands > 0 {
                actions.push(Step::Propose(id));
            }
            if leads && state.beats > 0 {
                actions.push(Step::Beat(id));
            }
            if !machine.pending.is_empty() {
                actions.push(Step::Sync(id));
            }
            if state.crashes > 0 {
                actions.push(Step::Crash(id));
            }
        }
        actions.extend(state.network.iter().cloned().map(Step::Deliver));
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        // Once something is broken there is nothing to look for behind it.
        if last.broken.is_some() {
            return None;
        }
        let mut state = last.clone();
        match step {
            Step::Campaign(id) => state.campaign(self, id),
            Step::Propose(id) => {
                state.commands -= 1;
                let proposal = Proposal { tag: 1, command: b"x"[..].into() };
                let effects = state.machine(id).step(Event::Propose(vec![proposal]));
                state.carry_out(self, id, effects);
            }
            Step::Deliver(message) => {
                state.network.remove(&message);
                let id = message.to;
                let effects = state.machine(id).step(Event::Receive(message));
                state.carry_out(self, id, effects);
            }
            Step::Sync(id) => state.sync(self, id),
            Step::Crash(id) => {
                state.crashes -= 1;
                state.machine(id).crash(0);
                let effects = state.machine(id).start();
                state.carry_out(self, id, effects);
            }
            Step::Beat(id) => {
                state.beats -= 1;
                let effects = state.machine(id).step(Event::Timeout(Timer::Heartbeat));
                state.carry_out(self, id, effects);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Small>> {
        let [election, matching, completeness, machine, quorum, vote, persisted] = PROMISES;
        let mut properties = vec![
            Property::always(election, |_, world: &World| world.broken != Some(PROMISES[0])),
            Property::always(matching, |_, world: &World| world.broken != Some(PROMISES[1])),
            Property::always(completeness, |_, world: &World| world.broken != Some(PROMISES[2])),
            Property::always(machine, |_, world: &World| world.broken != Some(PROMISES[3])),
            Property::always(quorum, |_, world: &World| world.broken != Some(PROMISES[4])),
            Property::always(vote, |_, world: &World| world.broken != Some(PROMISES[5])),
            Property::always(persisted, |_, world: &World| world.broken != Some(PROMISES[6])),
            Property::sometimes("a leader in term 1", |_, world: &World| {
                world.leaders.contains_key(&1)
            }),
            Property::sometimes("a leader in the last term", |model: &Small, world: &World| {
                world.leaders.contains_key(&model.terms)
            }),
            Property::sometimes("a command is committed", |_, world: &World| {
                world.committed.len() > 1
            }),
            Property::sometimes(
                "an entry of the last term is committed",
                |model: &Small, world: &World| {
                    world.committed.last().is_some_and(|(term, _)| *term == model.terms)
                },
            ),
            Property::sometimes("a commit after every crash", |_, world: &World| {
                world.crashes == 0 && !world.committed.is_empty()
            }),
            Property::sometimes("a vote is refused", |_, world: &World| {
                let refused =
                    |message: &Message| message.body == Body::VoteAnswer { granted: false };
                world.network.iter().any(refused)
            }),
        ];
        // With one message out, a leader reaches only the first of its peers, and no log ever differs.
        if self.messages > 1 {
            properties.push(Property::sometimes("a log is truncated", |_, world: &World| {
                let truncates = |machine: &Machine| {
                    machine.pending.iter().any(|batch| batch.truncate_from.is_some())
                };
                world.machines.iter().any(truncates)
            }));
        }
        properties
    }
}
