//! Membership: a node is taken out of the cluster under load, and a new one takes its place.
//!
//! The old node's process ends for good, and so does what it knew: under its old identity it could take back votes
//! and acknowledgements that the cluster counts on. The new one starts empty, listens as a learner until it has
//! caught up, and votes again. One node at a time, so that the others keep their majority throughout.
//!
//! A removal whose outcome is not known is not taken back but completed: that is the one direction in which the
//! cluster, whatever it has decided, ends in the same place.

use crate::administration::{Administration, Members};
use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError, ProcessState, Sighting};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use history::NodeId;
use serde_json::{Value, json};
use std::time::Duration;

/// The class `membership`.
#[derive(Clone, Copy, Debug)]
pub struct Membership;

impl Fault for Membership {
    fn name(&self) -> &'static str {
        "membership"
    }

    fn about(&self) -> &'static str {
        "takes a node out of the cluster under load, ends its process and its data, and lets a new one in its place \
         join as a learner and become a voter; one node at a time, so it does not test several changes at once"
    }

    fn power(&self) -> Power {
        Power::Membership
    }

    fn cannot_bite(&self, nodes: usize) -> Option<String> {
        (nodes < 3).then(|| "with fewer than 3 nodes none can be spared".to_owned())
    }

    fn draw(&self, random: &mut Random, _nodes: usize, _budget: &Budget) -> Draft {
        let choices = [(45, Target::Leader), (30, Target::Follower), (25, Target::One)];
        let target = random.weighted(&choices).unwrap_or(Target::One);
        let duration = random.between(Duration::from_millis(300), Duration::from_secs(3));
        let (load, how) = (Load::Nodes(1), Value::Null);
        Draft { target, shape: None, heal: None, duration, load, how }
    }

    fn check(&self, entry: &Entry, nodes: usize, _budget: &Budget) -> Result<(), String> {
        if !entry.how.is_null() {
            return Err("a membership takes no `how`".to_owned());
        }
        match entry.target.size(nodes) {
            1 => Ok(()),
            more => Err(format!("members change one at a time, and `{}` are {more}", entry.target)),
        }
    }

    fn heal_time(&self) -> Duration {
        Duration::from_secs(4)
    }

    fn takes_down(&self) -> bool {
        true
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move {
            let (node, administration) = subject(context)?;
            administration.may_leave(node)?;
            let without = administration.remove(node).await?;
            let gone = context.environment.kill(node).await?;
            Ok(json!({ "without": without, "gone": gone }))
        })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            let Ok((node, administration)) = subject(context) else {
                let reason = "there was no node to take out".to_owned();
                return Ok(Proof { effective: false, reason, evidence: Value::Null });
            };
            if seen.is_null() {
                // One that cannot be replaced was not taken out, and another attempt would be no better.
                if let Err(EnvironmentError(reason)) = administration.may_leave(node) {
                    return Ok(Proof { effective: false, reason, evidence: Value::Null });
                }
                // Perhaps it is out already, perhaps it is about to be.
                administration.remove(node).await?;
            }
            let replaced = administration.replace(node).await?;
            let with = administration.admit(node).await?;
            Ok(prove(node, seen, &replaced, &with))
        })
    }
}

fn subject<'a>(
    context: &Context<'a>,
) -> Result<(NodeId, &'a dyn Administration), EnvironmentError> {
    let node = context.nodes.first();
    let node = node.ok_or_else(|| EnvironmentError("every node was down already".to_owned()))?;
    let administration = context.environment.administration();
    let administration = administration
        .ok_or_else(|| EnvironmentError("this cluster cannot be administered".to_owned()))?;
    Ok((*node, administration))
}

fn prove(node: NodeId, seen: &Value, replaced: &Sighting, with: &Members) -> Proof {
    let without: Members = parse(seen, "without").unwrap_or_default();
    let gone: Option<Sighting> = parse(seen, "gone");
    let (effective, reason) = match (&gone, with.voter(node)) {
        (None, _) => (false, "it was not seen to be taken out".to_owned()),
        (Some(gone), _) if gone.state != ProcessState::Gone || gone.pid == replaced.pid => {
            (false, format!("process {} of {node} was still there", gone.pid))
        }
        _ if without.voters.is_empty() || without.voter(node).is_some() => {
            (false, format!("{node} still voted after its removal"))
        }
        (_, Some(member)) if with.index > without.index => (
            true,
            format!(
                "{node} left as of entry {}; {member} votes as of entry {}",
                without.index, with.index
            ),
        ),
        _ => (false, format!("{node} was not seen to vote again")),
    };
    Proof {
        effective,
        reason,
        evidence: json!({ "without": without, "gone": gone, "replaced": replaced, "with": with }),
    }
}

fn parse<T: serde::de::DeserializeOwned>(seen: &Value, name: &str) -> Option<T> {
    serde_json::from_value(seen.get(name)?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::prove;
    use crate::administration::{Member, Members};
    use crate::environment::{ProcessState, Sighting};
    use history::NodeId;
    use serde_json::{Value, json};

    fn members(index: u64, voters: &[(u16, u32)]) -> Members {
        let voters = voters.iter().map(|(node, life)| Member { node: NodeId(*node), life: *life });
        Members { index, voters: voters.collect(), learners: Vec::new() }
    }

    fn sighting(pid: u32, state: ProcessState) -> Sighting {
        Sighting { node: NodeId(2), pid, state }
    }

    #[test]
    fn only_a_node_that_left_and_came_back_as_another_counts() {
        let node = NodeId(2);
        let seen = |without: &Members, gone: &Sighting| json!({"without": without, "gone": gone});
        let gone = sighting(20, ProcessState::Gone);
        let new = sighting(21, ProcessState::Running);
        let (without, with) =
            (members(7, &[(1, 0), (3, 0)]), members(9, &[(1, 0), (2, 1), (3, 0)]));
        let proof = prove(node, &seen(&without, &gone), &new, &with);
        assert!(proof.effective, "{}", proof.reason);
        assert_eq!(proof.reason, "n2 left as of entry 7; n2, life 2 votes as of entry 9");
        let still = members(7, &[(1, 0), (2, 0), (3, 0)]);
        let older = members(6, &[(1, 0), (2, 1), (3, 0)]);
        for (seen, replaced, with) in [
            (Value::Null, &new, &with),
            (seen(&still, &gone), &new, &with),
            (seen(&without, &sighting(20, ProcessState::Running)), &new, &with),
            (seen(&without, &gone), &gone, &with),
            (seen(&without, &gone), &new, &without),
            (seen(&without, &gone), &new, &older),
        ] {
            let proof = prove(node, &seen, replaced, with);
            assert!(!proof.effective, "{}", proof.reason);
        }
    }
}
