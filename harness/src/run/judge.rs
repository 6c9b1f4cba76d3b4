//! The end of a run: the verdict, the counterexample, the report, and what is kept.

use super::stage::Stage;
use super::{Ending, Finished, INTERRUPTED_CHECK_LIMIT, write_error};
use crate::check::{self, Recorded, Search};
use crate::event::{Event, Phase};
use crate::exit::{Exit, Failure};
use crate::report;
use crate::verdict::{Ruling, VerdictDocument};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Judges what is on file, also after a failure: what was recorded before it happened all the same, and a violation in
/// it stands. Otherwise the failure does. Of nodes that may have reached each other past the proxies nothing is judged.
pub(super) async fn judge(
    stage: &mut Stage<'_>,
    ended: Result<Ending, Failure>,
) -> Result<Finished, Failure> {
    if let Err(failure) = &ended {
        // First, because the judgement takes over what the folder says of its run.
        write_error(stage.folder, failure);
        if stage.desk.recorder.is_empty() || stage.audits.found().is_some() {
            return Err(failure.clone());
        }
    }
    let judged = on_file(stage).await;
    let interrupted = ended == Ok(Ending::Interrupted) || stage.signals.any();
    if let (Err(failure), Ok(verdict)) = (&ended, &judged)
        && verdict.verdict == Ruling::Invalid
    {
        stage.emit(Event::Warning(failure.message.clone()));
    }
    outcome(ended, judged.inspect_err(|failure| write_error(stage.folder, failure)), interrupted)
}

/// What a run comes to, of how it went and what was found.
fn outcome(
    ended: Result<Ending, Failure>,
    judged: Result<VerdictDocument, Failure>,
    interrupted: bool,
) -> Result<Finished, Failure> {
    match (ended, judged) {
        (_, Ok(verdict)) if verdict.verdict == Ruling::Invalid => {
            Ok(Finished { exit: Exit::Invalid, verdict })
        }
        (Err(failure), _) | (Ok(_), Err(failure)) => Err(failure),
        (Ok(_), Ok(verdict)) => {
            let exit = if interrupted { Exit::Interrupted } else { verdict.verdict.into() };
            Ok(Finished { exit, verdict })
        }
    }
}

/// Judges the files and writes everything that follows from them.
async fn on_file(stage: &mut Stage<'_>) -> Result<VerdictDocument, Failure> {
    stage.enter(Phase::Check);
    let counts = stage.desk.recorder.counts();
    let operations = counts.values().map(crate::recorder::Count::total).sum();
    let keys = stage.desk.recorder.keys();
    stage.emit(Event::Checking { operations, keys });
    let started = Instant::now();
    let (recorded, verdict) = search(stage).await?;
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
    Ok(verdict)
}

/// Searches on a blocking thread, and only for a moment more once a signal arrived.
async fn search(stage: &Stage<'_>) -> Result<(Recorded, VerdictDocument), Failure> {
    let cut = Arc::new(AtomicBool::new(false));
    let search = Search {
        budget: stage.options.budget,
        memory_bytes: stage.options.memory_bytes,
        cut: Arc::clone(&cut),
        ..Search::default()
    };
    let folder = stage.folder.clone();
    let mut searching = tokio::task::spawn_blocking(move || check::folder(&folder, &search));
    let searched = tokio::select! {
        searched = &mut searching => searched,
        () = patience(stage) => {
            cut.store(true, Ordering::Relaxed);
            searching.await
        }
    };
    let judged =
        searched.map_err(|e| Failure::environment(format!("the check itself failed: {e}")))?;
    // Something ran, so whatever is wrong with these files is no fault of what was typed.
    let judged = judged.map_err(|failure| Failure { exit: Exit::Error, ..failure })?;
    Ok((judged.recorded, judged.document))
}

/// Returns some time after the first signal, whether it arrived already or is still to come.
async fn patience(stage: &Stage<'_>) {
    if !stage.signals.any() {
        stage.signals.reached(1).await;
        stage.emit(Event::Stopping);
    }
    tokio::time::sleep(INTERRUPTED_CHECK_LIMIT).await;
}

/// Writes the page. A verdict stands without it.
async fn write_report(stage: &Stage<'_>) {
    let folder = stage.folder.clone();
    let writing = tokio::task::spawn_blocking(move || report::write(&folder));
    let problem = tokio::select! {
        written = writing => match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        },
        () = patience(stage) => "it took too long after the signal".to_owned(),
    };
    stage.warn(format!("the report was not written: {problem}"));
}

#[cfg(test)]
mod tests {
    use super::{Ending, Exit, Failure, Ruling, VerdictDocument, outcome};

    fn judged(verdict: Ruling) -> Result<VerdictDocument, Failure> {
        Ok(VerdictDocument { verdict, ..VerdictDocument::provisional("run") })
    }

    fn failed() -> Failure {
        Failure::environment("the guardian left something behind")
    }

    #[test]
    fn a_failure_hides_no_violation_and_nothing_else_hides_a_failure() {
        let found = outcome(Err(failed()), judged(Ruling::Invalid), false).unwrap();
        assert_eq!(found.exit, Exit::Invalid);
        for ruling in [Ruling::Valid, Ruling::Unknown, Ruling::Error] {
            let failure = outcome(Err(failed()), judged(ruling), true).unwrap_err();
            assert_eq!(failure, failed());
        }
        assert!(outcome(Ok(Ending::Complete), Err(failed()), false).is_err());
    }

    #[test]
    fn an_interrupted_run_is_invalid_or_interrupted() {
        for (ruling, exit) in [
            (Ruling::Valid, Exit::Interrupted),
            (Ruling::Unknown, Exit::Interrupted),
            (Ruling::Invalid, Exit::Invalid),
        ] {
            // Also when the signal came only while the files were judged.
            for ending in [Ending::Complete, Ending::Interrupted] {
                assert_eq!(outcome(Ok(ending), judged(ruling), true).unwrap().exit, exit);
            }
        }
        let violated = outcome(Ok(Ending::Violated), judged(Ruling::Unknown), false);
        assert_eq!(violated.unwrap().exit, Exit::Unknown);
    }
}
