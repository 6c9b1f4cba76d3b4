//! Slow: what goes to and from some nodes is late, uneven, thin, cut into dribs, or stalls as if packets were lost.
//!
//! Nothing is lost and nothing overtakes; see [`Pace`]. A slow node is the fault that failure detectors are built
//! for and that time-outs, leases and flow control get wrong. It counts as effective if the hub passed pieces on
//! late, and at least half of those no sooner than the delay that was asked for.

use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::link::{ClientRule, Plan, Rule};
use crate::pace::{Distribution, Pace};
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use crate::wires::{self, Passage, Wire};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The class `slow`.
#[derive(Clone, Copy, Debug)]
pub struct Slow;

/// What an entry's `how` may say. All zero is refused: it would do nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct How {
    /// How much later everything arrives, each way.
    latency_ms: u64,
    /// Drawn extra delay: the most, or the mean where the distribution is exponential.
    jitter_ms: u64,
    distribution: Distribution,
    /// What a link carries in a second, each way.
    bytes_per_second: u64,
    /// The most that is written at once.
    slice_bytes: u32,
    /// Between two such writes.
    slice_pause_ms: u64,
    /// In how many of a hundred slots of 10 ms something is lost.
    stall_percent: u8,
    /// Whether the clients of the nodes feel it too.
    clients: bool,
}

/// Longer than any deadline: what is asked for beyond that is an error of writing.
const LONGEST_MS: u64 = 10_000;
/// So that a slice is not all head.
const SMALLEST_SLICE: u32 = 16;
/// A link with less than that carries nothing within a run.
const LEAST_RATE: u64 = 1000;

impl How {
    fn rule(&self, seed: u64) -> Rule {
        let ms = Duration::from_millis;
        let pace = Pace {
            jitter: ms(self.jitter_ms),
            distribution: self.distribution,
            bytes_per_second: self.bytes_per_second,
            slice_bytes: self.slice_bytes,
            slice_pause: ms(self.slice_pause_ms),
            stall_percent: self.stall_percent,
            seed,
        };
        Rule { pace, ..Rule::delayed(ms(self.latency_ms)) }
    }

    fn check(&self) -> Result<(), String> {
        let Self { latency_ms, jitter_ms, slice_bytes, slice_pause_ms, stall_percent, .. } = *self;
        let longest = latency_ms.max(jitter_ms).max(slice_pause_ms);
        if !self.rule(0).is_slow() {
            return Err("it asks for nothing: try `\"how\": {\"latency_ms\": 100}`".to_owned());
        }
        if longest > LONGEST_MS {
            return Err(format!("{longest} ms is longer than {LONGEST_MS} ms"));
        }
        if self.bytes_per_second != 0 && self.bytes_per_second < LEAST_RATE {
            return Err(format!("`bytes_per_second` is 0 (no limit) or at least {LEAST_RATE}"));
        }
        if (slice_bytes == 0) != (slice_pause_ms == 0) {
            return Err("`slice_bytes` and `slice_pause_ms` go together".to_owned());
        }
        if slice_bytes != 0 && slice_bytes < SMALLEST_SLICE {
            return Err(format!("`slice_bytes` is 0 (no slices) or at least {SMALLEST_SLICE}"));
        }
        if stall_percent > 100 {
            return Err("`stall_percent` is at most 100".to_owned());
        }
        Ok(())
    }

    /// One kind of slowness, often with jitter.
    fn draw(random: &mut Random) -> Self {
        let exponential = random.chance(50);
        let distribution =
            if exponential { Distribution::Exponential } else { Distribution::Uniform };
        let clients = random.chance(50);
        let mut how = Self { distribution, clients, ..Self::default() };
        match random.below(100) {
            0..45 => {
                how.latency_ms = 10 + random.below(111);
                how.jitter_ms = random.below(how.latency_ms);
            }
            45..65 => how.stall_percent = u8::try_from(1 + random.below(5)).unwrap_or(1),
            65..85 => how.bytes_per_second = 20_000 + random.below(280_001),
            _ => {
                how.slice_bytes = u32::try_from(32 + random.below(225)).unwrap_or(32);
                how.slice_pause_ms = 1 + random.below(3);
            }
        }
        how
    }
}

