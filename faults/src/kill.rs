//! Kill: SIGKILL, and a restart on the data the node left.
//!
//! The kernel keeps what the process had written (the page cache), so this tests recovery from the
//! log and not whether the log was synced: a node that never calls fsync survives it.

use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError, ProcessState, Sighting};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::random::Random;
use crate::target::Target;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The class `kill`.
#[derive(Clone, Copy, Debug)]
pub struct Kill;

impl Fault for Kill {
    fn name(&self) -> &'static str {
        "kill"
    }

    fn about(&self) -> &'static str {
        "kills nodes with SIGKILL and starts them again on the data they left; the kernel keeps what \
         they had written, so it does not test fsync"
    }

    fn power(&self) -> Power {
        Power::Kill
    }

    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft {
        let several = if budget.down > 1 && nodes > 2 { 15 } else { 0 };
        let choices = [(50, Target::Leader), (35, Target::One), (several, Target::LeaderMinority)];
        let target = random.weighted(&choices).unwrap_or(Target::One);
        let duration = random.between(Duration::from_millis(500), Duration::from_secs(3));
        let load = Load::Nodes(target.size(nodes));
        Draft { target, shape: None, heal: None, duration, load, how: Value::Null }
    }

    fn several_at_once(&self) -> bool {
        true
    }

    fn heal_time(&self) -> Duration {
        Duration::from_millis(600)
    }

    fn takes_down(&self) -> bool {
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
            let mut killed = Vec::new();
            for &node in context.nodes {
                killed.push(context.environment.kill(node).await?);
            }
            Ok(json!(killed))
        })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            let mut restarted = Vec::new();
            let mut failed = None;
            for &node in context.nodes {
                // One that does not come back must not keep the others from it.
                match context.environment.restart(node).await {
                    Ok(sighting) => restarted.push(sighting),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            failed.map_or_else(|| Ok(prove(seen, &restarted)), Err)
        })
    }
}

fn prove(seen: &Value, restarted: &[Sighting]) -> Proof {
    let killed = Vec::<Sighting>::deserialize(seen).unwrap_or_default();
    let again = |before: &Sighting| {
        restarted.iter().any(|after| {
            after.node == before.node
                && after.state == ProcessState::Running
                && after.pid != before.pid
        })
    };
    let (effective, reason) = if killed.is_empty() {
        (false, "no node was killed".to_owned())
    } else if let Some(alive) = killed.iter().find(|node| node.state != ProcessState::Gone) {
        (false, format!("process {} of {} was still there", alive.pid, alive.node))
    } else if let Some(same) = killed.iter().find(|node| !again(node)) {
        (false, format!("{} was not seen running again as a new process", same.node))
    } else {
        (true, "each process was gone, and a new one served afterwards".to_owned())
    };
    Proof { effective, reason, evidence: json!({ "killed": killed, "restarted": restarted }) }
}
