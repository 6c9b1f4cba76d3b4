//! Client-cut: clients are cut off from a node while its peers are not, all of them or a single connection.
//!
//! The node stays in its cluster: it votes, leads and commits, and only who asked it does not hear. With the answers
//! alone held, everything the clients ask for is done and nobody is told, which is what retries must survive.
//!
//! It counts as effective if nothing passed to or from those who were cut off, and somebody tried to.

use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::link::{ClientConnection, ClientRule, Heal, Plan, Rule};
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use crate::wires::{self, Passage, Wire};
use history::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// Stream of an entry's seed for choosing a connection.
const CONNECTION_STREAM: u64 = 3;

/// The class `client-cut`.
#[derive(Clone, Copy, Debug)]
pub struct ClientCut;

/// Who is cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Whom {
    /// Every client of the nodes.
    #[default]
    All,
    /// One connection of each node, drawn from those that are open; others are not touched.
    One,
}

/// What is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Held {
    /// Requests and answers.
    #[default]
    Both,
    /// What clients ask.
    Requests,
    /// What nodes answer.
    Answers,
}

/// What an entry's `how` may say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct How {
    whom: Whom,
    held: Held,
}

impl How {
    fn holds_requests(self) -> bool {
        self.held != Held::Answers
    }

    fn holds_answers(self) -> bool {
        self.held != Held::Requests
    }

    fn rule(self, hold: Rule) -> ClientRule {
        let only = |holds| if holds { hold } else { Rule::default() };
        ClientRule { inward: only(self.holds_requests()), outward: only(self.holds_answers()) }
    }

    fn wires(self, nodes: &[NodeId]) -> Vec<Wire> {
        let requests = nodes.iter().filter(|_| self.holds_requests());
        let answers = nodes.iter().filter(|_| self.holds_answers());
        requests
            .map(|&node| Wire::FromClients(node))
            .chain(answers.map(|&node| Wire::ToClients(node)))
            .collect()
    }
}

/// What was seen when it took effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    wires: Value,
    connections: Vec<Single>,
}

/// One connection that is cut off by itself, and what had passed over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Single {
    id: u64,
    passed: [u64; 2],
}

impl Fault for ClientCut {
    fn name(&self) -> &'static str {
        "client-cut"
    }

    fn about(&self) -> &'static str {
        "holds what clients send to a node, what it answers, or both, for all of its clients or a single \
         connection, then delivers it or resets the connections; the node's peers are not touched"
    }

    fn power(&self) -> Power {
        Power::Cut
    }

    fn draw(&self, random: &mut Random, nodes: usize, _budget: &Budget) -> Draft {
        let target =
            random.weighted(&[(65, Target::Leader), (35, Target::One)]).unwrap_or(Target::One);
        let duration = random.between(Duration::from_secs(1), Duration::from_secs(4));
        let (deliver, mixed) = ((60, Heal::Deliver), (20, Heal::Mixed));
        let heal = random.weighted(&[deliver, mixed, (20, Heal::Cut)]);
        let whom = if random.chance(70) { Whom::All } else { Whom::One };
        let choices = [(45, Held::Both), (15, Held::Requests), (40, Held::Answers)];
        let how = How { whom, held: random.weighted(&choices).unwrap_or_default() };
        let load = load(how, target.size(nodes));
        Draft { target, shape: None, heal, duration, load, how: json!(how) }
    }

    fn load(&self, entry: &Entry, nodes: usize, _budget: &Budget) -> Load {
        load(wires::asked(entry).unwrap_or_default(), entry.target.size(nodes))
    }

    fn check(&self, entry: &Entry, _nodes: usize, _budget: &Budget) -> Result<(), String> {
        wires::asked::<How>(entry).map(drop)
    }

    fn heal_time(&self) -> Duration {
        Duration::from_millis(50)
    }

    fn has_heals(&self) -> bool {
        true
    }

    fn takes_down(&self) -> bool {
        false
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move {
            let how: How = wires::asked(context.entry).map_err(EnvironmentError)?;
            let network = context.environment.network();
            let hold = Rule::hold(context.entry.heal.unwrap_or_default());
            let rule = how.rule(hold.seeded(context.entry.seed));
            let mut plan = Plan::default();
            match how.whom {
                Whom::All => plan.clients.extend(context.nodes.iter().map(|&node| (node, rule))),
                Whom::One => {
                    let open = network.client_connections();
                    let chosen = choose(&open, context.nodes, context.entry.seed)?;
                    plan.connections.extend(chosen.into_iter().map(|id| (id, rule)));
                }
            }
            let ids: Vec<u64> = plan.connections.keys().copied().collect();
            let applied = context.wiring.add(network, context.entry.id, plan).await?;
            let connections = singles(&network.client_connections(), &ids);
            let wires = wires::read(&applied, how.wires(context.nodes));
            Ok(json!(Seen { wires, connections }))
        })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            let how: How = wires::asked(context.entry).unwrap_or_default();
            let seen = Seen::deserialize(seen).unwrap_or_default();
            let network = context.environment.network();
            // While they are still held.
            let ids: Vec<u64> = seen.connections.iter().map(|single| single.id).collect();
            let after = singles(&network.client_connections(), &ids);
            let applied = context.wiring.remove(network, context.entry.id).await?;
            let passages = wires::since(&seen.wires, &applied);
            Ok(match how.whom {
                Whom::All => prove_all(&passages),
                Whom::One => prove_one(how, &passages, &seen.connections, &after),
            })
        })
    }
}

