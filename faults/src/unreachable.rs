//! Unreachable: nobody can connect to some nodes any more, while what is connected goes on or is reset once.
//!
//! A node that is there for its old connections and gone for new ones is what a full queue, a firewall that is loaded
//! or a proxy with a stale table make of it. How callers learn of it decides how slowly they recover: a call that
//! stays unanswered costs a connect time-out, and after the heal up to the caller's next try.
//!
//! It counts as effective if no connection got through and somebody tried. What is left unanswered or is reset is
//! counted by the port. A refused call leaves no trace with the hub: there the port refuses the hub's own call at
//! both ends of the fault, and connections that had been reset show that somebody had a reason to call. Where all callers
//! of a node share a port, calls are accepted to find out whose they are; then they get no further, and are counted.

use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::link::{ClientRule, Heal, Link, Plan, Rule};
use crate::pace::Accept;
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use crate::wires::{self, Passage, Wire};
use history::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The class `unreachable`.
#[derive(Clone, Copy, Debug)]
pub struct Unreachable;

/// What becomes of the connections that exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Established {
    /// They go on.
    #[default]
    Keep,
    /// They are reset when it begins, so that whoever wants to talk must dial.
    Reset,
}

/// What an entry's `how` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct How {
    accept: Accept,
    established: Established,
    /// Whether clients cannot connect either.
    clients: bool,
}

impl Default for How {
    fn default() -> Self {
        Self { accept: Accept::Hang, established: Established::Keep, clients: false }
    }
}

impl How {
    /// What it does to callers, with `established` for what is connected.
    fn plan(&self, nodes: &[NodeId], chosen: &[NodeId], established: Rule) -> Plan {
        let dialled = Rule { accept: self.accept, ..established };
        let mut plan = Plan::default();
        for link in links_to(nodes, chosen) {
            plan.rules.insert(link, dialled);
            if established.holds() {
                plan.rules.entry(link.reversed()).or_insert(established);
            }
        }
        let rule = ClientRule { inward: dialled, outward: established };
        plan.clients.extend(chosen.iter().filter(|_| self.clients).map(|&node| (node, rule)));
        plan
    }
}

fn links_to(nodes: &[NodeId], chosen: &[NodeId]) -> impl Iterator<Item = Link> {
    let others = |to: NodeId| nodes.iter().copied().filter(move |&from| from != to);
    chosen.iter().flat_map(move |&to| others(to).map(move |from| Link::new(from, to)))
}

impl Fault for Unreachable {
    fn name(&self) -> &'static str {
        "unreachable"
    }

    fn about(&self) -> &'static str {
        "lets nobody connect to nodes: calls stay unanswered, are refused, or are accepted and reset; connections \
         that exist go on, or are reset once when it begins; the nodes themselves can still dial others"
    }

    fn power(&self) -> Power {
        Power::Cut
    }

    fn cannot_bite(&self, nodes: usize) -> Option<String> {
        (nodes < 2).then(|| "a cluster of one node has no peers that could call it".to_owned())
    }

    /// Always with a reset: with all connections going on nobody has a reason to dial, and it would be in vain.
    fn draw(&self, random: &mut Random, nodes: usize, _budget: &Budget) -> Draft {
        let target =
            random.weighted(&[(60, Target::Leader), (40, Target::One)]).unwrap_or(Target::One);
        let duration = random.between(Duration::from_millis(1500), Duration::from_secs(5));
        let choices = [(50, Accept::Hang), (25, Accept::Refuse), (25, Accept::Reset)];
        let accept = random.weighted(&choices).unwrap_or(Accept::Hang);
        let how = How { accept, established: Established::Reset, clients: random.chance(50) };
        let load = Load::Nodes(target.size(nodes));
        Draft { target, shape: None, heal: None, duration, load, how: json!(how) }
    }

    fn check(&self, entry: &Entry, _nodes: usize, _budget: &Budget) -> Result<(), String> {
        match wires::asked::<How>(entry)?.accept {
            Accept::Serve => Err("an unreachable node does not `serve`".to_owned()),
            Accept::Reset | Accept::Refuse | Accept::Hang => Ok(()),
        }
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
            let how: How = wires::asked(context.entry).map_err(EnvironmentError)?;
            let (network, id) = (context.environment.network(), context.entry.id);
            let nodes = context.environment.nodes();
            let mut touched: Vec<Wire> = links_to(&nodes, context.nodes).map(Wire::Link).collect();
            touched.extend(
                context.nodes.iter().filter(|_| how.clients).map(|&node| Wire::FromClients(node)),
            );
            let plan = how.plan(&nodes, context.nodes, Rule::default());
            let begin = match how.established {
                Established::Keep => context.wiring.add(network, id, plan).await?,
                Established::Reset => {
                    // A hold that heals by reset, for a moment: the ports are closed before and after it.
                    let cut = how.plan(&nodes, context.nodes, Rule::hold(Heal::Cut));
                    let begin = context.wiring.add(network, id, cut).await?;
                    context.wiring.add(network, id, plan).await?;
                    begin
                }
            };
            Ok(wires::read(&begin, touched))
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
            let accept = wires::asked::<How>(context.entry).unwrap_or_default().accept;
            Ok(prove(accept, &wires::since(seen, &applied)))
        })
    }
}

