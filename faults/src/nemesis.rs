//! Plays a schedule: waits for each trigger, resolves the target, injects, waits, heals, and writes
//! down what happened. It runs inside the harness, for the length of the work phase.
//!
//! What holds afterwards, whatever happened in between:
//! - every fault that began has an end event in the history and a receipt;
//! - everything was healed, also when the run stopped early; what could not be healed is named in
//!   [`Played::unhealed`], and dropping the future releases what can be released without waiting;
//! - no fault chose a node that another one had down, but for those that reach a process which is only stopped.
//!
//! The start event is written before the injection begins and the end event after the heal is in
//! effect, so the band that a reader sees always covers the fault.
//!
//! It does not decide whether a schedule is within the fault budget: [`crate::draw`] does.

use crate::environment::{Applied, BoxFuture, Environment, EnvironmentError, Network};
use crate::fault::{Context, Fault, Proof};
use crate::link::Plan;
use crate::random::Random;
use crate::receipt::Receipt;
use crate::registry;
use crate::schedule::{Entry, Schedule, Trigger};
use crate::target::resolve;
use history::{Nanos, NodeId};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Stream of an entry's seed for resolving its target.
pub(crate) const TARGET_STREAM: u64 = 1;
/// Stream of an entry's seed for dividing the network.
pub(crate) const SHAPE_STREAM: u64 = 2;

/// How often the observed leader is looked at while a trigger waits for a change.
const LEADER_POLL: Duration = Duration::from_millis(2);
/// How long an injection may take.
const INJECT_LIMIT: Duration = Duration::from_secs(10);
/// How long one attempt to heal may take; a restart includes recovery of the node's log.
const HEAL_LIMIT: Duration = Duration::from_secs(30);
/// How often healing is tried.
const HEAL_ATTEMPTS: u32 = 3;
/// Between two attempts.
const HEAL_PAUSE: Duration = Duration::from_millis(200);

/// The links that all active faults hold together. Each fault adds its own plan and takes it away
/// again; the network always follows all that remain.
#[derive(Debug, Default)]
pub struct Wiring(tokio::sync::Mutex<BTreeMap<u64, Plan>>);

impl Wiring {
    /// Adds the plan of one fault and returns when it is in effect.
    ///
    /// # Errors
    /// The network did not take the plan.
    pub async fn add(
        &self,
        network: &dyn Network,
        id: u64,
        plan: Plan,
    ) -> Result<Applied, EnvironmentError> {
        let mut plans = self.0.lock().await;
        plans.insert(id, plan);
        network.apply(together(&plans)).await
    }

    /// Takes the plan of one fault away and returns when the rest is in effect.
    ///
    /// # Errors
    /// The network did not take the plan.
    pub async fn remove(
        &self,
        network: &dyn Network,
        id: u64,
    ) -> Result<Applied, EnvironmentError> {
        let mut plans = self.0.lock().await;
        plans.remove(&id);
        network.apply(together(&plans)).await
    }
}

fn together(plans: &BTreeMap<u64, Plan>) -> Plan {
    plans.values().fold(Plan::default(), Plan::and)
}

/// What came of playing a schedule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Played {
    /// One receipt for each fault that began, in the order of their ids.
    pub receipts: Vec<Receipt>,
    /// The faults that could not be healed, with the reason.
    pub unhealed: Vec<(u64, String)>,
}

/// The process that injects and heals faults.
#[derive(Clone, Copy, Debug)]
pub struct Nemesis;

impl Nemesis {
    /// The longest that [`play`](Self::play) may take after its stop: an injection that has just
    /// begun, a step of a fault that goes on, every attempt to heal it, and the last heal of the network.
    pub const LONGEST_STOP: Duration = INJECT_LIMIT
        .saturating_add(INJECT_LIMIT)
        .saturating_add(HEAL_LIMIT.saturating_add(HEAL_PAUSE).saturating_mul(HEAL_ATTEMPTS))
        .saturating_add(HEAL_LIMIT);

