//! The loop: takes what is due next, gives it to whom it concerns, and carries out what follows.

use super::actions::{self, Timed};
use super::agenda::{Agenda, Happening};
use super::clients::{Call, Clients, Reply, Request, Task};
use super::disk::File;
use super::mix::Mix;
use super::network::Network;
use super::node::{Node, length};
use super::oracle::Oracle;
use super::random::{Purpose, Random};
use super::recipes::Traps;
use super::{MS, Outcome, Plan, SECOND, Time, place, server};
use crate::bug::{Bug, Mark};
use crate::raft::{
    Effect, Entry, Event, Message, NodeId, Payload, Position, Proposal, Raft, Rejection, Role,
    Timer,
};
use std::collections::VecDeque;

/// An episode under way.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) mix: Mix,
    pub(super) now: Time,
    pub(super) agenda: Agenda,
    pub(super) nodes: Vec<Node>,
    pub(super) network: Network,
    pub(super) clients: Clients,
    pub(super) oracle: Oracle,
    pub(super) actions: Vec<Timed>,
    pub(super) traps: Traps,
    pub(super) broken: Vec<String>,
    pub(super) disks: Random,
    pub(super) snapshots: Random,
    pub(super) recipes: Random,
    /// The snapshot that goes with the step under way.
    pub(super) arrived: Option<File>,
    timers: Random,
    next_tag: u64,
    digest: u64,
    reached: u64,
    triggered: u64,
    effects: Vec<Effect>,
    trace: VecDeque<String>,
}

impl World {
    pub(super) fn new(plan: &Plan) -> World {
        let mix = Mix::draw(plan);
        let all = plan.nodes + mix.spares;
        let random = |purpose| Random::new(plan.seed, plan.episode, purpose);
        let drawn = || actions::draw(plan, &mix, plan.length * 3 / 4);
        World {
            now: 0,
            agenda: Agenda::default(),
            nodes: (1..=all).map(|id| Node::new(id, plan, &mix)).collect(),
            network: Network::new(plan, &mix),
            clients: Clients::new(plan, all),
            oracle: Oracle::new(1..=plan.nodes),
            actions: plan.actions.clone().unwrap_or_else(drawn),
            traps: Traps::default(),
            broken: Vec::new(),
            disks: random(Purpose::Disks),
            snapshots: random(Purpose::Snapshots),
            recipes: random(Purpose::Recipes),
            arrived: None,
            timers: random(Purpose::Timers),
            next_tag: 0,
            digest: 0,
            reached: 0,
            triggered: 0,
            effects: Vec::new(),
            trace: VecDeque::new(),
            plan: plan.clone(),
            mix,
        }
    }

    pub(super) fn run(mut self) -> Outcome {
        for id in 1..=self.nodes.len() as NodeId {
            self.start(id);
        }
        for (number, (time, _)) in self.actions.iter().enumerate() {
            self.agenda.add(*time, Happening::Act(number));
        }
        self.clients.start(&mut self.agenda);
        self.until(self.plan.length * 3 / 4);
        if self.oracle.violation.is_none() {
            self.calm_down();
            self.liveness_phase();
        }
        Outcome {
            violation: self.oracle.violation,
            facts: self.oracle.facts,
            reached: self.reached,
            triggered: self.triggered,
            digest: self.digest,
            simulated: self.now,
            history: self.clients.history,
            actions: self.actions,
            broken: self.broken,
            trace: self.trace.into(),
        }
    }

    /// Goes on until `end`, or to the first broken promise.
    pub(super) fn until(&mut self, end: Time) {
        while self.oracle.violation.is_none() {
            let Some((time, sequence, happening)) = self.agenda.next(end) else {
                self.now = end;
                return;
            };
            (self.now, self.oracle.now) = (time, time);
            self.digest = (self.digest ^ time ^ (sequence << 40)).wrapping_mul(0x0100_0000_01b3);
            self.happen(happening);
        }
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        let happening = match self.hold(happening) {
            Some(happening) => happening,
            None => return,
        };
        match happening {
            Happening::Deliver(message) => {
                self.note(|| format!("{message}"));
                self.event(message.to, Event::Receive(message));
            }
            Happening::Tick { node, timer } => self.tick(node, timer),
            Happening::Synced { node, life } => self.synced(node, life),
            Happening::Start(node) => self.start(node),
            Happening::Resume { node, pause } => self.resume(node, pause),
            Happening::Written { node, life, file } => self.written(node, life, *file),
            Happening::Arrive(shipment) => self.arrive(*shipment),
            Happening::Shipped { node, life, to, index, arrived } => {
                self.shipped(node, life, to, index, arrived);
            }
            Happening::Act(number) => self.act(self.actions[number].1),
            Happening::Ask { node, request } => self.ask(node, request),
            Happening::Answer { client, attempt, reply } => {
                self.clients.answered(self.now, client, attempt, reply, &mut self.agenda);
            }
            Happening::Patience { client, attempt } => {
                self.clients.patience(self.now, client, attempt, &mut self.agenda);
            }
            Happening::Go { client, attempt } => {
                self.clients.go(self.now, client, attempt, &mut self.agenda);
            }
        }
    }

