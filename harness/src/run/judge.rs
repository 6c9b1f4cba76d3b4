//! The end of a run: the verdict, the counterexample, the report, and what is kept.

use super::stage::Stage;
use super::{Ending, Finished, INTERRUPTED_CHECK_LIMIT};
use crate::check::{self, Recorded, Search};
use crate::event::{Event, Phase};
use crate::exit::{Exit, Failure};
use crate::report;
use crate::verdict::{Ruling, VerdictDocument};
use std::time::Instant;

/// Judges what is on file and writes everything that follows from it.
pub(super) async fn judge(stage: &mut Stage<'_>, ending: Ending) -> Result<Finished, Failure> {
    stage.enter(Phase::Check);
    let counts = stage.desk.recorder.counts();
    let operations = counts.values().map(crate::recorder::Count::total).sum();
    let keys = keys(stage);
    stage.emit(Event::Checking { operations, keys });
    let started = Instant::now();
    let (recorded, verdict) = search(stage, ending).await?;
    check::save(stage.folder, &recorded, &verdict)?;
    if verdict.harness.starved {
        stage.warn(format!(
            "this machine was starved (timers up to {:.0} ms late), so slowness says little about \
             the cluster",
            verdict.harness.stall_max_ms
        ));
    }
    stage.emit(Event::Checked { took: started.elapsed(), operations, keys });
    stage.enter(Phase::Report);
    write_report(stage).await;
    if verdict.verdict == Ruling::Valid
        && let Err(error) = stage.folder.remove_data(stage.plan.nodes)
    {
        stage.warn(format!("the nodes' data was not removed: {error}"));
    }
    let exit = match (ending, verdict.verdict) {
        (Ending::Interrupted, Ruling::Invalid) => Exit::Invalid,
        (Ending::Interrupted, _) => Exit::Interrupted,
        (_, ruling) => ruling.into(),
    };
    Ok(Finished { exit, verdict })
}

/// Searches on a blocking thread, with the budget that the ending leaves.
async fn search(stage: &Stage<'_>, ending: Ending) -> Result<(Recorded, VerdictDocument), Failure> {
    let mut search = Search {
        budget: stage.options.budget,
        memory_bytes: stage.options.memory_bytes,
        ..Search::default()
    };
    if ending == Ending::Interrupted {
        search.budget = search.budget.min(INTERRUPTED_CHECK_LIMIT);
    }
    let folder = stage.folder.clone();
    tokio::task::spawn_blocking(move || check::folder(&folder, &search))
        .await
        .map_err(|e| Failure::environment(format!("the check itself failed: {e}")))?
}

fn keys(stage: &Stage<'_>) -> u64 {
    let events = stage.desk.recorder.events_from(0);
    let keys: std::collections::BTreeSet<&str> =
        events.iter().filter_map(|event| event.key.as_deref()).collect();
    keys.len() as u64
}

/// Writes the page. A verdict stands without it.
async fn write_report(stage: &Stage<'_>) {
    let folder = stage.folder.clone();
    let written = tokio::task::spawn_blocking(move || report::write(&folder)).await;
    let problem = match written {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    stage.warn(format!("the report was not written: {problem}"));
}
