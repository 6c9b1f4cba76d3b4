//! The model: a state is the nodes with their disks, the messages that are out, and what only an onlooker knows.
//!
//! Five things keep the number of states small. None of them takes away an order of events that matters:
//!
//! * *Normal form.* Nodes that may do the same are the same ([`Raft::normal_form`](cluster::raft::Raft::normal_form)).
//! * *Dead letters.* An answer that changes nothing at its receiver, now or ever, is taken out as soon as that is
//!   so. To deliver it would have been possible at once, changes nothing, and commutes with everything.
//! * *Quick disks.* What a node writes reaches its disk at any later time while that node may still crash, and at
//!   once if it cannot: then nobody can tell a promise that waits for the disk from a message that is slow.
//! * *One node crashes*, and which one does not matter: nodes have numbers, and nothing depends on them but the
//!   order in which a step lists its messages, of which the network is a set (`it_does_not_matter_who_crashes`).
//! * *Silence.* A step that changes nothing leads nowhere.
//!
//! A step that would put more messages out than the bound allows is not taken. With `loss`, any message may be
//! lost at any time, which makes room; without, one that is never delivered stands for one that was lost.

use crate::clients::Clients;
use crate::machine::Machine;
use cluster::bug::{Bug, Bugs};
use cluster::raft::{
    Body, Config, Configuration, Effect, Event, Message, NodeId, Proposal, Role, Term, Timer,
};
use stateright::Model;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bounds.
#[derive(Clone, Debug)]
pub(crate) struct Small {
    pub(crate) nodes: u64,
    pub(crate) terms: Term,
    /// Messages out at once.
    pub(crate) messages: usize,
    /// Commands proposed, reads, crashes: in the whole run.
    pub(crate) commands: u64,
    pub(crate) reads: u64,
    pub(crate) crashes: u8,
    /// Who crashes.
    pub(crate) crasher: NodeId,
    /// Whether messages may be lost, which makes room for others.
    pub(crate) loss: bool,
    pub(crate) bugs: Bugs,
    /// How many steps truncated a log: told by the steps, as no state shows it for long.
    pub(crate) truncations: Arc<AtomicU64>,
}

impl Default for Small {
    fn default() -> Small {
        Small {
            nodes: 3,
            terms: 2,
            messages: 3,
            commands: 1,
            reads: 0,
            crashes: 0,
            crasher: 1,
            loss: false,
            bugs: Bugs::NONE,
            truncations: Arc::default(),
        }
    }
}

/// A state.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(crate) struct World {
    pub(crate) machines: Vec<Arc<Machine>>,
    pub(crate) network: BTreeSet<Message>,
    pub(crate) commands: u64,
    pub(crate) reads: u64,
    pub(crate) crashes: u8,
    pub(crate) leaders: BTreeMap<Term, NodeId>,
    /// By index: the entry's term, and the term in which it was first seen committed.
    pub(crate) committed: Vec<(Term, Term)>,
    /// What clients saw, where they are asked.
    pub(crate) clients: Clients,
    /// One of the promises in `properties`.
    pub(crate) broken: Option<&'static str>,
}

/// Something that may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Campaign(NodeId),
    Propose(NodeId),
    Read(NodeId),
    Deliver(Message),
    Lose(Message),
    Sync(NodeId),
    Crash(NodeId),
}

impl World {
    pub(crate) fn machine(&mut self, id: NodeId) -> &mut Machine {
        Arc::make_mut(&mut self.machines[id as usize - 1])
    }

    pub(crate) fn at(&self, id: NodeId) -> &Machine {
        &self.machines[id as usize - 1]
    }

    pub(crate) fn breaks(&mut self, broken: bool, promise: &'static str) {
        if broken && self.broken.is_none() {
            self.broken = Some(promise);
        }
    }

    /// Gives a node an event, looks at what it does, and lets its messages out.
    fn event(&mut self, id: NodeId, event: Event) {
        let effects = self.machine(id).step(event);
        self.carry_out(id, effects);
    }

