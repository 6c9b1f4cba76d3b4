//! A hand-driven cluster: nothing is delivered, synced or timed out before the test says so.
//!
//! Scripts and paper tests use it; everything that happens is told in lines of text.

use crate::machine::Machine;
use cluster::bug::Mark;
use cluster::raft::{
    Batch, Change, Config, Configuration, Effect, Entry, Event, Message, NodeId, Now, Proposal,
    Rejection, Role, Snapshot, Term, Timer,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A snapshot on its way.
#[derive(Clone)]
pub(crate) struct Sending {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) term: Term,
    pub(crate) file: (Snapshot, Vec<Entry>),
}

/// A cluster and the messages between its nodes.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) machines: BTreeMap<NodeId, Machine>,
    /// Sent and not yet delivered, oldest first.
    pub(crate) in_flight: VecDeque<Message>,
    /// Snapshots being sent: they arrive, or not, when the test says so.
    pub(crate) sending: VecDeque<Sending>,
    /// Ordered pairs between which messages are lost.
    pub(crate) cut: BTreeSet<(NodeId, NodeId)>,
    /// What happened, in words.
    pub(crate) lines: Vec<String>,
    /// What the cores wanted done, newest last.
    pub(crate) effects: Vec<(NodeId, Effect)>,
    next_tag: u64,
}

impl Network {
    /// A started cluster; `adjust` may change each node's settings.
    pub(crate) fn new(nodes: u64, adjust: impl Fn(&mut Config)) -> Network {
        let mut network = Network {
            machines: BTreeMap::new(),
            in_flight: VecDeque::new(),
            sending: VecDeque::new(),
            cut: BTreeSet::new(),
            lines: Vec::new(),
            effects: Vec::new(),
            next_tag: 1,
        };
        for id in 1..=nodes {
            let mut config = Config::new(id, Configuration::of(1..=nodes));
            adjust(&mut config);
            network.machines.insert(id, Machine::new(config));
        }
        for id in 1..=nodes {
            network.machine(id).start();
        }
        network
    }

    /// Adds a node that waits to be told of a cluster; `adjust` may change its settings.
    pub(crate) fn join(&mut self, id: NodeId, adjust: impl Fn(&mut Config)) {
        let mut config = Config::new(id, Configuration::default());
        adjust(&mut config);
        self.machines.insert(id, Machine::new(config));
        self.restart(id);
    }

    /// An operator asks a node for a change; done when `settle` says so.
    pub(crate) fn change(&mut self, id: NodeId, change: Change) {
        self.event(id, Event::Change { tag: 800, change });
    }

    pub(crate) fn machine(&mut self, id: NodeId) -> &mut Machine {
        self.machines.get_mut(&id).unwrap_or_else(|| panic!("there is no n{id}"))
    }

    pub(crate) fn event(&mut self, id: NodeId, event: Event) {
        let effects = self.machine(id).step(event);
        self.carry_out(id, effects);
    }

    pub(crate) fn timeout(&mut self, id: NodeId, timer: Timer) {
        self.event(id, Event::Timeout(timer));
    }

    /// What a node's clocks say from here on, in milliseconds.
    pub(crate) fn clock(&mut self, id: NodeId, steady: u64, wall: u64) {
        let now = Now { steady: steady * 1000, wall: wall * 1000 };
        if let Some(raft) = &mut self.machine(id).raft {
            raft.set_clock(now);
        }
    }

    /// Proposes; returns the tags, which count up from 1 over the whole test.
    pub(crate) fn propose(&mut self, id: NodeId, commands: &[&str]) -> Vec<u64> {
        let first = self.next_tag;
        self.next_tag += commands.len() as u64;
        let proposal =
            |(tag, command): (u64, &&str)| Proposal { tag, command: command.as_bytes().into() };
        let proposals: Vec<_> = (first..).zip(commands).map(proposal).collect();
        self.event(id, Event::Propose(proposals));
        (first..self.next_tag).collect()
    }

    /// Everything unsynced on this node becomes durable.
    pub(crate) fn sync(&mut self, id: NodeId) {
        let effects = self.machine(id).sync();
        self.carry_out(id, effects);
    }

    pub(crate) fn crash(&mut self, id: NodeId) {
        self.machine(id).crash(0);
    }

    pub(crate) fn restart(&mut self, id: NodeId) {
        let effects = self.machine(id).start();
        self.carry_out(id, effects);
    }

