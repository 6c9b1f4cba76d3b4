//! Slow disk: every sync takes longer.
//!
//! What a program does between a write and the end of its sync becomes visible: it must neither acknowledge nor count
//! what is on its way. Reads and writes are as fast as ever.

use crate::claims::{Budget, Load, Power};
use crate::disk::Order;
use crate::disk::class::{counted, heal_all, how, tell_all};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The longest a sync may be made to take, in milliseconds: a disk that is slower hangs.
const SLOWEST_MS: u64 = 1000;

/// The class `disk-slow`.
#[derive(Clone, Copy, Debug)]
pub struct DiskSlow;

/// How slow.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct How {
    /// What a sync takes longer, in milliseconds.
    ms: u64,
}

impl Fault for DiskSlow {
    fn name(&self) -> &'static str {
        "disk-slow"
    }

    fn about(&self) -> &'static str {
        "makes every fsync of nodes take 100 to 400 ms longer; reads and writes stay fast, and nothing is lost"
    }

    fn power(&self) -> Power {
        Power::Disk
    }

    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft {
        let several = if budget.down > 1 && nodes > 2 { 25 } else { 0 };
        let choices = [(40, Target::Leader), (25, Target::One), (several, Target::LeaderMinority)];
        let target = random.weighted(&choices).unwrap_or(Target::One);
        let duration = random.between(Duration::from_millis(800), Duration::from_secs(4));
        let how = json!(How { ms: 100 + random.below(301) });
        let load = Load::Nodes(target.size(nodes));
        Draft { target, shape: None, heal: None, duration, load, how }
    }

    fn check(&self, entry: &Entry, _nodes: usize, _budget: &Budget) -> Result<(), String> {
        let How { ms } = how(self.name(), &entry.how)?;
        if (1..=SLOWEST_MS).contains(&ms) {
            return Ok(());
        }
        Err(format!("a sync may take 1 to {SLOWEST_MS} ms longer, not {ms}"))
    }

    fn heal_time(&self) -> Duration {
        Duration::from_millis(400)
    }

    fn takes_down(&self) -> bool {
        true
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move {
            let How { ms } = how(self.name(), &context.entry.how).map_err(EnvironmentError)?;
            Ok(json!(tell_all(context, Order::Slow { ms }).await?))
        })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            let after = heal_all(context).await?;
            let words = ("syncs were slow", "no sync came while the disk was slow");
            Ok(counted(seen, &after, |figures| figures.slow_syncs, words))
        })
    }
}
