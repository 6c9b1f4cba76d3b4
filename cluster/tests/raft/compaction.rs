//! Small clusters with hardly any log and many snapshots, driven at random by hand.
//!
//! Every node compacts all the time, transfers break, arrive late or come a second time, nodes crash between
//! any two syncs. Two things are watched, whatever happens: each node's state is a prefix of one common
//! history, as long as its core says that it is, and no running node's state ever gets shorter. At the end the
//! cluster must come to rest with everything everywhere: a node that waits for a snapshot for ever would not.

use crate::network::{Network, Sending};
use cluster::bug::{Bug, Bugs, Mark};
use cluster::raft::{Effect, Entry, NodeId, Role, Timer};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::BTreeMap;

/// What a run has been through.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    committed: u64,
    compactions: u64,
    restores: u64,
    sent: u64,
    /// Starts from a snapshot that was ahead of the log.
    resets_at_start: u64,
    triggered: u64,
}

struct Storm {
    network: Network,
    random: ChaCha8Rng,
    /// What has been applied by anyone, in order.
    history: Vec<Entry>,
    /// How long each running node's state was.
    lengths: BTreeMap<NodeId, usize>,
    /// Transfers of the past: each may come again.
    past: Vec<Sending>,
    facts: Facts,
}

const NODES: u64 = 3;
const STEPS: u64 = 3000;

impl Storm {
    fn new(seed: u64, bugs: Bugs) -> Storm {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut one_of = |choices: [usize; 3]| choices[(random.next_u64() % 3) as usize];
        let (tail, slice, appends) = (one_of([0, 1, 5]), one_of([1, 3, 1024]), one_of([1, 2, 64]));
        let network = Network::new(NODES, |config| {
            config.bugs = bugs;
            config.limits.tail_entries = tail as u64;
            config.limits.apply_entries = slice;
            config.limits.append_entries = appends;
        });
        let (history, lengths, past) = (Vec::new(), BTreeMap::new(), Vec::new());
        Storm { network, random, history, lengths, past, facts: Facts::default() }
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.random.next_u64() % bound.max(1) as u64) as usize
    }

    fn anyone(&mut self) -> NodeId {
        1 + self.below(NODES as usize) as NodeId
    }

    fn leader(&self) -> Option<NodeId> {
        self.network.running().into_iter().find(|id| self.network.role(*id) == Role::Leader)
    }

    fn is_running(&self, id: NodeId) -> bool {
        self.network.machines[&id].raft.is_some()
    }

    fn act(&mut self) {
        let node = self.anyone();
        match self.below(100) {
            0..45 => self.deliver_one(),
            45..62 if self.is_running(node) => self.network.sync(node),
            62..74 => {
                if let Some(leader) = self.leader() {
                    self.network.propose(leader, &["w"]);
                }
            }
            74..82 if self.is_running(node) => self.network.snapshot(node),
            82..87 => self.end_transfer(),
            87..89 => self.repeat_transfer(),
            89..94 => {
                if let Some(leader) = self.leader() {
                    self.network.timeout(leader, Timer::Heartbeat);
                }
            }
            94..96 => self.network.timeout(node, Timer::Contact),
            96..98 => self.network.timeout(node, Timer::Election),
            98 if self.is_running(node) => self.crash(node),
            99 => self.restart(node),
            _ => {}
        }
    }

    fn deliver_one(&mut self) {
        let place = self.below(self.network.in_flight.len());
        let Some(message) = self.network.in_flight.remove(place) else { return };
        match self.below(20) {
            0 => return,
            1 => self.network.in_flight.push_back(message.clone()),
            _ => {}
        }
        if self.is_running(message.to) {
            self.network.event(message.to, cluster::raft::Event::Receive(message));
        }
        while self.network.in_flight.len() > 60 {
            self.network.in_flight.pop_front();
        }
    }

    fn end_transfer(&mut self) {
        let place = self.below(self.network.sending.len());
        let Some(sending) = self.network.sending.get(place).cloned() else { return };
        let arrives = self.below(10) < 7;
        self.network.end_transfer(sending.from, sending.to, arrives);
        self.past.push(sending);
    }

    fn repeat_transfer(&mut self) {
        let place = self.below(self.past.len());
        let Some(Sending { from, to, term, file }) = self.past.get(place).cloned() else { return };
        self.network.receive_snapshot(from, to, term, &file);
    }

    fn crash(&mut self, node: NodeId) {
        let survivors = self.below(self.network.machines[&node].pending.len() + 1);
        self.network.machine(node).crash(survivors);
        self.lengths.remove(&node);
    }

    fn restart(&mut self, node: NodeId) {
        if self.is_running(node) {
            return;
        }
        self.network.restart(node);
        let reset = self.network.seen(node, |effect| match effect {
            Effect::Persist(batch) => batch.reset.clone(),
            _ => None,
        });
        self.facts.resets_at_start += reset.len() as u64;
    }

    /// Looks at what just happened.
    fn check(&mut self) -> Result<(), String> {
        for (_, effect) in &self.network.effects {
            match effect {
                Effect::Persist(batch) if batch.compact.is_some() => self.facts.compactions += 1,
                Effect::Restore(_) => self.facts.restores += 1,
                Effect::SendSnapshot { .. } => self.facts.sent += 1,
                Effect::Mark(_, Mark::Triggered) => self.facts.triggered += 1,
                _ => {}
            }
        }
        self.network.effects.clear();
        self.network.lines.clear();
        for (id, machine) in &self.network.machines {
            let Some(core) = &machine.raft else { continue };
            let (state, claimed) = (&machine.applied, core.applied());
            if state.len() as u64 != claimed {
                return Err(format!("n{id} claims {claimed} applied and has {}", state.len()));
            }
            let common = state.len().min(self.history.len());
            if state[..common] != self.history[..common] {
                return Err(format!("n{id} has applied something else than others"));
            }
            self.history.extend_from_slice(&state[common..]);
            let before = self.lengths.insert(*id, state.len()).unwrap_or(0);
            if state.len() < before {
                return Err(format!("n{id} went back from {before} to {}", state.len()));
            }
        }
        Ok(())
    }

    /// Everything runs, nothing is lost: does all get everywhere?
    fn calm(&mut self) -> Result<(), String> {
        for id in 1..=NODES {
            self.restart(id);
        }
        for round in 0..40 {
            if self.leader().is_none() {
                self.network.elect(1 + round % NODES);
            }
            for id in self.network.running() {
                if self.network.role(id) == Role::Leader {
                    self.network.timeout(id, Timer::Heartbeat);
                }
            }
            self.network.settle();
            while let Some(Sending { from, to, .. }) = self.network.sending.front().cloned() {
                self.network.end_transfer(from, to, true);
            }
            self.network.settle();
            self.check()?;
        }
        let lengths: Vec<u64> = (1..=NODES).map(|id| self.network.commit(id)).collect();
        let last = self.leader().map(|id| self.network.machines[&id].core().last().index);
        if last.is_some_and(|last| lengths.iter().all(|length| *length == last)) {
            return Ok(());
        }
        Err(format!("the cluster does not come to rest: {lengths:?} of {last:?} are committed"))
    }
}

