//! Snapshot: nodes are told to take a snapshot now, and compact their logs.
//!
//! By themselves nodes take one rarely; on demand it can fall into any moment: right before a crash, or while a
//! follower is away that will then need it.

use crate::administration::SnapshotTaken;
use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The class `snapshot`.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot;

impl Fault for Snapshot {
    fn name(&self) -> &'static str {
        "snapshot"
    }

    fn about(&self) -> &'static str {
        "has nodes take a snapshot now and compact their logs as after any other; how much of the log stays is the \
         system's choice, so a node that was away need not receive the snapshot"
    }

    fn power(&self) -> Power {
        Power::Snapshot
    }

    fn draw(&self, random: &mut Random, _nodes: usize, _budget: &Budget) -> Draft {
        let choices = [(50, Target::Leader), (20, Target::One), (30, Target::All)];
        let target = random.weighted(&choices).unwrap_or(Target::One);
        let duration = random.between(Duration::from_millis(100), Duration::from_millis(400));
        let (load, how) = (Load::Nodes(0), Value::Null);
        Draft { target, shape: None, heal: None, duration, load, how }
    }

    /// No node is kept from the others.
    fn load(&self, _entry: &Entry, _nodes: usize, _budget: &Budget) -> Load {
        Load::Nodes(0)
    }

    fn heal_time(&self) -> Duration {
        Duration::from_millis(50)
    }

    fn takes_down(&self) -> bool {
        false
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move {
            let administration = context.environment.administration();
            let administration = administration.ok_or_else(|| {
                EnvironmentError("this cluster cannot be administered".to_owned())
            })?;
            let (mut taken, mut failed) = (Vec::new(), None);
            for &node in context.nodes {
                // One that another fault keeps from it must not keep the others from it.
                match administration.snapshot(node).await {
                    Ok(one) => taken.push(one),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            match failed {
                Some(error) if taken.is_empty() => Err(error),
                _ => Ok(json!(taken)),
            }
        })
    }

    fn heal<'a>(
        &'a self,
        _context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move { Ok(prove(seen)) })
    }
}

fn prove(seen: &Value) -> Proof {
    let taken = Vec::<SnapshotTaken>::deserialize(seen).unwrap_or_default();
    let grew: Vec<String> = taken
        .iter()
        .filter(|one| one.after > one.before)
        .map(|one| format!("{} now covers entry {}", one.node, one.after))
        .collect();
    let reason = if grew.is_empty() {
        "no node's snapshot covers more than before".to_owned()
    } else {
        format!("the snapshot of {}", grew.join(", of "))
    };
    Proof { effective: !grew.is_empty(), reason, evidence: json!({ "taken": taken }) }
}

#[cfg(test)]
mod tests {
    use super::prove;
    use serde_json::{Value, json};

    #[test]
    fn a_snapshot_counts_if_it_covers_more_than_before() {
        let taken = |before: u64| json!([{"node": "n1", "before": before, "after": 9}]);
        assert!(prove(&taken(8)).effective);
        assert_eq!(prove(&taken(8)).reason, "the snapshot of n1 now covers entry 9");
        assert!(!prove(&taken(9)).effective && !prove(&Value::Null).effective);
    }
}