    /// Keeps what a paused node cannot take in now.
    fn hold(&mut self, happening: Happening) -> Option<Happening> {
        let node = match &happening {
            Happening::Deliver(message) => message.to,
            Happening::Ask { node, .. }
            | Happening::Synced { node, .. }
            | Happening::Written { node, .. }
            | Happening::Shipped { node, .. } => *node,
            Happening::Arrive(shipment) => shipment.to,
            _ => return Some(happening),
        };
        match &mut self.nodes[place(node)].held {
            Some(held) => {
                held.push(happening);
                None
            }
            None => Some(happening),
        }
    }

    /// Gives a node an event and carries out what follows.
    pub(super) fn event(&mut self, id: NodeId, event: Event) {
        let clocks = self.nodes[place(id)].clocks(self.now, &self.mix);
        let Some(raft) = &mut self.nodes[place(id)].raft else { return };
        let mut effects = std::mem::take(&mut self.effects);
        raft.set_clock(clocks);
        raft.step(event, &mut effects);
        self.carry_out(id, &mut effects);
        self.effects = effects;
    }

    pub(super) fn start(&mut self, id: NodeId) {
        let node = &mut self.nodes[place(id)];
        if node.raft.is_some() || node.broken {
            return;
        }
        node.life += 1;
        node.load();
        if let Some(file) = &node.disk.file {
            self.oracle.restores(id, file.snapshot.last, file.chain);
        }
        let mut raft = Raft::new(node.config.clone(), node.disk.recovered());
        let mut effects = std::mem::take(&mut self.effects);
        raft.start(&mut effects);
        node.raft = Some(raft);
        self.note(|| format!("n{id} starts"));
        self.carry_out(id, &mut effects);
        self.effects = effects;
    }

    fn carry_out(&mut self, id: NodeId, effects: &mut Vec<Effect>) {
        let mut falls = None;
        for effect in effects.drain(..) {
            match effect {
                Effect::SetTimer(timer) => self.set_timer(id, timer),
                Effect::StopTimer(timer) => self.nodes[place(id)].timer(timer).deadline = None,
                Effect::Persist(batch) => {
                    let node = &mut self.nodes[place(id)];
                    self.oracle.writes(id, node, &batch);
                    node.disk.write(batch);
                    self.sync(id);
                }
                Effect::Send(message) => {
                    falls = falls.or(self.votes(&message.body));
                    self.send(message);
                }
                Effect::Appended { tag, term, index } => {
                    self.nodes[place(id)].server.appended(tag, Position { term, index });
                }
                Effect::AckEarly { tag } => self.answer_early(id, tag),
                Effect::Rejected { tag, reason } => {
                    self.oracle.facts.rejected += 1;
                    self.answer_tag(id, tag, refusal(reason));
                }
                Effect::Apply(entries) => {
                    entries.iter().for_each(|entry| self.apply(id, entry));
                    falls = falls.or(self.commits_first(id));
                }
                Effect::ReadReady { tag, index } => self.read_ready(id, tag, index),
                Effect::LeaseReady { tag, index } => {
                    self.oracle.facts.lease_reads += 1;
                    self.read_ready(id, tag, index);
                }
                Effect::ReadFailed { tag, reason } => {
                    self.oracle.refuses(tag);
                    self.answer_tag(id, tag, refusal(reason));
                }
                Effect::Role { role, term, leader } => {
                    self.note(|| format!("n{id} is {role:?} in term {term}, led by {leader:?}"));
                    if self.role(id, role, term) {
                        falls = falls.or(self.wins(id, term));
                    }
                }
                Effect::SendSnapshot { to, snapshot } => self.ship(id, to, &snapshot),
                Effect::Restore(snapshot) => self.restore(id, &snapshot),
                // Every node can reach every other, whoever is a member.
                Effect::Membership(_) => {}
                Effect::Forgotten(_) => {}
                Effect::ChangeDone { .. } => self.oracle.facts.changes += 1,
                Effect::TransferEnded { moved, .. } => {
                    self.oracle.facts.transfers += u64::from(moved);
                }
                Effect::Mark(bug, mark) => self.mark(id, bug, mark),
            }
        }
        match falls {
            Some(down) => self.crash(id, down),
            None => self.snapshot_if_due(id),
        }
    }

