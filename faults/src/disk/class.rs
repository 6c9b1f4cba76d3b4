//! What the classes of disk faults have in common: telling disks something, and what came of it since.

use super::{Answer, Disks, Figures, Order};
use crate::environment::{EnvironmentError, ProcessState, Sighting};
use crate::fault::{Context, Proof};
use history::NodeId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A node and what its disk answered.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Whose disk.
    pub(crate) node: NodeId,
    /// What it answered.
    pub(crate) answer: Answer,
}

/// The disks of the environment.
pub(crate) fn disks<'a>(context: &Context<'a>) -> Result<&'a dyn Disks, EnvironmentError> {
    let missing = || EnvironmentError("there is no disk under the nodes to do it to".to_owned());
    context.environment.disks().ok_or_else(missing)
}

/// Tells the disk of every node of the target the same.
pub(crate) async fn tell_all(
    context: &Context<'_>,
    order: Order,
) -> Result<Vec<Told>, EnvironmentError> {
    if context.nodes.is_empty() {
        return Err(EnvironmentError("every node was taken by another fault".to_owned()));
    }
    let mut told = Vec::new();
    for &node in context.nodes {
        told.push(Told { node, answer: disks(context)?.tell(node, order).await? });
    }
    Ok(told)
}

/// Heals every disk of the target: one that does not answer must not keep the others from it.
pub(crate) async fn heal_all(context: &Context<'_>) -> Result<Vec<Told>, EnvironmentError> {
    let mut told = Vec::new();
    let mut failed = None;
    for &node in context.nodes {
        match disks(context)?.tell(node, Order::Heal).await {
            Ok(answer) => told.push(Told { node, answer }),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(told), Err)
}

/// Kills the nodes of the target that still run; one that ended by itself is dead already, which the restart shows.
pub(crate) async fn end_all(context: &Context<'_>) -> Vec<Sighting> {
    let mut killed = Vec::new();
    for &node in context.nodes {
        killed.extend(context.environment.kill(node).await.ok());
    }
    killed
}

/// Starts every node of the target that is dead, also after one that does not come back.
pub(crate) async fn restart_all(context: &Context<'_>) -> Result<Vec<Sighting>, EnvironmentError> {
    let mut restarted = Vec::new();
    let mut failed = None;
    for &node in context.nodes {
        match context.environment.restart(node).await {
            Ok(sighting) => restarted.push(sighting),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(restarted), Err)
}

/// The node that was not seen running afterwards, if there is one.
pub(crate) fn not_back(nodes: &[NodeId], restarted: &[Sighting]) -> Option<NodeId> {
    let back = |node: &&NodeId| {
        restarted.iter().any(|one| one.node == **node && one.state == ProcessState::Running)
    };
    nodes.iter().find(|node| !back(node)).copied()
}

/// How often something happened on these disks between two looks.
pub(crate) fn since(before: &Value, after: &[Told], figure: fn(&Figures) -> u64) -> u64 {
    let before = Vec::<Told>::deserialize(before).unwrap_or_default();
    let first = |node: NodeId| {
        before.iter().find(|told| told.node == node).map_or(0, |told| figure(&told.answer.figures))
    };
    after.iter().map(|told| figure(&told.answer.figures).saturating_sub(first(told.node))).sum()
}

/// The proof of a fault that bit if its disks counted something.
pub(crate) fn counted(
    before: &Value,
    after: &[Told],
    figure: fn(&Figures) -> u64,
    (did, did_not): (&str, &str),
) -> Proof {
    let count = since(before, after, figure);
    let reason = if count > 0 { format!("{count} {did}") } else { did_not.to_owned() };
    let evidence = json!({ "before": before, "after": after, "count": count });
    Proof { effective: count > 0, reason, evidence }
}

/// What an entry says under `how`, in the words of a class.
///
/// # Errors
/// What is wrong with it, as a fragment.
pub(crate) fn how<T: DeserializeOwned>(class: &str, how: &Value) -> Result<T, String> {
    T::deserialize(how).map_err(|error| format!("`how` of a {class}: {error}"))
}
