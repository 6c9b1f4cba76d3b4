//! The reference cluster in simulated time: what `cluster::simulator` did, in the words of the harness.
//!
//! Nothing is judged here. A history of the simulator becomes a [`History`] like any other, and what its oracle
//! says stays what it says: that some promise of Raft was broken, at a time, in words.

use crate::exit::Failure;
use cluster::bug::{Bug, Bugs};
use cluster::simulator::{self, Call, ClientEvent, Facts, Outcome, Plan, SECOND};
use history::{Event, Header, History, Kind, Nanos, NodeId, Order, Process};
use serde_json::{Value, json};
use std::time::Duration;

/// How many runs may be spent on making a failing episode smaller.
const SHRINKING: usize = 100;
/// How many of the last steps are told of a failing episode.
const STEPS: usize = 15;

/// What to simulate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// Fixes everything.
    pub seed: u64,
    /// How many nodes, 3 to 7.
    pub nodes: u64,
    /// How long, in simulated time.
    pub seconds: u64,
    /// What is wrong with the nodes.
    pub bug: Option<String>,
}

/// What came of one cluster of the simulation.
#[derive(Debug)]
pub struct Episode {
    plan: Plan,
    /// Which, from 0.
    pub number: u64,
    /// The promise that was broken, how, and when.
    pub broken: Option<(String, String, Duration)>,
    /// What clients saw.
    pub history: History,
    /// What it went through, by name.
    pub witnesses: Vec<(&'static str, u64)>,
    /// How often the code of the bug ran, and made a difference.
    pub marks: (u64, u64),
    /// How long was simulated.
    pub simulated: Duration,
}

/// What is left of an episode that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smallest {
    /// What happens, each line with its time.
    pub actions: Vec<String>,
    /// How many actions there were at first.
    pub of: usize,
    /// What stays broken in the end, if it came to that.
    pub broken: Vec<String>,
    /// The last steps.
    pub steps: Vec<String>,
}

impl Simulation {
    /// The clusters of the simulation, one after the other.
    ///
    /// # Errors
    /// When there is no such bug, or a number is out of range.
    pub fn episodes(&self) -> Result<impl Iterator<Item = Result<Episode, Failure>>, Failure> {
        let bugs = self.bugs()?;
        if !(3..=simulator::NODES_MAX).contains(&self.nodes) {
            let text = format!("{} nodes in `--nodes`: the simulator plays 3 to 7", self.nodes);
            return Err(Failure::usage(text));
        }
        let shortest = simulator::SHORTEST / SECOND;
        if self.seconds < shortest {
            let text = format!("{} in `--seconds` is too short", self.seconds);
            return Err(Failure::usage(text).hint(format!("give it at least {shortest}")));
        }
        let plans = simulator::episodes(self.seed, self.nodes, self.seconds, bugs);
        Ok(plans.map(|plan| episode(plan.clone(), &simulator::simulate(&plan))))
    }

    /// Some bugs are in code that no simulated node has: files, and their names. To simulate a cluster with one of
    /// them and find nothing would say nothing.
    ///
    /// # Errors
    /// When the bug is one of them.
    pub fn refuse_what_it_cannot_reach(&self) -> Result<(), Failure> {
        let (layer, hint) = match self.bugs()?.iter().next() {
            Some(Bug::FsyncRetry) => {
                ("the log's file", "`harness run --faults disk-error,kill --bug fsync-retry`")
            }
            Some(Bug::EnospcAck) => {
                ("the log's file", "`harness run --faults disk-full,kill --bug enospc-ack`")
            }
            Some(Bug::SnapshotInPlace) => (
                "the snapshot's file",
                "`harness run --faults kill --snapshot-every 50 --bug snapshot-in-place`",
            ),
            _ => return Ok(()),
        };
        let name = self.bug.as_deref().unwrap_or_default();
        Err(Failure::usage(format!(
            "`{name}` is in the code of {layer}, which no simulated node has: nothing would be found"
        ))
        .hint(format!("real processes have it: {hint}")))
    }