    /// Plays `schedule`; its times count from this call. When `stop` completes, what is in effect is
    /// healed at once and nothing further is injected.
    pub async fn play(
        schedule: &Schedule,
        environment: &dyn Environment,
        stop: impl Future<Output = ()> + Send,
    ) -> Played {
        let player = Player::new(environment);
        let (stopping, stopped) = watch::channel(false);
        let entries = schedule.entries.iter().map(|entry| {
            let entry: BoxFuture<'_, _> = Box::pin(player.play(entry, stopped.clone()));
            entry
        });
        let mut entries = pin!(all(entries.collect()));
        let ended = tokio::select! {
            ended = &mut entries => ended,
            () = stop => {
                stopping.send_replace(true);
                entries.await
            }
        };
        let mut played = Played::default();
        for (receipt, failure) in ended.into_iter().flatten() {
            played.unhealed.extend(failure.map(|reason| (receipt.id, reason)));
            played.receipts.push(receipt);
        }
        played.receipts.sort_by_key(|receipt| receipt.id);
        if let Err(error) = player.deliver_everything().await {
            played.unhealed.push((0, error.to_string()));
        }
        played
    }
}

/// A schedule being played. Dropped in the middle, it releases what is in effect.
struct Player<'a> {
    environment: &'a dyn Environment,
    start: Instant,
    wiring: Wiring,
    active: Mutex<BTreeMap<u64, Active>>,
    /// Nodes that a fault took down and did not bring back: nobody may count on them any more.
    lost: Mutex<BTreeSet<NodeId>>,
}

/// A fault between its start event and its end event.
struct Active {
    receipt: Receipt,
    down: bool,
    /// Its nodes are stopped and not dead.
    only_stops: bool,
}

type Ended = Option<(Receipt, Option<String>)>;

impl<'a> Player<'a> {
    fn new(environment: &'a dyn Environment) -> Self {
        let start = Instant::now();
        let wiring = Wiring::default();
        Self { environment, start, wiring, active: Mutex::default(), lost: Mutex::default() }
    }

    /// Also after a panic of the environment under the lock: what is in effect must still be healed.
    fn active(&self) -> MutexGuard<'_, BTreeMap<u64, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nodes that are down for good.
    fn lost(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn play(&self, entry: &Entry, mut stopped: watch::Receiver<bool>) -> Ended {
        let fault = registry::by_name(&entry.fault)?;
        let event_seen = tokio::select! {
            biased;
            () = is_set(&mut stopped) => return None,
            seen = self.wait_for(entry.trigger) => seen,
        };
        let receipt = self.begin(entry, fault, event_seen);
        let context = Context {
            environment: self.environment,
            wiring: &self.wiring,
            entry,
            nodes: &receipt.nodes,
            cut: &receipt.cut,
            stopped,
        };
        let injected = limit(INJECT_LIMIT, "the injection", fault.inject(&context)).await;
        let mut failure =
            injected.as_ref().err().map(|error| format!("could not be injected: {error}"));
        let mut seen = injected.unwrap_or_default();
        if failure.is_none() {
            let in_effect = self.environment.now();
            self.update(entry.id, |receipt| receipt.in_effect = Some(in_effect));
            let longest = entry.duration + INJECT_LIMIT;
            let went_on = limit(longest, "the fault", fault.go_on(&context, &mut seen)).await;
            failure = went_on.err().map(|error| format!("did not go on: {error}"));
        }
        let healed = heal(fault, &context, &seen).await;
        Some(self.end(entry.id, failure, healed))
    }

    /// Waits until the entry is due; returns when the event was seen that it waited for.
    async fn wait_for(&self, trigger: Trigger) -> Option<Nanos> {
        sleep_until(self.start + trigger.earliest()).await;
        let Trigger::OnLeaderChange { after, latest, .. } = trigger else { return None };
        let latest = self.start + latest;
        let before = self.environment.leader_changes();
        while self.environment.leader_changes() == before {
            if Instant::now() >= latest {
                return None;
            }
            sleep(LEADER_POLL).await;
        }
        let seen = self.environment.now();
        sleep_until((Instant::now() + after).min(latest)).await;
        Some(seen)
    }

    /// Resolves the target, writes the start event, and claims the nodes, in one step.
    fn begin(&self, entry: &Entry, fault: &dyn Fault, event_seen: Option<Nanos>) -> Receipt {
        let mut active = self.active();
        let down: BTreeSet<NodeId> = active
            .values()
            .filter(|other| other.down && !(other.only_stops && fault.reaches_stopped()))
            .flat_map(|other| other.receipt.nodes.iter().copied())
            .chain(self.lost().iter().copied())
            .collect();
        let nodes = self.environment.nodes();
        let leader = self.environment.leader();
        let mut random = Random::new(entry.seed, TARGET_STREAM);
        let resolved = resolve(entry.target, &nodes, leader, &down, &mut random);
        let mut receipt = Receipt::begin(entry, self.environment.now());
        receipt.cut = fault.cut(entry, &nodes, &resolved.nodes);
        receipt.nodes = resolved.nodes;
        receipt.event_seen = event_seen;
        receipt.note = resolved.note;
        self.environment.record(&entry.fault, event(&receipt, "start"));
        let down = fault.takes_down();
        let only_stops = fault.only_stops();
        active.insert(entry.id, Active { receipt: receipt.clone(), down, only_stops });
        receipt
    }

    fn update(&self, id: u64, change: impl FnOnce(&mut Receipt)) {
        let mut active = self.active();
        if let Some(active) = active.get_mut(&id) {
            change(&mut active.receipt);
        }
    }

    /// Writes the end event and the receipt, and lets the nodes go.
    fn end(
        &self,
        id: u64,
        failed: Option<String>,
        healed: Result<Proof, EnvironmentError>,
    ) -> (Receipt, Option<String>) {
        let mut active = self.active();
        let Active { mut receipt, down, .. } = active.remove(&id).expect("it was active until now");
        let mut failure = None;
        match healed {
            Ok(proof) => {
                receipt.healed = Some(self.environment.now());
                receipt.evidence = proof.evidence;
                receipt.effective = proof.effective && failed.is_none();
                receipt.reason = proof.reason;
            }
            Err(error) => {
                receipt.reason = format!("could not be healed: {error}");
                failure = Some(receipt.reason.clone());
                if down {
                    self.lost().extend(&receipt.nodes);
                }
            }
        }
        if let Some(failed) = failed {
            receipt.reason = failed;
        }
        self.environment.record(&receipt.fault, event(&receipt, "end"));
        self.environment.receipt(&receipt);
        (receipt, failure)
    }

    async fn deliver_everything(&self) -> Result<(), EnvironmentError> {
        let network = self.environment.network();
        limit(HEAL_LIMIT, "the last heal", network.apply(Plan::default())).await.map(drop)
    }
}

impl Drop for Player<'_> {
    fn drop(&mut self) {
        let active = self.active.get_mut().unwrap_or_else(PoisonError::into_inner);
        let active = std::mem::take(active);
        if active.is_empty() {
            return;
        }
        let stopped = active.values().filter(|fault| fault.only_stops);
        let paused: Vec<NodeId> = stopped.flat_map(|fault| fault.receipt.nodes.clone()).collect();
        self.environment.release(&paused);
        for Active { mut receipt, .. } in active.into_values() {
            receipt.reason = "the run was abandoned while it was in effect".to_owned();
            self.environment.record(&receipt.fault, event(&receipt, "end"));
            self.environment.receipt(&receipt);
        }
    }
}

