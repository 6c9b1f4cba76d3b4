//! A cluster in simulated time, driven by nothing but a seed.
//!
//! Messages are delayed, lost, repeated and overtaken; disks are slow and stall; nodes crash, lose what
//! was not synced, and come back; links are cut, in one direction or both. After the faults comes a calm
//! phase in which the cluster must get everything done: an algorithm that never does anything wrong
//! because it does nothing would not pass.
//!
//! The same seed gives the same run, event by event.

use crate::machine::Machine;
use crate::oracle::{Facts, Oracle, Violation};
use cluster::bug::{Bugs, Mark};
use cluster::raft::{
    Config, Configuration, Effect, Event, Limits, Message, NodeId, Proposal, Role, Timer,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

/// Microseconds of simulated time.
type Time = u64;
const MS: Time = 1000;
/// How long clients go on after the last fault.
const CALM: Time = 2000 * MS;
/// How long the cluster may take after that to have everything committed everywhere.
const DRAIN: Time = 30_000 * MS;

/// What to simulate.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: u64,
    pub(crate) bugs: Bugs,
    /// How long faults happen; a calm phase follows.
    pub(crate) time: Time,
}

impl Plan {
    pub(crate) fn new(seed: u64, nodes: u64) -> Plan {
        Plan { seed, nodes, bugs: Bugs::NONE, time: 5000 * MS }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    pub(crate) facts: Facts,
    pub(crate) reached: u64,
    pub(crate) triggered: u64,
    /// A number that depends on every event of the run.
    pub(crate) digest: u64,
    /// Why the calm phase did not end well; none if it did.
    pub(crate) stuck: Option<String>,
}

#[derive(Clone, Debug)]
enum Happening {
    Deliver(Message),
    Fire { id: NodeId, timer: Timer, setting: u64 },
    Sync { id: NodeId, incarnation: u64 },
    Restart(NodeId),
    Fault,
    Heal,
    Client,
}

/// How nasty this run is; drawn from the seed, so that runs differ in kind (swarm testing).
struct Mood {
    loss: u64,
    repeat: u64,
    late: u64,
    crashes: bool,
    cuts: bool,
    stalls: bool,
    limits: Limits,
}

pub(crate) struct Simulator {
    plan: Plan,
    random: ChaCha8Rng,
    now: Time,
    sequence: u64,
    agenda: BTreeMap<(Time, u64), Happening>,
    machines: BTreeMap<NodeId, Machine>,
    timers: BTreeMap<(NodeId, Timer), u64>,
    stalled: BTreeMap<NodeId, Time>,
    cut: BTreeSet<(NodeId, NodeId)>,
    calm: bool,
    mood: Mood,
    next_tag: u64,
    oracle: Oracle,
    outcome: Outcome,
}

/// Runs a plan to its end.
pub(crate) fn simulate(plan: Plan) -> Outcome {
    let mut simulator = Simulator::new(plan);
    simulator.run();
    simulator.outcome
}

impl Simulator {
    fn new(plan: Plan) -> Simulator {
        let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
        let mood = Mood::draw(&mut random);
        let machine = |id| {
            let mut config = Config::new(id, Configuration::of(1..=plan.nodes));
            config.bugs = plan.bugs;
            config.limits = mood.limits;
            (id, Machine::new(config))
        };
        Simulator {
            machines: (1..=plan.nodes).map(machine).collect(),
            plan,
            random,
            now: 0,
            sequence: 0,
            agenda: BTreeMap::new(),
            timers: BTreeMap::new(),
            stalled: BTreeMap::new(),
            cut: BTreeSet::new(),
            calm: false,
            mood,
            next_tag: 1,
            oracle: Oracle::default(),
            outcome: Outcome {
                violation: None,
                facts: Facts::default(),
                reached: 0,
                triggered: 0,
                digest: 0,
                stuck: None,
            },
        }
    }

    fn run(&mut self) {
        for id in 1..=self.plan.nodes {
            self.happen(Happening::Restart(id));
        }
        self.schedule(300 * MS, Happening::Fault);
        self.schedule(10 * MS, Happening::Client);
        self.until(self.plan.time);
        self.calm_down();
        self.until(self.plan.time + CALM);
        // What has piled up drains at the pace that the limits of this run allow.
        while self.what_is_stuck().is_some() && self.now < self.plan.time + CALM + DRAIN {
            self.until(self.now + 500 * MS);
        }
        self.oracle.compare_logs(&self.machines);
        self.outcome.stuck = self.what_is_stuck();
        self.outcome.violation = self.oracle.violation.clone();
        self.outcome.facts = self.oracle.facts.clone();
    }

