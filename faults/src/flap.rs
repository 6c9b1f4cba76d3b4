//! Flap: the links of some nodes are held and released over and over, as by a bad cable or a port that restarts.
//!
//! Each hold is shorter than most time-outs and each release shorter than what a recovery takes, so connections,
//! elections and transfers are for ever half-way. The hub turns the link by itself, so the period does not depend on
//! how busy the harness is. It counts as effective if the links were held at least twice, nothing passed them
//! meanwhile, and somebody tried to.

use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::link::{Heal, Link, Plan, Rule};
use crate::nemesis::SHAPE_STREAM;
use crate::pace::Period;
use crate::random::Random;
use crate::schedule::Entry;
use crate::shape::Shape;
use crate::target::Target;
use crate::wires::{self, Passage, Wire};
use history::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The class `flap`.
#[derive(Clone, Copy, Debug)]
pub struct Flap;

/// What an entry's `how` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct How {
    held_ms: u64,
    free_ms: u64,
}

impl Default for How {
    fn default() -> Self {
        Self { held_ms: 300, free_ms: 300 }
    }
}

/// Shorter than that is a slow link, and longer a partition.
const PERIOD_MS: std::ops::RangeInclusive<u64> = 10..=10_000;

impl Fault for Flap {
    fn name(&self) -> &'static str {
        "flap"
    }

    fn about(&self) -> &'static str {
        "holds the links of nodes and releases them, over and over with a fixed period; connections over them are \
         kept or reset at each release, and a new one is accepted and waits for the next"
    }

    fn power(&self) -> Power {
        Power::Cut
    }

    fn cannot_bite(&self, nodes: usize) -> Option<String> {
        (nodes < 2).then(|| "a cluster of one node has no link that could flap".to_owned())
    }

    fn draw(&self, random: &mut Random, nodes: usize, _budget: &Budget) -> Draft {
        let target =
            random.weighted(&[(65, Target::Leader), (35, Target::One)]).unwrap_or(Target::One);
        let duration = random.between(Duration::from_secs(2), Duration::from_secs(5));
        let (deliver, mixed) = ((70, Heal::Deliver), (20, Heal::Mixed));
        let heal = random.weighted(&[deliver, mixed, (10, Heal::Cut)]);
        let how = How { held_ms: 30 + random.below(301), free_ms: 30 + random.below(201) };
        let load = Load::Nodes(target.size(nodes));
        Draft { target, shape: None, heal, duration, load, how: json!(how) }
    }

    fn check(&self, entry: &Entry, _nodes: usize, _budget: &Budget) -> Result<(), String> {
        let How { held_ms, free_ms } = wires::asked(entry)?;
        if !PERIOD_MS.contains(&held_ms) || !PERIOD_MS.contains(&free_ms) {
            return Err("`held_ms` and `free_ms` of a flap are between 10 and 10000".to_owned());
        }
        Ok(())
    }

    /// Two holds of the longest period.
    fn shortest(&self) -> Duration {
        Duration::from_millis(1200)
    }

    fn heal_time(&self) -> Duration {
        Duration::from_millis(50)
    }

    fn has_shapes(&self) -> bool {
        true
    }

    fn has_heals(&self) -> bool {
        true
    }

    fn takes_down(&self) -> bool {
        false
    }

    fn cut(&self, entry: &Entry, nodes: &[NodeId], chosen: &[NodeId]) -> Vec<Link> {
        let shape = entry.shape.unwrap_or(Shape::Isolate);
        let mut random = Random::new(entry.seed, SHAPE_STREAM);
        shape.links(nodes, chosen, &mut random).into_iter().collect()
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move {
            let how: How = wires::asked(context.entry).map_err(EnvironmentError)?;
            let ms = Duration::from_millis;
            let flap = Some(Period { held: ms(how.held_ms), free: ms(how.free_ms) });
            let hold = Rule::hold(context.entry.heal.unwrap_or_default());
            let rule = Rule { flap, ..hold.seeded(context.entry.seed) };
            let rules = context.cut.iter().map(|&link| (link, rule)).collect();
            let plan = Plan { rules, ..Plan::default() };
            let network = context.environment.network();
            let applied = context.wiring.add(network, context.entry.id, plan).await?;
            Ok(wires::read(&applied, context.cut.iter().copied().map(Wire::Link)))
        })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            let network = context.environment.network();
            let applied = context.wiring.remove(network, context.entry.id).await?;
            Ok(prove(&wires::since(seen, &applied)))
        })
    }
}

fn prove(passages: &[Passage]) -> Proof {
    // The reading at the start is taken before the first hold, so each hold is counted.
    let holds = passages.iter().map(|passage| passage.counters.flaps).min().unwrap_or(0);
    let leaked = wires::total(passages, |counters| counters.leaked_bytes);
    let held = wires::total(passages, |counters| counters.held_bytes);
    let hung = wires::total(passages, |counters| counters.hung);
    let (effective, reason) = if passages.is_empty() {
        (false, "it never took effect".to_owned())
    } else if leaked > 0 {
        (false, format!("{leaked} bytes crossed links that were held"))
    } else if holds < 2 {
        (false, format!("a link was held {holds} times only"))
    } else if held == 0 && hung == 0 {
        (false, "nothing tried to cross a held link".to_owned())
    } else {
        (
            true,
            format!(
                "each link was held {holds} times or more, {held} bytes and {hung} new connections waited"
            ),
        )
    };
    Proof { effective, reason, evidence: json!({ "wires": passages }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Counters;

    fn passage(counters: Counters) -> Passage {
        Passage { wire: Wire::Link(Link::new(NodeId(1), NodeId(2))), counters }
    }

    #[test]
    fn two_holds_that_were_tried_and_did_not_leak_are_a_proof() {
        let good = Counters { flaps: 2, held_bytes: 5, ..Counters::default() };
        assert!(prove(&[passage(good)]).effective);
        let hung = Counters { flaps: 2, hung: 1, ..Counters::default() };
        assert!(prove(&[passage(hung)]).effective);
        assert!(!prove(&[]).effective);
        assert!(!prove(&[passage(Counters { leaked_bytes: 1, ..good })]).effective);
        assert!(!prove(&[passage(good), passage(Counters { flaps: 1, ..good })]).effective);
        assert!(!prove(&[passage(Counters { held_bytes: 0, ..good })]).effective);
    }
}
