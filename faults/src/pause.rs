//! Pause: SIGSTOP and SIGCONT. The node keeps its connections and its memory and loses only time,
//! like a process under a long garbage collection or a machine that was suspended.
//!
//! Such a machine is often awake before its network is: with `alone_percent` the nodes go on before the pause is over,
//! and until then no byte passes between them and the others, nor did while they were stopped. A leader that was
//! replaced meanwhile cannot hear of it and is asked by its clients all the same, whose links are not held.

use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError, ProcessState, Sighting};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::link::{Heal, Link, Plan, Rule};
use crate::partition;
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use crate::wires;
use history::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The class `pause`.
#[derive(Clone, Copy, Debug)]
pub struct Pause;

/// The largest part of a pause in which its nodes may be awake.
const MOST_ALONE_PERCENT: u32 = 90;

/// What an entry says beside whom it hits and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct How {
    /// The last part of the time, in which the nodes run again and are still cut off from the others, in a hundred.
    /// Without it they are never cut off.
    #[serde(default)]
    alone_percent: u32,
}

impl How {
    fn of(entry: &Entry) -> Result<Self, EnvironmentError> {
        wires::asked(entry).map_err(EnvironmentError)
    }

    fn alone(self, entry: &Entry) -> Duration {
        entry.duration * self.alone_percent / 100
    }
}

/// What was seen when it began.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Seen {
    paused: Vec<Sighting>,
    /// Readings of the links that are held, null if there are none.
    links: Value,
}

impl Fault for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn about(&self) -> &'static str {
        "stops nodes with SIGSTOP and continues them with SIGCONT; their connections stay open and \
         their clocks go on; some run again for a while before they can reach the other nodes"
    }

    fn power(&self) -> Power {
        Power::Pause
    }

    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft {
        let several = if budget.down > 1 && nodes > 2 { 10 } else { 0 };
        let choices = [(65, Target::Leader), (25, Target::One), (several, Target::LeaderMinority)];
        let target = random.weighted(&choices).unwrap_or(Target::One);
        // Most are longer than an election timeout, some so long that connections are given up.
        let duration = match random.below(100) {
            0..20 if target == Target::One => {
                random.between(Duration::from_millis(100), Duration::from_millis(300))
            }
            92.. => random.between(Duration::from_secs(3), Duration::from_secs(8)),
            _ => random.between(Duration::from_millis(300), Duration::from_secs(3)),
        };
        let load = Load::Nodes(target.size(nodes));
        let asleep = Draft { target, shape: None, heal: None, duration, load, how: Value::Null };
        if target != Target::Leader || nodes < 2 || !random.chance(40) {
            return asleep;
        }
        // Stopped for longer than an election takes, and then awake until it would give up by itself.
        let duration = random.between(Duration::from_millis(1500), Duration::from_secs(3));
        let alone_percent = 25 + u32::try_from(random.below(16)).unwrap_or(0);
        Draft { duration, how: json!(How { alone_percent }), ..asleep }
    }

    fn check(&self, entry: &Entry, _nodes: usize, _budget: &Budget) -> Result<(), String> {
        let How { alone_percent } = wires::asked(entry)?;
        if alone_percent > MOST_ALONE_PERCENT {
            return Err(format!("an `alone_percent` of more than {MOST_ALONE_PERCENT}"));
        }
        Ok(())
    }

    fn cut(&self, entry: &Entry, nodes: &[NodeId], chosen: &[NodeId]) -> Vec<Link> {
        if How::of(entry).unwrap_or_default() == How::default() {
            return Vec::new();
        }
        wires::links_of(nodes, chosen)
    }

    fn several_at_once(&self) -> bool {
        true
    }

    fn heal_time(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn takes_down(&self) -> bool {
        true
    }

    fn only_stops(&self) -> bool {
        true
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move {
            if context.nodes.is_empty() {
                return Err(EnvironmentError("every node was down already".to_owned()));
            }
            let links = hold(context).await?;
            let mut paused = Vec::new();
            for &node in context.nodes {
                paused.push(context.environment.pause(node).await?);
            }
            Ok(json!(Seen { paused, links }))
        })
    }

    fn go_on<'a>(
        &'a self,
        context: &'a Context<'a>,
        _seen: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), EnvironmentError>> {
        Box::pin(async move {
            let alone = How::of(context.entry)?.alone(context.entry);
            let on = context.rest(context.entry.duration.saturating_sub(alone)).await;
            if on && !alone.is_zero() {
                resume_all(context).await?;
                context.rest(alone).await;
            }
            Ok(())
        })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            let resumed = resume_all(context).await;
            // Also if one did not go on: the others must not stay cut off.
            let crossed = release(context, seen).await?;
            Ok(prove(seen, &resumed?, crossed))
        })
    }
}

/// Holds the links of the nodes, if they are to be alone; returns the first readings of them.
async fn hold(context: &Context<'_>) -> Result<Value, EnvironmentError> {
    if context.cut.is_empty() {
        return Ok(Value::Null);
    }
    let rule = Rule::hold(Heal::Deliver).seeded(context.entry.seed);
    let rules = context.cut.iter().map(|&link| (link, rule)).collect();
    let plan = Plan { rules, ..Plan::default() };
    let network = context.environment.network();
    let applied = context.wiring.add(network, context.entry.id, plan).await?;
    Ok(partition::readings(context.cut, |link| applied.counters.get(&link).copied()))
}

/// Releases what was held; returns what that proves, if anything was.
async fn release(context: &Context<'_>, seen: &Value) -> Result<Option<Proof>, EnvironmentError> {
    if context.cut.is_empty() {
        return Ok(None);
    }
    let network = context.environment.network();
    let applied = context.wiring.remove(network, context.entry.id).await?;
    let after = partition::readings(context.cut, |link| applied.counters.get(&link).copied());
    let before = Seen::deserialize(seen).unwrap_or_default().links;
    Ok(Some(partition::prove(&before, &after)))
}

/// Lets every node go on; also those that go on already are looked at.
async fn resume_all(context: &Context<'_>) -> Result<Vec<Sighting>, EnvironmentError> {
    let mut resumed = Vec::new();
    let mut failed = None;
    for &node in context.nodes {
        // One that does not come back must not keep the others from it.
        match context.environment.resume(node).await {
            Ok(sighting) => resumed.push(sighting),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(resumed), Err)
}

fn prove(seen: &Value, resumed: &[Sighting], crossed: Option<Proof>) -> Proof {
    let paused = Seen::deserialize(seen).unwrap_or_default().paused;
    let (effective, reason) = if paused.is_empty() {
        (false, "no node was paused".to_owned())
    } else if let Some(node) = paused.iter().find(|node| node.state != ProcessState::Stopped) {
        (false, format!("process {} of {} was not seen stopped", node.pid, node.node))
    } else if let Some(node) = resumed.iter().find(|node| node.state != ProcessState::Running) {
        (false, format!("process {} of {} did not run again", node.pid, node.node))
    } else {
        (true, "each process was seen stopped, and running afterwards".to_owned())
    };
    let mut evidence = json!({ "paused": paused, "resumed": resumed });
    let Some(crossed) = crossed else { return Proof { effective, reason, evidence } };
    evidence["links"] = crossed.evidence["links"].clone();
    let reason = if effective { format!("{reason}; {}", crossed.reason) } else { reason };
    Proof { effective: effective && crossed.effective, reason, evidence }
}