    pub(super) fn mark(&mut self, id: NodeId, bug: Bug, mark: Mark) {
        match mark {
            Mark::Reached => self.reached += 1,
            Mark::Triggered => {
                self.note(|| format!("n{id} triggers {bug}"));
                self.triggered += 1;
            }
        }
    }

    /// A node has another role; returns whether it begins to lead.
    fn role(&mut self, id: NodeId, role: Role, term: u64) -> bool {
        let node = &mut self.nodes[place(id)];
        let before = std::mem::replace(&mut node.role, role);
        if before == Role::Leader && role != Role::Leader {
            let lost = node.server.lose_leadership();
            lost.into_iter().for_each(|request| self.reply(request, Reply::Unknown));
        }
        if matches!(role, Role::Candidate | Role::Leader) {
            self.stands(id, term, role == Role::Leader);
        }
        if role != Role::Leader {
            return false;
        }
        self.nodes[place(id)].fresh |= before != Role::Leader;
        self.oracle.leads(id, term, &self.nodes[place(id)]);
        before != Role::Leader
    }

    fn set_timer(&mut self, id: NodeId, timer: Timer) {
        let luck = if timer == Timer::Election { self.timers.next() } else { 0 };
        let deadline = self.now + length(timer, luck, &self.mix, id);
        self.set_deadline(id, timer, deadline);
    }

    pub(super) fn set_deadline(&mut self, id: NodeId, timer: Timer, deadline: Time) {
        let ticking = self.nodes[place(id)].timer(timer);
        ticking.deadline = Some(deadline);
        if ticking.marked.is_none_or(|marked| marked > deadline) {
            ticking.marked = Some(deadline);
            self.agenda.add(deadline, Happening::Tick { node: id, timer });
        }
    }

    /// A mark on the agenda is reached: the timer fires, or is marked anew, or was stopped.
    fn tick(&mut self, id: NodeId, timer: Timer) {
        let now = self.now;
        let paused = self.nodes[place(id)].held.is_some();
        let ticking = self.nodes[place(id)].timer(timer);
        if ticking.marked != Some(now) {
            return;
        }
        ticking.marked = None;
        match ticking.deadline {
            Some(deadline) if deadline > now => {
                ticking.marked = Some(deadline);
                self.agenda.add(deadline, Happening::Tick { node: id, timer });
            }
            Some(_) if !paused => {
                ticking.deadline = None;
                self.event(id, Event::Timeout(timer));
            }
            _ => {}
        }
    }

    fn send(&mut self, message: Message) {
        let (arrival, copy) = self.network.send(self.now, message.from, message.to);
        if let Some(delay) = copy {
            self.agenda.add(self.now + delay, Happening::Deliver(message.clone()));
        }
        self.oracle.sends(&self.nodes[place(message.from)], &message);
        let Some(message) = self.keep_back(message) else { return };
        match arrival {
            Some(delay) => self.agenda.add(self.now + delay, Happening::Deliver(message)),
            None => {
                self.oracle.facts.messages_lost += 1;
                self.note(|| format!("{message} is lost"));
            }
        }
    }

    /// Starts to sync what was written, unless a sync is under way.
    fn sync(&mut self, id: NodeId) {
        let node = &mut self.nodes[place(id)];
        if node.disk.syncing.is_some() {
            return;
        }
        let Some(newest) = node.disk.newest() else { return };
        node.disk.syncing = Some(newest);
        let slow = !self.network.calm && self.disks.chance(self.mix.slow_syncs);
        let usual = self.disks.between(MS / 5, self.mix.sync[place(id)]);
        let usual = usual + if self.now < node.slowed.1 { node.slowed.0 } else { 0 };
        let slow = if slow { self.disks.between(20 * MS, 200 * MS) } else { 0 };
        let time = (self.now + usual + slow).max(node.stalled_until);
        self.agenda.add(time, Happening::Synced { node: id, life: node.life });
    }

    fn synced(&mut self, id: NodeId, life: u64) {
        let node = &mut self.nodes[place(id)];
        let Some(ticket) = node.disk.syncing.filter(|_| node.life == life) else { return };
        if self.now < node.stalled_until {
            self.agenda.add(node.stalled_until, Happening::Synced { node: id, life });
            return;
        }
        node.disk.syncing = None;
        if let Some(down) = node.failing.take() {
            self.oracle.facts.failed_syncs += 1;
            self.note(|| format!("a sync of n{id} fails"));
            return self.crash(id, down);
        }
        self.sync_up_to(id, ticket);
        self.event(id, Event::Durable { ticket });
        self.sync(id);
    }

