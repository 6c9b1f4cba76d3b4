//! Bit flip: one bit of a file turns round while its node is down.
//!
//! A node that reads damage must notice: it may refuse to start, and must not start on something else than it wrote.
//! Only files at rest are hit, far from the end of what was written last: the damage of a last record cannot be told
//! from a write that was cut off, and no log survives that. Where a node refuses to start it stays down until the fault
//! is healed: then the bit is turned back, as from a copy, and the node starts again as what it was. It is never
//! wiped, because nobody here can take it out of the cluster.
//!
//! It works on plain files.

use crate::claims::{Budget, Load, Power};
use crate::disk::Flipped;
use crate::disk::class::{disks, end_all, not_back, restart_all};
use crate::environment::{BoxFuture, EnvironmentError, Sighting};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use history::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The class `bit-flip`.
#[derive(Clone, Copy, Debug)]
pub struct BitFlip;

/// What was done to one node, and what it did.
#[derive(Debug, Serialize, Deserialize)]
struct Hit {
    node: NodeId,
    flipped: Flipped,
    /// Why it did not start on that; none if it did.
    refused: Option<String>,
}

impl Fault for BitFlip {
    fn name(&self) -> &'static str {
        "bit-flip"
    }

    fn about(&self) -> &'static str {
        "kills nodes, turns one bit round in a file of each that is at rest, and starts them on it; one that refuses \
         stays down until the bit is turned back, so it does not test how a node is replaced"
    }

    fn power(&self) -> Power {
        Power::Kill
    }

    fn wants_new_files(&self) -> bool {
        true
    }

    fn beyond(&self, budget: &Budget) -> Option<String> {
        let nothing = budget.damaged == 0;
        nothing.then(|| "the system does not claim to survive damage to its files".to_owned())
    }

    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft {
        let several = budget.damaged.min(budget.down) >= Target::Minority.size(nodes) && nodes > 2;
        let choices = [(80, Target::One), (if several { 20 } else { 0 }, Target::Minority)];
        let target = random.weighted(&choices).unwrap_or(Target::One);
        let duration = random.between(Duration::from_millis(500), Duration::from_secs(2));
        let load = Load::Nodes(target.size(nodes));
        Draft { target, shape: None, heal: None, duration, load, how: Value::Null }
    }

    fn check(&self, entry: &Entry, nodes: usize, budget: &Budget) -> Result<(), String> {
        if !entry.how.is_null() {
            return Err(format!("a {} takes no `how`", self.name()));
        }
        let (hit, most) = (entry.target.size(nodes), budget.damaged);
        if hit <= most {
            return Ok(());
        }
        Err(format!("{hit} of {nodes} nodes would be damaged at once, at most {most} may"))
    }

    fn heal_time(&self) -> Duration {
        Duration::from_millis(1500)
    }

    fn takes_down(&self) -> bool {
        true
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move {
            let mut hits = Vec::new();
            for &node in context.nodes {
                context.environment.kill(node).await?;
                let seed = context.entry.seed ^ u64::from(node.0);
                let flipped = disks(context)?.flip(node, seed).await?;
                let restarted = context.environment.restart(node).await;
                match flipped {
                    Some(flipped) => {
                        let refused = restarted.err().map(|error| error.to_string());
                        hits.push(Hit { node, flipped, refused });
                    }
                    None => {
                        restarted?;
                    }
                }
            }
            Ok(json!(hits))
        })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            let hits = Vec::<Hit>::deserialize(seen).unwrap_or_default();
            end_all(context).await;
            let mut turned_back = Vec::new();
            for &node in context.nodes {
                turned_back.push(disks(context)?.flip_back(node).await?);
            }
            let restarted = restart_all(context).await?;
            Ok(prove(context, &hits, &turned_back, &restarted))
        })
    }
}

fn prove(context: &Context<'_>, hits: &[Hit], back: &[bool], restarted: &[Sighting]) -> Proof {
    let refused = hits.iter().filter(|hit| hit.refused.is_some()).count();
    let (effective, reason) = if hits.is_empty() {
        (false, "no node had a file at rest".to_owned())
    } else if let Some(node) = not_back(context.nodes, restarted) {
        (false, format!("{node} was not seen running again"))
    } else {
        let all = hits.len();
        (true, format!("{all} nodes were started on a flipped bit, {refused} of them refused"))
    };
    let evidence = json!({ "hits": hits, "turned_back": back, "restarted": restarted });
    Proof { effective, reason, evidence }
}
