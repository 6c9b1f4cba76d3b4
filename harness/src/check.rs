//! Judges what was recorded: a run folder or a history from a file.
//!
//! `harness run` ends with this and `harness check` begins with it, so a run can be judged again at
//! any time with the same answer. What is read here is handed as values to the pure checks of
//! [`crate::verdict`]; the only clock is the one that ends a search over its budget, which can turn
//! an answer into unknown and into nothing else.
//!
//! A folder that a killed harness left is judged on what is there: whole lines count, a torn last line
//! does not, a missing file leaves its check unknown.

pub mod certificate;
mod input;
mod load;

pub use input::STDIN;
pub use load::{Recorded, read_plan, typed_in};

use crate::duration;
use crate::exit::Failure;
use crate::results::{RunFolder, write_json};
use crate::system::{self, NodeSettings, written};
use crate::verdict::{
    self, Check, Coverage, Facts, HarnessFacts, OutcomeCounts, Ruling, Seconds, VerdictDocument,
};
use crate::{event::Phase, results::Observed};
use checker::{Limits, Order};
use history::{Format, Nanos, Outcome};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use workloads::{DecodeError, JudgeOptions, Workload};

/// Name of the check that says that the run itself failed.
const RUN: &str = "run";

/// So many operations are counted beside their judgement; fewer are counted sooner than a thread has started.
const MANY_OPERATIONS: usize = 100_000;

/// How to judge.
#[derive(Clone, Debug)]
pub struct Search {
    /// The workload, where the header's is not to be believed.
    pub workload: Option<String>,
    /// The value of a key never written, where it is not the header's.
    pub initial: Option<Value>,
    /// Whether every failed compare-and-set compared unequal.
    pub cas_fail_observes: bool,
    /// How a history file is written; none to look at it.
    pub format: Option<Format>,
    /// Whether each value of a history from elsewhere is a pair of a key and a value.
    pub independent: bool,
    /// Whether to give a legal order of each valid key.
    pub certify: bool,
    /// Wall-clock time after which what is undecided stays unknown.
    pub budget: Duration,
    /// Memory of the search, in bytes.
    pub memory_bytes: u64,
    /// Set by whoever cannot wait any longer; then too what is undecided stays unknown.
    pub cut: Arc<AtomicBool>,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            workload: None,
            initial: None,
            cas_fail_observes: false,
            format: None,
            independent: false,
            certify: false,
            budget: Duration::from_secs(60),
            memory_bytes: 2 << 30,
            cut: Arc::default(),
        }
    }
}

/// What was read, and what was concluded.
#[derive(Debug)]
pub struct Judged {
    /// What was read.
    pub recorded: Recorded,
    /// The verdict.
    pub document: VerdictDocument,
    /// A legal order of each valid key, if they were asked for.
    pub orders: Vec<Order>,
}

/// Judges one history file, by its workload's check alone: what else happened, nobody recorded.
///
/// # Errors
/// When the file cannot be read, or is no history of a known workload.
pub fn file(path: &Path, search: &Search) -> Result<Judged, Failure> {
    let recorded = Recorded::from_file(path, search)?;
    let (document, orders) = judge(&recorded, search)?;
    Ok(Judged { recorded, document, orders })
}

/// Judges what a run recorded, by all its checks. If its folder says that the run failed, so does the document: the
/// files may lack something, so only a violation says more than that.
///
/// # Errors
/// When the folder holds something other than a run, or operations that its workload does not have.
pub fn folder(folder: &RunFolder, search: &Search) -> Result<Judged, Failure> {
    let mut recorded = Recorded::from_folder(folder)?;
    if let Some(document) = unjudgeable(&recorded) {
        return Ok(Judged { recorded, document, orders: Vec::new() });
    }
    input::override_with(&mut recorded.history, search);
    let (mut document, orders) = judge(&recorded, search)?;
    let told = stored(folder).into_iter().flat_map(|document| document.checks);
    document.checks.extend(told.filter(|c| c.name == RUN && c.verdict == Ruling::Error));
    document.verdict = VerdictDocument::worst(&document.checks);
    Ok(Judged { recorded, document, orders })
}

/// Says of a run whose nodes reached each other past the proxies, or may have, that nothing of it can be judged: not even a
/// violation in it accuses anybody.
fn unjudgeable(recorded: &Recorded) -> Option<VerdictDocument> {
    let seen = recorded.observations.iter().find_map(|observation| match &observation.what {
        Observed::Unaudited { text } => Some(text),
        _ => None,
    })?;
    Some(error_document(&recorded.name, &Failure::environment(seen.clone())))
}