    fn bugs(&self) -> Result<Bugs, Failure> {
        let Some(name) = &self.bug else { return Ok(Bugs::NONE) };
        let known: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        let bug: Result<Bug, _> = name.parse();
        bug.map(Bugs::from).map_err(|_| Failure::unknown_name("bug", name, "--bug", &known))
    }
}

/// What an episode needs to fail as it did: by the same promise, or as `invalid` says of its history.
pub fn smallest(failed: &Episode, mut invalid: impl FnMut(History) -> bool) -> Option<Smallest> {
    let plan = Plan { trace: STEPS, ..failed.plan.clone() };
    let promise = failed.broken.as_ref().map(|(promise, ..)| promise);
    let still = |outcome: &Outcome| match (promise, &outcome.violation) {
        (Some(promise), Some(violation)) => *promise == violation.promise.to_string(),
        (Some(_), None) | (None, Some(_)) => false,
        (None, None) => translate(&outcome.history).is_ok_and(&mut invalid),
    };
    let (small, outcome) = simulator::shrink(&plan, SHRINKING, still)?;
    let told = |(time, action): &simulator::Timed| {
        format!("{:>8.3} s  {action}", *time as f64 / SECOND as f64)
    };
    Some(Smallest {
        actions: small.actions.iter().flatten().map(told).collect(),
        of: failed.plan.actions.as_ref().map_or(0, Vec::len),
        broken: outcome.broken,
        steps: outcome.trace,
    })
}

fn episode(plan: Plan, outcome: &Outcome) -> Result<Episode, Failure> {
    let broken = outcome.violation.as_ref().map(|violation| {
        let time = Duration::from_micros(violation.time);
        (violation.promise.to_string(), violation.text.clone(), time)
    });
    Ok(Episode {
        number: plan.episode,
        broken,
        history: translate(&outcome.history)?,
        witnesses: witnesses(&outcome.facts),
        marks: (outcome.reached, outcome.triggered),
        simulated: Duration::from_micros(outcome.simulated),
        plan: Plan { actions: Some(outcome.actions.clone()), ..plan },
    })
}

fn witnesses(facts: &Facts) -> Vec<(&'static str, u64)> {
    vec![
        ("changes of leader", facts.terms_led.saturating_sub(1)),
        ("crashes", facts.crashes),
        ("writes lost in crashes", facts.batches_lost),
        ("entries committed after a crash", facts.committed_after_crash),
        ("truncated logs", facts.truncations),
        ("refused appends", facts.appends_rejected),
        ("lost messages", facts.messages_lost),
        ("cuts", facts.cuts),
        ("pauses", facts.pauses),
        ("failed syncs", facts.failed_syncs),
        ("snapshots taken", facts.snapshots_taken),
        ("snapshots installed", facts.snapshots_installed),
        ("changes of members", facts.changes),
        ("transfers of leadership", facts.transfers),
    ]
}

fn translate(events: &[ClientEvent]) -> Result<History, Failure> {
    let events = (0..).zip(events).map(|(index, event)| translate_event(index, event)).collect();
    History::from_events(Header::new("kv"), events, Order::Time)
        .map_err(|error| Failure::environment(format!("the simulator's history: {error}")))
}

fn translate_event(index: u64, event: &ClientEvent) -> Event {
    let kind = match event.kind {
        simulator::Kind::Invoke => Kind::Invoke,
        simulator::Kind::Ok => Kind::Ok,
        simulator::Kind::Fail => Kind::Fail,
        simulator::Kind::Info => Kind::Info,
    };
    let (f, value) = match event.call {
        Call::Read { .. } => ("read", event.value.map_or(Value::Null, Value::from)),
        Call::Write { value, .. } => ("write", json!(value)),
        Call::Cas { from, to, .. } => ("cas", json!([from, to])),
        Call::Delete { .. } => ("delete", Value::Null),
    };
    Event {
        index,
        time: Nanos(event.time.saturating_mul(1000)),
        process: Process::Client(event.process),
        kind,
        f: f.to_owned(),
        key: Some(format!("k{}", event.call.key())),
        value,
        node: u16::try_from(event.node).ok().map(NodeId),
        error: event.error.map(str::to_owned),
    }
}
