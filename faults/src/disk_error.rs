//! Disk error: one sync fails, and the syncs after it succeed without having written what it dropped.
//!
//! That is what Linux does ("fsyncgate"): the pages of a sync that failed count as clean. A node that syncs again and
//! believes it has lost something and does not know. One that stops is right, so an exit with an error is permitted
//! while the sync is to fail, and listed. In the end every node of the target is started anew, to read what is there.

use crate::claims::{Budget, Load, Power};
use crate::disk::Order;
use crate::disk::class::{counted, end_all, heal_all, not_back, restart_all, tell_all};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::random::Random;
use crate::target::Target;
use serde_json::{Value, json};
use std::time::Duration;

/// The class `disk-error`.
#[derive(Clone, Copy, Debug)]
pub struct DiskError;

impl Fault for DiskError {
    fn name(&self) -> &'static str {
        "disk-error"
    }

    fn about(&self) -> &'static str {
        "fails one fsync of nodes with EIO and drops what it should have written, while later ones succeed; a node may \
         stop for that, and is started again to read what is there"
    }

    fn power(&self) -> Power {
        Power::Disk
    }

    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft {
        let several = if budget.down > 1 && nodes > 2 { 20 } else { 0 };
        let choices = [(40, Target::Leader), (35, Target::One), (several, Target::LeaderMinority)];
        let target = random.weighted(&choices).unwrap_or(Target::One);
        let duration = random.between(Duration::from_millis(500), Duration::from_secs(3));
        let load = Load::Nodes(target.size(nodes));
        Draft { target, shape: None, heal: None, duration, load, how: Value::Null }
    }

    fn heal_time(&self) -> Duration {
        Duration::from_millis(800)
    }

    fn takes_down(&self) -> bool {
        true
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move { Ok(json!(tell_all(context, Order::FailSync).await?)) })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            let after = heal_all(context).await?;
            let killed = end_all(context).await;
            let restarted = restart_all(context).await?;
            let words = ("syncs failed", "no sync of news came");
            let mut proof = counted(seen, &after, |figures| figures.failed_syncs, words);
            if let Some(node) = not_back(context.nodes, &restarted) {
                proof.effective = false;
                proof.reason = format!("{node} was not seen running again");
            }
            proof.evidence["killed"] = json!(killed);
            proof.evidence["restarted"] = json!(restarted);
            Ok(proof)
        })
    }
}
