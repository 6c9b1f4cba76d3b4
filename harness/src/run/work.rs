//! The work phase: clients work while the nemesis plays its schedule.

use super::Ending;
use super::fail_fast::{self, Seen};
use super::stage::Stage;
use crate::deploy::RealEnvironment;
use crate::event::{self, Event, Phase};
use crate::exit::Failure;
use crate::recorder::RecordError;
use crate::worker::{Pace, Worker, roles};
use faults::{Nemesis, Played};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use workloads::{Generator, Settings};

/// Between two redraws of the live line.
const BEAT: Duration = Duration::from_millis(250);
/// Between two lines about the harness's own lateness.
const STALL_SAMPLE: Duration = Duration::from_secs(2);
/// How long healing may take when the run ends early.
const EARLY_HEAL: Duration = Duration::from_secs(3);
/// How long the last heal may take otherwise: the nemesis ends by itself within the limits it has for each step.
const HEAL: Duration = Nemesis::LONGEST_STOP.saturating_add(Duration::from_secs(5));

/// What the generator leaves for the final reads.
pub(super) type SharedGenerator = Arc<Mutex<Box<dyn Generator>>>;

/// What came of the work.
pub(super) struct Worked {
    /// Why it ended.
    pub(super) ending: Ending,
    /// What the nemesis did; none when it had to be abandoned.
    pub(super) played: Option<Played>,
}

/// The generator of the plan.
pub(super) fn generator(stage: &Stage<'_>) -> Result<SharedGenerator, Failure> {
    let plan = stage.plan;
    let settings = Settings {
        seed: plan.seed.derive("operations"),
        keys: plan.keys,
        retire_operations: plan.retire_operations,
        retire_unknown: plan.retire_unknown,
    };
    let generator = stage.workload.generator(&settings).ok_or_else(|| {
        let name = stage.workload.name();
        Failure::usage(format!("histories of workload `{name}` can only be judged"))
    })?;
    Ok(Arc::new(Mutex::new(generator)))
}

/// Runs clients and nemesis for the planned time, or until something ends the run early; then heals.
pub(super) async fn work(
    stage: &mut Stage<'_>,
    generator: &SharedGenerator,
) -> Result<Worked, Failure> {
    stage.enter(Phase::Work);
    stage.emit(Event::Working { faults: stage.plan.faults.clone() });
    let start = Instant::now();
    let (stop, stopped) = watch::channel(false);
    let mut workers = spawn_workers(stage, generator, &stopped);
    let mut nemesis = spawn_nemesis(stage, &stopped);
    let ending = watch_over(stage, start, &mut workers).await;
    stop.send_replace(true);

    stage.enter(Phase::Heal);
    if ending.is_err() {
        nemesis.abort();
    }
    let mut ending = ending?;
    if ending == Ending::Interrupted {
        stage.emit(Event::Stopping);
    }
    let limit = if ending == Ending::Complete { HEAL } else { EARLY_HEAL };
    let interrupted = stage.signals.reached(1);
    let played = tokio::select! {
        played = tokio::time::timeout(limit, &mut nemesis) => played,
        () = interrupted, if ending == Ending::Complete => {
            ending = Ending::Interrupted;
            stage.emit(Event::Stopping);
            tokio::time::timeout(EARLY_HEAL, &mut nemesis).await
        }
    };
    if played.is_err() {
        nemesis.abort();
    }
    if ending == Ending::Complete {
        let interrupted = stage.signals.reached(1);
        tokio::select! {
            drained = drain(stage, workers) => drained?,
            () = interrupted => {
                ending = Ending::Interrupted;
                stage.emit(Event::Stopping);
            }
        }
    } else {
        // What is outstanding stays open in the history, which means unknown.
        workers.abort_all();
    }
    // That it did not end in time shows in its receipts; that it failed shows nowhere else.
    let played = played
        .ok()
        .transpose()
        .map_err(|error| Failure::environment(format!("the nemesis failed: {error}")))?;
    Ok(Worked { ending, played })
}