    fn carry_out(&mut self, id: NodeId, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(message) => self.send(message),
                Effect::Role { role: Role::Leader, term, .. } => self.leads(id, term),
                Effect::Apply(entries) => {
                    for entry in &entries {
                        self.applies(id, entry.index, entry.term);
                        self.clients.applied(id, entry);
                    }
                }
                Effect::Appended { term, index, .. } => self.clients.appended(id, term, index),
                Effect::AckEarly { .. } => self.clients.written(),
                Effect::ReadReady { tag, .. } => {
                    let found = self.clients.value_of(&self.at(id).applied);
                    self.clients.read(tag, found);
                }
                _ => {}
            }
        }
    }

    fn send(&mut self, message: Message) {
        let kept = self.is_kept(&message);
        self.breaks(!kept, "persisted before promised");
        let pre_vote = matches!(message.body, Body::PreVote { .. } | Body::PreVoteAnswer { .. });
        if !pre_vote {
            self.network.insert(message);
        }
    }

    /// Whether the disk holds what a message promises.
    fn is_kept(&self, message: &Message) -> bool {
        let machine = self.at(message.from);
        let disk = &machine.disk;
        let newer = disk.hard_state.term > message.term;
        let voted = |whom| {
            newer || disk.hard_state.term == message.term && disk.hard_state.vote == Some(whom)
        };
        match &message.body {
            Body::Vote { .. } => voted(message.from),
            Body::VoteAnswer { granted: true } => voted(message.to),
            Body::AppendAccepted { matched } => {
                let place = *matched as usize;
                let durable = disk.log.get(place.wrapping_sub(1)).map(|entry| entry.term);
                place == 0 || durable == machine.core().term_at(*matched)
            }
            _ => true,
        }
    }

    fn leads(&mut self, id: NodeId, term: Term) {
        let other = *self.leaders.entry(term).or_insert(id);
        self.breaks(other != id, "election safety");
        let core = self.at(id).core();
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
        let seen = self.at(id).core().term();
        self.committed.push((term, seen));
        let holds = |machine: &&Arc<Machine>| {
            machine.disk.log.get(place).is_some_and(|entry| entry.term == term)
        };
        let holders = self.machines.iter().filter(holds).count();
        self.breaks(2 * holders <= self.machines.len(), "durable quorum");
    }

    /// All that a node has written reaches its disk.
    fn sync(&mut self, model: &Small, id: NodeId) {
        while !self.at(id).pending.is_empty() {
            let mut newest = 0;
            while let Some(batch) = self.at(id).pending.front() {
                if batch.truncate_from.is_some() {
                    model.truncations.fetch_add(1, Ordering::Relaxed);
                }
                let before = self.at(id).disk.hard_state;
                newest = self.machine(id).sync_one().unwrap_or(newest);
                let after = self.at(id).disk.hard_state;
                let again = after.term == before.term
                    && before.vote.is_some_and(|vote| after.vote != Some(vote));
                self.breaks(again || after.term < before.term, "one vote a term");
            }
            self.compare_logs();
            self.event(id, Event::Durable { ticket: newest });
            if self.is_slow(model, id) {
                break;
            }
        }
    }

    /// Whether a node's disk takes its time, because a crash may still come.
    fn is_slow(&self, model: &Small, id: NodeId) -> bool {
        self.crashes > 0 && id == model.crasher
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
    fn campaign(&mut self, id: NodeId) {
        self.event(id, Event::Timeout(Timer::Election));
        let term = self.at(id).core().term();
        let body = Body::PreVoteAnswer { term: term + 1, granted: true };
        let from = id % self.machines.len() as u64 + 1;
        self.event(id, Event::Receive(Message { from, to: id, term, body }));
    }

    /// Ends a step of a node: quick disks, normal form, dead letters.
    fn finish(&mut self, model: &Small, id: NodeId) {
        if !self.is_slow(model, id) {
            self.sync(model, id);
        }
        let machine = self.machine(id);
        if let Some(raft) = &mut machine.raft {
            let by = raft.normal_form();
            machine.pending.iter_mut().for_each(|batch| batch.ticket -= by);
        }
        machine.incarnation = 0;
        if !model.bugs.has(Bug::StaleVote) && !model.bugs.has(Bug::StaleAeReply) {
            let network = std::mem::take(&mut self.network);
            self.network = network.into_iter().filter(|letter| !self.is_dead(letter)).collect();
        }
    }

    /// Whether an answer can never change anything again: its receiver's disk is in a later term, or it is in this
    /// term and no candidate, or leader, that waits for it; nobody becomes that twice in one term.
    fn is_dead(&self, message: &Message) -> bool {
        let receiver = self.at(message.to);
        let (core, durable) = (receiver.core(), receiver.disk.hard_state.term);
        let waits = match message.body {
            Body::VoteAnswer { .. } => core.role() == Role::Candidate,
            Body::AppendAccepted { .. }
            | Body::AppendRejected { .. }
            | Body::HeartbeatAnswer { .. } => core.role() == Role::Leader,
            _ => return false,
        };
        message.term < durable || message.term == durable && core.term() == durable && !waits
    }
}

impl Model for Small {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let machine = |id| {
            let mut config = Config::new(id, Configuration::of(1..=self.nodes));
            config.bugs = self.bugs;
            let mut machine = Machine::new(config);
            machine.start();
            Arc::new(machine)
        };
        vec![World {
            machines: (1..=self.nodes).map(machine).collect(),
            network: BTreeSet::new(),
            commands: self.commands,
            reads: self.reads,
            crashes: self.crashes,
            leaders: BTreeMap::new(),
            committed: Vec::new(),
            clients: Clients::default(),
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
            if leads && state.reads > 0 {
                actions.push(Step::Read(id));
            }
            if !machine.pending.is_empty() {
                actions.push(Step::Sync(id));
            }
            if state.crashes > 0 && id == self.crasher {
                actions.push(Step::Crash(id));
            }
        }
        if self.loss {
            actions.extend(state.network.iter().cloned().map(Step::Lose));
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
            Step::Campaign(id) => {
                state.campaign(id);
                state.finish(self, id);
            }
            Step::Propose(id) => {
                state.commands -= 1;
                state.clients.write_begins();
                let proposal = Proposal { tag: 1, command: b"x"[..].into() };
                state.event(id, Event::Propose(vec![proposal]));
                state.finish(self, id);
            }
            Step::Read(id) => {
                state.reads -= 1;
                let tag = 2 + state.reads;
                state.clients.read_begins(tag);
                state.event(id, Event::Read(vec![tag]));
                state.finish(self, id);
            }
            Step::Deliver(message) => {
                state.network.remove(&message);
                let id = message.to;
                state.event(id, Event::Receive(message));
                state.finish(self, id);
            }
            Step::Lose(message) => {
                state.network.remove(&message);
            }
            Step::Sync(id) => {
                state.sync(self, id);
                state.finish(self, id);
            }
            Step::Crash(id) => {
                state.crashes -= 1;
                state.machine(id).crash(0);
                let effects = state.machine(id).start();
                state.carry_out(id, effects);
                state.finish(self, id);
            }
        }
        (state.network.len() <= self.messages && state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<stateright::Property<Small>> {
        crate::properties::of(self)
    }
}