    fn until(&mut self, end: Time) {
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((time, _), happening) = entry.remove_entry();
            self.now = time;
            self.happen(happening);
        }
        self.now = end;
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver(message) => self.event(message.to, Event::Receive(message)),
            Happening::Fire { id, timer, setting } => {
                if self.timers.get(&(id, timer)) == Some(&setting) {
                    self.timers.remove(&(id, timer));
                    self.event(id, Event::Timeout(timer));
                }
            }
            Happening::Sync { id, incarnation } => self.sync(id, incarnation),
            Happening::Restart(id) => {
                let machine = self.machines.get_mut(&id).expect("nodes stay");
                if machine.raft.is_none() {
                    let effects = machine.start();
                    self.carry_out(id, effects);
                }
            }
            Happening::Fault => self.fault(),
            Happening::Heal => self.cut.clear(),
            Happening::Client => self.client(),
        }
    }

    fn event(&mut self, id: NodeId, event: Event) {
        let machine = self.machines.get_mut(&id).expect("nodes stay");
        let effects = machine.step(event);
        self.oracle.watch(id, &self.machines, &effects);
        if effects.iter().any(|effect| matches!(effect, Effect::Role { .. })) {
            self.oracle.compare_logs(&self.machines);
        }
        self.carry_out(id, effects);
    }

    fn carry_out(&mut self, id: NodeId, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::SetTimer(timer) => self.set_timer(id, timer),
                Effect::StopTimer(timer) => {
                    self.timers.remove(&(id, timer));
                }
                Effect::Persist(_) => {
                    let incarnation = self.machines[&id].incarnation;
                    let delay = self.disk_delay(id);
                    self.schedule(delay, Happening::Sync { id, incarnation });
                }
                Effect::Send(message) => self.send(message),
                Effect::Mark(_, Mark::Reached) => self.outcome.reached += 1,
                Effect::Mark(_, Mark::Triggered) => self.outcome.triggered += 1,
                _ => {}
            }
        }
    }

    fn set_timer(&mut self, id: NodeId, timer: Timer) {
        let delay = match timer {
            Timer::Election => self.between(300 * MS, 600 * MS),
            Timer::Heartbeat => 100 * MS,
            Timer::Contact => 300 * MS,
        };
        let setting = self.sequence;
        self.timers.insert((id, timer), setting);
        self.schedule(delay, Happening::Fire { id, timer, setting });
    }

    fn send(&mut self, message: Message) {
        let link = (message.from, message.to);
        let calm = self.calm;
        if self.cut.contains(&link) || !calm && self.chance(self.mood.loss) {
            return;
        }
        let copies = if !calm && self.chance(self.mood.repeat) { 2 } else { 1 };
        for _ in 0..copies {
            let late = !calm && self.chance(self.mood.late);
            let delay =
                if late { self.between(20 * MS, 900 * MS) } else { self.between(MS / 5, 3 * MS) };
            self.schedule(delay, Happening::Deliver(message.clone()));
        }
    }

    /// One group commit: everything written so far becomes durable together.
    fn sync(&mut self, id: NodeId, incarnation: u64) {
        let machine = self.machines.get_mut(&id).expect("nodes stay");
        if machine.incarnation != incarnation || machine.raft.is_none() {
            return;
        }
        let mut newest = None;
        while let Some(ticket) = machine.sync_one() {
            newest = Some(ticket);
            self.oracle.synced(id, machine);
        }
        if let Some(ticket) = newest {
            self.event(id, Event::Durable { ticket });
        }
    }

    fn disk_delay(&mut self, id: NodeId) -> Time {
        let busy = self.stalled.get(&id).map_or(0, |until| until.saturating_sub(self.now));
        let slow = !self.calm && self.chance(30);
        busy + if slow { self.between(20 * MS, 200 * MS) } else { self.between(MS / 5, 4 * MS) }
    }

    fn fault(&mut self) {
        if self.calm {
            return;
        }
        let next = self.between(60 * MS, 500 * MS);
        self.schedule(next, Happening::Fault);
        let victim = self.victim();
        match self.below(6) {
            0 | 1 if self.mood.crashes => self.crash(victim),
            2 if self.mood.stalls => {
                let until = self.now + self.between(100 * MS, 1500 * MS);
                self.stalled.insert(victim, until);
            }
            3 | 4 if self.mood.cuts => self.cut_off(victim),
            5 => self.cut.clear(),
            _ => {}
        }
    }

    /// Half of the time the leader, if there is one.
    fn victim(&mut self) -> NodeId {
        let leader = self.leaders().last().copied();
        let any = 1 + self.below(self.plan.nodes);
        if self.chance(500) { leader.unwrap_or(any) } else { any }
    }

    fn crash(&mut self, id: NodeId) {
        let pending = self.machines[&id].pending.len() as u64;
        let survivors = self.below(pending + 1);
        let machine = self.machines.get_mut(&id).expect("nodes stay");
        if machine.raft.is_none() {
            return;
        }
        for _ in 0..survivors {
            machine.sync_one();
            self.oracle.synced(id, machine);
        }
        machine.crash(0);
        self.oracle.crashed(id);
        self.oracle.facts.batches_lost += pending - survivors;
        self.timers.retain(|(node, _), _| *node != id);
        let delay = self.between(20 * MS, 800 * MS);
        self.schedule(delay, Happening::Restart(id));
    }

    fn cut_off(&mut self, victim: NodeId) {
        let mut side: BTreeSet<NodeId> = [victim].into();
        if self.chance(500) {
            side.extend((1..=self.plan.nodes).filter(|_| self.random.next_u64().is_multiple_of(3)));
        }
        let (out, back) =
            [(true, true), (true, true), (true, false), (false, true)][self.below(4) as usize];
        for inside in &side {
            for outside in (1..=self.plan.nodes).filter(|node| !side.contains(node)) {
                if out {
                    self.cut.insert((*inside, outside));
                }
                if back {
                    self.cut.insert((outside, *inside));
                }
            }
        }
        let delay = self.between(200 * MS, 1500 * MS);
        self.schedule(delay, Happening::Heal);
    }

    /// Clients write to whoever thinks it leads, sometimes to others, and read everywhere.
    fn client(&mut self) {
        if self.now > self.plan.time + CALM {
            return;
        }
        let delay = self.between(2 * MS, 20 * MS);
        self.schedule(delay, Happening::Client);
        let mut targets = self.leaders();
        targets.push(1 + self.below(self.plan.nodes));
        for id in targets {
            let first = self.next_tag;
            self.next_tag += 1 + self.below(3);
            let proposal = |tag: u64| Proposal { tag, command: tag.to_le_bytes().into() };
            self.event(id, Event::Propose((first..self.next_tag).map(proposal).collect()));
            let tag = self.next_tag;
            self.next_tag += 1;
            if self.machines[&id].raft.is_some() {
                self.oracle.read_begins(id, tag);
                self.event(id, Event::Read(vec![tag]));
            }
        }
    }

    fn leaders(&self) -> Vec<NodeId> {
        let leads = |machine: &Machine| {
            machine.raft.as_ref().is_some_and(|raft| raft.role() == Role::Leader)
        };
        self.machines.iter().filter(|(_, machine)| leads(machine)).map(|(id, _)| *id).collect()
    }

    fn calm_down(&mut self) {
        self.calm = true;
        self.cut.clear();
        self.stalled.clear();
        for id in 1..=self.plan.nodes {
            self.schedule(0, Happening::Restart(id));
        }
    }

    fn what_is_stuck(&self) -> Option<String> {
        let committed = self.oracle.committed();
        let lags = |machine: &Machine| machine.core().commit() != committed;
        if self.leaders().len() != 1 {
            return Some(format!("{:?} lead after the calm phase", self.leaders()));
        }
        if self.oracle.open_reads() > 0 {
            return Some(format!("{} reads were never answered", self.oracle.open_reads()));
        }
        let (id, machine) = self.machines.iter().find(|(_, machine)| lags(machine))?;
        Some(format!("n{id} has committed {} of {committed}", machine.core().commit()))
    }

    fn schedule(&mut self, delay: Time, happening: Happening) {
        self.sequence += 1;
        let time = self.now + delay;
        self.outcome.digest =
            (self.outcome.digest ^ time ^ (self.sequence << 40)).wrapping_mul(0x0100_0000_01b3);
        self.agenda.insert((time, self.sequence), happening);
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound.max(1)
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low)
    }

    /// Whether something happens that does so so many times in a thousand.
    fn chance(&mut self, per_thousand: u64) -> bool {
        self.below(1000) < per_thousand
    }
}

impl Mood {
    fn draw(random: &mut ChaCha8Rng) -> Mood {
        let mut one_of =
            |choices: &[u64]| choices[(random.next_u64() % choices.len() as u64) as usize];
        Mood {
            loss: one_of(&[0, 10, 50, 150]),
            repeat: one_of(&[0, 20, 100]),
            late: one_of(&[0, 10, 50, 150]),
            crashes: one_of(&[0, 1, 1, 1]) == 1,
            cuts: one_of(&[0, 1, 1, 1]) == 1,
            stalls: one_of(&[0, 1]) == 1,
            limits: Limits {
                append_entries: one_of(&[1, 2, 8, 1024]) as usize,
                append_bytes: one_of(&[20, 1 << 20]) as usize,
                appends_in_flight: one_of(&[1, 2, 4, 16]) as usize,
                uncommitted_bytes: one_of(&[100, 1 << 20]) as usize,
                ..Limits::default()
            },
        }
    }
}