fn prove(accept: Accept, passages: &[Passage]) -> Proof {
    let opened = wires::total(passages, |counters| counters.opened);
    let unanswered = wires::total(passages, |counters| counters.unanswered);
    let refused = wires::total(passages, |counters| counters.refused);
    let taken = wires::total(passages, |counters| counters.taken);
    let reset = wires::total(passages, |counters| counters.reset);
    let closed = passages.iter().all(|passage| passage.counters.closed >= 2);
    let (effective, reason) = match accept {
        _ if passages.is_empty() => (false, "it never took effect".to_owned()),
        _ if opened > 0 => (false, format!("{opened} connections got through")),
        Accept::Hang if unanswered > 0 => {
            (true, format!("{unanswered} calls stayed unanswered, none got through"))
        }
        Accept::Hang | Accept::Refuse if taken > 0 => {
            let fate = if accept == Accept::Hang { "left waiting" } else { "reset at once" };
            (
                true,
                format!(
                    "{taken} calls were taken to see whose they are and {fate}, none got through"
                ),
            )
        }
        Accept::Reset if refused > 0 => {
            (true, format!("{refused} connections were reset at once, none got through"))
        }
        Accept::Refuse if !closed => (false, "a port did not refuse a call".to_owned()),
        Accept::Refuse if reset > 0 => (
            true,
            format!(
                "each port refused a call at both ends, {reset} connections had been reset, none got through"
            ),
        ),
        _ => (false, "nobody is known to have tried to connect".to_owned()),
    };
    Proof { effective, reason, evidence: json!({ "wires": passages }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Counters;

    fn proof(accept: Accept, counters: Counters) -> bool {
        let wire = Wire::FromClients(NodeId(1));
        prove(accept, &[Passage { wire, counters }]).effective
    }

    #[test]
    fn a_try_that_failed_is_a_proof_and_one_that_got_through_is_none() {
        let all =
            Counters { unanswered: 1, refused: 1, reset: 1, closed: 2, ..Counters::default() };
        for accept in [Accept::Hang, Accept::Refuse, Accept::Reset] {
            assert!(proof(accept, all), "{accept:?}");
            assert!(!proof(accept, Counters { opened: 1, ..all }), "{accept:?}");
            assert!(!proof(accept, Counters { closed: 2, ..Counters::default() }), "{accept:?}");
        }
        assert!(!proof(Accept::Refuse, Counters { closed: 1, ..all }), "it let somebody in");
        let taken = Counters { taken: 1, ..Counters::default() };
        for (accept, enough) in
            [(Accept::Hang, true), (Accept::Refuse, true), (Accept::Reset, false)]
        {
            assert_eq!(proof(accept, taken), enough, "{accept:?}");
            assert!(!proof(accept, Counters { opened: 1, ..taken }), "{accept:?}");
        }
        assert!(!prove(Accept::Hang, &[]).effective);
    }

    #[test]
    fn the_node_itself_may_dial_and_others_are_not_touched() {
        let nodes = [1, 2, 3].map(NodeId);
        let how = How::default();
        let plan = how.plan(&nodes, &[NodeId(2)], Rule::default());
        let links: Vec<Link> = plan.rules.keys().copied().collect();
        assert_eq!(links, [1, 3].map(|from| Link::new(NodeId(from), NodeId(2))));
        assert!(plan.rules.values().all(|rule| rule.accept == Accept::Hang && !rule.holds()));
        let cut = how.plan(&nodes, &[NodeId(2)], Rule::hold(Heal::Cut));
        assert_eq!(cut.rules[&Link::new(NodeId(2), NodeId(1))].accept, Accept::Serve);
        assert_eq!(cut.rules.len(), 4, "connections are two links");
    }
}
