//! Full disk: for a while there is no space for anything more.
//!
//! What was promised must not need space that is not there, and what finds none must not be acknowledged. Files can
//! still be removed and what has its place can be overwritten, as on any disk. With `restart` the nodes are killed
//! before there is space again, so that what they only pretended to have written is gone.
//!
//! Most often all disks are full at once: nodes that hold the same run out of space at about the same time, and then
//! nobody is left who has what the others could not write.

use crate::claims::{Budget, Load, Power};
use crate::disk::Order;
use crate::disk::class::{counted, end_all, heal_all, how, not_back, restart_all, tell_all};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The class `disk-full`.
#[derive(Clone, Copy, Debug)]
pub struct DiskFull;

/// How it ends.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct How {
    /// Whether the nodes are killed before there is space, and started again when there is.
    restart: bool,
}

impl Fault for DiskFull {
    fn name(&self) -> &'static str {
        "disk-full"
    }

    fn about(&self) -> &'static str {
        "leaves the disks of nodes, of all at worst, no space for a while (ENOSPC); sometimes the nodes are killed \
         before there is space again"
    }

    fn power(&self) -> Power {
        Power::Disk
    }

    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft {
        let fits =
            |target: Target, weight| if target.size(nodes) <= budget.crash { weight } else { 0 };
        let choices = [
            (15, Target::One),
            (15, Target::Leader),
            (fits(Target::Majority, 20), Target::Majority),
            (fits(Target::All, 50), Target::All),
        ];
        let target = random.weighted(&choices).unwrap_or(Target::One);
        let duration = random.between(Duration::from_secs(4), Duration::from_secs(7));
        let how = json!(How { restart: random.chance(70) });
        let load = load_of(target, nodes, budget);
        Draft { target, shape: None, heal: None, duration, load, how }
    }

    fn load(&self, entry: &Entry, nodes: usize, budget: &Budget) -> Load {
        load_of(entry.target, nodes, budget)
    }

    fn check(&self, entry: &Entry, nodes: usize, budget: &Budget) -> Result<(), String> {
        let How { .. } = how(self.name(), &entry.how)?;
        within_crashes(entry.target, nodes, budget)
    }

    /// Nodes keep space for what they do next, and only ask for more when that is used.
    fn shortest(&self) -> Duration {
        Duration::from_millis(2500)
    }

    fn heal_time(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn takes_down(&self) -> bool {
        true
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move { Ok(json!(tell_all(context, Order::Fill).await?)) })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            let How { restart } = how(self.name(), &context.entry.how).map_err(EnvironmentError)?;
            let killed = if restart { end_all(context).await } else { Vec::new() };
            let after = heal_all(context).await?;
            let words = ("writes found no space", "nothing asked for space while there was none");
            let mut proof = counted(seen, &after, |figures| figures.refused, words);
            if restart {
                let restarted = restart_all(context).await?;
                if let Some(node) = not_back(context.nodes, &restarted) {
                    proof.effective = false;
                    proof.reason = format!("{node} was not seen running again");
                }
                proof.evidence["killed"] = json!(killed);
                proof.evidence["restarted"] = json!(restarted);
            }
            Ok(proof)
        })
    }
}

/// What taking these nodes away together asks of a system: more than it can spare is an outage.
pub(crate) fn load_of(target: Target, nodes: usize, budget: &Budget) -> Load {
    let hit = target.size(nodes);
    if hit > budget.down { Load::Outage } else { Load::Nodes(hit) }
}

/// Refuses a target of more nodes than may crash at once.
pub(crate) fn within_crashes(target: Target, nodes: usize, budget: &Budget) -> Result<(), String> {
    let (hit, most) = (target.size(nodes), budget.crash);
    if hit <= most {
        return Ok(());
    }
    Err(format!("{hit} of {nodes} nodes would crash at once, at most {most} may"))
}
