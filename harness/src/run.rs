//! One run, from a plan to a verdict: deploy → elect → work → heal → settle → final reads → stop → check → report.
//!
//! [`execute`] takes a resolved [`Plan`] and an empty run folder and returns when nothing that it started is left. It
//! emits [`Event`]s for whoever watches and puts everything that a judgement needs into the folder while it happens, so
//! that a harness killed at any moment leaves a folder that `harness check` can judge.
//!
//! The phases in order, each in a module of its own where it has substance: nodes start behind their proxies and are
//! asked until one leads; clients work while the nemesis plays the schedule (`work`); everything is healed; the
//! recovery clock runs (`settle`), and where a workload's promise is kept some time later only that time passes; every key
//! is read through every node (`final_reads`); nodes are stopped, and only then is anything judged, from the files, as `harness check` would (`judge`).
//!
//! A run ends early on a signal, or with `--fail-fast` on the first violation (`fail_fast`): it heals, stops and judges
//! what it has. Every wait has a limit. What goes wrong outside of the system under test is a [`Failure`], which names
//! the node where there is one, and the verdict document then says `error`; what was recorded before is judged all the
//! same, because a violation in it stands. Only where nodes reach each other past the proxies (`audits`) nothing is judged.

mod audits;
mod client_notes;
mod fail_fast;
mod final_reads;
mod judge;
mod settle;
mod signals;
mod stage;
mod start;
mod stop;
mod work;
mod world;

use crate::check;
use crate::event::{Event, Phase, Sink};
use crate::exit::{Exit, Failure};
use crate::guardian::Guardian;
use crate::plan::Plan;
use crate::results::{RunFolder, write_json};
use crate::verdict::VerdictDocument;
pub use signals::Signals;
use stage::Stage;
use start::Ground;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long somebody may take to lead after the nodes are ready.
const ELECTION_LIMIT: Duration = Duration::from_secs(20);
/// How long the final reads may take.
const FINAL_READS_LIMIT: Duration = Duration::from_secs(30);
/// How long nodes may take to stop in good order before they are killed.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// The same when the run ends early.
const EARLY_STOP_GRACE: Duration = Duration::from_secs(1);
/// How long the last look for a way around the proxies may take after an interruption.
const EARLY_LOOK_LIMIT: Duration = Duration::from_secs(1);
/// How long judging may take after an interruption.
const INTERRUPTED_CHECK_LIMIT: Duration = Duration::from_secs(5);

/// What is not part of the plan because it changes how a run is judged or shown, not what is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// End at the first violation.
    pub fail_fast: bool,
    /// How long the search may take.
    pub budget: Duration,
    /// How much memory the search may take, in bytes.
    pub memory_bytes: u64,
}

/// A run that ended by itself.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The code it deserves.
    pub exit: Exit,
    /// What was found.
    pub verdict: VerdictDocument,
}

/// Why the work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The planned time is over.
    Complete,
    /// A signal arrived.
    Interrupted,
    /// What was recorded so far is a violation.
    Violated,
}

/// Executes `plan` in `folder`, which exists and is empty.
///
/// # Errors
/// A [`Failure`] of the harness or its environment, and no violation in what was recorded. The folder then says so too.
pub fn execute(
    plan: &Plan,
    folder: &RunFolder,
    options: &Options,
    sink: Arc<dyn Sink>,
    signals: &Signals,
) -> Result<Finished, Failure> {
    let origin = Instant::now();
    write_json(&folder.plan_json(), plan).map_err(unwritable)?;
    write_json(&folder.verdict(), &VerdictDocument::provisional(&folder.name()))
        .map_err(unwritable)?;
    // Before any thread of this runtime exists.
    let executable = Path::new("/proc/self/exe");
    let start = if plan.has_disk_faults() { Guardian::start_with_disks } else { Guardian::start };
    let guardian = start(executable)
        .map_err(|e| Failure::environment(e.to_string()))
        .inspect_err(|failure| write_error(folder, failure))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Failure::environment(format!("the async runtime cannot start: {e}")))?;
    let ended = runtime.block_on(async {
        let twice = signals.reached(2);
        let signals = signals.clone();
        let ground = Ground { plan, folder, options, sink, guardian, signals, origin };
        tokio::select! {
            biased;
            () = twice => Ok(interrupted(folder)),
            ended = phases(ground) => ended,
        }
    });
    // A search that was given up on may still hold a blocking thread; nobody waits for it.
    runtime.shutdown_background();
    ended
}

/// The phases in order.
async fn phases(ground: Ground<'_>) -> Result<Finished, Failure> {
    let (folder, sink, origin) = (ground.folder, Arc::clone(&ground.sink), ground.origin);
    let early = ground.signals.reached(1);
    let mut stage = tokio::select! {
        biased;
        () = early => {
            // Whatever has been started ends with the guardian.
            sink.emit(origin.elapsed(), Event::Stopping);
            return Ok(interrupted(folder));
        }
        started = start::start(ground) => started.inspect_err(|e| write_error(folder, e))?,
    };
    let ended = run(&mut stage).await;
    let ended = last_look(&stage, ended).await;
    stage.enter(Phase::Stop);
    let complete = matches!(ended, Ok(Ending::Complete));
    let grace = if complete { STOP_GRACE } else { EARLY_STOP_GRACE };
    let stopped = stop::stop(&mut stage, grace).await;
    let ended = ended.and_then(|ending| stopped.map(|()| ending));
    let ended = ended.and_then(|ending| stage.check_files().map(|()| ending));
    judge::judge(&mut stage, ended).await
}