/// A node without its clients is no use to them, so it counts; one connection does not.
fn load(how: How, chosen: usize) -> Load {
    Load::Nodes(if how.whom == Whom::All { chosen } else { 0 })
}

/// One open connection of each node.
fn choose(
    open: &[ClientConnection],
    nodes: &[NodeId],
    seed: u64,
) -> Result<Vec<u64>, EnvironmentError> {
    let mut random = Random::new(seed, CONNECTION_STREAM);
    let mut chosen = Vec::new();
    for &node in nodes {
        let here: Vec<u64> = open.iter().filter(|one| one.node == node).map(|one| one.id).collect();
        let place = usize::try_from(random.below(here.len() as u64)).unwrap_or(0);
        let none = || EnvironmentError(format!("no client is connected to {node}"));
        chosen.push(*here.get(place).ok_or_else(none)?);
    }
    Ok(chosen)
}

fn singles(open: &[ClientConnection], ids: &[u64]) -> Vec<Single> {
    let named = open.iter().filter(|one| ids.contains(&one.id));
    named.map(|one| Single { id: one.id, passed: one.forwarded_bytes }).collect()
}

fn prove_all(passages: &[Passage]) -> Proof {
    let leaked = wires::total(passages, |counters| counters.forwarded_bytes + counters.ends);
    let tried = wires::total(passages, |counters| {
        counters.read_bytes + counters.waiting_bytes + counters.dialled
    });
    let (effective, reason) = if passages.is_empty() {
        (false, "it never took effect".to_owned())
    } else if leaked > 0 {
        (false, "something passed between clients and a node".to_owned())
    } else if tried == 0 {
        (false, "no client tried".to_owned())
    } else {
        (true, "nothing passed between clients and a node, and some tried".to_owned())
    };
    Proof { effective, reason, evidence: json!({ "wires": passages }) }
}

fn prove_one(how: How, passages: &[Passage], before: &[Single], after: &[Single]) -> Proof {
    let held = wires::total(passages, |counters| counters.held_bytes);
    let directions = [how.holds_requests(), how.holds_answers()];
    let same = |one: &Single| {
        let now = after.iter().find(|other| other.id == one.id);
        now.is_some_and(|now| {
            let both = one.passed.iter().zip(now.passed).zip(directions);
            both.into_iter().all(|((before, after), held)| !held || *before == after)
        })
    };
    let (effective, reason) = if before.is_empty() {
        (false, "it never took effect".to_owned())
    } else if !before.iter().all(same) {
        (false, "a connection that was held passed something on, or is gone".to_owned())
    } else if held == 0 {
        (false, "nothing tried to pass".to_owned())
    } else {
        (true, format!("nothing passed over the connection, {held} bytes waited"))
    };
    let evidence = json!({ "wires": passages, "before": before, "after": after });
    Proof { effective, reason, evidence }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Counters;

    fn passage(counters: Counters) -> [Passage; 1] {
        [Passage { wire: Wire::ToClients(NodeId(1)), counters }]
    }

    #[test]
    fn silence_that_was_tried_is_a_proof() {
        let tried = Counters { read_bytes: 4, held_bytes: 4, ..Counters::default() };
        assert!(prove_all(&passage(tried)).effective);
        assert!(prove_all(&passage(Counters { dialled: 1, ..Counters::default() })).effective);
        assert!(!prove_all(&passage(Counters::default())).effective);
        assert!(!prove_all(&passage(Counters { forwarded_bytes: 1, ..tried })).effective);
        assert!(!prove_all(&passage(Counters { ends: 1, ..tried })).effective);
        assert!(!prove_all(&[]).effective);
    }

    #[test]
    fn of_one_connection_only_what_is_held_must_stand_still() {
        let tried = passage(Counters { held_bytes: 4, ..Counters::default() });
        let how = How { whom: Whom::One, held: Held::Answers };
        let (before, asked) = (Single { id: 7, passed: [1, 1] }, Single { id: 7, passed: [9, 1] });
        assert!(prove_one(how, &tried, &[before], &[asked]).effective);
        let answered = Single { id: 7, passed: [1, 2] };
        assert!(!prove_one(how, &tried, &[before], &[answered]).effective);
        assert!(!prove_one(how, &tried, &[before], &[]).effective);
        assert!(!prove_one(how, &passage(Counters::default()), &[before], &[asked]).effective);
        assert!(!prove_one(how, &tried, &[], &[]).effective);
    }

    #[test]
    fn one_connection_costs_the_system_no_node() {
        assert_eq!(load(How::default(), 1), Load::Nodes(1));
        assert_eq!(load(How { whom: Whom::One, ..How::default() }, 1), Load::Nodes(0));
    }
}