    /// The node writes a snapshot.
    pub(crate) fn snapshot(&mut self, id: NodeId) {
        let effects = self.machine(id).take_snapshot();
        self.carry_out(id, effects);
    }

    /// A node's newest snapshot reaches another, late or needlessly.
    pub(crate) fn offer(&mut self, from: NodeId, to: NodeId) {
        let file = self.machines[&from].file.clone().expect("it has a snapshot");
        let term = self.machines[&from].core().term();
        self.receive_snapshot(from, to, term, &file);
    }

    pub(crate) fn receive_snapshot(
        &mut self,
        from: NodeId,
        to: NodeId,
        term: Term,
        file: &(Snapshot, Vec<Entry>),
    ) {
        let effects = self.machine(to).receive_snapshot(from, term, file);
        self.carry_out(to, effects);
    }

    /// Ends the oldest transfer between two nodes: it arrives or it does not.
    pub(crate) fn end_transfer(&mut self, from: NodeId, to: NodeId, arrives: bool) -> bool {
        let is_it = |sending: &Sending| (sending.from, sending.to) == (from, to);
        let Some(place) = self.sending.iter().position(is_it) else { return false };
        let Some(Sending { term, file, .. }) = self.sending.remove(place) else { return false };
        let arrived = arrives && self.machines[&to].raft.is_some();
        if arrived {
            self.receive_snapshot(from, to, term, &file);
        }
        self.event(from, Event::SnapshotSent { to, index: file.0.last.index, arrived });
        true
    }

    /// Cuts both directions between this node and all others.
    pub(crate) fn isolate(&mut self, id: NodeId) {
        let others: Vec<NodeId> =
            self.machines.keys().copied().filter(|other| *other != id).collect();
        self.cut.extend(others.iter().flat_map(|other| [(id, *other), (*other, id)]));
    }

    /// Delivers what is in flight now and matches, but not what that causes.
    pub(crate) fn deliver_if(&mut self, wanted: impl Fn(&Message) -> bool) -> bool {
        let (now, later): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.in_flight).into_iter().partition(|message| wanted(message));
        self.in_flight = later;
        let any = !now.is_empty();
        for message in now {
            self.event(message.to, Event::Receive(message));
        }
        any
    }

    /// Delivers until nothing is in flight.
    pub(crate) fn deliver(&mut self) {
        while self.deliver_if(|_| true) {}
    }

    /// Delivers and syncs until nothing happens any more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1000 {
            self.deliver();
            let owing: Vec<NodeId> = self
                .machines
                .iter()
                .filter(|(_, machine)| !machine.pending.is_empty())
                .map(|(id, _)| *id)
                .collect();
            if owing.is_empty() {
                return;
            }
            owing.into_iter().for_each(|id| self.sync(id));
        }
        panic!("the cluster does not come to rest");
    }

    /// Makes a node campaign although others may have heard a leader, and settles.
    pub(crate) fn elect(&mut self, id: NodeId) {
        let running: Vec<NodeId> = self.running();
        running.into_iter().for_each(|other| self.timeout(other, Timer::Contact));
        self.timeout(id, Timer::Election);
        self.settle();
    }

    pub(crate) fn running(&self) -> Vec<NodeId> {
        let running = |(id, machine): (&NodeId, &Machine)| machine.raft.as_ref().map(|_| *id);
        self.machines.iter().filter_map(running).collect()
    }

    pub(crate) fn role(&self, id: NodeId) -> Role {
        self.machines[&id].core().role()
    }

    pub(crate) fn commit(&self, id: NodeId) -> u64 {
        self.machines[&id].core().commit()
    }

    /// The log in memory: its terms, first index first.
    pub(crate) fn terms(&self, id: NodeId) -> Vec<u64> {
        let core = self.machines[&id].core();
        (1..=core.last().index).filter_map(|index| core.term_at(index)).collect()
    }

    /// The effects of one node that `pick` picks, oldest first.
    pub(crate) fn seen<T>(&self, id: NodeId, pick: impl Fn(&Effect) -> Option<T>) -> Vec<T> {
        let of_node = self.effects.iter().filter(|(node, _)| *node == id);
        of_node.filter_map(|(_, effect)| pick(effect)).collect()
    }

    fn carry_out(&mut self, id: NodeId, effects: Vec<Effect>) {
        for effect in effects {
            let mut line = describe(id, &effect);
            if let Effect::SendSnapshot { to, snapshot } = &effect {
                let file = self.machines[&id].file.clone().expect("what is sent was written");
                assert!(file.0.last >= snapshot.last, "the file covers what was asked for");
                let term = self.machines[&id].core().term();
                self.sending.push_back(Sending { from: id, to: *to, term, file });
            }
            if let Effect::Send(message) = &effect {
                if self.cut.contains(&(message.from, message.to)) {
                    line = line.map(|text| format!("{text} ⇥ lost"));
                } else {
                    self.in_flight.push_back(message.clone());
                }
            }
            self.lines.extend(line);
            self.effects.push((id, effect));
        }
    }
}