/// The document of a run that failed before anything was judged.
#[must_use]
pub fn error_document(run: &str, failure: &Failure) -> VerdictDocument {
    VerdictDocument {
        provisional: false,
        verdict: Ruling::Error,
        checks: vec![Check::new(RUN, Ruling::Error, failure.message.clone())],
        ..VerdictDocument::provisional(run)
    }
}

/// Puts a verdict into the folder of its run, with the counterexample if there is one; if there is none, that of an
/// earlier verdict does not stay.
///
/// # Errors
/// When a file cannot be written.
pub fn save(
    folder: &RunFolder,
    recorded: &Recorded,
    document: &VerdictDocument,
) -> Result<(), Failure> {
    let smallest = document
        .checks
        .iter()
        .flat_map(|check| &check.violations)
        .min_by_key(|violation| violation.operations.len());
    let path = folder.counterexample();
    let written = match smallest {
        Some(violation) => {
            let operations = violation.operations.iter().map(|row| row.operation).collect();
            std::fs::File::create(&path)
                .and_then(|file| {
                    history::write_counterexample(file, &recorded.history, &operations)
                })
                .map(|_| ())
        }
        None => match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        },
    };
    written.map_err(|e| Failure::environment(format!("cannot write {}: {e}", path.display())))?;
    write_json(&folder.verdict(), document).map_err(|e| Failure::environment(e.to_string()))
}

/// Judges what was recorded.
///
/// # Errors
/// When the workload is unknown, or an operation is none of its own.
pub fn judge(
    recorded: &Recorded,
    search: &Search,
) -> Result<(VerdictDocument, Vec<Order>), Failure> {
    let workload = find_workload(recorded, search)?;
    let injections = verdict::injections(&recorded.receipts, &recorded.history.nemesis);
    let nothing = Vec::new();
    let facts = Facts {
        requested: recorded.plan.as_ref().map_or(&nothing, |plan| &plan.faults),
        nodes: recorded.plan.as_ref().map_or(0, |plan| plan.nodes),
        recovery_claimed: recorded.plan.as_ref().is_none_or(|plan| !plan.recovery_unclaimed),
        recovery_limit: recorded.plan.as_ref().map_or(Duration::ZERO, |plan| plan.recovery_limit),
        functions: workload.functions(),
        history: &recorded.history,
        injections: &injections,
        observations: &recorded.observations,
    };
    let started = Instant::now();
    let judged = || linearizable(workload, &facts, search, &recorded.name);
    let counted = || (counts(&facts), seconds(&facts));
    let (judged, (counts, seconds)) = if facts.history.operations.len() < MANY_OPERATIONS {
        (judged(), counted())
    } else {
        std::thread::scope(|scope| {
            let counted = scope.spawn(counted);
            (judged(), counted.join().expect("to count cannot panic"))
        })
    };
    let (check, orders) = judged?;
    let mut checks = vec![check];
    checks[0].warnings.extend(recorded.notes.iter().cloned());
    let coverage = match &recorded.plan {
        Some(plan) => {
            let coverage = beside(&facts, &mut checks);
            checks.extend(written::is_file(&plan.system).then(|| verdict::clients(&facts)));
            checks.extend(is_read_along(&plan.system).then(|| verdict::protocol(&facts)));
            coverage
        }
        None => Coverage::default(),
    };
    checks.extend(recorded.revisions.as_deref().map(verdict::revisions));
    let document = VerdictDocument {
        format: VerdictDocument::FORMAT,
        verdict: VerdictDocument::worst(&checks),
        provisional: false,
        checks,
        counts,
        coverage,
        harness: harness(&facts),
        seconds: Seconds { check: started.elapsed().as_secs_f64(), ..seconds },
        run: recorded.name.clone(),
    };
    Ok((document, orders))
}

fn find_workload(recorded: &Recorded, search: &Search) -> Result<&'static dyn Workload, Failure> {
    let (name, place) = match &search.workload {
        Some(name) => (name.as_str(), "--workload"),
        None => (recorded.history.header.workload.as_str(), "the history's header"),
    };
    let known: Vec<&str> = workloads::all().iter().map(|workload| workload.name()).collect();
    workloads::by_name(name).ok_or_else(|| Failure::unknown_name("workload", name, place, &known))
}

