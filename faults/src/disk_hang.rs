//! Hung disk: nothing is answered until it is healed.
//!
//! A node whose disk hangs still talks: it must neither acknowledge what it cannot make durable nor keep others from
//! going on without it for ever. A process that is killed meanwhile ends, as with a disk that hangs for long.

use crate::claims::{Budget, Load, Power};
use crate::disk::Order;
use crate::disk::class::{counted, heal_all, tell_all};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::random::Random;
use crate::target::Target;
use serde_json::{Value, json};
use std::time::Duration;

/// The class `disk-hang`.
#[derive(Clone, Copy, Debug)]
pub struct DiskHang;

impl Fault for DiskHang {
    fn name(&self) -> &'static str {
        "disk-hang"
    }

    fn about(&self) -> &'static str {
        "lets no operation on the data folder of nodes end until it heals; the nodes go on talking, and nothing is lost"
    }

    fn power(&self) -> Power {
        Power::Disk
    }

    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft {
        let several = if budget.down > 1 && nodes > 2 { 25 } else { 0 };
        let choices = [(40, Target::Leader), (25, Target::One), (several, Target::LeaderMinority)];
        let target = random.weighted(&choices).unwrap_or(Target::One);
        let duration = random.between(Duration::from_millis(500), Duration::from_secs(3));
        let load = Load::Nodes(target.size(nodes));
        Draft { target, shape: None, heal: None, duration, load, how: Value::Null }
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
        Box::pin(async move { Ok(json!(tell_all(context, Order::Hang).await?)) })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            let after = heal_all(context).await?;
            let words = ("requests were held back", "nothing was asked of the disk while it hung");
            Ok(counted(seen, &after, |figures| figures.held, words))
        })
    }
}
