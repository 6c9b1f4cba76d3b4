//! The nodes' end, and the last facts about them: exits, panics, their protocol, counters of seeded bugs.

use super::stage::Stage;
use crate::deploy::Spoken;
use crate::exit::Failure;
use crate::results::{ExitCause, Observed};
use history::NodeId;
use std::collections::BTreeSet;
use std::time::Duration;

/// Stops every node and writes down what can be known only afterwards.
///
/// # Errors
/// When something is left that should not be.
pub(super) async fn stop(stage: &mut Stage<'_>, grace: Duration) -> Result<(), Failure> {
    stage.observer.stop();
    let stopped = stage.deployment.stop(grace).await?;
    drop(stage.companion.take());
    for node in stopped.forced {
        stage.warn(format!("{node} did not stop when asked to and was killed"));
    }
    stage.sample();
    write_panics(stage);
    write_spoken(stage);
    write_marks(stage);
    Ok(())
}

/// A task of a node can panic without its process ending; that is a crash all the same.
fn write_panics(stage: &Stage<'_>) {
    let told: BTreeSet<NodeId> = stage
        .deployment
        .exits()
        .into_iter()
        .filter(|exit| exit.cause == ExitCause::Unexplained)
        .map(|exit| exit.node)
        .collect();
    for panic in stage.deployment.panics() {
        if !told.contains(&panic.node) {
            stage.journal.observe(Observed::Exit {
                node: panic.node,
                status: "a panic that its process survived".to_owned(),
                cause: ExitCause::Unexplained,
                log: panic.lines,
            });
        }
    }
}

/// Also of nodes that did nothing wrong: that somebody looked is a fact.
fn write_spoken(stage: &Stage<'_>) {
    for (node, spoken) in stage.deployment.spoken() {
        let Spoken { broken, lines, unread } = spoken;
        stage.journal.observe(Observed::Protocol { node, broken, lines, unread });
    }
}

fn write_marks(stage: &Stage<'_>) {
    for (node, count) in stage.deployment.marks() {
        stage.journal.observe(Observed::Mark {
            node,
            bug: count.bug.to_owned(),
            reached: count.reached,
            triggered: count.triggered,
        });
    }
}

/// The end of the log of the first node that has one to show, each line with the node's name.
pub(super) fn log_lines(stage: &Stage<'_>) -> Vec<String> {
    let lines = stage.nodes.iter().map(|node| {
        let lines = stage.deployment.log_tail(*node);
        lines.into_iter().map(|line| format!("{node}: {line}")).collect::<Vec<_>>()
    });
    lines.into_iter().find(|lines| !lines.is_empty()).unwrap_or_default()
}