impl Fault for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn about(&self) -> &'static str {
        "makes what goes to and from nodes late: latency with jitter, a limited rate, small writes with pauses, \
         or stalls as long as TCP waits when packets are lost; no packet is really lost, so the kernels of the \
         nodes neither resend nor give up"
    }

    fn power(&self) -> Power {
        Power::Cut
    }

    fn cannot_bite(&self, nodes: usize) -> Option<String> {
        (nodes < 2).then(|| "a cluster of one node has no link to slow down".to_owned())
    }

    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft {
        let several = if budget.down > 1 && nodes > 2 { 20 } else { 0 };
        let choices = [(50, Target::Leader), (30, Target::One), (several, Target::LeaderMinority)];
        let target = random.weighted(&choices).unwrap_or(Target::One);
        let duration = random.between(Duration::from_secs(2), Duration::from_secs(5));
        let load = Load::Nodes(target.size(nodes));
        let how = json!(How::draw(random));
        Draft { target, shape: None, heal: None, duration, load, how }
    }

    fn check(&self, entry: &Entry, _nodes: usize, _budget: &Budget) -> Result<(), String> {
        wires::asked::<How>(entry)?.check()
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
            let how = wires::asked::<How>(context.entry).map_err(EnvironmentError)?;
            let rule = how.rule(context.entry.seed);
            let links = wires::links_of(&context.environment.nodes(), context.nodes);
            let mut touched: Vec<Wire> = links.iter().copied().map(Wire::Link).collect();
            let rules = links.into_iter().map(|link| (link, rule)).collect();
            let mut plan = Plan { rules, ..Plan::default() };
            for &node in context.nodes.iter().filter(|_| how.clients) {
                plan.clients.insert(node, ClientRule { inward: rule, outward: rule });
                touched.extend([Wire::FromClients(node), Wire::ToClients(node)]);
            }
            let network = context.environment.network();
            let applied = context.wiring.add(network, context.entry.id, plan).await?;
            Ok(wires::read(&applied, touched))
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
    let slowed = wires::total(passages, |counters| counters.slowed);
    let prompt = wires::total(passages, |counters| counters.prompt);
    let (effective, reason) = if passages.is_empty() {
        (false, "it never took effect".to_owned())
    } else if slowed == 0 {
        (false, "nothing that passed was late".to_owned())
    } else if prompt * 2 >= slowed {
        (false, format!("{prompt} pieces passed sooner than asked, {slowed} late"))
    } else {
        (true, format!("{slowed} pieces passed late, {prompt} of them sooner than asked"))
    };
    Proof { effective, reason, evidence: json!({ "wires": passages }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Counters;
    use history::NodeId;

    fn passage(slowed: u64, prompt: u64) -> Passage {
        let counters = Counters { slowed, prompt, forwarded_bytes: 9, ..Counters::default() };
        Passage { wire: Wire::Link(crate::Link::new(NodeId(1), NodeId(2))), counters }
    }

    #[test]
    fn only_lateness_is_a_proof() {
        assert!(!prove(&[]).effective);
        assert!(!prove(&[passage(0, 0)]).effective, "bytes passed in time");
        assert!(!prove(&[passage(10, 5)]).effective, "half of it too early");
        assert!(prove(&[passage(0, 0), passage(10, 4)]).effective);
    }

    #[test]
    fn what_is_drawn_can_be_played() {
        let mut random = Random::new(3, 1);
        let mut kinds = [0; 4];
        for _ in 0..200 {
            let how = How::draw(&mut random);
            assert_eq!(how.check(), Ok(()), "{how:?}");
            let asks = [
                how.latency_ms > 0,
                how.stall_percent > 0,
                how.bytes_per_second > 0,
                how.slice_bytes > 0,
            ];
            for (count, asks) in kinds.iter_mut().zip(asks) {
                *count += u32::from(asks);
            }
        }
        assert!(kinds.iter().all(|&count| count > 20), "{kinds:?}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |how: Value| serde_json::from_value::<How>(how).unwrap().check();
        assert_eq!(check(json!({"latency_ms": 50, "clients": true})), Ok(()));
        assert!(check(json!({"clients": true})).unwrap_err().contains("asks for nothing"));
        assert!(check(json!({"latency_ms": 60_000})).is_err());
        assert!(check(json!({"slice_bytes": 100})).is_err());
        assert!(check(json!({"slice_bytes": 2, "slice_pause_ms": 1})).is_err());
        assert!(check(json!({"bytes_per_second": 10})).is_err());
        assert!(check(json!({"stall_percent": 101})).is_err());
        assert!(serde_json::from_value::<How>(json!({"latency": 50})).is_err(), "no such word");
    }
}