/// The workload's own check, under a budget of time and memory.
fn linearizable(
    workload: &dyn Workload,
    facts: &Facts<'_>,
    search: &Search,
    name: &str,
) -> Result<(Check, Vec<Order>), Failure> {
    let deadline = Instant::now().checked_add(search.budget);
    let stop = || {
        search.cut.load(Ordering::Relaxed)
            || deadline.is_some_and(|deadline| Instant::now() >= deadline)
    };
    let stopped = || match search.cut.load(Ordering::Relaxed) {
        true => "the run was interrupted, and the check with it".to_owned(),
        false => format!("its budget of {} is spent", duration::text(search.budget)),
    };
    let options = JudgeOptions {
        // Time is the budget here: what still has some may go on.
        limits: Limits { bytes: search.memory_bytes, steps: u64::MAX },
        stop: &stop,
        threads: threads(),
        certify: search.certify,
    };
    verdict::workload(workload, facts, &options, &stopped).map_err(|error| {
        let failure = Failure::usage(format!("{name}: {error}"));
        match &error {
            DecodeError::Operation { .. } => failure.hint(format!(
                "it was read as workload `{}`; name another with `--workload`",
                workload.name()
            )),
            DecodeError::Initial { .. } => failure,
        }
    })
}

/// The checks of a run beside the workload's own.
fn beside(facts: &Facts<'_>, checks: &mut Vec<Check>) -> Coverage {
    let (check, coverage) = verdict::coverage(facts);
    checks.push(verdict::crashes(facts));
    checks.push(verdict::recovery(facts));
    checks.push(check);
    checks.push(verdict::power(facts, coverage.reads_across_leader_change));
    coverage
}

/// Whether somebody reads what the nodes of this system write.
fn is_read_along(name: &str) -> bool {
    let settings = NodeSettings::default();
    let reads = |one: &&dyn system::System| one.protocol_marks(&settings).is_some();
    system::all().iter().any(|one| one.name() == name && reads(one))
}

fn counts(facts: &Facts<'_>) -> BTreeMap<String, OutcomeCounts> {
    let mut counts: BTreeMap<&str, OutcomeCounts> = BTreeMap::new();
    for operation in &facts.history.operations {
        let count = counts.entry(operation.f.as_str()).or_default();
        match operation.outcome {
            Outcome::Ok { .. } => count.ok += 1,
            Outcome::Fail { .. } => count.fail += 1,
            Outcome::Info { .. } => count.info += 1,
        }
    }
    counts.into_iter().map(|(f, count)| (f.to_owned(), count)).collect()
}

/// The worst that was seen of the harness itself.
fn harness(facts: &Facts<'_>) -> HarnessFacts {
    let mut worst = HarnessFacts::default();
    for observation in facts.observations {
        if let Observed::Harness { stall_p99_ms, stall_max_ms, cpu_idle, cpu_steal, starved } =
            observation.what
        {
            worst.cpu_idle_least = least(worst.cpu_idle_least, cpu_idle);
            worst.cpu_steal_most = most(worst.cpu_steal_most, cpu_steal);
            worst.stall_p99_ms = worst.stall_p99_ms.max(stall_p99_ms);
            worst.stall_max_ms = worst.stall_max_ms.max(stall_max_ms);
            worst.starved |= starved;
        }
    }
    worst
}

fn least(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.into_iter().chain(b).reduce(f64::min)
}

fn most(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.into_iter().chain(b).reduce(f64::max)
}

fn seconds(facts: &Facts<'_>) -> Seconds {
    let work = match (facts.phase(Phase::Work), facts.phase(Phase::Heal)) {
        (Some(from), Some(to)) => Nanos(to.0.saturating_sub(from.0)).as_seconds(),
        _ => 0.0,
    };
    Seconds { run: facts.end().as_seconds(), work, check: 0.0 }
}

/// Whether a run came to its verdict; one that did is never judged over. One that failed did not.
#[must_use]
pub fn is_finished(folder: &RunFolder) -> bool {
    stored(folder)
        .is_some_and(|document| !document.provisional && document.verdict != Ruling::Error)
}

/// The verdict document in the folder, if there is one that can be read.
#[must_use]
pub fn stored(folder: &RunFolder) -> Option<VerdictDocument> {
    let bytes = std::fs::read(folder.verdict()).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// How many threads may work at once. Asked once: the answer is read from files of the system, which takes as long as
/// to judge a short history.
pub(crate) fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}
