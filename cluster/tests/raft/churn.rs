//! Random changes of membership and transfers of leadership, under loss, repetition, reordering and
//! crashes: nobody may ever lead a term with another, or apply another entry at an index, and once the
//! faults are over the cluster must finish what it began and go on.
//!
//! There is no clock here: a seed draws what happens next. Three nodes found the cluster and three
//! more wait to be told of it.

use crate::network::Network;
use cluster::bug::{Bug, Bugs};
use cluster::raft::{Change, Effect, Entry, Event, NodeId, Raft, Role, Term, Timer};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::BTreeMap;

const NODES: u64 = 6;
const STEPS: u64 = 3000;

/// What runs went through.
#[derive(Debug, Default)]
struct Facts {
    terms: u64,
    changes: u64,
    joint: u64,
    moved: u64,
    applied: u64,
    crashes: u64,
}

struct Churn {
    network: Network,
    random: ChaCha8Rng,
    leaders: BTreeMap<Term, NodeId>,
    committed: BTreeMap<u64, Entry>,
    facts: Facts,
    violation: Option<String>,
}

impl Churn {
    fn new(seed: u64, bugs: Bugs) -> Churn {
        let mut network = Network::new(3, |config| config.bugs = bugs);
        for id in 4..=NODES {
            network.join(id, |config| config.bugs = bugs);
        }
        Churn {
            network,
            random: ChaCha8Rng::seed_from_u64(seed),
            leaders: BTreeMap::new(),
            committed: BTreeMap::new(),
            facts: Facts::default(),
            violation: None,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound.max(1)
    }

    fn node(&mut self) -> NodeId {
        1 + self.below(NODES)
    }

    fn leader(&self) -> Option<NodeId> {
        let leads = |id: &NodeId| self.network.role(*id) == Role::Leader;
        let leaders = self.network.running().into_iter().filter(leads);
        leaders.max_by_key(|id| self.network.machines[id].core().term())
    }

    fn step(&mut self) {
        let id = self.node();
        match self.below(200) {
            0..130 => self.message(),
            130..170 => self.network.sync(id),
            170..180 => self.network.timeout(id, Timer::Heartbeat),
            180..186 => self.network.timeout(id, Timer::Contact),
            186..189 => self.network.timeout(id, Timer::Election),
            189..193 => {
                self.network.propose(id, &["x"]);
            }
            193..197 => self.ask(),
            197 => {
                if self.network.machine(id).raft.is_some() {
                    self.facts.crashes += 1;
                    self.network.crash(id);
                }
            }
            _ => {
                if self.network.machine(id).raft.is_none() {
                    self.network.restart(id);
                }
            }
        }
        self.watch();
    }

    /// Delivers, loses or repeats any message that is on its way.
    fn message(&mut self) {
        let waiting = self.network.in_flight.len() as u64;
        let place = self.below(waiting) as usize;
        match self.below(20) {
            0 => drop(self.network.in_flight.remove(place)),
            kind => {
                let Some(message) = self.network.in_flight.get(place).cloned() else { return };
                if kind > 1 {
                    self.network.in_flight.remove(place);
                }
                self.network.event(message.to, Event::Receive(message));
            }
        }
    }

    /// An operator asks the leader for something, sensible or not.
    fn ask(&mut self) {
        let (Some(leader), id) = (self.leader(), self.node()) else { return };
        let change = match self.below(8) {
            0..3 => Change::AddLearner { id, address: "somewhere".into() },
            3..5 => Change::Promote { id },
            5 => Change::Remove { id },
            6 => {
                let members = self.network.machines[&leader].core().configuration().members();
                let bits = self.random.next_u64();
                Change::Voters(members.into_iter().filter(|id| bits >> id & 1 == 1).collect())
            }
            _ => return self.network.event(leader, Event::Transfer { tag: 900, to: None }),
        };
        self.network.change(leader, change);
    }

    fn watch(&mut self) {
        self.network.lines.clear();
        for (id, effect) in std::mem::take(&mut self.network.effects) {
            match effect {
                Effect::Role { role: Role::Leader, term, .. } => {
                    let first = *self.leaders.entry(term).or_insert_with(|| {
                        self.facts.terms += 1;
                        id
                    });
                    if first != id {
                        let text = format!("n{first} and n{id} lead term {term}");
                        self.violation.get_or_insert(text);
                    }
                }
                Effect::Apply(entries) => entries.into_iter().for_each(|e| self.applies(id, e)),
                Effect::ChangeDone { .. } => self.facts.changes += 1,
                Effect::Membership(configuration) if configuration.is_joint() => {
                    self.facts.joint += 1;
                }
                Effect::TransferEnded { moved, .. } => self.facts.moved += u64::from(moved),
                _ => {}
            }
        }
    }

    fn applies(&mut self, id: NodeId, entry: Entry) {
        let known = self.committed.entry(entry.index).or_insert_with(|| {
            self.facts.applied += 1;
            entry.clone()
        });
        if *known != entry {
            self.violation.get_or_insert(format!("n{id} applies {entry}, others {known}"));
        }
    }

    fn describe(&self) -> String {
        let cores = self.network.machines.values().filter_map(|machine| machine.raft.as_ref());
        let one = |core: &Raft| {
            let (id, role, last) = (core.id(), core.role(), core.last());
            format!("n{id} {role:?} term {} log to {last} {}", core.term(), core.configuration())
        };
        cores.map(one).collect::<Vec<_>>().join("; ")
    }

    /// The faults are over: everybody runs and hears everybody. What keeps the cluster from work?
    fn stuck(&mut self) -> Option<String> {
        for id in 1..=NODES {
            if self.network.machine(id).raft.is_none() {
                self.network.restart(id);
            }
        }
        for round in 0..40 {
            self.network.settle();
            match self.leader() {
                Some(leader) => {
                    self.network.timeout(leader, Timer::Heartbeat);
                    self.network.timeout(leader, Timer::Election);
                }
                None => self.network.elect(1 + round % NODES),
            }
            self.watch();
        }
        let Some(leader) = self.leader() else {
            return Some(format!("nobody leads: {}", self.describe()));
        };
        let before = self.network.commit(leader);
        self.network.propose(leader, &["last"]);
        self.network.settle();
        self.watch();
        let core = self.network.machines[&leader].core();
        let works = core.commit() > before && !core.configuration().is_joint();
        (!works).then(|| format!("n{leader} with {} commits nothing", core.configuration()))
    }
}

/// Runs a seed; returns what it went through, or what went wrong.
fn run(seed: u64, bugs: Bugs) -> Result<Facts, String> {
    let mut churn = Churn::new(seed, bugs);
    churn.network.elect(1);
    churn.watch();
    for _ in 0..STEPS {
        churn.step();
        if let Some(violation) = churn.violation {
            return Err(violation);
        }
    }
    let stuck = churn.stuck();
    churn.violation.or(stuck).map_or(Ok(churn.facts), Err)
}

#[test]
fn changes_under_fire_keep_every_promise() {
    let mut all = Facts::default();
    for seed in 0..150 {
        let facts = run(seed, Bugs::NONE).unwrap_or_else(|text| panic!("seed {seed}: {text}"));
        all.terms += facts.terms;
        all.changes += facts.changes;
        all.joint += facts.joint;
        all.moved += facts.moved;
        all.applied += facts.applied;
        all.crashes += facts.crashes;
    }
    let went_on = all.applied > 1500 && all.terms > 400 && all.crashes > 1000;
    assert!(went_on && all.changes > 300 && all.joint > 800 && all.moved > 80, "{all:?}");
}

#[test]
fn changes_under_fire_find_the_bugs_of_membership() {
    let parted = |text: &str| text.contains("others") || text.contains("lead term");
    let stuck = |text: &str| text.contains("commits nothing");
    let bugs = [(Bug::JointNewOnly, 150), (Bug::JointStuck, 60)];
    for (bug, seeds) in bugs {
        let shows = |text: &str| if bug == Bug::JointStuck { stuck(text) } else { parted(text) };
        let found = (0..seeds).filter(|seed| run(*seed, bug.into()).is_err_and(|t| shows(&t)));
        assert!(found.count() > 0, "{bug} is not found in {seeds} seeds");
    }
}