fn spawn_workers(
    stage: &Stage<'_>,
    generator: &SharedGenerator,
    stopped: &watch::Receiver<bool>,
) -> JoinSet<Result<(), RecordError>> {
    let plan = stage.plan;
    let rng = plan.seed.stream("pace");
    let pace = Arc::new(Pace::new(f64::from(plan.rate_per_second), rng));
    let mut workers = JoinSet::new();
    for (number, role) in roles(plan.clients, &stage.nodes).into_iter().enumerate() {
        let worker = Worker {
            number,
            role,
            pace: Arc::clone(&pace),
            generator: Arc::clone(generator),
            desk: stage.desk.clone(),
        };
        workers.spawn(worker.run(stopped.clone()));
    }
    workers
}

fn spawn_nemesis(stage: &Stage<'_>, stopped: &watch::Receiver<bool>) -> JoinHandle<Played> {
    let schedule = stage.plan.schedule.clone();
    let world = RealEnvironment::new(stage.deployment.clone(), stage.world.clone());
    let mut stopped = stopped.clone();
    tokio::spawn(async move {
        let stop = async move {
            // An error means that the run is gone.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        Nemesis::play(&schedule, &world, stop).await
    })
}

/// Waits for the end of the work, whatever ends it.
async fn watch_over(
    stage: &mut Stage<'_>,
    start: Instant,
    workers: &mut JoinSet<Result<(), RecordError>>,
) -> Result<Ending, Failure> {
    let end = start + stage.plan.time;
    let interrupted = stage.signals.reached(1);
    let recorder = Arc::clone(&stage.desk.recorder);
    let watch = fail_fast::watch(recorder, stage.workload, stage.header.clone());
    let mut watching = stage.options.fail_fast;
    let (leak, useless) = (stage.audits.leak(), stage.notes.useless());
    tokio::pin!(interrupted, watch, leak, useless);
    let mut beat = tokio::time::interval(BEAT);
    let mut sample = tokio::time::interval(STALL_SAMPLE);
    sample.reset();
    loop {
        tokio::select! {
            biased;
            () = &mut interrupted => return Ok(Ending::Interrupted),
            leak = &mut leak => return Err(leak),
            failure = &mut useless => return Err(failure),
            () = tokio::time::sleep_until(end) => return Ok(Ending::Complete),
            seen = &mut watch, if watching => match seen {
                Seen::Violation => return Ok(Ending::Violated),
                Seen::Nothing(why) => {
                    watching = false;
                    stage.warn(format!("the run will not end at the first violation: {why}"));
                }
            },
            Some(ended) = workers.join_next() => check(ended)?,
            _ = beat.tick() => emit_beat(stage, start),
            _ = sample.tick() => {
                stage.sample();
                stage.check_files()?;
            }
        }
    }
}

/// Waits for the operations that were outstanding at the end of the work.
async fn drain(
    stage: &Stage<'_>,
    mut workers: JoinSet<Result<(), RecordError>>,
) -> Result<(), Failure> {
    let limit = stage.plan.deadline + Duration::from_secs(2);
    let drained = tokio::time::timeout(limit, async {
        while let Some(ended) = workers.join_next().await {
            check(ended)?;
        }
        Ok(())
    });
    match drained.await {
        Ok(ended) => ended,
        Err(_) => {
            stage.warn(format!("{} clients did not end in time", workers.len()));
            Ok(())
        }
    }
}

fn check(ended: Result<Result<(), RecordError>, tokio::task::JoinError>) -> Result<(), Failure> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::environment(error.to_string())),
        Err(error) => Err(Failure::environment(format!("a client of the harness failed: {error}"))),
    }
}

fn emit_beat(stage: &Stage<'_>, start: Instant) {
    let seen = stage.desk.recorder.beat();
    let leader = stage.view.leader();
    stage.emit(Event::Beat(event::Beat {
        elapsed: start.elapsed(),
        total: stage.plan.time,
        operations: seen.operations,
        rate_per_second: seen.rate_per_second,
        p99: seen.p99,
        leader: leader.map(|leader| leader.node),
        term: leader.map_or(0, |leader| leader.term),
        faults: stage.world.active(),
    }));
}

/// What each node is asked in the final phase.
pub(super) fn final_reads(generator: &SharedGenerator) -> Vec<workloads::Invocation> {
    generator.lock().unwrap_or_else(PoisonError::into_inner).final_reads()
}
