//! Power loss: what was not synced is gone.
//!
//! A disk is fast, so at most moments nothing is on its way to it, and a loss then is no more than a kill. Therefore
//! syncs are slow for a moment first. Then the disks stop, in which nothing becomes durable any more, all processes
//! are killed, what was not synced is dropped, whole or in part, and after a while the nodes start on what is left.
//! The disk is not told while the process lives: bytes that change under a living process are no loss of power.

use crate::claims::{Budget, Load, Power};
use crate::disk::class::{Told, disks, heal_all, how, not_back, restart_all, tell_all};
use crate::disk::{Lost, Order, Torn};
use crate::disk_full::{load_of, within_crashes};
use crate::environment::{BoxFuture, EnvironmentError, ProcessState, Sighting};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

/// The longest a sync may be made to take before the loss, in milliseconds.
const SLOWEST_MS: u64 = 1000;

/// The class `power-loss`.
#[derive(Clone, Copy, Debug)]
pub struct PowerLoss;

/// How much is lost.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct How {
    /// What a sync takes longer in the moment before, in milliseconds; the moment is twice as long.
    slow_ms: u64,
    /// What of the bytes that were not synced is there all the same.
    torn: Torn,
}

/// What was seen of it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Seen {
    killed: Vec<Sighting>,
    lost: Vec<Told>,
}

impl Fault for PowerLoss {
    fn name(&self) -> &'static str {
        "power-loss"
    }

    fn about(&self) -> &'static str {
        "takes the power from nodes, from all at worst, while their syncs are slow: what they had not synced is gone, \
         whole or torn, and names that were not synced with it; then they start on what is left"
    }

    fn power(&self) -> Power {
        Power::Disk
    }

    fn beyond(&self, budget: &Budget) -> Option<String> {
        let nothing = budget.crash == 0;
        nothing.then(|| "the system does not claim to survive a crash of a node".to_owned())
    }

    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft {
        let fits =
            |target: Target, weight| if target.size(nodes) <= budget.crash { weight } else { 0 };
        let several = if budget.down > 1 && nodes > 2 { 15 } else { 0 };
        let choices = [
            (20, Target::One),
            (15, Target::Leader),
            (several, Target::LeaderMinority),
            (fits(Target::Majority, 25), Target::Majority),
            (fits(Target::All, 25), Target::All),
        ];
        let target = random.weighted(&choices).unwrap_or(Target::One);
        let duration = random.between(Duration::from_millis(200), Duration::from_millis(1500));
        let torn =
            [(40, Torn::Nothing), (20, Torn::Sectors), (20, Torn::Pages), (20, Torn::Subset)];
        let torn = random.weighted(&torn).unwrap_or_default();
        let how = json!(How { slow_ms: 100 + random.below(301), torn });
        let load = load_of(target, nodes, budget);
        Draft { target, shape: None, heal: None, duration, load, how }
    }

    fn load(&self, entry: &Entry, nodes: usize, budget: &Budget) -> Load {
        load_of(entry.target, nodes, budget)
    }

    fn check(&self, entry: &Entry, nodes: usize, budget: &Budget) -> Result<(), String> {
        let How { slow_ms, .. } = how(self.name(), &entry.how)?;
        if slow_ms > SLOWEST_MS {
            return Err(format!("a sync may take at most {SLOWEST_MS} ms longer, not {slow_ms}"));
        }
        within_crashes(entry.target, nodes, budget)
    }

    fn heal_time(&self) -> Duration {
        Duration::from_millis(2000)
    }

    fn takes_down(&self) -> bool {
        true
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move {
            let How { slow_ms, torn } =
                how(self.name(), &context.entry.how).map_err(EnvironmentError)?;
            tell_all(context, Order::Slow { ms: slow_ms }).await?;
            sleep(Duration::from_millis(slow_ms * 2)).await;
            tell_all(context, Order::Hang).await?;
            let mut seen = Seen::default();
            for &node in context.nodes {
                seen.killed.push(context.environment.kill(node).await?);
            }
            for &node in context.nodes {
                // Another stream for each: disks do not tear alike.
                let order = Order::Lose { torn, seed: context.entry.seed ^ u64::from(node.0) };
                let answer = disks(context)?.tell(node, order).await?;
                seen.lost.push(Told { node, answer });
            }
            Ok(json!(seen))
        })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            // An injection that failed half-way may have left a disk that hangs.
            heal_all(context).await?;
            let restarted = restart_all(context).await?;
            let seen = Seen::deserialize(seen).unwrap_or_default();
            Ok(prove(context, &seen, &restarted))
        })
    }
}

fn prove(context: &Context<'_>, seen: &Seen, restarted: &[Sighting]) -> Proof {
    let mut all = Lost::default();
    for lost in seen.lost.iter().filter_map(|told| told.answer.lost) {
        all.bytes += lost.bytes;
        all.torn_bytes += lost.torn_bytes;
        all.names += lost.names;
    }
    let alive = seen.killed.iter().find(|one| one.state != ProcessState::Gone);
    let differs = seen
        .lost
        .iter()
        .find(|told| told.answer.digest.is_none() || told.answer.digest != told.answer.read_back);
    let (effective, reason) = if let Some(alive) = alive {
        (false, format!("process {} of {} was still there", alive.pid, alive.node))
    } else if let Some(told) = differs {
        (false, format!("what is read of the disk of {} is not what was synced", told.node))
    } else if all.bytes + all.names == 0 {
        (false, "nothing that was not synced was there to lose".to_owned())
    } else if let Some(node) = not_back(context.nodes, restarted) {
        (false, format!("{node} was not seen running again"))
    } else {
        let Lost { bytes, names, .. } = all;
        (
            true,
            format!(
                "{bytes} bytes and {names} names were lost, and what is read is what was synced"
            ),
        )
    };
    let evidence = json!({ "killed": seen.killed, "lost": seen.lost, "restarted": restarted });
    Proof { effective, reason, evidence }
}