/// Looks once more for a way around the proxies, also after a failure: with one nothing is judged, not even what was
/// recorded before that. After a signal nobody is kept waiting for it.
async fn last_look(stage: &Stage<'_>, ended: Result<Ending, Failure>) -> Result<Ending, Failure> {
    let look = stage.audits.last_look(ended.is_err());
    match unless_late(look, stage.signals.reached(1)).await {
        Some(looked) => audits::with_look(ended, looked),
        None => {
            stage.warn(
                "the last look for a way around the proxies was given up after the signal"
                    .to_owned(),
            );
            ended
        }
    }
}

/// What comes of `look`, or nothing if it still has not come some time after `signal`.
async fn unless_late<T>(
    look: impl Future<Output = T>,
    signal: impl Future<Output = ()>,
) -> Option<T> {
    tokio::select! {
        biased;
        looked = look => Some(looked),
        () = async {
            signal.await;
            tokio::time::sleep(EARLY_LOOK_LIMIT).await;
        } => None,
    }
}

/// What is left of a run in which nothing was judged because it was told to leave.
fn interrupted(folder: &RunFolder) -> Finished {
    Finished { exit: Exit::Interrupted, verdict: VerdictDocument::provisional(&folder.name()) }
}

/// Everything between the deployment and the stop.
async fn run(stage: &mut Stage<'_>) -> Result<Ending, Failure> {
    let interrupted = stage.signals.reached(1);
    tokio::select! {
        biased;
        () = interrupted => {
            stage.emit(Event::Stopping);
            return Ok(Ending::Interrupted);
        }
        elected = elect(stage) => elected?,
    }
    let interrupted = stage.signals.reached(1);
    tokio::select! {
        biased;
        () = interrupted => {
            stage.emit(Event::Stopping);
            return Ok(Ending::Interrupted);
        }
        looked = stage.audits.look() => looked?,
    }
    let generator = work::generator(stage)?;
    let worked = work::work(stage, &generator).await?;
    report_heal(stage, &worked);
    if worked.ending != Ending::Complete {
        return Ok(worked.ending);
    }
    if let Some(failure) = stage.notes.never_answered() {
        return Err(failure);
    }
    let interrupted = stage.signals.reached(1);
    tokio::select! {
        biased;
        () = interrupted => {
            stage.emit(Event::Stopping);
            Ok(Ending::Interrupted)
        }
        ended = settle_and_read(stage, &generator) => ended.map(|()| Ending::Complete),
    }
}

/// Waits until a node leads, if that can be known.
async fn elect(stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.enter(Phase::Elect);
    if !stage.deployment.system().has_leaders() {
        return Ok(());
    }
    let mut leader = stage.view.watch();
    let elected = tokio::time::timeout(ELECTION_LIMIT, leader.wait_for(Option::is_some)).await;
    let Some(leader) = elected.ok().and_then(Result::ok).and_then(|leader| *leader) else {
        let limit = ELECTION_LIMIT.as_secs();
        return Err(Failure::environment(format!("no node led within {limit} s"))
            .details(stage.view.trouble())
            .details(stop::log_lines(stage))
            .hint(format!("the logs of all nodes are in {}", stage.folder.root().display())));
    };
    stage.emit(Event::Elected { leader: leader.node, term: leader.term });
    Ok(())
}

fn report_heal(stage: &Stage<'_>, worked: &work::Worked) {
    let Some(played) = &worked.played else {
        stage.warn("healing did not end in time; what was left was released".to_owned());
        return;
    };
    for (id, why) in &played.unhealed {
        stage.warn(format!("fault {id} was not healed: {why}"));
    }
}

async fn settle_and_read(
    stage: &mut Stage<'_>,
    generator: &work::SharedGenerator,
) -> Result<(), Failure> {
    let unrecorded = |e: crate::recorder::RecordError| Failure::environment(e.to_string());
    stage.enter(Phase::Settle);
    let live = stage.deployment.live();
    let limit = stage.plan.recovery_limit;
    let settled =
        settle::settle(&stage.desk, stage.workload, &live, limit).await.map_err(unrecorded)?;
    stage.emit(Event::AllHealed { first_ok: settled.first_ok });
    for node in &settled.late {
        let asked = stage.workload.recovery(*node, 1);
        let asked: Vec<&str> = asked.iter().map(|step| step.f).collect();
        let asked = asked.join(" and a ");
        stage.warn(format!("{node} did not serve a {asked} within {} s", limit.as_secs()));
    }
    tokio::time::sleep(stage.workload.quiet()).await;
    stage.enter(Phase::FinalReads);
    let reads = work::final_reads(generator);
    let live = stage.deployment.live();
    let read = final_reads::final_reads(&stage.desk, &live, reads, FINAL_READS_LIMIT)
        .await
        .map_err(unrecorded)?;
    stage.emit(Event::FinalReads { ok: read.ok, asked: read.asked });
    if read.ok < read.asked {
        stage.warn(format!("{} of {} final reads got no answer", read.asked - read.ok, read.asked));
    }
    stage.check_files()
}

fn unwritable(error: crate::results::ResultsError) -> Failure {
    Failure::environment(error.to_string())
}

/// Leaves a verdict document that says what went wrong, if the folder can still be written.
fn write_error(folder: &RunFolder, failure: &Failure) {
    // The failure itself is what is reported; that this file could not say so too adds nothing.
    let _ = write_json(&folder.verdict(), &check::error_document(&folder.name(), failure));
}

#[cfg(test)]
mod tests;