/// An effect in words; none for the timers, which would only be noise.
fn describe(id: NodeId, effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::SetTimer(_) | Effect::StopTimer(_) | Effect::Mark(_, Mark::Reached) => return None,
        Effect::Forgotten(_) => return None,
        Effect::Persist(batch) => format!("n{id} writes {}", describe_batch(batch)),
        Effect::Send(message) => message.to_string(),
        Effect::Appended { tag, term, index } => format!("n{id} proposal {tag} is {index}@{term}"),
        Effect::AckEarly { tag } => format!("n{id} proposal {tag} acknowledged early"),
        Effect::Rejected { tag, reason } => {
            format!("n{id} proposal {tag} rejected, {}", why(reason))
        }
        Effect::Apply(entries) => {
            let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
            format!("n{id} applies {}", entries.join(", "))
        }
        Effect::SendSnapshot { to, snapshot } => {
            format!("n{id} sends n{to} its snapshot up to {}", snapshot.last)
        }
        Effect::Restore(snapshot) => format!("n{id} restores {}", snapshot.last),
        Effect::ReadReady { tag, index } => format!("n{id} read {tag} ready at {index}"),
        Effect::LeaseReady { tag, index } => format!("n{id} read {tag} ready at {index}, by lease"),
        Effect::ReadFailed { tag, reason } => format!("n{id} read {tag} failed, {}", why(reason)),
        Effect::Membership(configuration) => format!("n{id} uses {configuration}"),
        Effect::ChangeDone { tag } => format!("n{id} change {tag} is done"),
        Effect::TransferEnded { tag, moved: true } => format!("n{id} transfer {tag} is done"),
        Effect::TransferEnded { tag, moved: false } => format!("n{id} gives transfer {tag} up"),
        Effect::Role { role, term, leader } => match (role, leader) {
            (Role::Leader, _) => format!("n{id} leads term {term}"),
            (Role::Follower, Some(leader)) => format!("n{id} follows n{leader} in term {term}"),
            (Role::Follower, None) => format!("n{id} follows nobody in term {term}"),
            (Role::PreCandidate, _) => format!("n{id} would campaign after term {term}"),
            (Role::Candidate, _) => format!("n{id} campaigns in term {term}"),
        },
        Effect::Mark(bug, Mark::Triggered) => format!("n{id} bug {bug} triggered"),
    })
}

fn why(reason: &Rejection) -> String {
    match reason {
        Rejection::NotLeader { leader: Some(leader) } => format!("ask n{leader}"),
        Rejection::NotLeader { leader: None } => "ask nobody".to_owned(),
        Rejection::Overloaded => "overloaded".to_owned(),
        Rejection::Transferring => "leadership is being transferred".to_owned(),
        Rejection::ChangePending => "a change is pending".to_owned(),
        Rejection::NotCaughtUp => "too far behind".to_owned(),
        Rejection::Invalid(text) => (*text).to_owned(),
    }
}

fn describe_batch(batch: &Batch) -> String {
    let mut parts = vec![format!("#{}", batch.ticket)];
    if let Some(hard_state) = batch.hard_state {
        let vote = hard_state.vote.map_or_else(|| "-".to_owned(), |vote| format!("n{vote}"));
        parts.push(format!("term={} vote={vote}", hard_state.term));
    }
    if let Some(snapshot) = &batch.reset {
        parts.push(format!("nothing but a snapshot up to {}", snapshot.last));
    }
    if let Some(from) = batch.truncate_from {
        parts.push(format!("without {from}…"));
    }
    if !batch.entries.is_empty() {
        let entries: Vec<String> = batch.entries.iter().map(ToString::to_string).collect();
        parts.push(format!("[{}]", entries.join(", ")));
    }
    if let Some(base) = batch.compact {
        parts.push(format!("forgets up to {base}"));
    }
    parts.join(" ")
}
