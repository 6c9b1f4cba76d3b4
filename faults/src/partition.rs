//! Partition: some links between nodes hold their bytes, then deliver them or reset.
//!
//! It counts as effective only if nothing at all crossed a held link while it was in effect and
//! somebody tried to: bytes were read from a sender or were waiting, or a connection was dialled.
//! The hub takes both readings at the very moments the plan takes effect and ends.
//!
//! Whoever dials over a held link is either accepted and waits, or left without an answer: an entry's
//! `how` says which. Half of the drawn ones leave it unanswered, as a real network does: then a caller
//! connects only with its kernel's next try, up to a second after the heal or more, and its connect
//! time-out is put to the test; the other half heals at once, which brings old and new state together.

use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::link::{Counters, Heal, Link, Plan, Rule};
use crate::pace::Accept;
use crate::random::Random;
use crate::schedule::Entry;
use crate::shape::Shape;
use crate::target::Target;
use crate::wires;
use history::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The class `partition`.
#[derive(Clone, Copy, Debug)]
pub struct Partition;

/// Shapes and targets with their weights. Taking the leader away finds most bugs: alone, it goes on
/// serving the clients it has; with part of the others, it may even commit; and where its words go out
/// and no answer comes back, what clients gave up takes effect later.
const CHOICES: [(u64, (Shape, Target)); 14] = [
    (34, (Shape::Isolate, Target::Leader)),
    (6, (Shape::Isolate, Target::One)),
    (22, (Shape::Halves, Target::Leader)),
    (6, (Shape::Halves, Target::One)),
    (6, (Shape::MajoritiesRing, Target::All)),
    (7, (Shape::Bridge, Target::One)),
    (14, (Shape::OneWayIn, Target::Leader)),
    (6, (Shape::OneWayOut, Target::Leader)),
    (2, (Shape::OneWayIn, Target::One)),
    (3, (Shape::OneWayOut, Target::One)),
    (4, (Shape::OneWayRing, Target::All)),
    (4, (Shape::RandomHalves, Target::All)),
    (4, (Shape::MinorityThird, Target::Leader)),
    (12, (Shape::Split, Target::All)),
];

/// What an entry's `how` may say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct How {
    /// What becomes of those who dial over a held link.
    accept: Accept,
    /// For a split: the nodes of one side.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    side: Vec<NodeId>,
}

impl Fault for Partition {
    fn name(&self) -> &'static str {
        "partition"
    }

    fn about(&self) -> &'static str {
        "holds the bytes of some links between nodes, one way or both, then delivers them in order \
         or resets the connections, all or some; a new connection over a held link is accepted and \
         hangs, or the call stays unanswered, but what is connected sees no packet lost: its kernel \
         neither resends nor gives up"
    }

    fn power(&self) -> Power {
        Power::Cut
    }

    fn cannot_bite(&self, nodes: usize) -> Option<String> {
        (nodes < 2).then(|| "a cluster of one node has no link to cut".to_owned())
    }

    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft {
        let fits = |shape: Shape, target: Target| {
            let load = shape.load(target.size(nodes), nodes, budget.down);
            nodes >= shape.least_nodes() && load <= budget.down
        };
        let choices: Vec<(u64, (Shape, Target))> =
            CHOICES.into_iter().filter(|&(_, (shape, target))| fits(shape, target)).collect();
        let (shape, target) = random.weighted(&choices).unwrap_or((Shape::Isolate, Target::Leader));
        let long = Duration::from_secs(2)..Duration::from_secs(5);
        let duration = match random.below(100) {
            0..15 => random.between(Duration::from_secs(1), long.start),
            15..90 => random.between(long.start, long.end),
            _ => random.between(long.end, Duration::from_secs(6)),
        };
        let (deliver, mixed) = ((60, Heal::Deliver), (20, Heal::Mixed));
        let heal = random.weighted(&[deliver, mixed, (20, Heal::Cut)]);
        let accept = if random.chance(50) { Accept::Hang } else { Accept::Serve };
        let how = json!(How { accept, side: Vec::new() });
        let load = Load::Nodes(shape.load(target.size(nodes), nodes, budget.down));
        Draft { target, shape: Some(shape), heal, duration, load, how }
    }

    fn check(&self, entry: &Entry, nodes: usize, budget: &Budget) -> Result<(), String> {
        let How { accept, side } = wires::asked(entry)?;
        if !matches!(accept, Accept::Serve | Accept::Hang) {
            return Err(
                "over a held link a caller can only be `serve`d late or left to `hang`".to_owned()
            );
        }
        let split = entry.shape == Some(Shape::Split);
        if split == side.is_empty() {
            return Err("a split, and only a split, names one `side` in its `how`".to_owned());
        }
        if let Some(node) = side.iter().find(|node| !(1..=nodes).contains(&usize::from(node.0))) {
            return Err(format!("there is no {node} among {nodes} nodes"));
        }
        let named = side.iter().collect::<std::collections::BTreeSet<_>>().len();
        let (small, most) = (named.min(nodes - named), budget.down);
        if split && (small == 0 || small > most) {
            return Err(format!(
                "the smaller side of a split has 1 to {most} nodes here, not {small}"
            ));
        }
        Ok(())
    }

    fn several_at_once(&self) -> bool {
        true
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
        let mut random = Random::new(entry.seed, crate::nemesis::SHAPE_STREAM);
        let how = wires::asked::<How>(entry).unwrap_or_default();
        let chosen = if how.side.is_empty() { chosen } else { &how.side };
        shape.links(nodes, chosen, &mut random).into_iter().collect()
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move {
            let accept = wires::asked::<How>(context.entry).map_err(EnvironmentError)?.accept;
            let hold = Rule::hold(context.entry.heal.unwrap_or_default());
            let rule = Rule { accept, ..hold.seeded(context.entry.seed) };
            let rules = context.cut.iter().map(|&link| (link, rule)).collect();
            let plan = Plan { rules, ..Plan::default() };
            let network = context.environment.network();
            let applied = context.wiring.add(network, context.entry.id, plan).await?;
            Ok(readings(context.cut, |link| applied.counters.get(&link).copied()))
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
            let after = readings(context.cut, |link| applied.counters.get(&link).copied());
            Ok(prove(seen, &after))
        })
    }
}

