//! Transfer: the leader is told to hand its leadership over, as before maintenance.
//!
//! Nothing is broken, so nothing has to be healed; what it tests is a change of leader in which nobody was silent.

use crate::administration::Handover;
use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The class `transfer`.
#[derive(Clone, Copy, Debug)]
pub struct Transfer;

impl Fault for Transfer {
    fn name(&self) -> &'static str {
        "transfer"
    }

    fn about(&self) -> &'static str {
        "has the leader hand its leadership over to a node by name; all processes and links stay whole, so it does \
         not test that the loss of a leader is noticed"
    }

    fn power(&self) -> Power {
        Power::Transfer
    }

    fn cannot_bite(&self, nodes: usize) -> Option<String> {
        (nodes < 2).then(|| "a cluster of one node has nobody else to lead".to_owned())
    }

    fn draw(&self, random: &mut Random, _nodes: usize, _budget: &Budget) -> Draft {
        let duration = random.between(Duration::from_millis(100), Duration::from_millis(400));
        let (load, how) = (Load::Nodes(0), Value::Null);
        Draft { target: Target::Follower, shape: None, heal: None, duration, load, how }
    }

    /// No node is kept from the others.
    fn load(&self, _entry: &Entry, _nodes: usize, _budget: &Budget) -> Load {
        Load::Nodes(0)
    }

    fn check(&self, entry: &Entry, nodes: usize, _budget: &Budget) -> Result<(), String> {
        if !entry.how.is_null() {
            return Err("a transfer takes no `how`".to_owned());
        }
        if entry.target == Target::Leader || entry.target.size(nodes) != 1 {
            return Err(format!(
                "a transfer needs one node that does not lead, not `{}`",
                entry.target
            ));
        }
        Ok(())
    }

    fn unseats(&self, _draft: &Draft) -> bool {
        true
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
            let to = context.nodes.first();
            let to =
                to.ok_or_else(|| EnvironmentError("every node was down already".to_owned()))?;
            let administration = context.environment.administration();
            let administration = administration.ok_or_else(|| {
                EnvironmentError("this cluster cannot be administered".to_owned())
            })?;
            Ok(json!(administration.transfer(*to).await?))
        })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            let (effective, reason) = match Handover::deserialize(seen) {
                Err(_) => (false, "leadership was not handed over".to_owned()),
                Ok(done) if context.nodes.first() != Some(&done.to) => {
                    (false, format!("{} leads, which was not asked to", done.to))
                }
                Ok(done) if done.to == done.from || done.to_term <= done.from_term => {
                    (false, format!("{} led already", done.to))
                }
                Ok(done) => {
                    let Handover { from, from_term, to, to_term } = done;
                    (true, format!("{from} led term {from_term}, then {to} led term {to_term}"))
                }
            };
            Ok(Proof { effective, reason, evidence: seen.clone() })
        })
    }
}