async fn heal(
    fault: &dyn Fault,
    context: &Context<'_>,
    seen: &Value,
) -> Result<Proof, EnvironmentError> {
    let mut attempt = 1;
    loop {
        match limit(HEAL_LIMIT, "the heal", fault.heal(context, seen)).await {
            Err(_) if attempt < HEAL_ATTEMPTS => attempt += 1,
            last => return last,
        }
        sleep(HEAL_PAUSE).await;
    }
}

/// The value of an event of the nemesis.
fn event(receipt: &Receipt, phase: &str) -> Value {
    let mut value = json!({
        "id": receipt.id,
        "phase": phase,
        "target": receipt.target,
        "nodes": receipt.nodes,
    });
    if !receipt.cut.is_empty() {
        value["cut"] = json!(receipt.cut);
    }
    if let Some(shape) = receipt.shape {
        value["shape"] = json!(shape);
    }
    value
}

async fn is_set(flag: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which only happens when the player is.
    let _ = flag.wait_for(|&set| set).await;
}

async fn limit<T>(
    time: Duration,
    what: &str,
    doing: BoxFuture<'_, Result<T, EnvironmentError>>,
) -> Result<T, EnvironmentError> {
    timeout(time, doing).await.unwrap_or_else(|_| {
        Err(EnvironmentError(format!("{what} took longer than {} s", time.as_secs())))
    })
}

/// Runs all futures side by side in one task, so that dropping it drops them all at once. The results come in the
/// order in which the futures ended.
pub(crate) async fn all<T>(mut futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut results = Vec::new();
    poll_fn(|context| {
        futures.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Ready(result) => {
                results.push(result);
                false
            }
            Poll::Pending => true,
        });
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results
}