/// Runs a seed; the facts, and the first thing that went wrong.
fn storm(seed: u64, bugs: Bugs) -> (Facts, Result<(), String>) {
    let mut storm = Storm::new(seed, bugs);
    let mut result = Ok(());
    for _ in 0..STEPS {
        storm.act();
        result = storm.check();
        if result.is_err() {
            break;
        }
    }
    let result = result.and_then(|()| storm.calm());
    storm.facts.committed = storm.history.len() as u64;
    (storm.facts, result)
}

#[test]
fn nodes_that_compact_all_the_time_agree_and_come_to_rest() {
    let mut sum = Facts::default();
    for seed in 0..SEEDS {
        let (facts, result) = storm(seed, Bugs::NONE);
        assert_eq!(result, Ok(()), "seed {seed}: {facts:?}");
        sum.committed += facts.committed;
        sum.compactions += facts.compactions;
        sum.restores += facts.restores;
        sum.sent += facts.sent;
        sum.resets_at_start += facts.resets_at_start;
    }
    let much = sum.committed >= 20 * SEEDS && sum.compactions >= 10 * SEEDS;
    let sent = sum.sent >= SEEDS && sum.restores >= SEEDS / 2 && sum.resets_at_start > 0;
    assert!(much && sent, "{sum:?}");
}

const SEEDS: u64 = 120;

fn hunt(bug: Bug) -> Vec<String> {
    let mut found = Vec::new();
    for seed in 0..SEEDS {
        let (facts, result) = storm(seed, bug.into());
        if let Err(violation) = result {
            assert!(
                bug == Bug::SnapshotOffByOne || facts.triggered > 0,
                "{bug}, seed {seed}: no effect without a cause"
            );
            found.push(violation);
        }
    }
    found
}

#[test]
fn snapshot_off_by_one_is_found_by_states_that_lack_an_entry() {
    let found = hunt(Bug::SnapshotOffByOne);
    assert!(found.len() >= 30, "{}", found.len());
    assert!(found.iter().any(|violation| violation.contains("applied and has")), "{found:?}");
}

#[test]
fn snapshot_regress_is_found_by_states_that_go_back() {
    let found = hunt(Bug::SnapshotRegress);
    assert!(found.len() >= 30, "{}", found.len());
    assert!(found.iter().all(|violation| violation.contains("went back")), "{found:?}");
}