    pub(super) fn sync_up_to(&mut self, id: NodeId, ticket: u64) {
        while let Some(truncated) = self.nodes[place(id)].disk.sync_one(ticket) {
            self.oracle.synced(id, &self.nodes, truncated);
        }
    }

    fn apply(&mut self, id: NodeId, entry: &Entry) {
        let node = &mut self.nodes[place(id)];
        let applied = match &entry.payload {
            Payload::Noop | Payload::Configuration(_) => {
                node.store.skip(entry.index);
                None
            }
            Payload::Command(command) => Some(node.store.apply(entry.index, command)),
        };
        if !self.plan.bugs.is_empty() {
            for (_, mark) in node.store.take_marks() {
                *(if mark == Mark::Reached { &mut self.reached } else { &mut self.triggered }) += 1;
            }
        }
        node.unsaved += 1;
        let replies = node.server.applied(entry.index, entry.term, applied);
        self.nodes[place(id)].chain = self.oracle.applies(id, &self.nodes, entry, applied);
        replies.into_iter().for_each(|(request, reply)| self.reply(request, reply));
    }

    fn read_ready(&mut self, id: NodeId, tag: u64, index: u64) {
        let node = &mut self.nodes[place(id)];
        self.oracle.reads(id, tag, index, node.store.applied());
        if let Some((Request { task: Task::Call(Call::Read { key }), .. }, _)) =
            node.server.get(tag)
        {
            let reply = Reply::Value(server::read(&node.store, key));
            self.answer_tag(id, tag, reply);
        }
    }

    /// The bug `ack-on-append`: done, although nothing is sure.
    fn answer_early(&mut self, id: NodeId, tag: u64) {
        let Some((request, Some(position))) = self.nodes[place(id)].server.get(tag) else { return };
        if server::is_blind(request.task) {
            self.oracle.acknowledged_early(position);
            self.answer_tag(id, tag, Reply::Done);
        }
    }

    fn answer_tag(&mut self, id: NodeId, tag: u64, reply: Reply) {
        if let Some(request) = self.nodes[place(id)].server.take(tag) {
            self.reply(request, reply);
        }
    }

    fn reply(&mut self, request: Request, reply: Reply) {
        let Request { client, attempt, .. } = request;
        let time = self.now + self.clients.distance();
        self.agenda.add(time, Happening::Answer { client, attempt, reply });
    }

    /// A request reaches a node.
    fn ask(&mut self, id: NodeId, request: Request) {
        let bugs = self.plan.bugs;
        let node = &mut self.nodes[place(id)];
        let Some(raft) = &node.raft else {
            return self.reply(request, Reply::Refused("down"));
        };
        let leads = raft.role() == Role::Leader;
        let is_read = server::is_read(request.task);
        if !leads
            && request.forward
            && !(is_read && bugs.has(Bug::FollowerRead))
            && let Some(leader) = raft.leader()
        {
            let request = Request { forward: false, ..request };
            if let (Some(delay), _) = self.network.send(self.now, id, leader) {
                self.agenda.add(self.now + delay, Happening::Ask { node: leader, request });
            }
            return;
        }
        let tag = self.tag();
        let node = &mut self.nodes[place(id)];
        node.server.add(tag, request);
        if is_read {
            self.oracle.read_begins(id, tag);
            let by_lease = request.by_lease;
            let read = if by_lease { Event::ReadByLease } else { Event::Read };
            return self.event(id, read(vec![tag]));
        }
        let mut decided = false;
        if leads
            && bugs.has(Bug::CasAtLeader)
            && let Task::Call(Call::Cas { key, from, .. }) = request.task
        {
            decided = server::matches(&node.store, key, from);
            self.reached += 1;
        }
        let command = server::command(&request, decided);
        self.event(id, Event::Propose(vec![Proposal { tag, command }]));
    }

    /// A name that nothing else has.
    pub(super) fn tag(&mut self) -> u64 {
        self.next_tag += 1;
        self.next_tag
    }

    /// Tells a step, if somebody wants to know.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.plan.trace == 0 {
            return;
        }
        if self.trace.len() == self.plan.trace {
            self.trace.pop_front();
        }
        let (seconds, millis) = (self.now / SECOND, self.now % SECOND / MS);
        self.trace.push_back(format!("{seconds:>4}.{millis:03} {}", line()));
    }
}

/// What a client is told of a refusal.
fn refusal(reason: Rejection) -> Reply {
    match reason {
        Rejection::NotLeader { leader } => Reply::NotLeader(leader),
        Rejection::Overloaded => Reply::Refused("overloaded"),
        Rejection::Transferring => Reply::Refused("leadership is handed over"),
        Rejection::ChangePending | Rejection::NotCaughtUp | Rejection::Invalid(_) => {
            Reply::Refused("no change of members")
        }
    }
}
