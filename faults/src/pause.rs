//! Pause: SIGSTOP and SIGCONT. The node keeps its connections and its memory and loses only time,
//! like a process under a long garbage collection or a machine that was suspended.

use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError, ProcessState, Sighting};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::random::Random;
use crate::target::Target;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The class `pause`.
#[derive(Clone, Copy, Debug)]
pub struct Pause;

impl Fault for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn about(&self) -> &'static str {
        "stops nodes with SIGSTOP and continues them with SIGCONT; their connections stay open and \
         their clocks go on"
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
        Draft { target, shape: None, heal: None, duration, load, how: Value::Null }
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
            let mut paused = Vec::new();
            for &node in context.nodes {
                paused.push(context.environment.pause(node).await?);
            }
            Ok(json!(paused))
        })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            let mut resumed = Vec::new();
            let mut failed = None;
            for &node in context.nodes {
                // One that does not come back must not keep the others from it.
                match context.environment.resume(node).await {
                    Ok(sighting) => resumed.push(sighting),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            failed.map_or_else(|| Ok(prove(seen, &resumed)), Err)
        })
    }
}

fn prove(seen: &Value, resumed: &[Sighting]) -> Proof {
    let paused = Vec::<Sighting>::deserialize(seen).unwrap_or_default();
    let (effective, reason) = if paused.is_empty() {
        (false, "no node was paused".to_owned())
    } else if let Some(node) = paused.iter().find(|node| node.state != ProcessState::Stopped) {
        (false, format!("process {} of {} was not seen stopped", node.pid, node.node))
    } else if let Some(node) = resumed.iter().find(|node| node.state != ProcessState::Running) {
        (false, format!("process {} of {} did not run again", node.pid, node.node))
    } else {
        (true, "each process was seen stopped, and running afterwards".to_owned())
    };
    Proof { effective, reason, evidence: json!({ "paused": paused, "resumed": resumed }) }
}