/// One link's counters at one moment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Reading {
    link: Link,
    counters: Counters,
}

/// The counters of these links, for [`prove`].
pub(crate) fn readings(links: &[Link], counters: impl Fn(Link) -> Option<Counters>) -> Value {
    let readings: Vec<Reading> = links
        .iter()
        .map(|&link| Reading { link, counters: counters(link).unwrap_or_default() })
        .collect();
    json!(readings)
}

/// What happened on one held link while it was held.
#[derive(Clone, Copy, Debug, Serialize)]
struct Crossing {
    link: Link,
    forwarded_bytes: u64,
    ends: u64,
    read_bytes: u64,
    waiting_bytes: u64,
    dialled: u64,
    unanswered: u64,
}

impl Crossing {
    fn between(before: &Reading, after: &Reading) -> Self {
        let (first, last) = (&before.counters, &after.counters);
        Self {
            link: before.link,
            forwarded_bytes: last.forwarded_bytes.saturating_sub(first.forwarded_bytes),
            ends: last.ends.saturating_sub(first.ends),
            read_bytes: last.read_bytes.saturating_sub(first.read_bytes),
            waiting_bytes: last.waiting_bytes,
            dialled: last.dialled.saturating_sub(first.dialled),
            unanswered: last.unanswered.saturating_sub(first.unanswered),
        }
    }

    fn leaked(&self) -> bool {
        self.forwarded_bytes > 0 || self.ends > 0
    }

    fn tried(&self) -> bool {
        let called = self.dialled > 0 || self.unanswered > 0;
        self.read_bytes > 0 || self.waiting_bytes > 0 || called
    }
}

/// Whether nothing crossed the links between two readings, and something tried to.
pub(crate) fn prove(before: &Value, after: &Value) -> Proof {
    let parse = |value: &Value| Vec::<Reading>::deserialize(value).unwrap_or_default();
    let (before, after) = (parse(before), parse(after));
    let crossings: Vec<Crossing> =
        before.iter().zip(&after).map(|(first, last)| Crossing::between(first, last)).collect();
    let tried = crossings.iter().filter(|crossing| crossing.tried()).count();
    let (effective, reason) = match crossings.iter().find(|crossing| crossing.leaked()) {
        _ if crossings.is_empty() => (false, "it never took effect".to_owned()),
        Some(leak) => (false, format!("{} bytes crossed {}", leak.forwarded_bytes, leak.link)),
        None if tried == 0 => (false, "nothing tried to cross a held link".to_owned()),
        None => (
            true,
            format!("nothing crossed {} held links; {tried} of them were tried", crossings.len()),
        ),
    };
    Proof { effective, reason, evidence: json!({ "links": crossings }) }
}
